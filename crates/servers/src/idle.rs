//! Stops of servers on which nobody plays. Pure; the store calls it with the server's row locked.
//!
//! Only measured zeros count: an unknown number of players counts as somebody, and the time begins anew. The players are told
//! ahead, five minutes and one minute, since somebody may be about to join. Nothing happens while a window of the rule is
//! open, while the server is held, or while something else acts on it; then everything begins with the first announcement
//! again.

use std::time::Duration;

use agis_base::{Span, Timestamp, Zone};
use chrono::{NaiveTime, TimeDelta};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use thiserror::Error;

/// Maximum number of windows in a rule.
pub const KEEP_MAX: usize = 10;
/// Maximum number of players in a list.
pub const PLAYERS_MAX: usize = 100;
/// Maximum age of the last measured zero at a stop: somebody may have joined since.
pub const FRESH: Duration = Duration::from_secs(15);
/// Time of the first announcement before the stop.
const FIRST: TimeDelta = TimeDelta::minutes(5);
/// Time of the last announcement before the stop.
const LAST: TimeDelta = TimeDelta::minutes(1);
/// Form of a time of day.
const CLOCK: &str = "%H:%M";

/// Rule by which a server is stopped when nobody plays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IdleRule {
    /// Time without players after which the server is stopped, from 5 minutes to a day.
    pub stop_after: Span,
    /// Windows in which it is not stopped, [`KEEP_MAX`] at most.
    #[serde(default)]
    pub keep: Vec<KeepWindow>,
    /// Gate that wakes the server for players who join; `None` for none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wake_on_join: Option<WakeOnJoin>,
}

/// Players who wake a server by joining.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WakeOnJoin {
    /// Names of the players, 1 to [`PLAYERS_MAX`], of 1 to 16 characters; `None` for everybody, scanners too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub players: Option<Vec<String>>,
}

impl WakeOnJoin {
    /// Returns whether this player wakes the server. The case of letters does not matter.
    pub fn admits(&self, player: &str) -> bool {
        let Some(players) = &self.players else { return true };
        players.iter().any(|listed| listed.eq_ignore_ascii_case(player))
    }

    fn check(&self) -> Result<(), InvalidIdle> {
        let Some(players) = &self.players else { return Ok(()) };
        let is_name =
            |name: &String| (1..=16).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_graphic());
        if (1..=PLAYERS_MAX).contains(&players.len()) && players.iter().all(is_name) {
            return Ok(());
        }
        let rule = "has 1 to 100 names of Minecraft, each of 1 to 16 letters, digits and signs; without `players` everybody wakes it";
        Err(InvalidIdle { field: "wake_on_join.players", rule })
    }
}

/// Hours of each day, by the clocks of a zone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeepWindow {
    /// First minute.
    #[serde(serialize_with = "write_clock", deserialize_with = "read_clock")]
    from: NaiveTime,
    /// Minute of the end. One that is earlier than `from` is on the next day.
    #[serde(serialize_with = "write_clock", deserialize_with = "read_clock")]
    to: NaiveTime,
    /// IANA name of the zone.
    timezone: String,
}

/// Error: a rule is invalid.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{field} {rule}")]
pub struct InvalidIdle {
    /// Name of the field.
    pub field: &'static str,
    /// Rule that is broken, for people.
    pub rule: &'static str,
}

impl KeepWindow {
    /// Reads a window from two times of a day such as `18:00`, and the name of a zone.
    ///
    /// # Errors
    /// Fails if a text is invalid, or the window has no length.
    pub fn parse(from: &str, to: &str, timezone: &str) -> Result<Self, InvalidIdle> {
        let invalid = |field, rule| InvalidIdle { field, rule };
        let clock = |field, text: &str| {
            let read = clock(text.trim());
            read.ok_or(invalid(field, "must be a time of the day from 00:00 to 23:59, such as 18:00"))
        };
        let (from, to) = (clock("keep.from", from)?, clock("keep.to", to)?);
        if from == to {
            return Err(invalid("keep.to", "must differ from `from`"));
        }
        let zone = Zone::named(timezone.trim());
        let zone = zone.ok_or(invalid("keep.timezone", "must be a time zone of IANA, such as Europe/Berlin"))?;
        Ok(Self { from, to, timezone: zone.name().to_owned() })
    }

    /// Returns the first minute, as it is written.
    pub fn from(&self) -> String {
        self.from.format(CLOCK).to_string()
    }

    /// Returns the minute of the end, as it is written.
    pub fn to(&self) -> String {
        self.to.format(CLOCK).to_string()
    }

    /// Returns the name of the zone.
    pub fn timezone(&self) -> &str {
        &self.timezone
    }

    /// Returns whether the clocks of the zone show a time of the window. If nobody knows the zone, they always may.
    fn is_open(&self, at: Timestamp) -> bool {
        let Some(zone) = Zone::named(&self.timezone) else { return true };
        let local = zone.local(at).time();
        if self.from < self.to { (self.from..self.to).contains(&local) } else { local >= self.from || local < self.to }
    }
}

