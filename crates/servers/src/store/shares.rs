use std::time::Duration;

use agis_base::{GuildId, RoleId, ServerId, StoreError, UserId};
use async_trait::async_trait;
use thiserror::Error;

use crate::access::{AllowedCommands, Granted, Grantee, Share};

/// Shares as rows, and the roles that they depend on. [`super::ServerStore`] returns the shares that count for a user.
#[async_trait]
pub trait ShareStore: Send + Sync {
    /// Shares a server, in place of what was shared with this grantee before. How many there are is checked with the
    /// server and the grantee locked.
    async fn share(
        &self,
        owner: &UserId,
        server: ServerId,
        grantee: &Grantee,
        granted: &Granted,
        limits: ShareLimits,
    ) -> Result<Share, ShareError>;

    /// Takes a share back; returns false if there is none.
    async fn unshare(&self, owner: &UserId, server: ServerId, grantee: &Grantee) -> Result<bool, StoreError>;

    /// Takes back what is shared with this user as a member, and keeps from them what is shared with their roles.
    async fn leave(&self, user: &UserId, server: ServerId) -> Result<(), StoreError>;

    /// Returns the shares of a server, the oldest first.
    async fn shares(&self, server: ServerId) -> Result<Vec<Share>, StoreError>;

    /// Returns the commands that this user may send to a server by shares that count now; `None` for none.
    async fn allowed_commands(&self, user: &UserId, server: ServerId) -> Result<Option<AllowedCommands>, StoreError>;

    /// Notes the roles of a member; none if the member has left.
    async fn note_roles(&self, user: &UserId, guild: &GuildId, roles: &[RoleId]) -> Result<(), StoreError>;

    /// Returns up to `limit` members whose roles were noted longer than `age` ago, the longest first, of guilds with whose
    /// roles something is shared.
    async fn stale_members(&self, age: Duration, limit: u32) -> Result<Vec<(UserId, GuildId)>, StoreError>;

    /// Forgets the roles of up to `limit` members that were noted longer than `age` ago.
    async fn forget_roles(&self, age: Duration, limit: u32) -> Result<(), StoreError>;
}

/// Maximum numbers of shares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShareLimits {
    /// Of one server.
    pub of_server: u32,
    /// With one member or role.
    pub with_grantee: u32,
}

/// Reason why a server was not shared.
#[derive(Debug, Error)]
pub enum ShareError {
    /// The owner has no such server.
    #[error("no such server")]
    NoServer,
    /// The server is shared with as many as allowed.
    #[error("too many shares")]
    TooMany,
    /// As many servers as allowed are shared with this member or role.
    #[error("too many servers are shared with them")]
    GranteeHasTooMany,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}
