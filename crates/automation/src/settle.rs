//! Ended operations end their firings.

use std::{collections::HashMap, sync::Arc, time::Duration};

use agis_base::{OperationId, StoreError};
use agis_scheduler::{
    FiringId, RunState,
    store::{End, FiringStore},
};
use agis_servers::{Operation, Servers, State};

use crate::scheduler::count;

const BATCH: u32 = 500;
/// Longest pause between two rounds: the safety net under lost notifications.
pub const PERIOD: Duration = Duration::from_secs(5);
/// Shortest pause: operations are accepted and end in swarms.
pub const PAUSE: Duration = Duration::from_millis(250);
/// Shortest pause, in times of the round: a round looks at every open firing, and most of the database's time is left to
/// the swarm.
pub const PAUSE_SHARE: u32 = 4;

/// Ends firings, round by round.
pub struct Settler {
    /// Firings.
    pub firings: Arc<dyn FiringStore>,
    /// Service that knows their operations.
    pub servers: Servers,
}

impl Settler {
    /// Ends every firing whose operation has ended.
    ///
    /// # Errors
    /// Fails if the store does; the next round goes on.
    pub async fn round(&self) -> Result<(), StoreError> {
        let mut after = None;
        loop {
            let open = self.firings.in_progress(after, BATCH).await?;
            let Some((last, _)) = open.last() else { return Ok(()) };
            after = Some(*last);
            self.settle(&open).await?;
            if open.len() < BATCH as usize {
                return Ok(());
            }
        }
    }

    async fn settle(&self, open: &[(FiringId, OperationId)]) -> Result<(), StoreError> {
        let ids: Vec<_> = open.iter().map(|(_, operation)| *operation).collect();
        let operations = self.servers.operations(&ids).await?;
        let operations: HashMap<_, _> = operations.into_iter().map(|operation| (operation.id, operation)).collect();
        let ends: Vec<_> = open
            .iter()
            .filter_map(|(firing, operation)| Some((*firing, end_of(operations.get(operation)?)?)))
            .collect();
        if ends.is_empty() {
            return Ok(());
        }
        match self.finish(&ends).await {
            Err(StoreError::Refused(_)) => {}
            done => return done,
        }
        // A firing that the database refuses does not keep the others open.
        for (firing, end) in ends {
            if let Err(StoreError::Refused(why)) = self.finish(&[(firing, end)]).await {
                tracing::error!(schedule_id = firing.schedule.0, why, "end of a firing was refused by the database");
                let reason = Some("how it ended cannot be stored".to_owned());
                self.finish(&[(firing, End { state: RunState::Failed, reason })]).await?;
            }
        }
        Ok(())
    }

    async fn finish(&self, ends: &[(FiringId, End)]) -> Result<(), StoreError> {
        for (kind, state) in self.firings.finish(ends).await? {
            count(kind, state, 1);
        }
        Ok(())
    }
}

/// How an operation ends its firing; not at all while it has not ended.
fn end_of(operation: &Operation) -> Option<End> {
    let failed = |why: &str| operation.error.clone().unwrap_or_else(|| why.to_owned());
    let (state, reason) = match operation.state {
        State::Queued | State::Running => return None,
        State::Succeeded => (RunState::Succeeded, None),
        State::Failed => (RunState::Failed, Some(failed("failed"))),
        State::Expired => (RunState::Failed, Some(failed("expired"))),
        State::Superseded => (RunState::Skipped, Some("superseded".to_owned())),
    };
    Some(End { state, reason })
}
