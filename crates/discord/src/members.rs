//! Keeps the roles of members up to date if a share depends on them. Interactions bring roles along; this loop asks for
//! members who were not seen for a while.

use std::{sync::Arc, time::Duration};

use agis_base::{GuildId, RoleId, StoreError, UserId};
use agis_servers::Servers;
use tokio::time::timeout;
use twilight_http::{Client, Error, error::ErrorType};
use twilight_model::id::Id;

use crate::{url::PATIENCE, voice::Voice};

/// Longest pause between two rounds.
pub const PERIOD: Duration = Duration::from_secs(300);
/// Age at which the roles of a member are asked for, well before they stop counting.
const STALE: Duration = Duration::from_secs(6 * 3600);
/// Maximum number of members per round: answers to people have priority in Discord's limits.
const BATCH: u32 = 50;

/// Asks for the roles of members, round by round.
pub struct Members {
    pub(crate) http: Arc<Client>,
    pub(crate) servers: Servers,
    pub(crate) voice: Voice,
}

impl Members {
    /// Asks for the members who were not seen for a while.
    ///
    /// # Errors
    /// Fails if they cannot be read.
    pub async fn round(&self) -> Result<Option<Duration>, StoreError> {
        if self.voice.handler().is_none() {
            return Ok(self.voice.pause());
        }
        for (user, guild) in self.servers.stale_members(STALE, BATCH).await? {
            if self.voice.standing.is_refused() {
                break;
            }
            let Some(roles) = self.roles(&user, &guild).await else { continue };
            if let Err(error) = self.servers.note_roles(&user, &guild, &roles).await {
                tracing::warn!(%error, "roles of a member could not be stored");
            }
        }
        Ok(None)
    }

    /// Returns a member's roles with the one that everybody has; none if the user has left; `None` if Discord does not
    /// say.
    async fn roles(&self, user: &UserId, guild: &GuildId) -> Option<Vec<RoleId>> {
        let (user, in_guild) =
            (Id::new_checked(user.as_str().parse().ok()?)?, Id::new_checked(guild.as_str().parse().ok()?)?);
        let asked = async { Ok::<_, Error>(self.http.guild_member(in_guild, user).await?.model().await) };
        match timeout(PATIENCE, asked).await.ok()? {
            Ok(member) => {
                let member = member.ok()?;
                let roles = member.roles.iter().map(|role| RoleId::from_stored(&role.to_string()));
                Some(roles.chain([RoleId::from_stored(guild.as_str())]).collect())
            }
            Err(error) if is_gone(&error) => Some(vec![]),
            Err(error) => {
                self.voice.standing.heed(&error);
                tracing::warn!(%error, "Discord did not return the roles of a member");
                None
            }
        }
    }
}

fn is_gone(error: &Error) -> bool {
    matches!(error.kind(), ErrorType::Response { status, .. } if matches!(status.get(), 403 | 404))
}
