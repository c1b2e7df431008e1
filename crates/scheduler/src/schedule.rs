//! A schedule as people know it.

/// Action of a schedule on its server.
pub use agis_base::PowerAction as Action;
use agis_base::{Label, Pace, Reach, ScheduleId, ServerId, Timestamp, UserId, words};
use chrono::TimeDelta;
use thiserror::Error;

use crate::{
    cron::{CronError, CronExpression},
    work::{Deed, InvalidWork, Kind, Step, Warning, Work, WorkChange},
    zone::Zone,
};

/// Longest time ahead of a run that happens once.
const FAR: TimeDelta = TimeDelta::days(3660);
/// Time by which the clock of a caller may be behind: a run that is due now is not refused.
const NOW: TimeDelta = TimeDelta::minutes(1);

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
    /// The instant has passed, or is too far ahead.
    #[error("a run that happens once is due from now on, and within ten years")]
    Instant,
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

/// Cause of a schedule's runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trigger {
    /// The slots of an expression.
    Cron(Timing),
    /// Single instant. The schedule fires once, and is disabled then.
    At(Timestamp),
}

impl Trigger {
    /// Returns the first slot after `now`. An instant that has passed just now is due.
    ///
    /// # Errors
    /// Fails if there is none.
    pub fn next_run(&self, now: Timestamp) -> Result<Timestamp, TimingError> {
        match self {
            Self::Cron(timing) => timing.next_run(now),
            Self::At(at) if (now - NOW..now + FAR).contains(at) => Ok(*at),
            Self::At(_) => Err(TimingError::Instant),
        }
    }

    /// Returns the next `count` slots after `now`.
    pub fn next_runs(&self, now: Timestamp, count: usize) -> Vec<Timestamp> {
        match self {
            Self::Cron(timing) => timing.next_runs(now, count),
            Self::At(at) => Some(*at).into_iter().filter(|at| *at > now).take(count).collect(),
        }
    }

    /// Returns the timing; `None` if there is one run only.
    pub fn timing(&self) -> Option<&Timing> {
        match self {
            Self::Cron(timing) => Some(timing),
            Self::At(_) => None,
        }
    }
}

/// Servers that a schedule acts on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// Single server.
    Server(ServerId),
    /// Every server of its maker, or shared with its maker, that carries the label when a run is due.
    Labelled {
        /// The label.
        label: Label,
        /// Pace from server to server.
        pace: Pace,
    },
}

impl Target {
    /// Returns the server if it is one.
    pub fn server(&self) -> Option<ServerId> {
        match self {
            Self::Server(server) => Some(*server),
            Self::Labelled { .. } => None,
        }
    }

    /// Returns whether all that it may ever act on is within this reach.
    pub fn is_within(&self, reach: &Reach) -> bool {
        self.server().map_or(*reach == Reach::Every, |server| reach.covers(server))
    }
}

/// A schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    /// Id of the schedule.
    pub id: ScheduleId,
    /// Servers that it acts on.
    pub target: Target,
    /// User who made it, and in whose name it acts.
    pub owner: UserId,
    /// Work of each run.
    pub work: Work,
    /// Expression as stored; `None` if it fires once. Rows older than this program may hold text that it cannot read: see
    /// [`Self::trigger`].
    pub cron_expression: Option<String>,
    /// Zone as stored.
    pub timezone: String,
    /// Instant at which it fires once.
    pub at: Option<Timestamp>,
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
    /// Returns the kind of its runs. A run of a schedule that fires once has steps, however few.
    pub fn kind(&self) -> Kind {
        kind(&self.work, &self.target, self.at.is_some())
    }

    /// Returns the next `count` slots after `now`: none while it is disabled, or if the stored text cannot be used.
    pub fn next_runs(&self, now: Timestamp, count: usize) -> Vec<Timestamp> {
        let trigger = self.trigger().ok().filter(|_| self.enabled);
        // A run that is skipped lies between.
        let behind = self.next_run.map_or(now, |next| now.max(next - TimeDelta::microseconds(1)));
        trigger.map(|trigger| trigger.next_runs(behind, count)).unwrap_or_default()
    }

    /// Returns warnings about meanings that the author may not intend.
    pub fn warnings(&self) -> Vec<String> {
        let acts_later = self.work.planned().iter().any(|step| step.announces).then(|| {
            "The warnings begin at these times, and the stop or the restart follows when they are over.".to_owned()
        });
        acts_later.into_iter().chain(self.timing_warnings()).collect()
    }

    fn timing_warnings(&self) -> Vec<String> {
        self.trigger().ok().and_then(|trigger| Some(trigger.timing()?.warnings())).unwrap_or_default()
    }

    /// Parses its trigger.
    ///
    /// # Errors
    /// Fails if the stored text cannot be used.
    pub fn trigger(&self) -> Result<Trigger, TimingError> {
        match (&self.cron_expression, self.at) {
            (_, Some(at)) => Ok(Trigger::At(at)),
            (Some(expression), None) => Timing::parse(expression, &self.timezone).map(Trigger::Cron),
            (None, None) => Err(TimingError::Instant),
        }
    }

    /// Returns whether it takes one of the places of its server and its maker: not if it was to fire once, and has.
    pub fn counts(&self) -> bool {
        self.at.is_none() || self.enabled || self.last_run.is_none()
    }

    /// Returns the schedule after a change. If the trigger changes or the schedule is enabled again, `next_run` is
    /// computed anew from `now`, so time spent disabled is not missed.
    ///
    /// # Errors
    /// Fails if the new trigger cannot be used or never fires.
    pub fn changed(&self, change: &ScheduleChange, now: Timestamp) -> Result<Self, InvalidChange> {
        let mut next = self.clone();
        if change.work != WorkChange::default() {
            next.work = change.work.apply(&self.work)?;
        }
        if let Some(policy) = change.missed_run_policy {
            next.missed_run_policy = policy;
        }
        match &change.trigger {
            TriggerChange { at: Some(at), .. } => (next.at, next.cron_expression) = (Some(*at), None),
            TriggerChange { cron_expression, timezone, at: None } => {
                if let Some(expression) = cron_expression {
                    (next.at, next.cron_expression) = (None, Some(expression.clone()));
                }
                if let Some(timezone) = timezone {
                    next.timezone =
                        Zone::named(timezone).ok_or_else(|| TimingError::Zone(timezone.clone()))?.name().to_owned();
                }
            }
        }
        let times = |schedule: &Self| (schedule.cron_expression.clone(), schedule.timezone.clone(), schedule.at);
        let retimed = times(&next) != times(self);
        // A schedule that has fired once, and gets another time, is meant to fire then.
        let is_spent = !self.enabled && self.at.is_some() && self.disabled_reason.is_some();
        next.enabled = change.enabled.unwrap_or(self.enabled || (retimed && is_spent));
        if next.enabled && !retimed && is_spent && self.at <= Some(now) {
            return Err(TimingError::Instant.into());
        }
        if retimed || (next.enabled && !self.enabled) {
            let trigger = next.trigger()?;
            next.next_run = Some(trigger.next_run(now)?);
            if let Trigger::Cron(timing) = trigger {
                next.cron_expression = Some(timing.cron.to_string());
                next.timezone = timing.zone.name().to_owned();
            }
            next.disabled_reason = None;
        }
        if !next.enabled {
            next.next_run = None;
        }
        Ok(next)
    }
}

