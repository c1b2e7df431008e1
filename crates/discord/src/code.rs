//! Codes of buttons.
//!
//! A code is `v1:<verb>:<id>`, or `v1:<list>:<page>` (with a server or a label behind it if the list is about one), or
//! `v1:settings:<server>:<page>`, also of a modal, or `v1:<verb>:<schedule>:<microseconds>` for a run (with the
//! second behind it at which its action is due), or
//! `v1:<verb>:<id>:<user>:<deadline>` for a confirmation. It says what was offered. Whether the user may do it is decided
//! at the press.

use agis_base::{BatchId, KeyId, ScheduleId, ServerId, Timestamp, UserId, words};
use agis_scheduler::FiringId;
use agis_servers::{Action, Label};
use chrono::{DateTime, TimeDelta};
use twilight_model::channel::message::component::{Button, ButtonStyle};

use crate::{call::Call, render::card::button, wording::Refusal};

/// Time for a confirmation.
pub(crate) const CONFIRM: TimeDelta = TimeDelta::minutes(5);
/// Maximum length of a code, set by Discord.
const CODE_MAX: usize = 100;

/// Action of a button.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Code {
    /// Requests an operation on a server. Everybody who may do it can press.
    Act(Action, ServerId),
    /// Confirms a loss. Only the asked user can press, in time.
    Confirm(Loss, Confirmation),
    /// Declines a loss.
    Keep(Confirmation),
    /// Shows another page of a list. Only the user who asked for the list sees it.
    Turn(Listed, u32),
    /// Changes a run that was announced. Everybody who may make schedules for its server can press.
    /// The time is that at which the action is due, where the message shows it.
    Run(Press, FiringId, Option<Timestamp>),
    /// Leaves the servers of a batch alone that still wait. Only the user who asked for it can press.
    Cancel(BatchId),
    /// Opens a page of the settings of a server; of a modal, the page that was filled in.
    Settings(ServerId, u32),
}

/// Thing that a confirmation deletes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Loss {
    Server(ServerId),
    Schedule(ScheduleId),
    Key(KeyId),
}

words! {
    /// Change of a run that was announced.
    Press {
        /// The stop or restart of the run comes later.
        Postpone = "postpone",
        /// The run ends.
        CallOff = "call-off",
        /// The run behind it is skipped.
        SkipNext = "skip-next",
    }
}

/// User who may confirm, and the deadline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Confirmation {
    pub(crate) user: UserId,
    pub(crate) until: Timestamp,
}

impl Code {
    /// Formats the code for a button.
    pub(crate) fn text(&self) -> String {
        let confirmed = |verb, id, confirmation: &Confirmation| {
            format!("v1:{verb}:{id}:{}:{}", confirmation.user, confirmation.until.timestamp())
        };
        match self {
            Self::Act(action, server) => format!("v1:{action}:{server}"),
            Self::Confirm(Loss::Server(id), who) => confirmed("delete-server", id.0, who),
            Self::Confirm(Loss::Schedule(id), who) => confirmed("delete-schedule", id.0, who),
            Self::Confirm(Loss::Key(id), who) => confirmed("revoke-key", id.0, who),
            Self::Keep(who) => confirmed("keep", 0, who),
            Self::Cancel(batch) => format!("v1:cancel:{batch}"),
            Self::Settings(server, page) => format!("v1:settings:{server}:{page}"),
            Self::Run(press, run, due) => {
                let due = due.map(|due| format!(":{}", due.timestamp())).unwrap_or_default();
                format!("v1:{press}:{}:{}{due}", run.schedule, run.slot.timestamp_micros())
            }
            Self::Turn(Listed::Servers(None), page) => format!("v1:servers:{page}"),
            Self::Turn(Listed::Servers(Some(label)), page) => format!("v1:servers:{page}:{label}"),
            Self::Turn(Listed::Keys, page) => format!("v1:keys:{page}"),
            Self::Turn(Listed::Schedules(None), page) => format!("v1:schedules:{page}"),
            Self::Turn(Listed::Schedules(Some(server)), page) => format!("v1:schedules:{page}:{server}"),
        }
    }

