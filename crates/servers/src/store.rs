//! What a database promises. Every method is one whole decision; no transaction crosses these traits.

use std::{collections::BTreeMap, time::Duration};

use agis_base::{GuildId, Once, OperationId, Reach, Reason, RoleId, ServerId, StoreError, Timestamp, UserId};
use async_trait::async_trait;
use thiserror::Error;

use crate::{
    access::{Access, Grantee, Permissions, Share},
    host::{Endpoint, Generation},
    operation::{Action, Operation, Refusal, Request, State},
    server::{NewServer, Server, ServerChange, Status},
};

/// A piece of a list: at most `limit` items behind the one that `after` names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page<Id> {
    /// The last item of the piece before.
    pub after: Option<Id>,
    /// How many.
    pub limit: u32,
}

/// Which servers of a list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServerFilter {
    /// That do this only.
    pub status: Option<Status>,
    /// Of this game only.
    pub game_type: Option<String>,
    /// With this in their name only, without regard to case.
    pub name: Option<String>,
    /// The user's own, or those that others share with them, only.
    pub owned: Option<bool>,
}

/// Which operations of a list.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OperationFilter {
    /// That have come so far only.
    pub state: Option<State>,
    /// That ask for this only.
    pub action: Option<Action>,
}

/// Servers as rows.
#[async_trait]
pub trait ServerStore: Send + Sync {
    /// Adds a server. Name and number are checked with the owner locked, so two requests cannot both take the last
    /// place. A request that has made its server already is answered with it.
    async fn create(
        &self,
        owner: &UserId,
        new: &NewServer,
        terms: &Terms,
        once: Option<&Once>,
    ) -> Result<Server, WriteError>;

    /// A server that is not deleted, whoever may see it, and what this user is to it.
    async fn find(&self, user: &UserId, id: ServerId) -> Result<Option<(Server, Access)>, StoreError>;

    /// The servers within reach that are a user's own, and then those that are shared with them, each by id, and what the
    /// user is to each.
    async fn list(
        &self,
        user: &UserId,
        reach: &Reach,
        filter: &ServerFilter,
        page: Page<ServerId>,
    ) -> Result<Vec<(Server, Access)>, StoreError>;

    /// Changes what an owner may change; `None` where the owner has no such server.
    async fn change(&self, owner: &UserId, id: ServerId, change: &ServerChange) -> Result<Option<Server>, WriteError>;
}

/// On what terms a server is created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// The host that will run it.
    pub host: String,
    /// Credits per hour.
    pub cost_per_hour: i32,
    /// How many servers its owner may have.
    pub limit: u32,
}

/// Why a server was not written.
#[derive(Debug, Error)]
pub enum WriteError {
    /// The owner has another server of that name, or of one that looks the same.
    #[error("the name is taken")]
    NameTaken,
    /// The owner has as many servers as allowed.
    #[error("too many servers")]
    TooMany,
    /// The host cannot run the game for now; why, for everybody.
    #[error("the game cannot be run: {0}")]
    GameUnavailable(String),
    /// There is no such user.
    #[error("no such user")]
    NoUser,
    /// The store itself.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Shares as rows, and the roles that they depend on. What counts for whom is told with the servers.
#[async_trait]
pub trait ShareStore: Send + Sync {
    /// Shares a server, in place of what was shared with this grantee before. How many there are is checked with the
    /// server and the grantee locked.
    async fn share(
        &self,
        owner: &UserId,
        server: ServerId,
        grantee: &Grantee,
        permissions: Permissions,
        limits: ShareLimits,
    ) -> Result<Share, ShareError>;

    /// Takes a share back; false where there is none.
    async fn unshare(&self, owner: &UserId, server: ServerId, grantee: &Grantee) -> Result<bool, StoreError>;

    /// Takes back what is shared with this user as a member, and keeps from them what is shared with their roles.
    async fn leave(&self, user: &UserId, server: ServerId) -> Result<(), StoreError>;

    /// The shares of a server, the oldest first.
    async fn shares(&self, server: ServerId) -> Result<Vec<Share>, StoreError>;

    /// Notes which roles a member has now; none at all where they have left.
    async fn note_roles(&self, user: &UserId, guild: &GuildId, roles: &[RoleId]) -> Result<(), StoreError>;

    /// Up to `limit` members whose roles were noted longer than `age` ago, the longest first, of guilds with whose roles
    /// something is shared.
    async fn stale_members(&self, age: Duration, limit: u32) -> Result<Vec<(UserId, GuildId)>, StoreError>;

    /// Forgets the roles of up to `limit` members that were noted longer than `age` ago.
    async fn forget_roles(&self, age: Duration, limit: u32) -> Result<(), StoreError>;
}

/// How many shares there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShareLimits {
    /// Of one server.
    pub of_server: u32,
    /// With one member or role.
    pub with_grantee: u32,
}

/// Why a server was not shared.
#[derive(Debug, Error)]
pub enum ShareError {
    /// The owner has no such server.
    #[error("no such server")]
    NoServer,
    /// It is shared with as many as allowed.
    #[error("too many shares")]
    TooMany,
    /// As many servers as allowed are shared with this member or role.
    #[error("too many servers are shared with them")]
    GranteeHasTooMany,
    /// The store itself.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Operations as rows, seen from those who ask for them.
#[async_trait]
pub trait OperationStore: Send + Sync {
    /// Accepts requests, each by [`crate::power::accept`] under the lock of its server's row, all in one transaction.
    async fn accept(&self, requests: &[Request]) -> Result<Accepted, StoreError>;

