//! A schedule as people know it.

use agis_base::{ScheduleId, ServerId, Timestamp, UserId};
use thiserror::Error;

use crate::{
    cron::{CronError, CronExpression},
    zone::Zone,
};

/// What a schedule does to its server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// Be ready for players.
    Start,
    /// Run nothing.
    Stop,
    /// Stop what runs, then start.
    Restart,
}

impl Action {
    /// Every action.
    pub const ALL: [Self; 3] = [Self::Start, Self::Stop, Self::Restart];

    /// The word that the database, REST and metrics use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Restart => "restart",
        }
    }

    /// The action of that word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.as_str() == word)
    }
}

/// What happens to slots that passed while no scheduler ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MissedRunPolicy {
    /// The latest of them runs once, late; the others are recorded as missed.
    #[default]
    RunOnce,
    /// All are recorded as missed.
    Skip,
}

impl MissedRunPolicy {
    /// Every policy.
    pub const ALL: [Self; 2] = [Self::RunOnce, Self::Skip];

    /// The word that the database and REST use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RunOnce => "run_once",
            Self::Skip => "skip",
        }
    }

    /// The policy of that word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|policy| policy.as_str() == word)
    }
}

/// When: a cron expression read in a zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timing {
    /// Which local minutes.
    pub cron: CronExpression,
    /// Where.
    pub zone: Zone,
}

/// The text of a timing cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TimingError {
    /// The expression.
    #[error(transparent)]
    Cron(#[from] CronError),
    /// The zone.
    #[error("'{0}' is not a time zone; use an IANA name such as Europe/Berlin or America/New_York, or UTC")]
    Zone(String),
    /// The expression matches no day in sight.
    #[error("'{0}' never fires: no day matches it in the next decades; check the day and the month")]
    NeverFires(String),
}

/// In words: `every day at 08:00, America/New_York`.
impl std::fmt::Display for Timing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}, {}", self.cron.words(), self.zone.name())
    }
}

impl Timing {
    /// Reads an expression and a zone.
    ///
    /// # Errors
    /// Where either cannot be read.
    pub fn parse(expression: &str, zone: &str) -> Result<Self, TimingError> {
        let zone = zone.trim();
        Ok(Self {
            cron: expression.parse()?,
            zone: Zone::named(zone).ok_or_else(|| TimingError::Zone(zone.to_owned()))?,
        })
    }

    /// The first slot after `now`.
    ///
    /// # Errors
    /// [`TimingError::NeverFires`] where there is none.
    pub fn next_run(&self, now: Timestamp) -> Result<Timestamp, TimingError> {
        let slot = self.cron.after(&self.zone, now).next();
        slot.map(|slot| slot.at).ok_or_else(|| TimingError::NeverFires(self.cron.to_string()))
    }

    /// What its author may not have meant, as sentences to show beside the next runs.
    pub fn warnings(&self) -> Vec<String> {
        self.cron.warnings().into_iter().chain(self.zone.warning()).collect()
    }

    /// The next `count` slots after `now`.
    pub fn next_runs(&self, now: Timestamp, count: usize) -> Vec<Timestamp> {
        self.cron.after(&self.zone, now).take(count).map(|slot| slot.at).collect()
    }
}

/// A schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    /// Its id.
    pub id: ScheduleId,
    /// Which server it acts on.
    pub server: ServerId,
    /// Who made it, and in whose name it acts.
    pub owner: UserId,
    /// What it does.
    pub action: Action,
    /// The expression as stored. Rows older than this program may hold what it does not read: [`Self::timing`] tells.
    pub cron_expression: String,
    /// The zone as stored.
    pub timezone: String,
    /// Whether it fires.
    pub enabled: bool,
    /// Why the program has disabled it, for people.
    pub disabled_reason: Option<String>,
    /// What happens to slots that passed while no scheduler ran.
    pub missed_run_policy: MissedRunPolicy,
    /// The slot that fired last.
    pub last_run: Option<Timestamp>,
    /// The slot that fires next; none while disabled.
    pub next_run: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When anything of this last changed.
    pub updated_at: Timestamp,
}

impl Schedule {
    /// The next `count` slots after `now`: none while it is disabled, or where the stored text cannot be used.
    pub fn next_runs(&self, now: Timestamp, count: usize) -> Vec<Timestamp> {
        let timing = self.timing().ok().filter(|_| self.enabled);
        timing.map(|timing| timing.next_runs(now, count)).unwrap_or_default()
    }

    /// What its author may not have meant.
    pub fn warnings(&self) -> Vec<String> {
        self.timing().map(|timing| timing.warnings()).unwrap_or_default()
    }

    /// Its timing.
    ///
    /// # Errors
    /// Where the stored text cannot be used.
    pub fn timing(&self) -> Result<Timing, TimingError> {
        Timing::parse(&self.cron_expression, &self.timezone)
    }

    /// The schedule after a change. `next_run` is computed anew from `now` where the timing changes or the schedule is
    /// enabled again, so time spent disabled is not missed.
    ///
    /// # Errors
    /// Where the new timing cannot be used or never fires.
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
    /// Which server it acts on.
    pub server: ServerId,
    /// In whose name.
    pub owner: UserId,
    /// What it does.
    pub action: Action,
    /// When.
    pub timing: Timing,
    /// Whether it fires.
    pub enabled: bool,
    /// What happens to slots that passed while no scheduler ran.
    pub missed_run_policy: MissedRunPolicy,
}

/// What an owner may change; `None` leaves a field as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ScheduleChange {
    /// What it does.
    pub action: Option<Action>,
    /// The expression.
    pub cron_expression: Option<String>,
    /// The zone.
    pub timezone: Option<String>,
    /// Whether it fires.
    pub enabled: Option<bool>,
    /// What happens to slots that passed while no scheduler ran.
    pub missed_run_policy: Option<MissedRunPolicy>,
}
