//! The rules about servers that both transports share.

use std::{collections::BTreeMap, sync::Arc};

use agis_base::{Once, OperationId, Reach, ServerId, StoreError, UserId, name};
use thiserror::Error;

use crate::{
    access::{Access, Needed, Permission},
    console::{COMMAND_MAX, Command, Console, ConsoleError, ServerConsole},
    game::Catalogue,
    operation::{self, Operation, Refusal, Request},
    server::{NewServer, Server, ServerChange},
    store::{
        GameStore, OperationFilter, OperationStore, Page, ServerFilter, ServerStore, ShareStore, Terms, WriteError,
    },
};

const DESCRIPTION_MAX: usize = 1000;

/// What an operator decides about servers.
#[derive(Debug, Clone)]
pub struct Policy {
    /// The host on which new servers are created.
    pub host: String,
    /// How many servers a user may have.
    pub servers_per_user: u32,
}

/// The rules about servers, for every transport.
#[derive(Clone)]
pub struct Servers {
    servers: Arc<dyn ServerStore>,
    operations: Arc<dyn OperationStore>,
    pub(crate) shares: Arc<dyn ShareStore>,
    games: Arc<dyn GameStore>,
    catalogue: Arc<Catalogue>,
    policy: Policy,
    consoles: Vec<Arc<dyn Console>>,
}

/// Why a request about servers was refused.
#[derive(Debug, Error)]
pub enum ServersError {
    /// There is no such server or operation, or none that the caller may know of.
    #[error("there is no such {0}, or it is not yours")]
    NotFound(&'static str),
    /// The caller may see the server, not do this with it.
    #[error("you may see this server, not do this with it; ask its owner")]
    NotAllowed,
    /// A value cannot be taken.
    #[error("{field}: {rule}")]
    Invalid {
        /// Which value.
        field: &'static str,
        /// What it must be.
        rule: String,
    },
    /// The host on which the server would be cannot run the game for now.
    #[error("this game cannot be played here at the moment: {0}; choose another game, or ask an operator")]
    GameUnavailable(String),
    /// The owner has another server of that name, or of one that looks the same.
    #[error("you already have a server of that name, or of one that looks the same; choose another")]
    NameTaken,
    /// The owner has as many servers as allowed.
    #[error("you have {0} servers, as many as allowed here; delete one first")]
    TooMany(u32),
    /// The server is shared with as many as allowed.
    #[error("this server is shared with {0} members and roles, as many as allowed; take one share back first")]
    TooManyShares(u32),
    /// As many servers as allowed are shared with this member or role.
    #[error("{0} servers are shared with them, as many as allowed; they have to leave one first")]
    GranteeHasTooMany(u32),
    /// The server is being deleted.
    #[error("this server is being deleted and takes no other operation")]
    Deleting,
    /// No host of ours has this server.
    #[error("this server was made by an earlier version and no host here runs it; delete it here and create it anew")]
    NoHost,
    /// The server's owner cannot pay its first hour beside those that other starts have reserved.
    #[error(
        "an hour of this server costs {0} credits, which its owner has not left; servers that are starting have their first \
         hour reserved, and an operator can grant more"
    )]
    CannotPay(i32),
    /// The server lives on a host that this process does not serve.
    #[error("this server lives on the host '{0}', which this process does not serve; ask one that does")]
    HostElsewhere(String),
    /// The server's console.
    #[error(transparent)]
    Console(#[from] ConsoleError),
    /// The store itself.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<Refusal> for ServersError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::NotFound => Self::NotFound("server"),
            Refusal::NotAllowed => Self::NotAllowed,
            Refusal::Deleting => Self::Deleting,
            Refusal::NoHost => Self::NoHost,
            Refusal::CannotPay { price } => Self::CannotPay(price),
        }
    }
}

impl Servers {
    /// The rules over these stores, and the hosts whose consoles this process can reach.
    pub fn new(
        servers: Arc<dyn ServerStore>,
        operations: Arc<dyn OperationStore>,
        shares: Arc<dyn ShareStore>,
        games: Arc<dyn GameStore>,
        catalogue: Arc<Catalogue>,
        policy: Policy,
        consoles: Vec<Arc<dyn Console>>,
    ) -> Self {
        Self { servers, operations, shares, games, catalogue, policy, consoles }
    }

