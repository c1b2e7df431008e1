//! Work of a run: its steps, and the condition under which they begin.

use std::time::Duration;

use agis_base::{Span, Timestamp};
use chrono::TimeDelta;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::schedule::Action;

mod line;
mod warning;

pub use line::InvalidLine;
pub use warning::{Warning, called_off, postponed, said_in};

/// Maximum number of steps, those under `finally` included.
pub const STEPS_MAX: usize = 10;
/// Maximum number of steps that a run carries out, those of warnings included: each has a row.
const PLANNED_MAX: usize = 50;
/// Maximum length of a text for players, in characters: a game's chat cuts longer ones.
pub const TEXT_MAX: usize = 200;
/// Maximum length of a command, in characters.
pub const COMMAND_MAX: usize = 1000;
/// Longest wait of one step, and longest deferral of a run.
pub const WAIT_MAX: Duration = Duration::from_secs(24 * 3600);

/// Steps of a run, and the condition under which it begins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Work {
    /// Steps, each of which begins when the previous one has ended; one to [`STEPS_MAX`] together with `finally`.
    pub steps: Vec<Step>,
    /// Steps that follow however the others ended, unless a person ended the run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub finally: Vec<Step>,
    /// Condition for the run to begin; `None` is [`Work::usual`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<When>,
    /// Fate of a run that is due while an earlier one has not ended.
    #[serde(default)]
    pub overlap: Overlap,
}

/// Step of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Deed of the step.
    pub deed: Deed,
    /// Effect of a failure on the steps behind it.
    #[serde(default)]
    pub on_error: OnError,
}

/// Deed of a step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Deed {
    /// Announces a text to the server's players.
    Say(String),
    /// Types a command into the server's console.
    Command(String),
    /// Waits.
    Wait(Span),
    /// Waits for a state of the server.
    WaitUntil {
        /// State to wait for.
        state: Awaited,
        /// Time after which the step fails.
        at_most: Span,
    },
    /// Starts, stops or restarts the server.
    Power {
        /// Action on the server.
        action: Action,
        /// Announcements ahead of it; none for a start.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        warning: Option<Warning>,
    },
}

agis_base::words! {
    /// Deed of a step as REST names it, in `do`.
    DeedName {
        /// See [`Deed::Say`].
        Say = "say",
        /// See [`Deed::Command`].
        Command = "command",
        /// See [`Deed::Wait`].
        Wait = "wait",
        /// See [`Deed::WaitUntil`].
        WaitUntil = "wait_until",
        /// See [`Deed::Power`].
        Start = "start",
        /// See [`Deed::Power`].
        Stop = "stop",
        /// See [`Deed::Power`].
        Restart = "restart",
    }
}

agis_base::words! {
    /// State of a server for which a step waits.
    #[derive(Serialize, Deserialize)]
    #[serde(rename_all = "snake_case")]
    Awaited {
        /// Nobody plays, by a measurement.
        Empty = "empty",
        /// Nothing runs.
        Stopped = "stopped",
        /// The server is ready for players.
        Ready = "ready",
    }
}

agis_base::words! {
    /// Effect of a failed step on the steps behind it.
    #[derive(Default, Serialize, Deserialize)]
    #[serde(rename_all = "snake_case")]
    OnError {
        /// They do not begin; the run goes on with `finally`, and fails.
        #[default]
        Fail = "fail",
        /// They go on.
        Continue = "continue",
    }
}

agis_base::words! {
    /// Fate of a run that is due while an earlier one of its schedule has not ended.
    #[derive(Default, Serialize, Deserialize)]
    #[serde(rename_all = "snake_case")]
    Overlap {
        /// The later run is skipped.
        #[default]
        Skip = "skip",
        /// The later run waits for the end of the earlier one. If another waits already, the later one is skipped.
        QueueOne = "queue_one",
        /// The later run ends the earlier one.
        Replace = "replace",
    }
}

