//! Words every error as a sentence that says what to do next. Only the caller sees it.

use agis_apikeys::KeysError;
use agis_base::{StoreError, Timestamp};
use agis_scheduler::{SchedulesError, TimingError};
use agis_servers::{
    ServersError, SharingError,
    console::{CommandError, ConsoleError},
};

use crate::render::text::{cut, plain, relative};

/// Reason why something was not done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The caller may not do it, or nobody can; the sentence is ready to be read.
    Refused(String),
    /// The caller has done too much of late.
    Limited(Timestamp),
    /// The bot has too much to do at this moment.
    Busy,
    /// The database does not answer.
    Unavailable {
        /// Whether the work may have begun.
        begun: bool,
    },
    /// A bug, or a database that somebody changed by hand. The log says more.
    Internal,
    /// Another delivery of the same interaction does it.
    Repeated,
}

/// Final status of a command, as the metric counts it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    Ok,
    Refused,
    Failed,
    Limited,
}

impl Status {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::Limited => "limited",
        }
    }
}

impl Refusal {
    pub(crate) fn refused(sentence: impl Into<String>) -> Self {
        Self::Refused(sentence.into())
    }

    /// Returns the status to count; `None` if the other delivery counts.
    pub(crate) fn status(&self) -> Option<Status> {
        match self {
            Self::Refused(_) => Some(Status::Refused),
            Self::Limited(_) => Some(Status::Limited),
            Self::Busy | Self::Unavailable { .. } | Self::Internal => Some(Status::Failed),
            Self::Repeated => None,
        }
    }

    /// Returns the message for the user; `changes` says whether a failed work may have changed something. `None` if
    /// another delivery answers.
    pub(crate) fn sentence(&self, changes: bool) -> Option<String> {
        let again = if changes && *self != (Self::Unavailable { begun: false }) {
            "It may have been done or not: look, for example with `/server info` or a list, before you repeat it."
        } else {
            "Nothing was changed. Try again in a minute."
        };
        match self {
            Self::Refused(sentence) => Some(sentence.clone()),
            Self::Limited(at) => Some(format!("That was a lot of commands. Try again {}.", relative(*at))),
            Self::Busy => Some("Very many people want something just now. Try again in a moment.".to_owned()),
            Self::Unavailable { .. } => Some(format!("The database does not answer at the moment. {again}")),
            Self::Internal => Some(format!("Something went wrong here, and an operator can read what. {again}")),
            Self::Repeated => None,
        }
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(why) => {
                tracing::warn!(why, "database is unavailable");
                Self::Unavailable { begun: true }
            }
            // An attempt that another has overtaken, or two changes at once.
            StoreError::Conflict(why) => {
                tracing::info!(why, "conflict with a concurrent change");
                Self::refused("This was changed by somebody at the same time. Look at it again, and repeat it.")
            }
            StoreError::Refused(why) | StoreError::Internal(why) => {
                tracing::error!(why, "interaction failed");
                Self::Internal
            }
        }
    }
}

impl From<SharingError> for Refusal {
    fn from(error: SharingError) -> Self {
        let sentence = match error {
            SharingError::TooManyShares(max) => {
                format!(
                    "This server is shared {max} times, as often as allowed. `/server unshare` it with somebody first."
                )
            }
            SharingError::GranteeHasTooMany(max) => {
                format!(
                    "{max} servers are shared with them, as many as allowed. `/server unshare` one of yours first, or they \
                     can `/server leave` one."
                )
            }
            SharingError::Servers(error) => return error.into(),
        };
        Self::Refused(sentence)
    }
}

