//! Credits: what moves on an account, and when a server that runs is paid for.
//!
//! A server that runs is paid by the hour, ahead: the first when it is seen running, the next when that hour is over, and so
//! on without a gap for as long as it runs. Nobody pays an hour of a server twice: an hour that is paid is not paid again by a
//! restart within it. Whoever cannot pay the hour after the one that begins is told so; whoever cannot pay when it comes,
//! and was not told before, is told then and has [`GRACE`]; after that the server is stopped.

use std::time::Duration;

use agis_base::{ServerId, StoreError, Timestamp, UserId};
use async_trait::async_trait;

/// How long whoever cannot pay, and was not told before, has to find credits.
pub const GRACE: Duration = Duration::from_secs(10 * 60);
/// What a server ran before that, and nobody charged in time, is not made up for.
pub const CATCH_UP: Duration = Duration::from_secs(24 * 3600);
/// A server that should be stopped, since nobody pays, is looked at again after so long.
pub const AGAIN: Duration = Duration::from_secs(60);
/// The longest reason of a grant.
pub const REASON_MAX: usize = 200;

/// An hour of a server that is over and has to be paid: what the owner has decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// What an hour costs.
    pub price: i32,
    /// The end of the last hour that was paid, while it has run without a break since; none at the first.
    pub paid_until: Option<Timestamp>,
    /// Whether the owner was told that they cannot pay.
    pub warned: bool,
}

/// What becomes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// An hour is paid.
    Pay {
        /// Its beginning.
        hour: Timestamp,
        /// Whether the owner has to be told that the next cannot be paid.
        warn: bool,
        /// Whether the owner is in the state of having been told, after this.
        warned: bool,
    },
    /// The owner is told, and has until then.
    Warn(Timestamp),
    /// The server is stopped.
    Stop,
}

/// Decides on an hour for an owner with these credits, at this moment.
pub fn decide(due: Due, credits: i32, now: Timestamp) -> Decision {
    if credits >= due.price {
        let short = credits - due.price < due.price;
        let hour = due.paid_until.map_or(now, |until| until.max(now - CATCH_UP));
        return Decision::Pay { hour, warn: short && !due.warned, warned: short };
    }
    if due.warned { Decision::Stop } else { Decision::Warn(now + GRACE) }
}

/// An hour that was paid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Charge {
    /// Of which server.
    pub server: ServerId,
    /// What it plays.
    pub game_type: String,
    /// How many credits.
    pub credits: i32,
}

/// A server that nobody pays for any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unpaid {
    /// Which one.
    pub server: ServerId,
    /// Whose it is.
    pub owner: UserId,
}

/// What a round of charges has come to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Charged {
    /// Hours that were paid.
    pub charges: Vec<Charge>,
    /// Servers to be stopped.
    pub unpaid: Vec<Unpaid>,
}

/// The ledger as rows, and the balances that move with it.
#[async_trait]
pub trait LedgerStore: Send + Sync {
    /// Gives a user credits and answers with what they have then; none where there is no such user, or where they would have
    /// more than fits.
    async fn grant(&self, user: &UserId, credits: i32, reason: &str) -> Result<Option<i32>, StoreError>;

    /// Nothing is charged from now on: hours that nobody counted are not made up for when it is charged again.
    async fn pause(&self) -> Result<(), StoreError>;

    /// Has the hours paid that are over, of up to `owners` owners, one hour a server, each owner in one transaction.
    async fn charge(&self, owners: u32) -> Result<Charged, StoreError>;
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, TimeDelta};

    use super::*;

    #[test]
    fn who_can_pay_pays_and_who_cannot_is_told_before_the_server_is_stopped() {
        let now = DateTime::from_timestamp_secs(1_800_000_000).expect("a moment");
        let until = now - TimeDelta::minutes(1);
        let due = |paid_until, warned| Due { price: 30, paid_until, warned };
        for (due, credits, expected) in [
            (due(None, false), 100, Decision::Pay { hour: now, warn: false, warned: false }),
            (due(Some(until), false), 100, Decision::Pay { hour: until, warn: false, warned: false }),
            (
                due(Some(now - CATCH_UP * 9), false),
                100,
                Decision::Pay { hour: now - CATCH_UP, warn: false, warned: false },
            ),
            (due(Some(until), false), 60, Decision::Pay { hour: until, warn: false, warned: false }),
            (due(Some(until), false), 59, Decision::Pay { hour: until, warn: true, warned: true }),
            (due(Some(until), true), 30, Decision::Pay { hour: until, warn: false, warned: true }),
            (due(Some(until), true), 60, Decision::Pay { hour: until, warn: false, warned: false }),
            (due(Some(until), false), 29, Decision::Warn(now + GRACE)),
            (due(Some(until), true), 29, Decision::Stop),
            (due(None, true), 0, Decision::Stop),
        ] {
            assert_eq!(decide(due, credits, now), expected, "{due:?} with {credits}");
        }
    }
}
