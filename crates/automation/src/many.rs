//! Runs of schedules for labels go on: each becomes a run on every server, and ends when those have ended.

use std::{sync::Arc, time::Duration};

use agis_base::StoreError;
use agis_scheduler::{
    FiringId, RunState,
    store::{End, ManyStore},
};

use crate::scheduler::count;

/// Longest pause between two rounds: the safety net under lost notifications.
pub const PERIOD: Duration = Duration::from_secs(5);
/// Shortest pause.
pub const PAUSE: Duration = Duration::from_millis(250);
/// Pause before another look at one that could not be carried on.
const RETRY: Duration = Duration::from_secs(10);
/// Maximum number of runs that are looked at in one round.
const BATCH: u32 = 50;

/// Carries on runs on many servers, round by round.
pub struct Many {
    /// The runs.
    pub store: Arc<dyn ManyStore>,
}

impl Many {
    /// Carries on every run whose time has come. Returns the time until the next one.
    ///
    /// # Errors
    /// Fails if the store does; the next round goes on.
    pub async fn round(&self) -> Result<Option<Duration>, StoreError> {
        for id in self.store.due_many(BATCH).await? {
            self.advance(id).await;
        }
        Ok(self.store.until_next_many().await?.map(|wait| wait.max(PAUSE)))
    }

    /// Carries on a run. One that fails holds up no other.
    async fn advance(&self, id: FiringId) {
        let schedule_id = id.schedule.0;
        let ended = match self.store.advance_many(id).await {
            Err(StoreError::Refused(why)) => {
                tracing::error!(schedule_id, why, "run on many servers was refused by the database");
                let reason = Some("what it did cannot be stored".to_owned());
                self.store.give_up_many(id, &End { state: RunState::Failed, reason }).await
            }
            ended => ended,
        };
        match ended {
            Ok(Some((kind, state))) => count(kind, state, 1),
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(schedule_id, %error, "run on many servers waits");
                // If this fails too, the database is away.
                let _ = self.store.put_off_many(id, RETRY).await;
            }
        }
    }
}