agis_base::words! {
    /// State that a server should be in for a run to begin.
    #[derive(Default, Serialize, Deserialize)]
    #[serde(rename_all = "snake_case")]
    ServerIs {
        /// Running: somebody started it, and nobody stopped it since.
        Running = "running",
        /// Stopped.
        Stopped = "stopped",
        /// Either.
        #[default]
        Any = "any",
    }
}

agis_base::words! {
    /// Players on a server for a run to begin.
    #[derive(Default, Serialize, Deserialize)]
    #[serde(rename_all = "snake_case")]
    PlayersAre {
        /// Nobody plays, by a measurement. An unknown number counts as somebody.
        Empty = "empty",
        /// Any number.
        #[default]
        Any = "any",
    }
}

agis_base::words! {
    /// Kind of a run, in the database and in metrics.
    Kind {
        /// Single start.
        Start = "start",
        /// Single stop.
        Stop = "stop",
        /// Single restart.
        Restart = "restart",
        /// Several steps, or one under a condition of its own.
        Steps = "steps",
        /// A run with steps on each server that carries a label.
        Servers = "servers",
    }
}

impl From<Action> for Kind {
    fn from(action: Action) -> Self {
        match action {
            Action::Start => Self::Start,
            Action::Stop => Self::Stop,
            Action::Restart => Self::Restart,
        }
    }
}

impl Kind {
    /// Returns the action of a run that is one operation.
    pub fn action(self) -> Option<Action> {
        match self {
            Self::Start => Some(Action::Start),
            Self::Stop => Some(Action::Stop),
            Self::Restart => Some(Action::Restart),
            Self::Steps | Self::Servers => None,
        }
    }
}

/// Condition for a run to begin.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct When {
    /// State that the server should be in.
    #[serde(default)]
    pub server: ServerIs,
    /// Players on the server.
    #[serde(default)]
    pub players: PlayersAre,
    /// Time for which the run waits for the players to leave, before it is skipped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub defer: Option<Span>,
}

/// Condition as somebody asks for it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WhenChange {
    /// State that the server should be in; `None` is that of [`Work::usual`].
    pub server: Option<ServerIs>,
    /// Players on the server.
    pub players: PlayersAre,
    /// See [`When::defer`].
    pub defer: Option<Span>,
}

/// Change of work; `None` leaves a part as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WorkChange {
    /// New steps.
    pub steps: Option<Vec<Step>>,
    /// New steps that follow in any case.
    pub finally: Option<Vec<Step>>,
    /// New condition; the inner `None` is [`Work::usual`].
    pub when: Option<Option<WhenChange>>,
    /// New fate of runs that overlap.
    pub overlap: Option<Overlap>,
}

impl WorkChange {
    /// Returns whether one of its steps types a command of its maker's choice.
    pub fn commands(&self) -> bool {
        self.steps.iter().chain(&self.finally).flatten().any(|step| matches!(step.deed, Deed::Command(_)))
    }

    /// Returns the work after the change.
    ///
    /// # Errors
    /// Fails if that breaks a rule.
    pub fn apply(&self, today: &Work) -> Result<Work, InvalidWork> {
        let mut work = today.clone();
        if let Some(steps) = &self.steps {
            work.steps.clone_from(steps);
        }
        if let Some(finally) = &self.finally {
            work.finally.clone_from(finally);
        }
        if let Some(when) = self.when {
            let usual = work.usual().server;
            work.when = when.map(|WhenChange { server, players, defer }| When {
                server: server.unwrap_or(usual),
                players,
                defer,
            });
        }
        if let Some(overlap) = self.overlap {
            work.overlap = overlap;
        }
        work.check()?;
        Ok(work)
    }
}

/// Error: work breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{rule}")]
pub struct InvalidWork {
    /// Field that breaks it, as REST writes it: `steps[2].command`.
    pub field: String,
    /// Rule that is broken, for people.
    pub rule: String,
}

impl Step {
    /// Creates a step whose failure ends the run.
    pub fn new(deed: Deed) -> Self {
        Self { deed, on_error: OnError::Fail }
    }

