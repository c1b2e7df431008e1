//! Restart of a server that ended by itself: whether, and when. Pure; the store calls it with the server's row locked.
//!
//! A restart waits a second after the first end, then twice as long each time, up to a minute. A run that lasts
//! `stable_after` makes the next end a first one again. After `max` restarts within `within` the supervisor gives up, and
//! the server stays as it is until somebody starts it.

use std::time::Duration;

use agis_base::{Span, Timestamp, words};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Wait before the restart that follows a first end.
const FIRST: Duration = Duration::from_secs(1);
/// Longest wait before a restart.
const LONGEST: Duration = Duration::from_secs(60);
/// Longest wait with its random part.
pub const WAIT_MAX: Duration = Duration::from_secs(75);
/// Largest part of a wait by which it is prolonged at random, so that servers which fell together do not rise at once.
const JITTER: f64 = 0.25;

words! {
    /// Ends after which a server is started again.
    #[derive(Serialize, Deserialize)]
    #[serde(rename_all = "snake_case")]
    RestartOn {
        /// A crash: the game ended by itself, and not well.
        Crash = "crash",
        /// Every end that nobody asked for, also a good one, and a start that did not become ready.
        Always = "always",
        /// None.
        Never = "never",
    }
}

/// Rule by which a server is started again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RestartPolicy {
    /// Ends after which it is started again.
    pub on: RestartOn,
    /// Restarts within `within` before the supervisor gives up, from 1 to [`Self::MAX`].
    pub max: u32,
    /// Time in which restarts are counted together.
    pub within: Span,
    /// Time after which a run has proved itself: its end is a first one.
    pub stable_after: Span,
}

impl Default for RestartPolicy {
    fn default() -> Self {
        let minutes = Span::of_minutes;
        Self { on: RestartOn::Crash, max: 5, within: minutes(10), stable_after: minutes(5) }
    }
}

/// Error: a policy breaks a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("{rule}")]
pub struct InvalidPolicy {
    /// Name of the field.
    pub field: &'static str,
    /// Rule that is broken, for people.
    pub rule: &'static str,
}

impl RestartPolicy {
    /// Largest number of restarts that a policy may count.
    pub const MAX: u32 = 50;

    /// Checks the rules that no type holds.
    ///
    /// # Errors
    /// Fails at the first broken rule.
    pub fn check(&self) -> Result<(), InvalidPolicy> {
        let span = "must be from 1s to 24h";
        let is_short =
            |span: Span| (Duration::from_secs(1)..=Duration::from_secs(24 * 3600)).contains(&span.duration());
        let rules = [
            ((1..=Self::MAX).contains(&self.max), "max", "must be from 1 to 50"),
            (is_short(self.within), "within", span),
            (is_short(self.stable_after), "stable_after", span),
        ];
        match rules.into_iter().find(|(holds, ..)| !holds) {
            Some((_, field, rule)) => Err(InvalidPolicy { field, rule }),
            None => Ok(()),
        }
    }
}

/// Parts of a policy that a server's owner chose; the game's policy has the others.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RestartChoice {
    /// See [`RestartPolicy::on`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on: Option<RestartOn>,
    /// See [`RestartPolicy::max`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<u32>,
    /// See [`RestartPolicy::within`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub within: Option<Span>,
    /// See [`RestartPolicy::stable_after`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stable_after: Option<Span>,
}

impl RestartChoice {
    /// Returns this choice, and of what it leaves open the earlier one.
    pub fn or(self, earlier: Self) -> Self {
        Self {
            on: self.on.or(earlier.on),
            max: self.max.or(earlier.max),
            within: self.within.or(earlier.within),
            stable_after: self.stable_after.or(earlier.stable_after),
        }
    }

    /// Returns the policy of a server of a game with this one.
    pub fn of(self, game: RestartPolicy) -> RestartPolicy {
        RestartPolicy {
            on: self.on.unwrap_or(game.on),
            max: self.max.unwrap_or(game.max),
            within: self.within.unwrap_or(game.within),
            stable_after: self.stable_after.unwrap_or(game.stable_after),
        }
    }
}

/// Way in which a server ended, though nobody asked for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndedBy {
    /// The game crashed, or was gone with its machine.
    Crash,
    /// Its machine knows nothing of it: the disk was lost, say. A start would begin a new world where an operator wants to
    /// restore the old one, so a person decides.
    Loss,
    /// The game came to a good end.
    GoodEnd,
    /// The start did not become ready.
    FailedStart,
}

/// Restarts of a server so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Streak {
    /// Times at which restarts were ordered, the oldest first.
    pub restarts: Vec<Timestamp>,
}

/// Decision about a server that has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plan {
    /// The server is started again at this time.
    Restart {
        /// Time of the order.
        at: Timestamp,
    },
    /// The server stays as it is: it was started again too often.
    GiveUp,
    /// The server stays as it is: its policy wants so.
    Leave,
}

impl Streak {
    /// Decides on a server that ended at `now`, having run since `since`, and forgets the restarts that count no more.
    /// `jitter` is a random number from 0 to 1.
    pub fn plan(
        &mut self,
        policy: &RestartPolicy,
        by: EndedBy,
        since: Option<Timestamp>,
        now: Timestamp,
        jitter: f64,
    ) -> Plan {
        let acts = match (policy.on, by) {
            (_, EndedBy::Loss) | (RestartOn::Never, _) => false,
            (RestartOn::Crash, by) => by == EndedBy::Crash,
            (RestartOn::Always, _) => true,
        };
        if !acts {
            return Plan::Leave;
        }
        let age = |time: Timestamp| (now - time).to_std().unwrap_or_default();
        if since.is_some_and(|since| age(since) >= policy.stable_after.duration()) {
            self.restarts.clear();
        }
        self.restarts.retain(|restart| age(*restart) < policy.within.duration());
        if self.restarts.len() >= policy.max as usize {
            return Plan::GiveUp;
        }
        let doublings = u32::try_from(self.restarts.len()).unwrap_or(u32::MAX).min(16);
        let wait = (FIRST * (1 << doublings)).min(LONGEST);
        let wait = wait.mul_f64(1.0 + JITTER * jitter.clamp(0.0, 1.0));
        Plan::Restart { at: now + chrono::TimeDelta::from_std(wait).unwrap_or_default() }
    }
}

/// State of a server that ended by itself, and that its policy wants to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Restart {
    /// Time of the next restart; `None` if none is to come: the supervisor has given up.
    pub at: Option<Timestamp>,
    /// Number of the next restart in its streak, from 1; of the last one if none is to come.
    pub attempt: u32,
    /// Restarts after which the supervisor gives up.
    pub of: u32,
}

#[cfg(test)]
mod tests;
