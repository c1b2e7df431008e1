//! Rules about consoles and commands.

use agis_base::{CommandId, ServerId, StoreError, UserId};

use super::{Servers, ServersError, invalid};
use crate::{
    access::{Access, AllowedCommands, Needed, Permission},
    console::{COMMAND_MAX, Command, CommandRecord, ConsoleError, NewCommand, ServerConsole, WantsAnswer, Way},
    host::Ability,
    operation::Origin,
    server::{Server, Status},
    store::Page,
};

impl Servers {
    /// Returns the console of a server that the caller may read.
    ///
    /// # Errors
    /// Fails as [`Self::allowed`] does, and if the server lacks the ability.
    pub async fn console(&self, caller: &UserId, id: ServerId) -> Result<ServerConsole, ServersError> {
        let server = self.allowed(caller, id, Permission::Read).await?;
        self.check(&server, Ability::Console).await?;
        let host = server.host.ok_or(ServersError::NoHost)?;
        let secret = self.dispatcher.secret(server.id).await?;
        Ok(self.dispatcher.console(server.id, host, secret)?)
    }

    /// Prepares a command, a line without its end, for the game of a server. The caller needs [`Permission::Console`], and
    /// sends a command that the share allows. It goes by RCON if an answer is wanted, or the host passes no lines on; else over the console.
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
        let (server, access) = self.get(caller, id).await?;
        access.check(Permission::Console.into())?;
        if access != Access::Owner {
            match self.shares.allowed_commands(caller, id).await? {
                Some(AllowedCommands::Every) => {}
                Some(AllowedCommands::Listed(list)) if list.allows(line) => {}
                Some(AllowedCommands::Listed(list)) => return Err(ServersError::CommandNotAllowed(list)),
                // The share ended a moment ago.
                None => return Err(ServersError::NotAllowed),
            }
        }
        self.prepared(caller, server, origin, line.to_owned(), answer).await
    }

    /// Prepares the announcement of a text to the players of a server, by the command that its game has for that. The text
    /// loses what would end it or change its looks, and is cut where it is too long. The actor needs the permission of
    /// the act that is announced.
    ///
    /// # Errors
    /// Fails as [`Self::allowed`] does, if the game has no such command, or if nothing is left of the text.
    pub async fn say(
        &self,
        actor: &UserId,
        id: ServerId,
        needed: impl Into<Needed> + Send,
        origin: Origin,
        text: &str,
    ) -> Result<Command, ServersError> {
        let server = self.allowed(actor, id, needed).await?;
        self.saying(actor, server, origin, text).await
    }

    /// Prepares the announcement of a text by [`Self::say`], whatever the actor may do.
    pub(super) async fn saying(
        &self,
        actor: &UserId,
        server: Server,
        origin: Origin,
        text: &str,
    ) -> Result<Command, ServersError> {
        let game = self.catalogue.get(&server.game_type);
        let say = game.and_then(|game| game.say.as_ref());
        let say = say.ok_or_else(|| {
            invalid("text", "cannot be announced: this game has no command that says something to players".to_owned())
        })?;
        let line = say.line(text).ok_or_else(|| invalid("text", "has a character that can be seen".to_owned()))?;
        self.prepared(actor, server, origin, line, WantsAnswer::IfAny).await
    }

    async fn prepared(
        &self,
        actor: &UserId,
        server: Server,
        origin: Origin,
        line: String,
        answer: WantsAnswer,
    ) -> Result<Command, ServersError> {
        let way = self.way(&server, answer).await?;
        let host = server.host.ok_or(ServersError::NoHost)?;
        if way == Way::Rcon && server.status != Status::Running {
            return Err(ConsoleError::NotRunning.into());
        }
        let (id, actor, wants_reply) = (CommandId::new(), actor.clone(), answer == WantsAnswer::Yes);
        let command = NewCommand { id, server: server.id, actor, origin, line, wants_reply };
        Ok(Command { command, host, way, dispatcher: self.dispatcher.clone() })
    }

    /// Chooses the way of a command to its game.
    async fn way(&self, server: &Server, answer: WantsAnswer) -> Result<Way, ServersError> {
        let has_rcon = self.catalogue.get(&server.game_type).is_some_and(|game| game.rcon.is_some());
        match answer {
            WantsAnswer::Yes | WantsAnswer::IfAny if has_rcon => Ok(Way::Rcon),
            WantsAnswer::Yes => Err(ServersError::NoReply),
            WantsAnswer::IfAny | WantsAnswer::No => match self.check(server, Ability::Commands).await {
                Err(ServersError::Unable { .. }) if has_rcon => Ok(Way::Rcon),
                checked => checked.map(|()| Way::Console),
            },
        }
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

    /// Returns a command of a run, which was noted before; `None` if it was not.
    ///
    /// # Errors
    /// Fails if the store does.
    pub async fn sent_command(&self, id: CommandId) -> Result<Option<CommandRecord>, StoreError> {
        self.commands.sent_command(id).await
    }
}
