//! Limits the number of followed consoles, since each holds a connection and looks for new lines all the time.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use agis_base::UserId;
use tokio_util::sync::CancellationToken;

use crate::problem::{Code, Problem};

/// Followers per process.
const ALL: usize = 256;
/// Followers per user, whichever keys they use: enough for one page that shows all their servers.
const OF_A_USER: usize = 20;

/// Seconds after which a refused follower should try again.
const RETRY_S: u64 = 10;

/// The followers of this process.
#[derive(Debug, Clone, Default)]
pub struct Followers(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    shutdown: CancellationToken,
    of: Mutex<HashMap<UserId, usize>>,
}

/// The seat of one follower, free again when dropped.
#[derive(Debug)]
pub(crate) struct Seat {
    followers: Followers,
    user: UserId,
}

impl Followers {
    /// Ends all streams, also those that begin later. A shutdown calls this first: clients reconnect to another process
    /// with `Last-Event-ID`, and the shutdown need not wait for them.
    pub fn end(&self) {
        self.0.shutdown.cancel();
    }

    /// Takes a seat.
    pub(crate) fn take(&self, user: &UserId) -> Result<Seat, Problem> {
        let mut of = self.lock();
        if of.values().sum::<usize>() >= ALL {
            let detail = "this process has as many followers of consoles as it allows; try again later";
            return Err(Problem::new(Code::FollowersFull, detail).after(RETRY_S));
        }
        let own = of.entry(user.clone()).or_default();
        if *own >= OF_A_USER {
            let detail = format!("you follow {OF_A_USER} consoles already; end one first");
            return Err(Problem::new(Code::TooManyFollowers, detail).after(RETRY_S));
        }
        *own += 1;
        count(&of);
        Ok(Seat { followers: self.clone(), user: user.clone() })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<UserId, usize>> {
        self.0.of.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seat {
    /// Resolves when every stream must end.
    pub(crate) async fn until_shutdown(&self) {
        self.followers.0.shutdown.cancelled().await;
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut of = self.followers.lock();
        if let Some(own) = of.get_mut(&self.user) {
            *own -= 1;
            if *own == 0 {
                of.remove(&self.user);
            }
        }
        count(&of);
    }
}

#[expect(clippy::cast_precision_loss, reason = "it is a few hundred")]
fn count(of: &HashMap<UserId, usize>) {
    metrics::gauge!("agis_bot_console_followers").set(of.values().sum::<usize>() as f64);
}

#[cfg(test)]
mod tests {
    use actix_web::{ResponseError, http::StatusCode};

    use super::*;

    #[test]
    fn followers_are_bound_by_user_and_process() {
        let followers = Followers::default();
        let user = |number: usize| UserId::from_stored(&number.to_string());
        let mut seats: Vec<_> = (0..OF_A_USER).map(|_| followers.take(&user(0)).expect("a place")).collect();
        let refused = followers.take(&user(0)).expect_err("no place");
        assert_eq!(refused.status_code(), StatusCode::TOO_MANY_REQUESTS);
        while seats.len() < ALL {
            seats.push(followers.take(&user(seats.len() / OF_A_USER)).expect("a place"));
        }
        let refused = followers.take(&user(1000)).expect_err("no place");
        assert_eq!(refused.status_code(), StatusCode::SERVICE_UNAVAILABLE);
        seats.clear();
        assert!(followers.lock().is_empty());
        followers.take(&user(0)).expect("a place");
    }
}