impl From<ServersError> for Refusal {
    fn from(error: ServersError) -> Self {
        let sentence = match error {
            ServersError::NotFound(_) => {
                "There is no such server, or it is not shared with you. `/server list` shows those that you have."
                    .to_owned()
            }
            ServersError::NotAllowed => {
                "You may see this server, but not do this with it. Ask its owner to `/server share` it with you."
                    .to_owned()
            }
            ServersError::CommandNotAllowed(commands) => {
                format!(
                    "You may send commands that begin with one of these, letter by letter: {}. A command has no `;`, `|` or \
                     `$` in it.",
                    cut(&plain(&commands.to_string()), 1000)
                )
            }
            ServersError::InvalidSettings(problems) => {
                let each: Vec<_> = problems.iter().map(|it| format!("{}: {}.", it.setting, it.problem)).collect();
                plain(&each.join(" "))
            }
            ServersError::OperatorSetting(name) => {
                format!("The setting `{name}` belongs to the operator; ask one to change it.")
            }
            ServersError::Invalid { field, rule } => invalid(field, &rule),
            ServersError::GameUnavailable(why) => {
                format!(
                    "This game cannot be played here at the moment: {}. Choose another game, or tell an operator.",
                    plain(&why)
                )
            }
            ServersError::NameTaken => {
                "You already have a server of that name, or of one that looks the same. Choose another name.".to_owned()
            }
            ServersError::TooMany(max) => {
                format!("You have {max} servers, as many as allowed here. `/server delete` one first.")
            }
            ServersError::TooManyBatches(max) => {
                format!("{max} of your actions on many servers are not through yet, as many as allowed. Wait for one.")
            }
            ServersError::Deleting => {
                "This server is being deleted and takes nothing else. `/server create` makes another.".to_owned()
            }
            ServersError::NoHost => {
                "This server was made by an earlier version, and no host here runs it. Delete it with \
                                     `/server delete`, and create it anew."
                    .to_owned()
            }
            ServersError::CannotPay(price) => {
                format!(
                    "An hour of this server costs {price} credits, and its owner has fewer left: see `/profile`. Servers \
                     that are starting have their first hour reserved."
                )
            }
            ServersError::Unfit(why) => {
                format!(
                    "This server was not restarted, since it could not start again: {}. See `/server settings`.",
                    plain(&why)
                )
            }
            ServersError::NobodyToWarn(why) => format!("Nobody is warned: {why}."),
            ServersError::Unable { ability, why } => {
                format!("This is not possible here, since {}: {}.", ability.refusal(), plain(&why))
            }
            ServersError::NoReply => {
                "This game gives no answers to commands. `/server logs` shows its console.".to_owned()
            }
            ServersError::Console(error) => return error.into(),
            ServersError::Store(error) => return error.into(),
        };
        Self::Refused(sentence)
    }
}

impl From<CommandError> for Refusal {
    fn from(error: CommandError) -> Self {
        match error {
            CommandError::Store(error) => error.into(),
            CommandError::Console(error) if error.is_refusal() => error.into(),
            CommandError::Console(error) => {
                tracing::warn!(%error, "outcome of a command is unknown");
                Self::refused(
                    "Nobody knows whether the game got this command. Look at `/server logs` before you send it again.",
                )
            }
        }
    }
}

impl From<ConsoleError> for Refusal {
    fn from(error: ConsoleError) -> Self {
        let sentence = match error {
            ConsoleError::Position => "This place in the console is not kept any more. Ask for the last lines.",
            ConsoleError::NotRunning => "This server does not run. `/server start` it first.",
            ConsoleError::Mute => "This server's host passes no commands on.",
            ConsoleError::NoWay => "This server was started by a version that takes no commands. `/server restart` it.",
            ConsoleError::Unserved => "No process serves the host of this server at the moment. Try again in a minute.",
            ConsoleError::Busy => "The game has not taken earlier commands yet. Try again in a moment.",
            ConsoleError::Unsendable(rule) => return Self::Refused(invalid("command", &rule)),
            ConsoleError::Unreached(why) => {
                tracing::info!(why, "remote console of a game cannot be reached");
                "The game takes no commands at the moment. Try again when it has started."
            }
            ConsoleError::Unavailable(why) => {
                tracing::warn!(why, "console is unavailable");
                "The console of this server is not available at the moment. Try again in a minute."
            }
        };
        Self::refused(sentence)
    }
}

