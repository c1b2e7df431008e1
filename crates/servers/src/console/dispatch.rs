//! Sends commands to games: those of this process itself, others through the process that serves their host.

use std::sync::Arc;

use agis_base::{CommandId, Reason, ServerId, StoreError};
use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use super::{CommandOutcome, Console, ConsoleError, ConsoleHost, NewCommand, Reach, ServerConsole, relay::Relay};
use crate::{
    game::Catalogue,
    rcon::{ANSWER_WITHIN, RconCall, RconClient, RconFailure, RconPassword, RconSeat},
    store::CommandStore,
};

/// Way of a command to its game.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// The host types it on the console.
    Console,
    /// The process that serves the host sends it by RCON.
    Rcon,
}

/// Command that was noted, on its way to its game.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dispatch {
    /// Id of its row.
    pub command: CommandId,
    /// Way to the game.
    pub way: Way,
    /// Line without its end.
    pub line: String,
}

/// Outcome of a command that its game may have got.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sent {
    /// The console has it.
    Typed,
    /// The game answered with this text.
    Answered(String),
    /// The game gave no answer in time.
    Unanswered,
}

impl Sent {
    /// Returns the answer of the game; `None` if it gave none, or was not asked.
    pub fn reply(self) -> Option<String> {
        match self {
            Self::Answered(text) => Some(text),
            Self::Typed | Self::Unanswered => None,
        }
    }
}

/// Sends commands to the games of every host.
#[derive(Clone)]
pub struct Dispatcher {
    commands: Arc<dyn CommandStore>,
    catalogue: Arc<Catalogue>,
    reach: Reach,
    relay: Option<Relay>,
}

impl Dispatcher {
    pub(crate) fn new(commands: Arc<dyn CommandStore>, catalogue: Arc<Catalogue>, reach: Reach) -> Self {
        Self { commands, catalogue, reach, relay: None }
    }

    pub(crate) fn with_relay(self, relay: Relay) -> Self {
        Self { relay: Some(relay), ..self }
    }

    /// Returns the password of a server's RCON, which its console hides.
    pub(crate) async fn secret(&self, server: ServerId) -> Result<Option<RconPassword>, StoreError> {
        self.commands.rcon_password(server).await
    }

    /// Returns the console of a server of this host.
    pub(crate) fn console(
        &self,
        server: ServerId,
        host: String,
        secret: Option<RconPassword>,
    ) -> Result<ServerConsole, ConsoleError> {
        let here = self.console_here(&host).map(ConsoleHost::Here);
        let host = here.or_else(|| Some(ConsoleHost::Elsewhere(host, self.relay.clone()?)));
        Ok(ServerConsole { server, host: host.ok_or(ConsoleError::Unserved)?, secret })
    }

    fn console_here(&self, host: &str) -> Option<Arc<dyn Console>> {
        self.reach.consoles.iter().find(|console| console.host() == host).cloned()
    }

    /// Notes a command right before it is sent.
    pub(crate) async fn note(&self, command: &NewCommand) -> Result<(), StoreError> {
        self.commands.note_command(command).await
    }

    /// Sends a command once and notes the outcome.
    pub(crate) async fn send(&self, host: &str, server: ServerId, dispatch: Dispatch) -> Result<Sent, ConsoleError> {
        let is_here = self.console_here(host).is_some() && (dispatch.way == Way::Console || self.reach.rcon.is_some());
        match &self.relay {
            Some(relay) if !is_here => {
                let command = dispatch.command;
                let sent = relay.send(host, server, dispatch).await;
                // The process that sent it has noted that. If it died, nothing more will ever be known.
                self.end(command, &sent).await;
                sent
            }
            _ => self.send_here(host, server, dispatch).await,
        }
    }