    /// The games that can be played.
    pub fn catalogue(&self) -> &Catalogue {
        &self.catalogue
    }

    /// The games for which no server can be created for now, by key, and why, for everybody.
    ///
    /// # Errors
    /// The store's.
    pub async fn unavailable_games(&self) -> Result<BTreeMap<String, String>, StoreError> {
        self.games.unavailable_games(&self.policy.host).await
    }

    /// Adds a server; it is stopped. A request that has added its server already is answered with it.
    ///
    /// # Errors
    /// If a value cannot be taken, the game cannot be run for now, or the owner has too many servers.
    pub async fn create(&self, owner: &UserId, new: NewServer, once: Option<&Once>) -> Result<Server, ServersError> {
        let new = NewServer {
            name: checked_name(&new.name)?,
            description: new.description.as_deref().map(checked_description).transpose()?,
            ..new
        };
        let Some(game) = self.catalogue.get(&new.game_type) else {
            let keys: Vec<_> = self.catalogue.games().map(|game| game.key.as_str()).collect();
            return Err(invalid("game_type", format!("is one of: {}", keys.join(", "))));
        };
        let terms = Terms {
            host: self.policy.host.clone(),
            cost_per_hour: game.cost_per_hour,
            limit: self.policy.servers_per_user,
        };
        self.servers.create(owner, &new, &terms, once).await.map_err(|error| self.refused(error))
    }

    /// A server that the caller may see, and what they are to it.
    ///
    /// # Errors
    /// [`ServersError::NotFound`] where there is none.
    pub async fn get(&self, caller: &UserId, id: ServerId) -> Result<(Server, Access), ServersError> {
        let found = self.servers.find(caller, id).await?.filter(|(_, access)| *access != Access::None);
        let (mut server, access) = found.ok_or(ServersError::NotFound("server"))?;
        if !access.permissions().contains(Permission::Read) {
            // It may quote the console.
            server.error = None;
        }
        Ok((server, access))
    }

    /// A server with which the caller may do this.
    ///
    /// # Errors
    /// [`ServersError::NotFound`] where the caller may not even see it, [`ServersError::NotAllowed`] where they may.
    pub async fn allowed(
        &self,
        caller: &UserId,
        id: ServerId,
        needed: impl Into<Needed> + Send,
    ) -> Result<Server, ServersError> {
        let (server, access) = self.get(caller, id).await?;
        access.check(needed.into())?;
        Ok(server)
    }

    /// The caller's own servers, and then those that are shared with them, within reach, and what they are to each.
    ///
    /// # Errors
    /// The store's.
    pub async fn list(
        &self,
        caller: &UserId,
        reach: &Reach,
        filter: &ServerFilter,
        page: Page<ServerId>,
    ) -> Result<Vec<(Server, Access)>, ServersError> {
        Ok(self.servers.list(caller, reach, filter, page).await?)
    }

    /// Changes a server, which only its owner may.
    ///
    /// # Errors
    /// As for [`Self::allowed`], and where a value cannot be taken.
    pub async fn change(&self, caller: &UserId, id: ServerId, change: ServerChange) -> Result<Server, ServersError> {
        let server = self.allowed(caller, id, Needed::Ownership).await?;
        // A name of an earlier version may break the rule, and is kept by who sends it back.
        let new_name = change.name.filter(|name| *name != server.name);
        let change = ServerChange {
            name: new_name.as_deref().map(checked_name).transpose()?,
            description: match change.description {
                Some(Some(text)) => Some(Some(checked_description(&text)?)),
                other => other,
            },
            ..change
        };
        let changed = self.servers.change(caller, id, &change).await.map_err(|error| self.refused(error))?;
        changed.ok_or(ServersError::NotFound("server"))
    }

    /// Asks for an operation.
    ///
    /// # Errors
    /// Where the actor may not do this, or the server cannot take it.
    pub async fn request(&self, request: Request) -> Result<Operation, ServersError> {
        match self.request_all(std::slice::from_ref(&request)).await?.pop() {
            Some(answer) => Ok(answer?),
            None => Err(StoreError::Internal("no answer to a request".into()).into()),
        }
    }