fn clock(text: &str) -> Option<NaiveTime> {
    let is_whole = text.len() == 5 && text.bytes().enumerate().all(|(at, byte)| (at == 2) != byte.is_ascii_digit());
    NaiveTime::parse_from_str(text, CLOCK).ok().filter(|_| is_whole)
}

fn write_clock<S: Serializer>(time: &NaiveTime, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&time.format(CLOCK))
}

fn read_clock<'de, D: Deserializer<'de>>(deserializer: D) -> Result<NaiveTime, D::Error> {
    clock(&String::deserialize(deserializer)?).ok_or_else(|| D::Error::custom("is no time of a day"))
}

impl IdleRule {
    /// Checks the rules that no type holds.
    ///
    /// # Errors
    /// Fails at the first broken rule.
    pub fn check(&self) -> Result<(), InvalidIdle> {
        let bounds = Span::of_minutes(5)..=Span::of_minutes(24 * 60);
        if !bounds.contains(&self.stop_after) {
            return Err(InvalidIdle { field: "stop_after", rule: "must be from 5m to 24h" });
        }
        if self.keep.len() > KEEP_MAX {
            return Err(InvalidIdle { field: "keep", rule: "has at most 10 windows" });
        }
        self.wake_on_join.as_ref().map_or(Ok(()), WakeOnJoin::check)
    }

    fn keeps(&self, at: Timestamp) -> bool {
        self.keep.iter().any(|window| window.is_open(at))
    }
}

/// Rule of a server, and what it came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Idle {
    /// The rule.
    pub rule: IdleRule,
    /// Present sleep; `None` unless the server was stopped by the rule, and nothing was asked of it since.
    pub asleep: Option<Asleep>,
    /// Credits that sleeps saved until the last start.
    pub saved: i64,
}

/// Sleep of a server that was stopped since nobody played.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asleep {
    /// Time of the stop.
    pub since: Timestamp,
    /// Time from which the server would have cost credits: the hour of its stop is paid. `None` if nobody pays.
    pub saves_from: Option<Timestamp>,
}

impl Idle {
    /// Returns the credits that sleeps saved until now, at this price of an hour: whole hours alone.
    pub fn saved_credits(&self, price: i32, now: Timestamp) -> i64 {
        let from = self.asleep.and_then(|asleep| asleep.saves_from);
        let hours = from.map_or(0, |from| (now - from).num_hours().max(0));
        self.saved.saturating_add(hours.saturating_mul(price.into()))
    }
}

/// Time in which every count of a run was zero, with no gap that makes it unknown. Both ends are times of counts, so a clock
/// that is set makes it no longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Emptiness {
    /// Time of the first zero.
    pub since: Timestamp,
    /// Time of the last zero.
    pub until: Timestamp,
}

/// Stop that was announced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlannedStop {
    /// Beginning of the emptiness that it ends.
    pub since: Timestamp,
    /// Time of the stop.
    pub at: Timestamp,
    /// Whether the last announcement was made.
    pub is_last: bool,
}

impl PlannedStop {
    /// Returns the time that its announcement names.
    pub fn minutes(&self) -> i64 {
        if self.is_last { LAST.num_minutes() } else { FIRST.num_minutes() }
    }
}

/// Step towards the stop of a server on which nobody plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdleStep {
    /// Nothing is to do now.
    Rest,
    /// The stop is planned so, and announced.
    Announce(PlannedStop),
    /// The planned stop is taken back.
    Forget,
    /// The server is stopped.
    Stop,
}

/// Decides on a server on which nobody has played for this time. `is_free` says that nothing else acts on it, and that it is
/// not held.
pub fn next(
    rule: &IdleRule,
    empty: Emptiness,
    planned: Option<PlannedStop>,
    is_free: bool,
    now: Timestamp,
) -> IdleStep {
    let (valid, stale) = match planned {
        Some(planned) if planned.since == empty.since => (Some(planned), false),
        other => (None, other.is_some()),
    };
    let rest = if stale { IdleStep::Forget } else { IdleStep::Rest };
    if !is_free || rule.keeps(now) {
        return if planned.is_some() { IdleStep::Forget } else { IdleStep::Rest };
    }
    let stop_after = TimeDelta::from_std(rule.stop_after.duration()).unwrap_or(TimeDelta::MAX);
    let emptied = empty.until - empty.since;
    match valid {
        None => {
            let at = (empty.since + stop_after).max(now + FIRST);
            let is_near = emptied + FIRST >= stop_after && !rule.keeps(at);
            if is_near { IdleStep::Announce(PlannedStop { since: empty.since, at, is_last: false }) } else { rest }
        }
        Some(planned) if !planned.is_last && now + LAST >= planned.at => {
            IdleStep::Announce(PlannedStop { at: planned.at.max(now + LAST), is_last: true, ..planned })
        }
        Some(planned) if planned.is_last && now >= planned.at && emptied >= stop_after => IdleStep::Stop,
        Some(_) => IdleStep::Rest,
    }
}

#[cfg(test)]
mod tests;
