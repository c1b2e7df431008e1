//! Rules about shares.

use std::time::Duration;

use agis_base::{GuildId, RoleId, ServerId, StoreError, UserId};

use crate::{
    access::{Access, Grantee, Needed, Permissions, SHARED_WITH_MAX, SHARES_MAX, Share},
    server::Server,
    service::{Servers, ServersError, invalid},
    store::{ShareError, ShareLimits},
};

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
        permissions: Permissions,
    ) -> Result<Share, ServersError> {
        if permissions.is_empty() {
            return Err(invalid("permissions", "has at least one".to_owned()));
        }
        if *grantee == Grantee::Member(owner.clone()) {
            return Err(invalid("grantee", "is somebody else: an owner may do everything".to_owned()));
        }
        self.allowed(owner, server, Needed::Ownership).await?;
        let limits = ShareLimits { of_server: SHARES_MAX, with_grantee: SHARED_WITH_MAX };
        let shared = self.shares.share(owner, server, grantee, permissions, limits).await;
        shared.map_err(|error| match error {
            ShareError::NoServer => ServersError::NotFound("server"),
            ShareError::TooMany => ServersError::TooManyShares(SHARES_MAX),
            ShareError::GranteeHasTooMany => ServersError::GranteeHasTooMany(SHARED_WITH_MAX),
            ShareError::Store(error) => error.into(),
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
