//! Rules about shares.

use std::time::Duration;

use agis_base::{GuildId, RoleId, ServerId, StoreError, UserId};
use thiserror::Error;

use crate::{
    access::{Access, Granted, Grantee, Needed, Permission, SHARED_WITH_MAX, SHARES_MAX, Share},
    server::Server,
    service::{Servers, ServersError, invalid},
    store::{ShareError, ShareLimits},
};

/// Reason why a server was not shared.
#[derive(Debug, Error)]
pub enum SharingError {
    /// The server is shared with the maximum number of members and roles.
    #[error("this server is shared with {0} members and roles, as many as allowed; take one share back first")]
    TooManyShares(u32),
    /// The maximum number of servers is shared with this member or role.
    #[error("{0} servers are shared with them, as many as allowed; they have to leave one first")]
    GranteeHasTooMany(u32),
    /// The request was refused for a reason that other requests about servers have too.
    #[error(transparent)]
    Servers(#[from] ServersError),
}

impl Servers {
    /// Gives a member or a role these permissions on a server, in place of earlier ones. Only its owner may.
    ///
    /// # Errors
    /// Fails as [`Self::allowed`] does, and if no permission is given, the server is shared with its owner or with too
    /// many, or too much is shared with the member or role.
    pub async fn share(
        &self,
        owner: &UserId,
        server: ServerId,
        grantee: &Grantee,
        granted: impl Into<Granted> + Send,
    ) -> Result<Share, SharingError> {
        let granted = granted.into();
        if granted.permissions.is_empty() {
            return Err(invalid("permissions", "has at least one".to_owned()).into());
        }
        if granted.commands.is_some() && !granted.permissions.contains(Permission::Console) {
            return Err(invalid("commands", "limits the permission 'console', which is missing".to_owned()).into());
        }
        if *grantee == Grantee::Member(owner.clone()) {
            return Err(invalid("grantee", "is somebody else: an owner may do everything".to_owned()).into());
        }
        self.allowed(owner, server, Needed::Ownership).await?;
        let limits = ShareLimits { of_server: SHARES_MAX, with_grantee: SHARED_WITH_MAX };
        let shared = self.shares.share(owner, server, grantee, &granted, limits).await;
        shared.map_err(|error| match error {
            ShareError::NoServer => ServersError::NotFound("server").into(),
            ShareError::TooMany => SharingError::TooManyShares(SHARES_MAX),
            ShareError::GranteeHasTooMany => SharingError::GranteeHasTooMany(SHARED_WITH_MAX),
            ShareError::Store(error) => ServersError::from(error).into(),
        })
    }

    /// Takes back a share with a member or a role; `false` if there was none. Only the server's owner may. Their
    /// schedules stay, and are skipped when they fire.
    ///
    /// # Errors
    /// Fails as [`Self::allowed`] does.
    pub async fn unshare(&self, owner: &UserId, server: ServerId, grantee: &Grantee) -> Result<bool, ServersError> {
        self.allowed(owner, server, Needed::Ownership).await?;
        Ok(self.shares.unshare(owner, server, grantee).await?)
    }

    /// Gives up a share with the caller, as a member or by roles, and returns the server. Later shares with the same
    /// roles stay away from the caller; shares by name do not.
    ///
    /// # Errors
    /// Fails with [`ServersError::NotFound`] if the caller may not know of the server, with [`ServersError::Invalid`]
    /// if it is not shared with the caller.
    pub async fn leave(&self, user: &UserId, server: ServerId) -> Result<Server, ServersError> {
        let (found, access) = self.get(user, server).await?;
        match access {
            Access::Owner => Err(invalid("server", "is your own; only what others share can be left".to_owned())),
            Access::Public => Err(invalid("server", "is public, not shared with you".to_owned())),
            Access::None => Err(ServersError::NotFound("server")),
            Access::Shared(_) => {
                self.shares.leave(user, server).await?;
                Ok(found)
            }
        }
    }

    /// Returns the members and roles that a server is shared with, oldest first. Only its owner may know.
    ///
    /// # Errors
    /// Fails as [`Self::allowed`] does.
    pub async fn shares(&self, owner: &UserId, server: ServerId) -> Result<Vec<Share>, ServersError> {
        self.allowed(owner, server, Needed::Ownership).await?;
        Ok(self.shares.shares(server).await?)
    }

    /// Stores the roles that a member has at this moment, as Discord says. They include the guild's own id, which
    /// everybody has. No role at all: the user is no member any more.
    ///
    /// # Errors
    /// Fails if the store does.
    pub async fn note_roles(&self, user: &UserId, guild: &GuildId, roles: &[RoleId]) -> Result<(), StoreError> {
        self.shares.note_roles(user, guild, roles).await
    }

    /// Returns up to `limit` members whose roles may matter and were stored longer than `older_than` ago, oldest first.
    /// The caller looks at them anew and stores their roles.
    ///
    /// # Errors
    /// Fails if the store does.
    pub async fn stale_members(&self, older_than: Duration, limit: u32) -> Result<Vec<(UserId, GuildId)>, StoreError> {
        self.shares.stale_members(older_than, limit).await
    }
}
