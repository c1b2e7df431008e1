use std::time::Duration;

use agis_base::{OperationId, Reason, StoreError, UserId};
use async_trait::async_trait;

use super::Billing;
use crate::{
    host::{Endpoint, Generation},
    operation::{Action, Operation, State},
    server::{Server, Status},
};

/// Operations as work, for those who carry them out. Leases end by the database's clock.
#[async_trait]
pub trait LeaseStore: Send + Sync {
    /// What waits for a worker on this host and asks for one of these actions: queued operations whose time has come, and
    /// running ones whose lease ran out. At most one of each server, and at most `limit`, in the order in which their
    /// turn comes: the oldest of each owner, then the second of each.
    async fn due(&self, host: &str, actions: &[Action], limit: u32) -> Result<Vec<Due>, StoreError>;

    /// Leases those of these operations that still wait. At most one a server runs. The servers' statuses follow.
    async fn claim(&self, ids: &[OperationId], lease: Duration) -> Result<Vec<Claim>, StoreError>;

    /// Prolongs leases, counted from now; answers with those that were prolonged. One that is missing is another's, or is
    /// being changed this moment: [`Self::lost`] tells.
    async fn renew(&self, held: &[Held], lease: Duration) -> Result<Vec<OperationId>, StoreError>;

    /// Those that this attempt no longer has: the operation has ended, or another attempt has it.
    async fn lost(&self, held: &[Held]) -> Result<Vec<OperationId>, StoreError>;

    /// Gives operations back, to be claimed by another worker at once, or ends them where a newer one waits; answers with
    /// what those asked for that are superseded by this.
    async fn hand_back(&self, held: &[Held], why: &Reason) -> Result<Vec<Action>, StoreError>;

    /// Gives an operation back, to be claimed again after `delay`, or ends it where a newer one waits; answers with its
    /// state, `None` where the claim is no longer ours.
    async fn postpone(&self, claim: &Claim, delay: Duration, why: &Reason) -> Result<Option<State>, StoreError>;

    /// Ends an operation and publishes what it led to, in one transaction, and answers with the state in which it ended;
    /// `None`, and nothing is published, where the claim is no longer ours. `killed` is what the host says of
    /// [`Operation::killed_after_grace`]. A stop that is [stale](Outcome::Stale) may be queued again instead.
    async fn finish(
        &self,
        claim: &Claim,
        outcome: &Outcome,
        killed: Option<bool>,
        billing: Billing,
    ) -> Result<Option<State>, StoreError>;

    /// A start found that the server, published at the same generation, has ended: publishes the crash, or the stop where
    /// the end was a `good` one, and queues the operation again at the next generation, in one transaction. False where the
    /// claim is no longer ours.
    async fn revive(&self, claim: &Claim, how: &Reason, good: bool) -> Result<bool, StoreError>;
}

/// An operation that waits for a worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// Which one.
    pub operation: OperationId,
    /// Whose server it is on.
    pub owner: UserId,
}

/// An attempt at an operation, as the store knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Held {
    /// The operation.
    pub operation: OperationId,
    /// See [`Claim::attempt`].
    pub attempt: i32,
}

/// A leased operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The operation.
    pub operation: Operation,
    /// Its server, as it is now.
    pub server: Server,
    /// The generation at which the server's status was last published by an operation that ended.
    pub published: Generation,
    /// Which attempt this is, from 1. It fences: what a worker says of an attempt that was taken over is not heard.
    pub attempt: i32,
}

impl Claim {
    /// What the store knows the attempt by.
    pub fn held(&self) -> Held {
        Held { operation: self.operation.id, attempt: self.attempt }
    }
}

/// What an operation led to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The server is ready for players.
    Running(Endpoint),
    /// The server was ready for players, and has come to a good end by itself since; how, for people.
    Ended(Reason),
    /// Nothing runs.
    Stopped,
    /// It is gone.
    Deleted,
    /// It could not be done.
    Failed(Reason),
    /// The host has seen this newer generation. Where a newer operation was accepted, that is why; where none was, the
    /// database is older than the host (it was restored, or made anew): the operation fails, and the server's generation
    /// goes up to what the host saw, so that the next operation is heard. A stop does not fail: it is queued again at the
    /// generation above.
    Stale(Generation),
}

impl Outcome {
    /// The state in which the operation ends.
    pub fn state(&self) -> State {
        match self {
            Self::Running(_) | Self::Ended(_) | Self::Stopped | Self::Deleted => State::Succeeded,
            Self::Failed(_) | Self::Stale(_) => State::Failed,
        }
    }

    /// The status that is published.
    pub fn status(&self) -> Status {
        match self {
            Self::Running(_) => Status::Running,
            Self::Ended(_) | Self::Stopped | Self::Deleted => Status::Stopped,
            Self::Failed(_) | Self::Stale(_) => Status::Failed,
        }
    }
}
