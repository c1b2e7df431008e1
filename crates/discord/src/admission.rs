//! Decides whether an interaction is worked on: limits, room, and the user's account.

use agis_base::{StoreError, UserId};
use agis_ratelimit::{Bucket, Limiter, MemoryLimiter, Quota};
use chrono::Utc;
use futures_util::future::join;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::{call::Call, context::Context, roles::Noted, seen::Seen, wording::Refusal};

/// Maximum number of users that are known to exist without a look at the database.
const WELCOMED_MAX: usize = 20_000;
/// Maximum number of commands that are worked on at once: more than the database takes at a time, and few enough to end
/// in time.
const ROOM: usize = 256;
/// Maximum number of suggestions that are looked for at once.
const TYPING_ROOM: usize = 32;
/// Maximum number of letters that a user may type per hour.
const LETTERS: u32 = 7200;
const TYPISTS_MAX: usize = 20_000;

/// Room and limits of one handler.
pub(crate) struct Admission {
    welcomed: Seen<UserId>,
    noted: Noted,
    room: Semaphore,
    typing_room: Semaphore,
    typing: MemoryLimiter,
}

impl Default for Admission {
    fn default() -> Self {
        Self {
            welcomed: Seen::new(WELCOMED_MAX),
            noted: Noted::default(),
            room: Semaphore::new(ROOM),
            typing_room: Semaphore::new(TYPING_ROOM),
            typing: MemoryLimiter::new(TYPISTS_MAX),
        }
    }
}

impl Admission {
    /// Admits a command or a button within the user's limit, and makes sure that the user exists. The room is free when
    /// the permit is dropped.
    pub(crate) async fn command(&self, context: &Context, call: &Call) -> Result<SemaphorePermit<'_>, Refusal> {
        let room = self.room.try_acquire().map_err(|_| Refusal::Busy)?;
        let quota = Quota::per_hour(context.settings.requests_per_hour);
        let decision = context.services.limiter.take(bucket(&call.user), quota).await;
        if !decision.allowed {
            return Err(Refusal::Limited(Utc::now() + decision.retry_in));
        }
        let noted = self.noted.note(&context.services.servers, call);
        let (welcomed, noted) = join(self.welcome(context, &call.user), noted).await;
        welcomed.and(noted).map_err(|error| match Refusal::from(error) {
            Refusal::Unavailable { .. } => Refusal::Unavailable { begun: false },
            other => other,
        })?;
        Ok(room)
    }

    /// Admits a request for suggestions.
    pub(crate) async fn typing(&self, call: &Call) -> Result<SemaphorePermit<'_>, Refusal> {
        let room = self.typing_room.try_acquire().map_err(|_| Refusal::Busy)?;
        let decision = self.typing.take(bucket(&call.user), Quota::per_hour(LETTERS)).await;
        if !decision.allowed {
            return Err(Refusal::Limited(Utc::now() + decision.retry_in));
        }
        Ok(room)
    }

    async fn welcome(&self, context: &Context, user: &UserId) -> Result<(), StoreError> {
        if !self.welcomed.contains(user) {
            context.services.accounts.welcome(user).await?;
            self.welcomed.is_new(user.clone());
        }
        Ok(())
    }
}

/// Returns the bucket of a user. Requests over REST without a key draw on the same one.
fn bucket(user: &UserId) -> Bucket {
    Bucket { kind: "user", id: user.as_str().parse::<u64>().unwrap_or(0).cast_signed() }
}
