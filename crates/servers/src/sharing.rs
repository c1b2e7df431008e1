//! The rules about shares.

use std::time::Duration;

use agis_base::{GuildId, RoleId, ServerId, StoreError, UserId};

use crate::{
    access::{Access, Grantee, Needed, Permissions, SHARED_WITH_MAX, SHARES_MAX, Share},
    server::Server,
    service::{Servers, ServersError, invalid},
    store::{ShareError, ShareLimits},
};

impl Servers {
    /// Lets a member or a role do this on a server, in place of what they were let do before. Only its owner may.
    ///
    /// # Errors
    /// As for [`Self::allowed`], and where nothing is shared, it is shared with its owner, or with too many, or too much is
    /// shared with them.
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

    /// Takes back what was shared with a member or a role; false where nothing was. Only the server's owner may. Their
    /// schedules stay, and are skipped when they fire.
    ///
    /// # Errors
    /// As for [`Self::allowed`].
    pub async fn unshare(&self, owner: &UserId, server: ServerId, grantee: &Grantee) -> Result<bool, ServersError> {
        self.allowed(owner, server, Needed::Ownership).await?;
        Ok(self.shares.unshare(owner, server, grantee).await?)
    }

    /// Gives up what was shared with somebody, as a member or by their roles, and answers with the server. What its owner
    /// shares with the same roles later stays away from them; what is shared with them by name does not.
    ///
    /// # Errors
    /// [`ServersError::NotFound`] where they may not know of the server, [`ServersError::Invalid`] where nothing of it is
    /// shared with them.
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

    /// With whom a server is shared, the oldest first. Only its owner may know.
    ///
    /// # Errors
    /// As for [`Self::allowed`].
    pub async fn shares(&self, owner: &UserId, server: ServerId) -> Result<Vec<Share>, ServersError> {
        self.allowed(owner, server, Needed::Ownership).await?;
        Ok(self.shares.shares(server).await?)
    }

    /// Notes the roles that a member has at this moment, as Discord says: the guild's own id among them, which everybody
    /// has. None at all: they are no member any more.
    ///
    /// # Errors
    /// The store's.
    pub async fn note_roles(&self, user: &UserId, guild: &GuildId, roles: &[RoleId]) -> Result<(), StoreError> {
        self.shares.note_roles(user, guild, roles).await
    }

    /// Up to `limit` members on whose roles something may depend, and whose were noted longer than `older_than` ago, the
    /// longest first. Whoever asks looks at them anew and notes what they have.
    ///
    /// # Errors
    /// The store's.
    pub async fn stale_members(&self, older_than: Duration, limit: u32) -> Result<Vec<(UserId, GuildId)>, StoreError> {
        self.shares.stale_members(older_than, limit).await
    }
}
