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

/// Time to find credits for an owner who cannot pay and was not told before.
pub const GRACE: Duration = Duration::from_secs(10 * 60);
/// Maximum age of a run that is made up for, counted back from when the server was last seen to run.
pub const CATCH_UP: Duration = Duration::from_secs(24 * 3600);
/// Time that is paid at once.
pub const HOUR: Duration = Duration::from_secs(3600);
/// Maximum length of an entry's reason, in characters.
pub const REASON_MAX: usize = 200;
/// Maximum length of an entry's id, in characters.
pub const ENTRY_ID_MAX: usize = 64;

/// Hour of a server that is over and has to be paid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// Price of an hour, in credits.
    pub price: i32,
    /// End of the last paid hour, if the server has run without a break since; `None` at the first hour.
    pub paid_until: Option<Timestamp>,
    /// Time at which the owner was told; `None` if the owner was not.
    pub warned_at: Option<Timestamp>,
    /// Time at which this run was seen to begin; `None` if nothing was charged then.
    pub confirmed_from: Option<Timestamp>,
    /// Time at which the host last confirmed that the server runs.
    pub confirmed_until: Timestamp,
    /// Time until which nothing was charged. Earlier runs and warnings do not count.
    pub free_until: Timestamp,
}

/// Decision on an hour.
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

/// Decides on an hour for an owner with these credits at `now`.
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

/// Entry of an operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Account of the entry.
    pub user: UserId,
    /// Credits; a negative number takes some back.
    pub credits: i32,
    /// Whether the entry corrects another one.
    pub corrects: bool,
    /// Reason, in 1 to [`REASON_MAX`] characters.
    pub reason: String,
    /// Entries of one id, of 1 to [`ENTRY_ID_MAX`] characters, are written once.
    pub id: String,
}

/// Result of an entry, with the user's balance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entered {
    /// The entry was written.
    Written(i32),
    /// The entry had been written before.
    Before(i32),
    /// There is no such user.
    NoUser,
    /// The balance would be negative, or more than fits.
    OutOfRange(i32),
    /// The id is that of another entry.
    OtherId,
}

/// Paid hour.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Charge {
    /// Server that ran.
    pub server: ServerId,
    /// Key of its game in the catalogue.
    pub game_type: String,
    /// Price, in credits.
    pub credits: i32,
}

/// Server that nobody pays for any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unpaid {
    /// Id of the server.
    pub server: ServerId,
    /// Owner of the server.
    pub owner: UserId,
}

/// Result of charging an owner.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Charged {
    /// Paid hours.
    pub charges: Vec<Charge>,
    /// Servers to be stopped.
    pub unpaid: Vec<Unpaid>,
}

/// Sums for dashboards.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Totals {
    /// Credits that were given in all, by kind of line; corrections may be negative.
    pub given: Vec<(Kind, i64)>,
    /// Credits that were paid within the last hour, by game.
    pub hourly: Vec<(String, i64)>,
    /// Credits of all accounts.
    pub held: i64,
    /// Servers that run and whose owner was told that they cannot pay the next hour.
    pub short: i64,
}

/// The ledger as rows, and the balances that move with it.
#[async_trait]
pub trait LedgerStore: Send + Sync {
    /// Writes an operator's entry, and moves the balance.
    async fn enter(&self, entry: &Entry) -> Result<Entered, StoreError>;

    /// Notes that nothing is charged now: runs up to this moment are not made up for when AGIS charges again.
    async fn pause(&self) -> Result<(), StoreError>;

    /// Returns up to `limit` owners after `after`, in order, of servers with an hour to pay whose beginning their hosts have
    /// confirmed.
    async fn owing(&self, after: Option<&UserId>, limit: u32) -> Result<Vec<UserId>, StoreError>;

    /// Charges the hours of one owner that are over, one hour a server, in one transaction. Does nothing if another process
    /// charges this owner.
    async fn charge(&self, owner: &UserId) -> Result<Charged, StoreError>;

    /// Returns the sums for dashboards.
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
            // The free time ended before the hour.
            (free(due(Some(until), told), 2), 0, Decision::Stop),
            (free(due(Some(until), told), 2), 100, pay(until, false)),
        ] {
            assert_eq!(decide(due, credits, now), expected, "{due:?} with {credits}");
        }
    }
}
