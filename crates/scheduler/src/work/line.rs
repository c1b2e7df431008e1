//! Steps as people type them, one a line: `say Restart soon`, `wait 5m`, `restart warn 15m 5m 1m`.

use std::{fmt, str::FromStr};

use agis_base::Span;
use thiserror::Error;

use super::{Awaited, Deed, OnError, Step, Warning, Work};
use crate::schedule::Action;

/// Time after which a step that waits for a state fails, if its line names none.
const AT_MOST: Span = Span::of_minutes(10);

/// Error: a line is no step.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "'{0}' is no step; use `say TEXT`, `command TEXT`, `wait 5m`, `wait until empty 10m` (or `stopped`, `ready`), \
     `start`, `stop`, `restart`, `restart warn 15m 5m 1m`, with `try` before a step that may fail and `finally` before \
     one that follows in any case"
)]
pub struct InvalidLine(pub String);

impl FromStr for Step {
    type Err = InvalidLine;

    fn from_str(line: &str) -> Result<Self, InvalidLine> {
        let invalid = || InvalidLine(line.trim().to_owned());
        let (word, rest) = word(line);
        if word.eq_ignore_ascii_case("try") {
            return Ok(Self { on_error: OnError::Continue, ..rest.parse().map_err(|_| invalid())? });
        }
        deed(&word.to_ascii_lowercase(), rest).map(Self::new).ok_or_else(invalid)
    }
}

fn deed(word: &str, rest: &str) -> Option<Deed> {
    let deed = match word {
        "say" if !rest.is_empty() => Deed::Say(rest.to_owned()),
        "command" if !rest.is_empty() => Deed::Command(rest.to_owned()),
        "wait" => waits(rest)?,
        "start" | "stop" | "restart" => {
            Deed::Power { action: Action::from_word(word)?, warning: warning(&rest.to_ascii_lowercase())? }
        }
        _ => return None,
    };
    Some(deed)
}

fn waits(rest: &str) -> Option<Deed> {
    let rest = rest.to_ascii_lowercase();
    let Some(until) = rest.strip_prefix("until ") else { return rest.parse().ok().map(Deed::Wait) };
    let (state, at_most) = word(until);
    let at_most = at_most.strip_prefix("at most ").unwrap_or(at_most);
    let at_most = if at_most.is_empty() { AT_MOST } else { at_most.parse().ok()? };
    Some(Deed::WaitUntil { state: Awaited::from_word(state)?, at_most })
}

/// Returns the warning that follows an action; the outer `None` is no warning that we know.
fn warning(rest: &str) -> Option<Option<Warning>> {
    if rest.is_empty() {
        return Some(None);
    }
    let times = rest.strip_prefix("warn ")?;
    let ahead: Result<Vec<Span>, _> = times.split([' ', ',']).filter(|time| !time.is_empty()).map(str::parse).collect();
    ahead.ok().map(|ahead| Some(Warning::ahead(ahead)))
}

/// Returns the first word, and what follows it.
fn word(text: &str) -> (&str, &str) {
    let text = text.trim();
    let (word, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    (word, rest.trim())
}

impl Work {
    /// Reads steps, one a line; lines with nothing on them do not count. `finally` begins a line of [`Work::finally`].
    ///
    /// # Errors
    /// Fails at the first line that is no step.
    pub fn of_lines(text: &str) -> Result<Self, InvalidLine> {
        let mut work = Self::steps(vec![]);
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
            match word(line) {
                (first, rest) if first.eq_ignore_ascii_case("finally") => {
                    work.finally.push(rest.parse().map_err(|_| InvalidLine(line.to_owned()))?);
                }
                _ => work.steps.push(line.parse()?),
            }
        }
        Ok(work)
    }
}

/// Writes the line that [`Step::from_str`] reads.
impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.on_error == OnError::Continue {
            f.write_str("try ")?;
        }
        self.deed.fmt(f)
    }
}

impl fmt::Display for Deed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Say(text) => write!(f, "say {text}"),
            Self::Command(command) => write!(f, "command {command}"),
            Self::Wait(time) => write!(f, "wait {time}"),
            Self::WaitUntil { state, at_most } => write!(f, "wait until {state} {at_most}"),
            Self::Power { action, warning: None } => action.fmt(f),
            Self::Power { action, warning: Some(warning) } => {
                let times = warning.ahead.iter().map(|time| time.to_string().replace(' ', ""));
                write!(f, "{action} warn {}", times.collect::<Vec<_>>().join(" "))
            }
        }
    }
}

/// Writes the lines that [`Work::of_lines`] reads.
impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines = self.steps.iter().map(Step::to_string);
        let last = self.finally.iter().map(|step| format!("finally {step}"));
        f.write_str(&lines.chain(last).collect::<Vec<_>>().join("\n"))
    }
}