    /// Creates a step that does this action without a warning.
    pub fn power(action: Action) -> Self {
        Self::new(Deed::Power { action, warning: None })
    }
}

impl Work {
    /// Creates the work of one action.
    pub fn of(action: Action) -> Self {
        Self::steps(vec![Step::power(action)])
    }

    /// Creates the work of these steps, under the usual condition.
    pub fn steps(steps: Vec<Step>) -> Self {
        Self { steps, finally: vec![], when: None, overlap: Overlap::default() }
    }

    /// Returns the action if it is all that the work consists of: then a run is one operation and has no rows of steps.
    pub fn action(&self) -> Option<Action> {
        match self.steps.as_slice() {
            [Step { deed: Deed::Power { action, warning: None }, on_error: OnError::Fail }]
                if self.finally.is_empty() && self.when.is_none() && self.overlap == Overlap::default() =>
            {
                Some(*action)
            }
            _ => None,
        }
    }

    /// Returns the kind of its runs.
    pub fn kind(&self) -> Kind {
        self.action().map_or(Kind::Steps, Kind::from)
    }

    /// Returns the condition for a run to begin.
    pub fn when(&self) -> When {
        self.when.unwrap_or_else(|| self.usual())
    }

    /// Returns the condition of work that names none. A restart or a stop leaves a server alone that should not run;
    /// a chain that starts the server first may begin in any state.
    pub fn usual(&self) -> When {
        let first = self.steps.iter().chain(&self.finally).find_map(|step| match step.deed {
            Deed::Power { action, .. } => Some(action),
            _ => None,
        });
        match first {
            Some(Action::Stop | Action::Restart) => When { server: ServerIs::Running, ..When::default() },
            Some(Action::Start) | None => When::default(),
        }
    }

    /// Returns whether one of its steps types a command of its maker's choice.
    pub fn commands(&self) -> bool {
        self.steps.iter().chain(&self.finally).any(|step| matches!(step.deed, Deed::Command(_)))
    }

    /// Checks the rules that no type holds.
    ///
    /// # Errors
    /// Fails at the first broken rule.
    pub fn check(&self) -> Result<(), InvalidWork> {
        let all = self.steps.len() + self.finally.len();
        if self.steps.is_empty() || all > STEPS_MAX {
            return Err(broken("steps", format!("has 1 to {STEPS_MAX} steps, those in `finally` included")));
        }
        let lists = [("steps", &self.steps), ("finally", &self.finally)];
        for (list, steps) in lists {
            for (place, step) in steps.iter().enumerate() {
                step.check().map_err(|(field, rule)| broken(format!("{list}[{place}].{field}"), rule))?;
            }
        }
        if self.planned().len() > PLANNED_MAX {
            return Err(broken(
                "steps",
                format!(
                    "has at most {PLANNED_MAX} steps with the announcements of its warnings, and the waits between"
                ),
            ));
        }
        match self.when {
            Some(When { defer: Some(_), players: PlayersAre::Any, .. }) => {
                Err(broken("when.defer", "needs `\"players\": \"empty\"`: nothing else is waited for"))
            }
            Some(When { defer: Some(defer), .. }) if !is_wait(defer) => Err(broken("when.defer", WAIT_RULE)),
            _ => Ok(()),
        }
    }
}

pub(crate) const WAIT_RULE: &str = "is a time from 1s to 24h, such as `30s` or `10m`";

impl Step {
    fn check(&self) -> Result<(), (&'static str, String)> {
        let text = |field, text: &str, max| {
            let fits = (1..=max).contains(&text.chars().count()) && !text.chars().any(char::is_control);
            let rule = format!("has 1 to {max} characters on one line, none of them a control character");
            (fits && !text.trim().is_empty()).then_some(()).ok_or((field, rule))
        };
        let wait = |field, wait| is_wait(wait).then_some(()).ok_or_else(|| (field, WAIT_RULE.to_owned()));
        match &self.deed {
            Deed::Say(said) => text("text", said, TEXT_MAX),
            Deed::Command(command) => text("command", command, COMMAND_MAX),
            Deed::Wait(time) => wait("seconds", *time),
            Deed::WaitUntil { at_most, .. } => wait("at_most", *at_most),
            Deed::Power { warning: None, .. } => Ok(()),
            Deed::Power { action: Action::Start, .. } => {
                Err(("warn", "is for `stop` and `restart`: a start takes nobody's game away".to_owned()))
            }
            Deed::Power { warning: Some(warning), .. } => {
                warning.check()?;
                warning.text.as_ref().map_or(Ok(()), |said| text("text", said, TEXT_MAX))
            }
        }
    }
}