    /// Sends a command to a server of a host that this process serves, once, and notes the outcome. It returns within
    /// [`ANSWER_WITHIN`].
    ///
    /// # Errors
    /// Fails if the game does not take the command.
    pub async fn send_here(&self, host: &str, server: ServerId, dispatch: Dispatch) -> Result<Sent, ConsoleError> {
        let Dispatch { command, way, line } = dispatch;
        let sent = match way {
            Way::Console => self.type_in(host, server, &line).await,
            Way::Rcon => self.ask(host, server, line).await,
        };
        self.end(command, &sent).await;
        sent
    }

    async fn type_in(&self, host: &str, server: ServerId, line: &str) -> Result<Sent, ConsoleError> {
        let console = self.console_here(host).ok_or(ConsoleError::Unserved)?;
        let late = |_| ConsoleError::Unavailable("the host did not answer in time".to_owned());
        timeout(ANSWER_WITHIN, console.tell(server, line)).await.map_err(late)?.map(|()| Sent::Typed)
    }

    /// Sends a command by RCON to a server of a host that this process serves, without a record.
    ///
    /// # Errors
    /// Fails if the game does not take the command.
    pub async fn ask(&self, host: &str, server: ServerId, command: String) -> Result<Sent, ConsoleError> {
        let client = self.reach.rcon.as_ref().ok_or(ConsoleError::Unserved)?;
        // Nothing is sent yet, so a store that fails is a refusal.
        let seat = self.commands.rcon_seat(server).await;
        let seat = seat.map_err(|error| ConsoleError::Unreached(error.to_string()))?.ok_or(ConsoleError::NotRunning)?;
        let call = self.call(host, seat, command).ok_or(ConsoleError::NoWay)?;
        ask(&**client, &call).await
    }

    /// Returns the call of a running server's RCON; `None` if a version without RCON started it.
    fn call(&self, host: &str, seat: RconSeat, command: String) -> Option<RconCall> {
        let game = self.catalogue.get(&seat.game_type)?;
        let rcon = game.rcon.as_ref()?;
        let (endpoint, password) = (seat.endpoint, seat.password?);
        let named = endpoint.ports.iter().find(|open| open.name == rcon.port).map(|open| open.port);
        // Rows of an earlier version have the first port alone.
        let port = named.or(endpoint.ports.is_empty().then_some(endpoint.port))?;
        let (protocol, host, address) = (rcon.protocol, host.to_owned(), endpoint.address);
        let is_private = game.keeps_private(&rcon.port);
        Some(RconCall { protocol, host, address, port, is_private, password, command })
    }

    /// Notes the outcome of a command.
    async fn end(&self, command: CommandId, sent: &Result<Sent, ConsoleError>) {
        let (outcome, reply, error) = match sent {
            Ok(Sent::Typed) => (CommandOutcome::Typed, None, None),
            Ok(Sent::Answered(reply)) => (CommandOutcome::Answered, Some(reply.as_str()), None),
            Ok(Sent::Unanswered) => (CommandOutcome::Unanswered, None, None),
            Err(error) if error.is_refusal() => (CommandOutcome::Refused, None, Some(Reason::new(error.to_string()))),
            Err(error) => (CommandOutcome::Unanswered, None, Some(Reason::new(error.to_string()))),
        };
        // The command is sent, whatever is noted of it.
        if let Err(error) = self.commands.end_command(command, outcome, reply, error.as_ref()).await {
            tracing::warn!(%error, "outcome of a command could not be stored");
        }
    }
}

async fn ask(client: &dyn RconClient, call: &RconCall) -> Result<Sent, ConsoleError> {
    match client.ask(call).await {
        Ok(reply) => Ok(Sent::Answered(call.password.hidden_in(reply))),
        Err(RconFailure::Unanswered(_)) => Ok(Sent::Unanswered),
        Err(RconFailure::Password) => Err(ConsoleError::NoWay),
        Err(RconFailure::Unsendable(rule)) => Err(ConsoleError::Unsendable(rule)),
        Err(RconFailure::Unreached(why)) => Err(ConsoleError::Unreached(why)),
    }
}
