//! Rules about consoles and commands.

use agis_base::{CommandId, ServerId, UserId};

use super::{Servers, ServersError, invalid};
use crate::{
    access::{Needed, Permission},
    console::{COMMAND_MAX, Command, CommandRecord, ConsoleError, NewCommand, ServerConsole, WantsAnswer, Way},
    game::Rcon,
    host::{Ability, Endpoint},
    operation::Origin,
    rcon::RconCall,
    server::{Server, Status},
    store::Page,
};

impl Servers {
    /// Returns the console of a server that the caller may read.
    ///
    /// # Errors
    /// Fails as [`Self::allowed`] does, if the server lacks the ability, and if no host of this process has the server.
    pub async fn console(&self, caller: &UserId, id: ServerId) -> Result<ServerConsole, ServersError> {
        let server = self.allowed(caller, id, Permission::Read).await?;
        self.check(&server, Ability::Console).await?;
        self.console_of(server)
    }

    /// Prepares a command, a line without its end, for the game of a server. Only the server's owner may send one. It goes
    /// by RCON if an answer is wanted, or the host passes no lines on; else over the console.
    ///
    /// # Errors
    /// Fails as [`Self::console`] does, if the line is invalid, or if the game cannot give an answer that is wanted.
    pub async fn command(
        &self,
        caller: &UserId,
        id: ServerId,
        origin: Origin,
        line: &str,
        answer: WantsAnswer,
    ) -> Result<Command, ServersError> {
        if !(1..=COMMAND_MAX).contains(&line.chars().count()) || line.chars().any(char::is_control) {
            return Err(invalid(
                "command",
                format!("has 1 to {COMMAND_MAX} characters, none of them a control character"),
            ));
        }
        let server = self.allowed(caller, id, Needed::Ownership).await?;
        let (actor, line) = (caller.clone(), line.to_owned());
        let command = NewCommand { id: CommandId::new(), server: server.id, actor, origin, line, answer };
        let typable = self.check(&server, Ability::Commands).await;
        let game = self.catalogue.get(&server.game_type).cloned();
        let way = match game.as_ref().and_then(|game| game.rcon.as_ref()) {
            Some(rcon) if answer == WantsAnswer::Yes || typable.is_err() => {
                self.way_by_rcon(server, rcon, &command.line).await?
            }
            None if answer == WantsAnswer::Yes => return Err(ServersError::NoReply),
            _ => {
                typable?;
                Way::Console(self.console_of(server)?)
            }
        };
        Ok(Command { way, command, store: self.commands.clone() })
    }

    async fn way_by_rcon(&self, server: Server, rcon: &Rcon, line: &str) -> Result<Way, ServersError> {
        let (id, endpoint) = (server.id, server.endpoint.clone().filter(|_| server.status == Status::Running));
        let host = self.console_of(server)?.host_name().to_owned();
        let client = self.reach.rcon.clone().ok_or_else(|| ServersError::HostElsewhere(host.clone()))?;
        let Some(Endpoint { address, port, ports }) = endpoint else { return Err(ConsoleError::NotRunning.into()) };
        let named = ports.iter().find(|open| open.name == rcon.port).map(|open| open.port);
        // Rows of an earlier version have the first port alone.
        let port = named.or(ports.is_empty().then_some(port)).ok_or(ConsoleError::NoWay)?;
        let password = self.commands.rcon_password(id).await?.ok_or(ConsoleError::NoWay)?;
        let (protocol, command) = (rcon.protocol, line.to_owned());
        Ok(Way::Rcon(client, RconCall { protocol, host, address, port, password, command }))
    }

    /// Returns the commands that were sent to a server, the latest first. Only its owner may know.
    ///
    /// # Errors
    /// Fails as [`Self::allowed`] does.
    pub async fn commands(
        &self,
        caller: &UserId,
        id: ServerId,
        page: Page<CommandId>,
    ) -> Result<Vec<CommandRecord>, ServersError> {
        self.allowed(caller, id, Needed::Ownership).await?;
        Ok(self.commands.commands(id, page).await?)
    }

    fn console_of(&self, server: Server) -> Result<ServerConsole, ServersError> {
        let name = server.host.ok_or(ServersError::NoHost)?;
        let here = self.reach.consoles.iter().find(|console| console.host() == name).cloned();
        match here.or_else(|| Some(self.relay.as_ref()?.to(name.clone()))) {
            Some(host) => Ok(ServerConsole::new(server.id, host)),
            None => Err(ServersError::HostElsewhere(name)),
        }
    }
}