    /// Parses a code; `None` unless it is one of ours.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if text.chars().count() > CODE_MAX {
            return None;
        }
        let parts: Vec<_> = text.split(':').collect();
        let (verb, id, confirmation) = match parts.as_slice() {
            ["v1", "schedules", page, server] => {
                let server = ServerId(i32::try_from(number(server)?).ok()?);
                return Some(Self::Turn(Listed::Schedules(Some(server)), u32::try_from(number(page)?).ok()?));
            }
            ["v1", "servers", page, label] => {
                let read: Label = label.parse().ok()?;
                let page = u32::try_from(number(page)?).ok()?;
                return (read.as_str() == *label).then_some(Self::Turn(Listed::Servers(Some(read)), page));
            }
            ["v1", "settings", server, page] => {
                let server = ServerId(i32::try_from(number(server)?).ok()?);
                return Some(Self::Settings(server, u32::try_from(number(page)?).ok()?));
            }
            ["v1", press, schedule, slot, due @ ..] if Press::from_word(press).is_some() => {
                let due = match due {
                    [] => None,
                    [due] => Some(DateTime::from_timestamp(number(due)?, 0)?),
                    _ => return None,
                };
                let schedule = ScheduleId(i32::try_from(number(schedule)?).ok()?);
                let slot = DateTime::from_timestamp_micros(number(slot)?)?;
                return Some(Self::Run(Press::from_word(press)?, FiringId { schedule, slot }, due));
            }
            ["v1", verb, id] => (*verb, number(id)?, None),
            ["v1", verb, id, user, until] => {
                let until = DateTime::from_timestamp(number(until)?, 0)?;
                (*verb, number(id)?, Some(Confirmation { user: user.parse().ok()?, until }))
            }
            _ => return None,
        };
        let id = i32::try_from(id).ok()?;
        match (verb, confirmation) {
            ("start", None) => Some(Self::Act(Action::Start, ServerId(id))),
            ("stop", None) => Some(Self::Act(Action::Stop, ServerId(id))),
            ("restart", None) => Some(Self::Act(Action::Restart, ServerId(id))),
            ("cancel", None) => Some(Self::Cancel(BatchId(id))),
            ("servers", None) => Some(Self::Turn(Listed::Servers(None), id.unsigned_abs())),
            ("keys", None) => Some(Self::Turn(Listed::Keys, id.unsigned_abs())),
            ("schedules", None) => Some(Self::Turn(Listed::Schedules(None), id.unsigned_abs())),
            ("delete-server", Some(who)) => Some(Self::Confirm(Loss::Server(ServerId(id)), who)),
            ("delete-schedule", Some(who)) => Some(Self::Confirm(Loss::Schedule(ScheduleId(id)), who)),
            ("revoke-key", Some(who)) => Some(Self::Confirm(Loss::Key(KeyId(id)), who)),
            ("keep", Some(who)) if id == 0 => Some(Self::Keep(who)),
            _ => None,
        }
    }
}

/// Parses digits without leading zeros; `str::parse` takes more.
fn number(text: &str) -> Option<i64> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|_| digits)
}

/// Returns the two buttons of a question.
pub(crate) fn confirm(call: &Call, loss: Loss, label: &str) -> Vec<Button> {
    let who = Confirmation { user: call.user.clone(), until: call.at() + CONFIRM };
    vec![
        button(ButtonStyle::Danger, label, Code::Confirm(loss, who.clone()).text()),
        button(ButtonStyle::Secondary, "Keep it", Code::Keep(who).text()),
    ]
}

/// List with pages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Listed {
    /// Servers with a label, or all.
    Servers(Option<Label>),
    /// Schedules of one server, or of all.
    Schedules(Option<ServerId>),
    Keys,
}

