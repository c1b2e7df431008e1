//! Credits: what moves on an account, and when a server that runs is paid for.
//!
//! A server that runs is paid by the hour, ahead: the first when it is seen running, the next when that hour is over, and so
//! on without a gap for as long as it runs. An hour is charged only once the server's host has confirmed that the server ran
//! when the hour began, at the generation that is published: what nobody looked at costs nothing. Nobody pays an hour of a
//! server twice: an hour that is paid is not paid again by a restart within it. A start reserves the first hour until it is
//! charged, or the start has ended otherwise: nothing else is paid from that. Whoever cannot pay the hour after the one that
//! begins is told so; whoever cannot pay when it comes, and was not told before, is told then and has [`GRACE`]; after that
//! the server is stopped. Having been told holds until they could pay again, whatever the server did meanwhile.

use std::time::Duration;

use agis_base::{ServerId, StoreError, Timestamp, UserId, words};
use async_trait::async_trait;

/// How long whoever cannot pay, and was not told before, has to find credits.
pub const GRACE: Duration = Duration::from_secs(10 * 60);
/// What a server ran before that, counted from when it was last seen to run, is not made up for.
pub const CATCH_UP: Duration = Duration::from_secs(24 * 3600);
/// What is paid at once.
pub const HOUR: Duration = Duration::from_secs(3600);
/// The longest reason of an entry.
pub const REASON_MAX: usize = 200;
/// The longest id of an entry.
pub const ENTRY_ID_MAX: usize = 64;

/// An hour of a server that is over and has to be paid: what the owner has decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// What an hour costs.
    pub price: i32,
    /// The end of the last hour that was paid, while it has run without a break since; none at the first.
    pub paid_until: Option<Timestamp>,
    /// When the owner was told that they cannot pay.
    pub warned_at: Option<Timestamp>,
    /// When this run was seen to begin; none where nothing was charged then.
    pub confirmed_from: Option<Timestamp>,
    /// When the host last confirmed that it runs.
    pub confirmed_until: Timestamp,
    /// Until when nothing was charged. What ran, or was told, before that does not count.
    pub free_until: Timestamp,
}

/// What becomes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// An hour is paid.
    Pay {
        /// Its beginning.
        hour: Timestamp,
        /// Whether the owner has to be told that the next cannot be paid. An earlier warning was about an hour that has been
        /// paid since.
        warn: bool,
    },
    /// The owner is told, and has until then.
    Warn(Timestamp),
    /// The server is stopped.
    Stop,
}

/// Decides on an hour for an owner with these credits, at this moment.
pub fn decide(due: Due, credits: i32, now: Timestamp) -> Decision {
    let lapsed = due.paid_until.or(due.warned_at).is_some_and(|since| since < due.free_until);
    let (paid_until, warned) = if lapsed { (None, false) } else { (due.paid_until, due.warned_at.is_some()) };
    if credits >= due.price {
        let began = due.confirmed_from.filter(|from| *from >= due.free_until).unwrap_or(due.confirmed_until);
        let hour = paid_until.unwrap_or(began).max(due.confirmed_until - CATCH_UP);
        let short = credits - due.price < due.price;
        // An hour that was made up for is over, and its owner had no time since: they are told when the next cannot be paid.
        let in_time = hour + HOUR >= now + GRACE;
        return Decision::Pay { hour, warn: short && in_time };
    }
    if warned { Decision::Stop } else { Decision::Warn(now + GRACE) }
}

words! {
    /// Kind of a line of the ledger.
    Kind {
        /// Balance that an account had before there was a ledger.
        Opening = "opening",
        /// Credits of a new user.
        Welcome = "welcome",
        /// Entry of an operator.
        Grant = "grant",
        /// Entry of an operator that mends another one.
        Correction = "correction",
        /// Hour of a server.
        Charge = "charge",
    }
}

impl Kind {
    /// Returns the kinds by which accounts get credits.
    pub fn given() -> impl Iterator<Item = Self> {
        Self::ALL.iter().copied().filter(|kind| *kind != Self::Charge)
    }
}

/// What an operator's command writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// On whose account.
    pub user: UserId,
    /// How many credits; fewer than none takes some back.
    pub credits: i32,
    /// Whether it mends an entry that was wrong.
    pub corrects: bool,
    /// Why, in 1 to [`REASON_MAX`] characters.
    pub reason: String,
    /// Entries of one id, of 1 to [`ENTRY_ID_MAX`] characters, are written once.
    pub id: String,
}