    /// An operation, and the owner of its server, who sees it also when the server is gone.
    async fn operation(&self, id: OperationId) -> Result<Option<(Operation, UserId)>, StoreError>;

    /// The operations of those ids, in any order.
    async fn operations(&self, ids: &[OperationId]) -> Result<Vec<Operation>, StoreError>;

    /// A server's operations, the newest first.
    async fn history(
        &self,
        server: ServerId,
        filter: OperationFilter,
        page: Page<OperationId>,
    ) -> Result<Vec<Operation>, StoreError>;
}

/// What became of requests.
#[derive(Debug, Clone, Default)]
pub struct Accepted {
    /// The answers, in the order of the requests.
    pub answers: Vec<Result<Operation, Refusal>>,
    /// What ended by this: operations that were superseded, and those that were done by being accepted.
    pub ended: Vec<(Action, State)>,
}

/// Games that a host cannot run for now. The process that serves the host says so again and again: what it has said is taken
/// for true for [`UNAVAILABLE_FOR`], by the database's clock.
#[async_trait]
pub trait GameStore: Send + Sync {
    /// Notes which of these games cannot be run on the host, each with the reason, and that the others can. Games that are
    /// not among them are left alone: another process may have them in its catalogue.
    async fn note_games(&self, host: &str, games: &[(String, Option<Reason>)]) -> Result<(), StoreError>;

    /// The games that cannot be run on the host, by key, and why.
    async fn unavailable_games(&self, host: &str) -> Result<BTreeMap<String, String>, StoreError>;
}

/// How long it is believed that a game cannot be run, if nobody says so again.
pub const UNAVAILABLE_FOR: Duration = Duration::from_secs(60);

/// Operations as work, seen from those who carry them out. Terms of leases are by the database's clock.
#[async_trait]
pub trait WorkStore: Send + Sync {
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
    async fn finish(&self, claim: &Claim, outcome: &Outcome, killed: Option<bool>)
    -> Result<Option<State>, StoreError>;

    /// A start found that the server, published at the same generation, has ended: publishes the crash, or the stop where
    /// the end was a `good` one, and queues the operation again at the next generation, in one transaction. False where the
    /// claim is no longer ours.
    async fn revive(&self, claim: &Claim, how: &Reason, good: bool) -> Result<bool, StoreError>;

    /// Ends what has been queued for longer than `age`. A server with which nobody had begun goes on as it is published: its
    /// stop is not wanted any more, say. One with which somebody had begun is failed, and is to be stopped as soon as its host
    /// can: whoever had begun may have started something. What an operator asks for does not expire.
    async fn expire(&self, age: Duration) -> Result<Vec<Operation>, StoreError>;

    /// The servers of these hosts that are published as running.
    async fn published(&self, hosts: &[String]) -> Result<Vec<Published>, StoreError>;

    /// Records that these were found running at their generation, after they were read. What is not any more what was read
    /// is left alone.
    async fn confirm(&self, running: &[Published]) -> Result<(), StoreError>;

    /// Records that a running server has ended by itself at this generation; false where that is no news.
    async fn crashed(&self, server: ServerId, generation: Generation, how: &Reason) -> Result<bool, StoreError>;

    /// Records that a running server has come to a good end by itself at this generation: it is stopped, and stays so
    /// unless something was asked of it since. False where that is no news.
    async fn ended_well(&self, server: ServerId, generation: Generation) -> Result<bool, StoreError>;

    /// The servers of these hosts that should be running.
    async fn wanted(&self, hosts: &[String]) -> Result<Vec<ServerId>, StoreError>;

    /// How many servers of each game are running.
    async fn running_by_game(&self) -> Result<Vec<(String, i64)>, StoreError>;

    /// How many servers each host has of each status; nothing of a host that has none.
    async fn by_host_and_status(&self) -> Result<Vec<(String, Status, i64)>, StoreError>;

    /// What waits here and holds a word that this program does not know, since a newer one has written it: the words, and how
    /// many rows have them. Whoever claims passes such a row over.
    async fn not_understood(&self) -> Result<Vec<(String, i64)>, StoreError>;

    /// Forgets up to `limit` idempotency keys older than `age`.
    async fn forget_keys(&self, age: Duration, limit: u32) -> Result<(), StoreError>;

    /// Forgets up to `limit` operations that ended longer than `age` ago.
    async fn forget_operations(&self, age: Duration, limit: u32) -> Result<(), StoreError>;

    /// Forgets up to `limit` servers that were deleted longer than `age` ago, and everything of them but what was paid.
    async fn forget_servers(&self, age: Duration, limit: u32) -> Result<(), StoreError>;
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

/// A server that is published as running.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// Which one.
    pub server: ServerId,
    /// The generation at which it was published.
    pub generation: Generation,
    /// On which host.
    pub host: String,
    /// When this was read, by the database's clock.
    pub at: Timestamp,
}
