//! Rules about announcements.

use agis_base::{ChannelId, OperationId, ServerId, Timestamp, UserId};

use super::{Servers, ServersError};
use crate::{
    access::{Needed, Permission},
    console::Command,
    operation::{Action, Identity, Origin, Refusal, Request},
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

    /// Checks whether players may be warned of an action that a schedule takes afterwards. A refusal that would come then comes
    /// now, before anybody is told.
    ///
    /// # Errors
    /// Fails as the action itself would, and if the server should not run or is held.
    pub async fn check_warned(&self, caller: &UserId, server: ServerId, action: Action) -> Result<(), ServersError> {
        let identity = Identity::Firing { operation: OperationId::new(), slot: Timestamp::UNIX_EPOCH };
        let (origin, actor) = (Origin::Schedule, caller.clone());
        let request = Request { server, action, origin, actor, channel: None, identity, trace: None };
        match self.operations.refusal(&request, self.policy.billing, &self.catalogue).await? {
            None => Ok(()),
            Some(Refusal::ShouldNotRun) => {
                Err(ServersError::NobodyToWarn("the server is stopped; leave out `warn` to act on it all the same"))
            }
            Some(Refusal::Held) => {
                Err(ServersError::NobodyToWarn("somebody holds the server; leave out `warn`, or end the hold"))
            }
            Some(refusal) => Err(refusal.into()),
        }
    }

    /// Tells the players of servers something by [`Self::tell_players`], while the caller goes on: games may answer late.
    pub fn tell_players_meanwhile(&self, caller: &UserId, origin: Origin, texts: Vec<(ServerId, String)>) {
        let (servers, caller) = (self.clone(), caller.clone());
        tokio::spawn(async move {
            for (id, text) in texts {
                servers.tell_players(&caller, id, origin, &text).await;
            }
        });
    }

    /// Tells the players something, if the game can say it: a courtesy, on which nothing depends.
    pub async fn tell_players(&self, caller: &UserId, id: ServerId, origin: Origin, text: &str) {
        told(self.say(caller, id, Permission::Schedule, origin, text).await, id).await;
    }

    /// Tells the players that what was announced in this user's name does not follow, by [`Self::tell_players`]. The user may
    /// have lost the right to announce anything, and it may not follow for that reason.
    pub async fn take_back(&self, user: &UserId, id: ServerId, text: &str) {
        let said = match self.servers.find(user, id).await {
            Ok(Some((server, _))) => self.saying(user, server, Origin::Schedule, text).await,
            Ok(None) => return,
            Err(error) => Err(error.into()),
        };
        told(said, id).await;
    }
}

/// Sends a command of which nobody waits for the outcome.
async fn told(command: Result<Command, ServersError>, server: ServerId) {
    let said = match command {
        Ok(command) => command.send().await.map(drop).map_err(ServersError::from),
        Err(error) => Err(error),
    };
    if let Err(error) = said {
        tracing::debug!(%error, server_id = server.0, "players were not told");
    }
}