/// Reason why a schedule was not changed.
#[derive(Debug, Error)]
pub enum InvalidChange {
    /// The timing cannot be used.
    #[error(transparent)]
    Timing(#[from] TimingError),
    /// The work breaks a rule.
    #[error(transparent)]
    Work(#[from] InvalidWork),
}

/// A schedule that does not exist yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewSchedule {
    /// Servers that it acts on.
    pub target: Target,
    /// User in whose name it acts.
    pub owner: UserId,
    /// Work of each run.
    pub work: Work,
    /// Cause of the runs.
    pub trigger: Trigger,
    /// Whether the schedule fires.
    pub enabled: bool,
    /// Policy for slots that passed while no scheduler ran.
    pub missed_run_policy: MissedRunPolicy,
}

impl NewSchedule {
    /// Creates the schedule that warns of an action, and does it, once and from now on.
    pub fn announced(server: ServerId, owner: UserId, action: Action, warning: Warning, now: Timestamp) -> Self {
        let deed = Deed::Power { action, warning: Some(warning) };
        Self {
            target: Target::Server(server),
            owner,
            work: Work::steps(vec![Step::new(deed)]),
            trigger: Trigger::At(now),
            enabled: true,
            missed_run_policy: MissedRunPolicy::Skip,
        }
    }

    /// See [`Schedule::kind`].
    pub fn kind(&self) -> Kind {
        kind(&self.work, &self.target, matches!(self.trigger, Trigger::At(_)))
    }
}

fn kind(work: &Work, target: &Target, fires_once: bool) -> Kind {
    match target {
        Target::Labelled { .. } => Kind::Servers,
        Target::Server(_) if fires_once => Kind::Steps,
        Target::Server(_) => work.kind(),
    }
}

/// Change of the cause of a schedule's runs; `None` leaves a field as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TriggerChange {
    /// New expression, in place of an instant.
    pub cron_expression: Option<String>,
    /// New zone of the expression.
    pub timezone: Option<String>,
    /// New instant, in place of an expression.
    pub at: Option<Timestamp>,
}

/// Change of a schedule by its owner; `None` leaves a field as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ScheduleChange {
    /// New work.
    pub work: WorkChange,
    /// New cause of its runs.
    pub trigger: TriggerChange,
    /// Whether the schedule fires from now on.
    pub enabled: Option<bool>,
    /// New policy for slots that passed while no scheduler ran.
    pub missed_run_policy: Option<MissedRunPolicy>,
}

impl ScheduleChange {
    /// Returns whether it disables the schedule, and changes nothing else.
    pub fn only_disables(&self) -> bool {
        *self == Self { enabled: Some(false), ..Self::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zone::ZoneData;

    #[test]
    fn blanks_around_a_zone_are_no_part_of_it() {
        assert!(Timing::parse("@daily", " Europe/Berlin ").is_ok());
    }

    /// Vancouver and the others changed their rules after chrono-tz' last release.
    #[test]
    fn bundled_copy_knows_the_rules_of_2026() {
        let timing = |zone: &str| Timing {
            cron: "0 4 * * *".parse().expect("cron"),
            zone: ZoneData::built_in().zone(zone).expect(zone),
        };
        let winter = "2026-12-01T00:00:00Z".parse().expect("a time");
        let at = |zone| timing(zone).next_run(winter).expect("a run").to_rfc3339();
        assert_eq!(at("America/Vancouver"), "2026-12-01T11:00:00+00:00");
        assert_eq!(at("America/New_York"), "2026-12-01T09:00:00+00:00");
    }
}
