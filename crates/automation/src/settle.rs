//! Ended operations end their firings.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use agis_base::{OperationId, StoreError};
use agis_scheduler::{
    FiringId, RunState,
    store::{End, FiringStore},
};
use agis_servers::{Operation, Servers, State};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::scheduler::count;

const BATCH: u32 = 500;
/// The longest sleep: the safety net under lost notices.
const POLL: Duration = Duration::from_secs(5);
/// The shortest: operations are accepted and end in swarms. A round looks at every open firing, so a long one is
/// followed by a longer pause, and most of the database's time is left to the swarm.
const PAUSE: Duration = Duration::from_millis(250);
const SHARE: u32 = 4;

/// The loop that ends firings.
pub struct Settler {
    /// Firings.
    pub firings: Arc<dyn FiringStore>,
    /// Their operations.
    pub servers: Servers,
    /// Rings when an operation may have ended.
    pub bell: watch::Receiver<()>,
}

impl Settler {
    /// Runs until `stop`, and once more after it.
    pub async fn run(mut self, stop: CancellationToken) {
        loop {
            let last = stop.is_cancelled();
            let began = Instant::now();
            if let Err(error) = self.round().await {
                tracing::warn!(%error, "settling round failed");
            }
            if last {
                return;
            }
            tokio::select! {
                () = stop.cancelled() => continue,
                () = tokio::time::sleep(PAUSE.max(began.elapsed() * SHARE)) => {}
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(POLL) => {}
                Ok(()) = self.bell.changed() => {}
            }
        }
    }

    async fn round(&self) -> Result<(), StoreError> {
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
        // One that the database will not take is no reason to keep the others open.
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
        for (action, state) in self.firings.finish(ends).await? {
            count(action, state, 1);
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