    /// Asks for many operations in one transaction; the answers stand in the order of the requests.
    ///
    /// # Errors
    /// The store's; then none was accepted.
    pub async fn request_all(&self, requests: &[Request]) -> Result<Vec<Result<Operation, Refusal>>, StoreError> {
        let accepted = self.operations.accept(requests).await?;
        for (action, state) in accepted.ended {
            operation::count(action, state);
        }
        Ok(accepted.answers)
    }

    /// The operations of those ids, in any order, whoever asked for them: for the program itself.
    ///
    /// # Errors
    /// The store's.
    pub async fn operations(&self, ids: &[OperationId]) -> Result<Vec<Operation>, StoreError> {
        self.operations.operations(ids).await
    }

    /// An operation on a server within reach that the caller may read; its owner sees it also when the server is gone.
    ///
    /// # Errors
    /// [`ServersError::NotFound`] where there is none that the caller may know of, [`ServersError::NotAllowed`] where
    /// they may only see its server.
    pub async fn operation(&self, caller: &UserId, reach: &Reach, id: OperationId) -> Result<Operation, ServersError> {
        let found = self.operations.operation(id).await?.filter(|(operation, _)| reach.covers(operation.server));
        let (operation, owner) = found.ok_or(ServersError::NotFound("operation"))?;
        if owner != *caller {
            let server = self.allowed(caller, operation.server, Permission::Read).await;
            server.map_err(|error| match error {
                ServersError::NotFound(_) => ServersError::NotFound("operation"),
                other => other,
            })?;
        }
        Ok(operation)
    }

    /// The operations of a server that the caller may read, the newest first.
    ///
    /// # Errors
    /// As for [`Self::allowed`].
    pub async fn history(
        &self,
        caller: &UserId,
        id: ServerId,
        filter: OperationFilter,
        page: Page<OperationId>,
    ) -> Result<Vec<Operation>, ServersError> {
        self.allowed(caller, id, Permission::Read).await?;
        Ok(self.operations.history(id, filter, page).await?)
    }

    /// The console of a server that the caller may read.
    ///
    /// # Errors
    /// As for [`Self::allowed`], and where no host of this process has the server.
    pub async fn console(&self, caller: &UserId, id: ServerId) -> Result<ServerConsole, ServersError> {
        self.console_of(self.allowed(caller, id, Permission::Read).await?)
    }

    /// A line, without its end, to be typed on the console of a server, which only its owner may.
    ///
    /// # Errors
    /// As for [`Self::console`], and where the line cannot be taken.
    pub async fn command(&self, caller: &UserId, id: ServerId, line: &str) -> Result<Command, ServersError> {
        if !(1..=COMMAND_MAX).contains(&line.chars().count()) || line.chars().any(char::is_control) {
            return Err(invalid(
                "command",
                format!("has 1 to {COMMAND_MAX} characters, none of them a control character"),
            ));
        }
        let console = self.console_of(self.allowed(caller, id, Needed::Ownership).await?)?;
        Ok(Command { console, line: line.to_owned() })
    }

    fn console_of(&self, server: Server) -> Result<ServerConsole, ServersError> {
        let name = server.host.ok_or(ServersError::NoHost)?;
        match self.consoles.iter().find(|console| console.host() == name) {
            Some(host) => Ok(ServerConsole::new(server.id, Arc::clone(host))),
            None => Err(ServersError::HostElsewhere(name)),
        }
    }

    fn refused(&self, error: WriteError) -> ServersError {
        match error {
            WriteError::NameTaken => ServersError::NameTaken,
            WriteError::TooMany => ServersError::TooMany(self.policy.servers_per_user),
            WriteError::GameUnavailable(why) => ServersError::GameUnavailable(why),
            WriteError::NoUser => ServersError::NotFound("user"),
            WriteError::Store(error) => ServersError::Store(error),
        }
    }
}

pub(crate) fn invalid(field: &'static str, rule: String) -> ServersError {
    ServersError::Invalid { field, rule }
}

fn checked_name(text: &str) -> Result<String, ServersError> {
    name::checked(text).map_err(|bad| invalid("name", bad.to_string()))
}

fn checked_description(text: &str) -> Result<String, ServersError> {
    let text = text.trim();
    if text.contains('\0') {
        return Err(invalid("description", "has no NUL character (U+0000)".to_owned()));
    }
    if text.chars().count() > DESCRIPTION_MAX {
        return Err(invalid("description", format!("has at most {DESCRIPTION_MAX} characters")));
    }
    Ok(text.to_owned())
}