/// Checks who presses, and when: Discord's clock made the id of the press, and of the command before it.
pub(crate) fn check(call: &Call, who: &Confirmation) -> Result<(), Refusal> {
    if call.user != who.user {
        return Err(Refusal::refused("Only who was asked can answer this."));
    }
    if call.at() > who.until {
        return Err(Refusal::refused("This question is more than five minutes old. Type the command anew."));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use twilight_model::id::Id;

    use super::*;

    fn who() -> Confirmation {
        Confirmation {
            user: UserId::from_stored("18446744073709551615"),
            until: DateTime::from_timestamp(99_999_999_999, 0).expect("a moment"),
        }
    }

    #[test]
    fn every_code_is_read_as_written() {
        for code in [
            Code::Act(Action::Start, ServerId(7)),
            Code::Act(Action::Stop, ServerId(i32::MAX)),
            Code::Act(Action::Restart, ServerId(1)),
            Code::Confirm(Loss::Server(ServerId(7)), who()),
            Code::Confirm(Loss::Schedule(ScheduleId(i32::MAX)), who()),
            Code::Confirm(Loss::Key(KeyId(7)), who()),
            Code::Keep(who()),
            Code::Run(
                Press::Postpone,
                FiringId { schedule: ScheduleId(i32::MAX), slot: who().until },
                Some(who().until),
            ),
            Code::Run(Press::CallOff, FiringId { schedule: ScheduleId(1), slot: who().until }, None),
            Code::Settings(ServerId(i32::MAX), 7),
            Code::Cancel(BatchId(i32::MAX)),
            Code::Turn(Listed::Servers(None), 0),
            Code::Turn(Listed::Servers(Some("м".repeat(32).parse().expect("a label"))), 99),
            Code::Turn(Listed::Keys, 99),
            Code::Turn(Listed::Schedules(None), 1),
            Code::Turn(Listed::Schedules(Some(ServerId(i32::MAX))), 2),
        ] {
            let text = code.text();
            assert!(text.chars().count() <= CODE_MAX, "{text}");
            assert_eq!(Code::parse(&text), Some(code), "{text}");
        }
    }

    /// Returns a press so long after the first moment of Discord's ids.
    fn pressed(user: &str, after: TimeDelta) -> Call {
        let millis = u64::try_from(after.num_milliseconds()).expect("not before");
        Call {
            id: Id::new((millis << 22) | 1),
            token: String::new(),
            user: UserId::from_stored(user),
            member: None,
            channel: None,
        }
    }

    #[test]
    fn question_is_answered_by_the_asked_in_time() {
        let asked = pressed("1", TimeDelta::zero());
        let buttons = confirm(&asked, Loss::Server(ServerId(7)), "Delete it");
        assert_eq!(buttons.len(), 2);
        for button in buttons {
            let code = Code::parse(button.custom_id.as_deref().expect("a code"));
            let Some(Code::Confirm(_, who) | Code::Keep(who)) = code else { panic!("{code:?}") };
            assert_eq!(check(&pressed("1", CONFIRM), &who), Ok(()));
            let late = check(&pressed("1", CONFIRM + TimeDelta::milliseconds(1)), &who);
            assert!(late.is_err_and(|refusal| format!("{refusal:?}").contains("more than five minutes old")));
            assert!(check(&pressed("2", TimeDelta::zero()), &who).is_err());
        }
    }

    #[test]
    fn foreign_code_does_nothing() {
        for text in [
            "",
            "v1",
            "v2:start:7",
            "v1:start",
            "v1:start:",
            "v1:start:+7",
            "v1:start:-7",
            "v1:start:07",
            "v1:start:99999999999",
            "v1:start:7:",
            "v1:start:7:1:2",
            "v1:delete:7",
            "v1:delete-server:7",
            "v1:delete-server:7:1",
            "v1:delete-server:7:x:2",
            "v1:delete-server:7:1:x",
            "v1:delete-server:7:1:99999999999999999",
            "v1:keep:1:1:2",
            "V1:start:7",
            " v1:start:7",
        ] {
            assert_eq!(Code::parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_panic(text in "\\PC{0,120}|v1:[a-z-]{0,16}:[0-9:]{0,60}") {
            if let Some(code) = Code::parse(&text) {
                prop_assert_eq!(code.text(), text);
            }
        }
    }
}