/// What became of an entry, with what the user has then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entered {
    /// It was written.
    Written(i32),
    /// It had been written before.
    Before(i32),
    /// There is no such user.
    NoUser,
    /// They would have less than nothing, or more than fits.
    OutOfRange(i32),
    /// The id is that of another entry.
    OtherId,
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

/// What charging an owner has come to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Charged {
    /// Hours that were paid.
    pub charges: Vec<Charge>,
    /// Servers to be stopped.
    pub unpaid: Vec<Unpaid>,
}

/// What the ledger says to dashboards.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Totals {
    /// Credits that were given in all, by kind of line; corrections may be fewer than none.
    pub given: Vec<(Kind, i64)>,
    /// Credits that were paid within the last hour, by game.
    pub hourly: Vec<(String, i64)>,
    /// Credits that everybody has.
    pub held: i64,
    /// Servers that run and whose owner was told that they cannot pay the next hour.
    pub short: i64,
}

/// The ledger as rows, and the balances that move with it.
#[async_trait]
pub trait LedgerStore: Send + Sync {
    /// Writes an operator's entry, and moves the balance.
    async fn enter(&self, entry: &Entry) -> Result<Entered, StoreError>;

    /// Says that nothing is charged now: what ran up to this moment is not made up for when it is charged again.
    async fn pause(&self) -> Result<(), StoreError>;

    /// Owners of servers that have an hour to pay whose beginning their hosts have confirmed, in order, up to `limit` of those
    /// who come after `after`.
    async fn owing(&self, after: Option<&UserId>, limit: u32) -> Result<Vec<UserId>, StoreError>;

    /// Has the hours of one owner paid that are over, one hour a server, in one transaction. Nothing is done where somebody
    /// else does it.
    async fn charge(&self, owner: &UserId) -> Result<Charged, StoreError>;

    /// What it says to dashboards.
    async fn totals(&self) -> Result<Totals, StoreError>;
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, TimeDelta};

    use super::*;

    #[test]
    fn payer_pays_and_others_are_told_before_the_stop() {
        let now = DateTime::from_timestamp_secs(1_800_000_000).expect("a moment");
        let until = now - TimeDelta::minutes(1);
        let told = Some(now - TimeDelta::hours(1));
        let free_until = now - TimeDelta::days(30);
        let (confirmed_from, confirmed_until) = (Some(now - TimeDelta::hours(9)), now - TimeDelta::seconds(20));
        let due = |paid_until, warned_at| Due {
            price: 30,
            paid_until,
            warned_at,
            confirmed_from,
            confirmed_until,
            free_until,
        };
        let pay = |hour, warn| Decision::Pay { hour, warn };
        let old = now - TimeDelta::hours(3);
        let free = |due: Due, minutes| Due { free_until: now - TimeDelta::minutes(minutes), ..due };
        for (due, credits, expected) in [
            (due(None, None), 100, pay(now - TimeDelta::hours(9), false)),
            (Due { confirmed_from: None, ..due(None, None) }, 100, pay(confirmed_until, false)),
            (due(Some(until), None), 100, pay(until, false)),
            (due(Some(now - CATCH_UP * 9), None), 100, pay(confirmed_until - CATCH_UP, false)),
            (due(Some(until), None), 60, pay(until, false)),
            (due(Some(until), None), 59, pay(until, true)),
            (due(Some(until), told), 30, pay(until, true)),
            (due(Some(until), told), 60, pay(until, false)),
            (due(Some(until), None), 29, Decision::Warn(now + GRACE)),
            (due(Some(until), told), 29, Decision::Stop),
            (due(None, told), 0, Decision::Stop),
            // An hour that is over already leaves no time to be told in.
            (due(Some(old), None), 30, pay(old, false)),
            (due(Some(old), told), 30, pay(old, false)),
            // Nothing was charged since: it begins anew.
            (free(due(Some(until), told), 0), 100, pay(confirmed_until, false)),
            (free(due(Some(until), told), 0), 0, Decision::Warn(now + GRACE)),
            (free(due(None, told), 59), 0, Decision::Warn(now + GRACE)),
            // That was before the hour ended.
            (free(due(Some(until), told), 2), 0, Decision::Stop),
            (free(due(Some(until), told), 2), 100, pay(until, false)),
        ] {
            assert_eq!(decide(due, credits, now), expected, "{due:?} with {credits}");
        }
    }
}
