//! Which roles people have, as far as something depends on it. Interactions tell it; this asks for those who have not been
//! seen for a while.

use std::{sync::Arc, time::Duration};

use agis_base::{GuildId, RoleId, UserId};
use agis_servers::Servers;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use twilight_http::{Client, Error, error::ErrorType};
use twilight_model::id::Id;

use crate::{connection::PATIENCE, standing::Standing};

/// How often somebody may have to be asked for.
const ROUND: Duration = Duration::from_secs(300);
/// Whoever was seen longer ago is asked for; well before their roles stop counting.
const STALE: Duration = Duration::from_secs(6 * 3600);
/// How many a round: Discord's limits are for answering people first.
const BATCH: u32 = 50;

/// The loop that asks which roles people have.
pub(crate) struct Members {
    pub(crate) http: Arc<Client>,
    pub(crate) servers: Servers,
    pub(crate) standing: Standing,
}

impl Members {
    pub(crate) async fn run(self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            if !self.standing.is_refused() {
                stop.run_until_cancelled(self.round()).await;
            }
            stop.run_until_cancelled(sleep(ROUND)).await;
        }
    }

    async fn round(&self) {
        let stale = match self.servers.stale_members(STALE, BATCH).await {
            Ok(stale) => stale,
            Err(error) => return tracing::warn!(%error, "members to refresh could not be read"),
        };
        for (user, guild) in stale {
            if self.standing.is_refused() {
                return;
            }
            let Some(roles) = self.roles(&user, &guild).await else { continue };
            if let Err(error) = self.servers.note_roles(&user, &guild, &roles).await {
                tracing::warn!(%error, "roles of a member could not be stored");
            }
        }
    }

    /// Their roles, with the one that everybody has; none for who has left. Nothing where Discord does not tell.
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
                self.standing.heed(&error);
                tracing::warn!(%error, "Discord did not return the roles of a member");
                None
            }
        }
    }
}

fn is_gone(error: &Error) -> bool {
    matches!(error.kind(), ErrorType::Response { status, .. } if matches!(status.get(), 403 | 404))
}