fn broken(field: impl Into<String>, rule: impl Into<String>) -> InvalidWork {
    InvalidWork { field: field.into(), rule: rule.into() }
}

fn is_wait(time: Span) -> bool {
    (Duration::from_secs(1)..=WAIT_MAX).contains(&time.duration())
}

impl Deed {
    /// Returns its name.
    pub fn name(&self) -> DeedName {
        match self {
            Self::Say(_) => DeedName::Say,
            Self::Command(_) => DeedName::Command,
            Self::Wait(_) => DeedName::Wait,
            Self::WaitUntil { .. } => DeedName::WaitUntil,
            Self::Power { action: Action::Start, .. } => DeedName::Start,
            Self::Power { action: Action::Stop, .. } => DeedName::Stop,
            Self::Power { action: Action::Restart, .. } => DeedName::Restart,
        }
    }
}

/// Step as a run carries it out: each has one row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedStep {
    /// Deed, without a warning: that has become steps of its own.
    pub deed: Deed,
    /// Effect of its failure.
    pub on_error: OnError,
    /// Whether it follows however the others ended.
    pub finally: bool,
    /// Number in its list, from 1; 0 in rows of older programs.
    #[serde(default)]
    pub number: u16,
    /// Whether it is the first announcement of a stop or a restart: the server's channel in Discord is told as well.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub announces: bool,
}

impl PlannedStep {
    /// Creates the step of a run that is one action.
    pub fn power(action: Action) -> Self {
        Self {
            deed: Deed::Power { action, warning: None },
            on_error: OnError::Fail,
            finally: false,
            number: 1,
            announces: false,
        }
    }
}

impl Work {
    /// Returns the steps that a run carries out: a warned action is preceded by its announcements and the waits between
    /// them.
    pub fn planned(&self) -> Vec<PlannedStep> {
        let numbered = |steps: &'_ [Step], finally| {
            steps.iter().zip(1..).flat_map(|(step, number)| step.planned(finally, number)).collect::<Vec<_>>()
        };
        [numbered(&self.steps, false), numbered(&self.finally, true)].concat()
    }

    /// Returns the steps of a run that is due at `from`, each at the earliest moment at which it may begin.
    pub fn clock(&self, from: Timestamp) -> Vec<(Timestamp, String)> {
        let mut at = from;
        let on_clock = self.planned().into_iter().map(|step| {
            let begins = at;
            if let Deed::Wait(time) = step.deed {
                at += TimeDelta::from_std(time.duration()).unwrap_or_default();
            }
            (begins, step.deed.to_string())
        });
        on_clock.collect()
    }
}

impl Step {
    fn planned(&self, finally: bool, number: u16) -> Vec<PlannedStep> {
        let step = |deed, on_error| PlannedStep { deed, on_error, finally, number, announces: false };
        let Deed::Power { action, warning } = &self.deed else { return vec![step(self.deed.clone(), self.on_error)] };
        let mut planned = vec![];
        for (left, until_next) in warning.iter().flat_map(Warning::moments) {
            // A game that cannot be told is restarted all the same.
            let announces = planned.is_empty();
            let said = step(Deed::Say(said_in(warning, *action, left)), OnError::Continue);
            planned.push(PlannedStep { announces, ..said });
            planned.push(step(Deed::Wait(until_next), OnError::Continue));
        }
        planned.push(step(Deed::Power { action: *action, warning: None }, self.on_error));
        planned
    }
}

#[cfg(test)]
mod tests;
