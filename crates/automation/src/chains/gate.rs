//! The gate: runs with steps that have not begun begin, are put off or are skipped, many at a time.

use std::{sync::Arc, time::Duration};

use agis_base::StoreError;
use agis_scheduler::{
    FiringId, RunState,
    chain::{self, EndedBy, LOOK, Progress, SOON, StepRun, StepState},
    store::{Beginning, Chain, ChainStore, Entry},
    work::Overlap,
};

use super::{Acts, RETRY, end};
use crate::{parts::Parts, scheduler::count};

/// Pause between two looks at a run that waits for the players of its server to leave.
const DEFERRED: Duration = Duration::from_secs(15);

/// Lets runs begin.
pub struct Gate {
    store: Arc<dyn ChainStore>,
    acts: Arc<dyn Acts>,
}

impl Gate {
    /// Creates the gate of these runs, and of the servers that they act on.
    pub fn new(store: Arc<dyn ChainStore>, acts: Arc<dyn Acts>) -> Self {
        Self { store, acts }
    }

    /// Decides on runs that this process has just claimed.
    pub(crate) async fn open(&self, ids: &[FiringId]) {
        match self.store.chains(ids).await {
            Ok(chains) => {
                let chains: Vec<_> = chains.into_iter().filter(|chain| chain.steps.is_empty()).collect();
                self.decide(&chains).await;
            }
            // The loop of chains finds them when their claim ends.
            Err(error) => tracing::warn!(%error, runs = ids.len(), "runs wait for their first step"),
        }
    }

    /// Decides on runs that have not begun.
    pub(super) async fn decide(&self, chains: &[Chain]) {
        let mut parts = Parts::of(chains);
        while let Some(part) = parts.next() {
            let Err(error) = self.try_decide(part).await else { continue };
            match (part, error) {
                ([chain], StoreError::Refused(why)) => refused(&*self.store, chain.id, &why).await,
                (_, error) if !parts.split(part) => {
                    tracing::warn!(%error, runs = part.len(), "runs wait for their first step");
                    let ids: Vec<_> = part.iter().map(|chain| chain.id).collect();
                    // If this fails too, their lease ends.
                    let _ = self.store.look_again(&ids, RETRY).await;
                }
                _ => {}
            }
        }
    }

    async fn try_decide(&self, chains: &[Chain]) -> Result<(), StoreError> {
        let refusals = self.acts.refusals(chains).await?;
        let mut decided = Vec::with_capacity(chains.len());
        for (chain, refusal) in chains.iter().zip(refusals) {
            for earlier in replaced(chain) {
                self.store.interrupt(*earlier, EndedBy::Replaced).await?;
            }
            decided.push((chain, entry(chain, refusal)));
        }
        let ended = self.store.pass_gate(&decided).await?;
        let missed = ended.iter().filter(|(_, state)| *state == RunState::Missed).count();
        if missed > 0 {
            tracing::warn!(slots = missed, "scheduled runs were missed");
        }
        ended.into_iter().for_each(|(kind, state)| count(kind, state, 1));
        Ok(())
    }
}

/// Ends a run that the database takes nothing of, however often.
pub(super) async fn refused(store: &dyn ChainStore, id: FiringId, why: &str) {
    tracing::error!(schedule_id = id.schedule.0, why, "step of a run was refused by the database");
    let failed = end(RunState::Failed, Some("what it did cannot be stored".to_owned()));
    match store.end_chain(id, &failed, None).await {
        Ok(ended) => ended.into_iter().for_each(|(kind, state)| count(kind, state, 1)),
        Err(error) => tracing::warn!(%error, schedule_id = id.schedule.0, "run could not be ended"),
    }
}

/// Returns the earlier runs whose place this one takes.
fn replaced(chain: &Chain) -> &[FiringId] {
    let goes_on = chain.ended_by.is_none() && !chain::is_missed(chain);
    if goes_on && chain.work.overlap == Overlap::Replace { &chain.earlier } else { &[] }
}

/// Decides on a run that may not begin for this reason, if there is one.
fn entry(chain: &Chain, refusal: Option<&str>) -> Entry {
    let skipped = |why: &str| Entry::Ends(end(RunState::Skipped, Some(why.to_owned())));
    if let Some(cause) = chain.ended_by {
        return Entry::Ends(cause.end());
    }
    if chain::is_missed(chain) {
        return Entry::Ends(EndedBy::Missed.end());
    }
    match (chain.work.overlap, chain.earlier.as_slice()) {
        (_, []) => {}
        (Overlap::QueueOne, [_]) => return Entry::Waits(LOOK),
        (Overlap::Skip | Overlap::QueueOne, _) => return skipped(chain::OVERLAP),
        (Overlap::Replace, _) => return Entry::Waits(SOON),
    }
    if let Some(why) = refusal {
        return skipped(why);
    }
    match chain::gate(chain.work.when(), chain.facts, chain.since, chain.now) {
        chain::Gate::Shut(why) => skipped(why),
        chain::Gate::Later => Entry::Waits(DEFERRED),
        chain::Gate::Open => Entry::Begins(beginning(chain)),
    }
}

/// Returns the beginning of a run with its first step. A wait is looked at when it ends.
fn beginning(chain: &Chain) -> Beginning {
    let mut steps: Vec<_> = chain.work.planned().into_iter().map(StepRun::planned).collect();
    let announced = steps[0].step.announces.then(|| chain::ahead(&steps, chain.now)).flatten();
    (steps[0].state, steps[0].started_at) = (StepState::Running, Some(chain.now));
    let look = match chain::wait(&steps[0], chain.facts, chain.now) {
        Some(Progress::Goes(time)) => time,
        _ => Duration::ZERO,
    };
    Beginning { steps, announced, look }
}
