use std::time::Duration;

use agis_base::{OperationId, Reason, StoreError, UserId};
use async_trait::async_trait;

use super::{billing::Billing, settings::Launched};
use crate::{
    game::SettingValues,
    host::{Endpoint, Generation, Told},
    operation::{Action, Operation, State},
    rcon::RconPassword,
    restart::{Plan, RestartPolicy},
    server::{Server, Status},
};

/// Operations as work, for those who carry them out. Leases end by the database's clock.
#[async_trait]
pub trait LeaseStore: Send + Sync {
    /// Returns operations that wait for a worker of this host with one of these actions: queued ones whose time has come, and
    /// running ones whose lease ran out. Returns at most one per server, and at most `limit`, in the order of their turns:
    /// the oldest of each owner, then the second of each.
    async fn due(&self, host: &str, actions: &[Action], limit: u32) -> Result<Vec<Due>, StoreError>;

    /// Leases the operations that still wait. At most one runs per server. The servers' statuses follow.
    async fn claim(&self, ids: &[OperationId], lease: Duration) -> Result<Vec<Claim>, StoreError>;

    /// Prolongs leases, counted from now, and returns those that were prolonged. A missing one belongs to another attempt, or
    /// is being changed at this moment: [`Self::lost`] tells.
    async fn renew(&self, held: &[Held], lease: Duration) -> Result<Vec<OperationId>, StoreError>;

    /// Returns the operations that these attempts have lost: they have ended, or other attempts have them.
    async fn lost(&self, held: &[Held]) -> Result<Vec<OperationId>, StoreError>;

    /// Notes the value of every setting that this attempt gives to its game, before the game begins. An attempt that has lost
    /// its operation notes nothing.
    async fn note_settings(&self, claim: &Claim, values: &SettingValues) -> Result<(), StoreError>;

    /// Stores the facts that the host told so far about an attempt. An attempt that has lost its operation stores nothing.
    async fn tell(&self, held: Held, told: &Told) -> Result<(), StoreError>;

    /// Gives operations back, so that another worker can claim them at once, or ends them if a newer one waits. Returns the
    /// actions of the superseded ones.
    async fn hand_back(&self, held: &[Held], why: &Reason) -> Result<Vec<Action>, StoreError>;

    /// Gives an operation back for another claim after `delay`, or ends it if a newer one waits. Returns its state; `None` if
    /// the attempt has lost it.
    async fn postpone(&self, claim: &Claim, delay: Duration, why: &Reason) -> Result<Option<State>, StoreError>;

    /// Ends an operation and publishes its outcome, in one transaction. Plans what follows a start that failed, and tells
    /// the owner unless the server is started again. Returns `None` if the attempt has lost the operation: then nothing is
    /// published. A stop that is [stale](Outcome::Stale) may be queued again instead.
    async fn finish(
        &self,
        claim: &Claim,
        outcome: &Outcome,
        facts: &Facts,
        billing: Billing,
    ) -> Result<Option<Finished>, StoreError>;

    /// Begins a start anew that found its server, published at the same generation, ended: publishes the crash, or the stop
    /// if the end was `good`, and queues the operation again at the next generation, in one transaction. Returns false if
    /// the attempt has lost the operation.
    async fn revive(&self, claim: &Claim, how: &Reason, good: bool) -> Result<bool, StoreError>;
}

/// Operation that waits for a worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// Id of the operation.
    pub operation: OperationId,
    /// Owner of its server.
    pub owner: UserId,
}

/// Attempt at an operation, as the store knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Held {
    /// The operation.
    pub operation: OperationId,
    /// See [`Claim::attempt`].
    pub attempt: i32,
}

/// Leased operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The operation.
    pub operation: Operation,
    /// Its server.
    pub server: Server,
    /// Values of its settings: all of them, if an earlier attempt has noted them for this generation, else those that were
    /// chosen when it began.
    pub settings: Launched,
    /// Password of its RCON.
    pub rcon_password: RconPassword,
    /// Generation at which an operation that ended last published the server's status.
    pub published: Generation,
    /// Number of this attempt, from 1. It fences: after a takeover the earlier attempt changes nothing.
    pub attempt: i32,
}

impl Claim {
    /// Returns the attempt as the store knows it.
    pub fn held(&self) -> Held {
        Held { operation: self.operation.id, attempt: self.attempt }
    }
}

/// Facts about an operation that has ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// See [`Operation::killed_after_grace`].
    pub killed: Option<bool>,
    /// See [`Operation::image`]; `None` leaves the image that is stored.
    pub image: Option<Reason>,
    /// Rule by which the server is started again if its start failed.
    pub restart: RestartPolicy,
}

/// End of an attempt that was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Finished {
    /// State of the operation.
    pub state: State,
    /// Decision about a server that did not start.
    pub plan: Plan,
}

/// Outcome of an operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The server is ready for players.
    Running(Endpoint),
    /// The server was ready for players, and has come to a good end by itself since; how, for people.
    Ended(Reason),
    /// Nothing runs.
    Stopped,
    /// The server is gone.
    Deleted,
    /// The operation could not be carried out.
    Failed(Reason),
    /// The operation was given up before its host was asked: no run could begin, and the run that was published last goes on.
    /// The server is as it was before the operation.
    Refused(Reason),
    /// The run that the operation began has crashed before the operation ended; how, for people.
    Crashed(Reason),
    /// The host has seen this newer generation: a newer operation was accepted, or the database is older than the host
    /// (it was restored, or created anew). In the second case the operation fails, and the server's generation goes up to the
    /// host's, so that the host accepts the next operation. A stop does not fail: it is queued again at the generation
    /// above.
    Stale(Generation),
}

impl Outcome {
    /// Returns the state in which the operation ends.
    pub fn state(&self) -> State {
        match self {
            Self::Running(_) | Self::Ended(_) | Self::Stopped | Self::Deleted => State::Succeeded,
            Self::Failed(_) | Self::Refused(_) | Self::Crashed(_) | Self::Stale(_) => State::Failed,
        }
    }

    /// Returns the status that is published.
    pub fn status(&self) -> Status {
        match self {
            Self::Running(_) | Self::Refused(_) => Status::Running,
            Self::Ended(_) | Self::Stopped | Self::Deleted => Status::Stopped,
            Self::Crashed(_) => Status::Crashed,
            Self::Failed(_) | Self::Stale(_) => Status::Failed,
        }
    }
}