impl From<SchedulesError> for Refusal {
    fn from(error: SchedulesError) -> Self {
        let sentence = match error {
            SchedulesError::NotFound => {
                "There is no such schedule, or it is not yours. `/schedule list` shows those that you have.".to_owned()
            }
            SchedulesError::NoServer => {
                "There is no such server, or it is not yours. `/server list` shows those that you have.".to_owned()
            }
            SchedulesError::NotAllowed => {
                "Somebody else made this schedule. You may disable or delete it, since the server is yours.".to_owned()
            }
            SchedulesError::Timing(error) => return error.into(),
            SchedulesError::Work(error) => format!("{}: {}.", plain(&error.field), error.rule),
            SchedulesError::Gate(reason) => format!("It does not run now: {}.", agis_scheduler::service::why(reason)),
            SchedulesError::NoRun => {
                "This schedule has no run of that time. `/schedule history` shows its runs.".to_owned()
            }
            SchedulesError::Acting => {
                "A run of this schedule has stopped its server, and starts it again. Delete the schedule when \
                                       the run has ended, or `/schedule cancel` it first."
                    .to_owned()
            }
            SchedulesError::NotCancellable => {
                "No run of this schedule with steps goes on. `/server stop` stops the server.".to_owned()
            }
            SchedulesError::NotPostponable => {
                "Nothing can be put off: this run has no stop or restart ahead that follows behind a wait.".to_owned()
            }
            SchedulesError::PutOffAlready => {
                "Somebody has put it off already: the announcement shows the new time, and its button puts it off again."
                    .to_owned()
            }
            SchedulesError::TooLong => {
                "All in all, a stop or a restart is put off until it is a day away at most. `/schedule cancel` calls it off."
                    .to_owned()
            }
            SchedulesError::TooMany(max) => {
                format!("This server has {max} schedules, as many as allowed here. `/schedule delete` one first.")
            }
            SchedulesError::TooManyOfUser(max) => {
                format!("You have made {max} schedules, as many as allowed here. `/schedule delete` one first.")
            }
            SchedulesError::Store(error) => return error.into(),
        };
        Self::Refused(sentence)
    }
}

impl From<TimingError> for Refusal {
    fn from(error: TimingError) -> Self {
        let what = plain(&error.to_string());
        Self::Refused(match error {
            TimingError::Cron(_) => format!("I cannot read this cron expression. {what}"),
            TimingError::Zone(_) => format!("{what}. Choose one from the list that appears as you type."),
            TimingError::NeverFires(_) => format!("This would never run: {what}."),
            TimingError::Instant => "Choose a time from now on, and within ten years.".to_owned(),
        })
    }
}

impl From<KeysError> for Refusal {
    fn from(error: KeysError) -> Self {
        let sentence = match error {
            KeysError::NotFound => {
                "There is no such key, or it is not yours. `/apikey list` shows those that you have."
            }
            KeysError::NoUser => "You are not known here yet. Try again.",
            KeysError::Invalid { field, rule } => return Self::Refused(invalid(field, &rule)),
            // Refusals of requests by a key; here a person asks.
            KeysError::Beyond(_) | KeysError::AskerEnded => "A key cannot give more than it has.",
            KeysError::Replaced(_) | KeysError::Ended => "This key has ended. `/apikey create` makes another.",
            KeysError::TooMany(max) => {
                return Self::Refused(format!(
                    "You have {max} keys, as many as allowed here. `/apikey revoke` one first."
                ));
            }
            KeysError::AlreadyShown(_) => {
                "This key was made, and its text is kept nowhere. If you did not see it: `/apikey revoke` it, and make \
                 another."
            }
            KeysError::NoRandomness(error) => {
                tracing::error!(%error, "interaction failed");
                return Self::Internal;
            }
            KeysError::Store(error) => return error.into(),
        };
        Self::refused(sentence)
    }
}

fn invalid(field: &str, rule: &str) -> String {
    // The option's name in Discord.
    let field = match field {
        "game_type" => "game",
        "grantee" => "with",
        other => other,
    };
    format!("This cannot be taken: `{field}` {}.", plain(rule))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unsure_outcome_is_never_called_nothing() {
        let refusal = Refusal::from(StoreError::Unavailable("x".into()));
        assert!(refusal.sentence(false).expect("a sentence").contains("Nothing was changed"));
        assert!(refusal.sentence(true).expect("a sentence").contains("may have been done"));
        let early = Refusal::Unavailable { begun: false };
        assert!(early.sentence(true).expect("a sentence").contains("Nothing was changed"));
        assert_eq!(Refusal::Repeated.sentence(true), None);
    }

    #[test]
    fn typed_text_is_quoted_without_effects() {
        let error = TimingError::Zone("@everyone **x**".to_owned());
        let sentence = Refusal::from(error).sentence(false).expect("a sentence");
        assert!(!sentence.contains("@everyone") && !sentence.contains("**"), "{sentence}");
    }
}
