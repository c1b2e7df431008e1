//! Rules about announcements.

use agis_base::{ChannelId, ServerId, UserId};

use super::{Servers, ServersError};
use crate::{
    access::{Needed, Permission},
    operation::Origin,
    server::Server,
};

impl Servers {
    /// Sets the channel of Discord in which people hear of a server's stops and restarts ahead; `None` ends that. The owner
    /// decides who hears of a server.
    ///
    /// # Errors
    /// Fails as [`Self::allowed`] does.
    pub async fn announce_in(
        &self,
        caller: &UserId,
        id: ServerId,
        channel: Option<&ChannelId>,
    ) -> Result<Server, ServersError> {
        let server = self.allowed(caller, id, Needed::Ownership).await?;
        let found = self.announcements.announce_in(id, channel).await?;
        found.then_some(server).ok_or(ServersError::NotFound("server"))
    }

    /// Returns the channel of a server's announcements.
    ///
    /// # Errors
    /// Fails if the store does.
    pub async fn announced_in(&self, id: ServerId) -> Result<Option<ChannelId>, ServersError> {
        Ok(self.announcements.announced_in(id).await?)
    }

    /// Tells the players something, if the game can say it: a courtesy, on which nothing depends.
    pub async fn tell_players(&self, caller: &UserId, id: ServerId, origin: Origin, text: &str) {
        let said = match self.say(caller, id, Permission::Schedule, origin, text).await {
            Ok(command) => command.send().await.map(drop).map_err(ServersError::from),
            Err(error) => Err(error),
        };
        if let Err(error) = said {
            tracing::debug!(%error, server_id = id.0, "players were not told");
        }
    }
}
