//! A schedule as people know it.

/// Action of a schedule on its server.
pub use agis_base::PowerAction as Action;
use agis_base::{ScheduleId, ServerId, Timestamp, UserId, words};
use thiserror::Error;

use crate::{
    cron::{CronError, CronExpression},
    zone::Zone,
};

words! {
    /// Policy for slots that passed while no scheduler ran.
    #[derive(Default)]
    MissedRunPolicy {
        /// The latest slot runs once, late; the others are recorded as missed.
        #[default]
        RunOnce = "run_once",
        /// All slots are recorded as missed.
        Skip = "skip",
    }
}

/// Cron expression and the zone that gives it meaning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timing {
    /// Expression for the local minutes.
    pub cron: CronExpression,
    /// Time zone of the local minutes.
    pub zone: Zone,
}

/// Reason why the text of a timing cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TimingError {
    /// The expression is invalid.
    #[error(transparent)]
    Cron(#[from] CronError),
    /// The zone is unknown.
    #[error("'{0}' is not a time zone; use an IANA name such as Europe/Berlin or America/New_York, or UTC")]
    Zone(String),
    /// The expression matches no day in sight.
    #[error("'{0}' never fires: no day matches it in the next decades; check the day and the month")]
    NeverFires(String),
}

/// Describes the timing in words: `every day at 08:00, America/New_York`.
impl std::fmt::Display for Timing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}, {}", self.cron.words(), self.zone.name())
    }
}

impl Timing {
    /// Reads an expression and a zone.
    ///
    /// # Errors
    /// Fails if either cannot be read.
    pub fn parse(expression: &str, zone: &str) -> Result<Self, TimingError> {
        let zone = zone.trim();
        Ok(Self {
            cron: expression.parse()?,
            zone: Zone::named(zone).ok_or_else(|| TimingError::Zone(zone.to_owned()))?,
        })
    }

    /// Returns the first slot after `now`.
    ///
    /// # Errors
    /// Fails with [`TimingError::NeverFires`] if there is none.
    pub fn next_run(&self, now: Timestamp) -> Result<Timestamp, TimingError> {
        let slot = self.cron.after(&self.zone, now).next();
        slot.map(|slot| slot.at).ok_or_else(|| TimingError::NeverFires(self.cron.to_string()))
    }

    /// Returns warnings about meanings that the author may not intend, to show beside the next runs.
    pub fn warnings(&self) -> Vec<String> {
        self.cron.warnings().into_iter().chain(self.zone.warning()).collect()
    }

    /// Returns the next `count` slots after `now`.
    pub fn next_runs(&self, now: Timestamp, count: usize) -> Vec<Timestamp> {
        self.cron.after(&self.zone, now).take(count).map(|slot| slot.at).collect()
    }
}

/// A schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    /// Id of the schedule.
    pub id: ScheduleId,
    /// Server that it acts on.
    pub server: ServerId,
    /// User who made it, and in whose name it acts.
    pub owner: UserId,
    /// Action on the server.
    pub action: Action,
    /// Expression as stored. Rows older than this program may hold text that it cannot read: see [`Self::timing`].
    pub cron_expression: String,
    /// Zone as stored.
    pub timezone: String,
    /// Whether the schedule fires.
    pub enabled: bool,
    /// Reason why the program disabled it, for people; `None` if it did not.
    pub disabled_reason: Option<String>,
    /// Policy for slots that passed while no scheduler ran.
    pub missed_run_policy: MissedRunPolicy,
    /// Last slot that fired.
    pub last_run: Option<Timestamp>,
    /// Next slot to fire; `None` while disabled.
    pub next_run: Option<Timestamp>,
    /// Time of creation.
    pub created_at: Timestamp,
    /// Time of the last change of any field.
    pub updated_at: Timestamp,
}

impl Schedule {
    /// Returns the next `count` slots after `now`: none while it is disabled, or if the stored text cannot be used.
    pub fn next_runs(&self, now: Timestamp, count: usize) -> Vec<Timestamp> {
        let timing = self.timing().ok().filter(|_| self.enabled);
        timing.map(|timing| timing.next_runs(now, count)).unwrap_or_default()
    }

    /// Returns warnings about meanings that the author may not intend.
    pub fn warnings(&self) -> Vec<String> {
        self.timing().map(|timing| timing.warnings()).unwrap_or_default()
    }

    /// Parses its timing.
    ///
    /// # Errors
    /// Fails if the stored text cannot be used.
    pub fn timing(&self) -> Result<Timing, TimingError> {
        Timing::parse(&self.cron_expression, &self.timezone)
    }

    /// Returns the schedule after a change. If the timing changes or the schedule is enabled again, `next_run` is
    /// computed anew from `now`, so time spent disabled is not missed.
    ///
    /// # Errors
    /// Fails if the new timing cannot be used or never fires.
    pub fn changed(&self, change: &ScheduleChange, now: Timestamp) -> Result<Self, TimingError> {
        let mut next = self.clone();
        if let Some(action) = change.action {
            next.action = action;
        }
        if let Some(policy) = change.missed_run_policy {
            next.missed_run_policy = policy;
        }
        if let Some(expression) = &change.cron_expression {
            next.cron_expression.clone_from(expression);
        }
        if let Some(timezone) = &change.timezone {
            next.timezone.clone_from(timezone);
        }
        next.enabled = change.enabled.unwrap_or(self.enabled);

        let retimed = next.cron_expression != self.cron_expression || next.timezone != self.timezone;
        if retimed || (next.enabled && !self.enabled) {
            let timing = next.timing()?;
            next.cron_expression = timing.cron.to_string();
            next.timezone = timing.zone.name().to_owned();
            next.next_run = Some(timing.next_run(now)?);
            next.disabled_reason = None;
        }
        if !next.enabled {
            next.next_run = None;
        }
        Ok(next)
    }
}

/// A schedule that does not exist yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewSchedule {
    /// Server that it acts on.
    pub server: ServerId,
    /// User in whose name it acts.
    pub owner: UserId,
    /// Action on the server.
    pub action: Action,
    /// Timing of the runs.
    pub timing: Timing,
    /// Whether the schedule fires.
    pub enabled: bool,
    /// Policy for slots that passed while no scheduler ran.
    pub missed_run_policy: MissedRunPolicy,
}

/// Change of a schedule by its owner; `None` leaves a field as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ScheduleChange {
    /// New action.
    pub action: Option<Action>,
    /// New expression.
    pub cron_expression: Option<String>,
    /// New zone.
    pub timezone: Option<String>,
    /// Whether the schedule fires from now on.
    pub enabled: Option<bool>,
    /// New policy for slots that passed while no scheduler ran.
    pub missed_run_policy: Option<MissedRunPolicy>,
}
