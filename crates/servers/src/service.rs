//! Rules about servers, for both transports.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use agis_base::{Once, OperationId, Reach, ServerId, StoreError, UserId, name};
use thiserror::Error;

use crate::{
    access::{Access, CommandList, Needed, Permission},
    console::{CommandError, ConsoleError, Dispatcher, Reach as Reached, relay::Relay},
    game::{Catalogue, Game, RunsOn, SettingBy, SettingProblem, SettingValues},
    gate::GATES_MAX,
    host::{Abilities, Ability},
    idle::{IdleRule, InvalidIdle},
    operation::{self, Operation, Refusal, Request},
    players::Measured,
    restart::{InvalidPolicy, RestartChoice, RestartPolicy},
    server::{NewServer, Server, ServerChange, Status},
    settings,
    store::{
        AnnouncementStore, BatchStore, Billing, CommandStore, GameStore, HoldStore, HostStore, OperationFilter,
        OperationStore, Page, PlayerStore, ServerFilter, ServerStore, SettingStore, ShareStore, Terms, WriteError,
    },
};

mod announcements;
mod batch;
mod console;
mod hold;

pub use self::batch::PlannedBatch;

const DESCRIPTION_MAX: usize = 1000;

/// Operator's decisions about servers.
#[derive(Debug, Clone)]
pub struct Policy {
    /// Hosts on which new servers are created: each on the first that can run its game.
    pub homes: Vec<Home>,
    /// Maximum number of servers per user.
    pub servers_per_user: u32,
    /// Whether servers that cost something have to be paid for.
    pub billing: Billing,
}

/// Host on which new servers are created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Home {
    /// Kind of the host.
    pub kind: RunsOn,
    /// Name of the host, as in `game_servers.host`.
    pub name: String,
}

impl Policy {
    /// Returns the name of the host on which new servers of this game are created.
    fn home(&self, game: &Game) -> Option<&str> {
        self.homes.iter().find(|home| game.runs_on(home.kind)).map(|home| home.name.as_str())
    }
}

/// Applies the rules about servers, for every transport.
#[derive(Clone)]
pub struct Servers {
    servers: Arc<dyn ServerStore>,
    batches: Arc<dyn BatchStore>,
    operations: Arc<dyn OperationStore>,
    pub(crate) shares: Arc<dyn ShareStore>,
    pub(crate) settings: Arc<dyn SettingStore>,
    games: Arc<dyn GameStore>,
    holds: Arc<dyn HoldStore>,
    announcements: Arc<dyn AnnouncementStore>,
    hosts: Arc<dyn HostStore>,
    players: Arc<dyn PlayerStore>,
    pub(crate) catalogue: Arc<Catalogue>,
    policy: Policy,
    commands: Arc<dyn CommandStore>,
    dispatcher: Dispatcher,
}

/// Reason why a request about servers was refused.
#[derive(Debug, Error)]
pub enum ServersError {
    /// The caller may know of no such server or operation.
    #[error("there is no such {0}, or it is not yours")]
    NotFound(&'static str),
    /// The caller may see the server, but not do this with it.
    #[error("you can see this server, but may not do this with it; ask its owner")]
    NotAllowed,
    /// The command is none of those that the caller may send.
    #[error(
        "you may send one command of this server's list at a time, in the same letters, without `;`, `|` and `$`; the list is: {0}"
    )]
    CommandNotAllowed(CommandList),
    /// A value is invalid.
    #[error("{field}: {rule}")]
    Invalid {
        /// Name of the value.
        field: &'static str,
        /// Rule for the value.
        rule: String,
    },
    /// Values of settings do not fit, or the game has no such settings.
    #[error("{}", told(.0))]
    InvalidSettings(Vec<SettingProblem>),
    /// Only an operator may change this setting.
    #[error("the setting '{0}' belongs to the operator; ask for another value, or leave it out")]
    OperatorSetting(String),
    /// The server's future host cannot run the game for now.
    #[error("this game cannot be played here at the moment: {0}; choose another game, or ask an operator")]
    GameUnavailable(String),
    /// The owner has another server of that name, or of one that looks the same.
    #[error("you already have a server of that name, or of one that looks the same; choose another")]
    NameTaken,
    /// The owner has the maximum number of servers.
    #[error("you have {0} servers, as many as allowed here; delete one first")]
    TooMany(u32),
    /// The user has as many open actions on many servers as allowed.
    #[error("{0} of your actions on many servers have servers left to act on, as many as allowed; wait, or cancel one")]
    TooManyBatches(u32),
    /// The server is being deleted.
    #[error("this server is being deleted and takes no other operation")]
    Deleting,
    /// AGIS has no host for this server.
    #[error("this server was made by an earlier version and no host here runs it; delete it here and create it anew")]
    NoHost,
    /// The server's owner cannot pay its first hour beside those that other starts have reserved.
    #[error(
        "an hour of this server costs {0} credits, more than its owner has left beside the reserved first hours of servers \
         that are starting; an operator can grant more"
    )]
    CannotPay(i32),
    /// The server cannot start with its settings, so it is not restarted.
    #[error("the server was not restarted, since it could not start again: {0}")]
    Unfit(String),
    /// Players are not warned of an action that would not come.
    #[error("nobody is warned: {0}")]
    NobodyToWarn(&'static str),
    /// The server lacks an ability.
    #[error("{}: {why}", .ability.refusal())]
    Unable {
        /// Ability that is missing.
        ability: Ability,
        /// Reason, and the way out.
        why: String,
    },
    /// Nobody can tell the answer of the server's game.
    #[error(
        "this game has no RCON, so nobody can tell its answer from other lines; send the command without `reply`, and read \
         the console"
    )]
    NoReply,
    /// The server's console failed.
    #[error(transparent)]
    Console(#[from] ConsoleError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<CommandError> for ServersError {
    fn from(error: CommandError) -> Self {
        match error {
            CommandError::Store(error) => Self::Store(error),
            CommandError::Console(error) => Self::Console(error),
        }
    }
}

impl From<Refusal> for ServersError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::NotFound => Self::NotFound("server"),
            Refusal::NotAllowed => Self::NotAllowed,
            Refusal::Deleting => Self::Deleting,
            Refusal::NoHost => Self::NoHost,
            // Only requests that act by themselves get these.
            Refusal::Overtaken | Refusal::Held | Refusal::ShouldNotRun => {
                StoreError::Conflict("something else was asked of the server meanwhile".into()).into()
            }
            Refusal::CannotPay { price } => Self::CannotPay(price),
            Refusal::Unfit(why) => Self::Unfit(why),
        }
    }
}

impl Servers {
    /// Creates the service over this store of every subject, and the hosts whose consoles this process can reach.
    pub fn new<S>(store: &Arc<S>, catalogue: Arc<Catalogue>, policy: Policy, reach: impl Into<Reached>) -> Self
    where
        S: ServerStore
            + BatchStore
            + OperationStore
            + ShareStore
            + SettingStore
            + GameStore
            + HoldStore
            + AnnouncementStore
            + HostStore
            + PlayerStore
            + CommandStore
            + 'static,
    {
        Self {
            servers: store.clone(),
            batches: store.clone(),
            operations: store.clone(),
            shares: store.clone(),
            settings: store.clone(),
            games: store.clone(),
            holds: store.clone(),
            announcements: store.clone(),
            hosts: store.clone(),
            players: store.clone(),
            commands: store.clone(),
            dispatcher: Dispatcher::new(store.clone(), catalogue.clone(), reach.into()),
            catalogue,
            policy,
        }
    }

    /// Reaches the games of all other hosts through this relay.
    #[must_use]
    pub fn with_relay(self, relay: Relay) -> Self {
        Self { dispatcher: self.dispatcher.with_relay(relay), ..self }
    }

    /// Returns the way to the games, for commands that other processes pass on.
    pub fn dispatcher(&self) -> &Dispatcher {
        &self.dispatcher
    }

    /// Returns the games that can be played.
    pub fn catalogue(&self) -> &Catalogue {
        &self.catalogue
    }

    /// Returns the games for which no server can be created for now, by key, with the reason for everybody.
    ///
    /// # Errors
    /// Fails if the store does.
    pub async fn unavailable_games(&self) -> Result<BTreeMap<String, String>, StoreError> {
        let mut unavailable = BTreeMap::new();
        for Home { name, .. } in &self.policy.homes {
            let is_at_home =
                |game: &str| self.catalogue.get(game).is_some_and(|game| self.policy.home(game) == Some(name.as_str()));
            let found = self.games.unavailable_games(name).await?;
            unavailable.extend(found.into_iter().filter(|(game, _)| is_at_home(game)));
        }
        Ok(unavailable)
    }

    /// Returns the reason why a start of this server fails for now, for everybody; `None` if there is none.
    ///
    /// # Errors
    /// Fails if the store does.
    pub async fn why_no_start(&self, server: &Server) -> Result<Option<String>, StoreError> {
        let Some(host) = &server.host else { return Ok(None) };
        Ok(self.games.unavailable_games(host).await?.remove(&server.game_type))
    }

    /// Adds a stopped server. Returns the existing one if the request has added it already.
    ///
    /// # Errors
    /// Fails if a value is invalid, the game cannot run for now, or the owner has too many servers.
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
        let Some(host) = self.policy.home(game) else {
            return Err(invalid("game_type", "is a game that no host here can run; choose another".to_owned()));
        };
        let chosen = new.settings.iter().map(|(name, value)| (name.as_str(), Some(value)));
        settings::check(Some(game), chosen, SettingBy::Owner)?;
        settings::held(game.unheld_settings(&new.name, &new.settings))?;
        check_name_in_files(game, &new.name)?;
        let terms =
            Terms { host: host.to_owned(), cost_per_hour: game.cost_per_hour, limit: self.policy.servers_per_user };
        self.servers.create(owner, &new, &terms, once).await.map_err(|error| self.refused(error))
    }

    /// Returns a server that the caller may see, with the caller's relation to it.
    ///
    /// # Errors
    /// Fails with [`ServersError::NotFound`] if there is none.
    pub async fn get(&self, caller: &UserId, id: ServerId) -> Result<(Server, Access), ServersError> {
        let found = self.servers.find(caller, id).await?.filter(|(_, access)| *access != Access::None);
        let (mut server, access) = found.ok_or(ServersError::NotFound("server"))?;
        if !access.permissions().contains(Permission::Read) {
            // The error may quote the console; a hold, and the rule for stops, are for those who run the server.
            (server.error, server.hold, server.idle) = (None, None, None);
        }
        Ok((server, access))
    }

    /// Returns a server with which the caller may do this.
    ///
    /// # Errors
    /// Fails with [`ServersError::NotFound`] if the caller may not even see it, else with [`ServersError::NotAllowed`].
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

    /// Returns each of these servers, in their order, if this user may do this with it.
    ///
    /// # Errors
    /// Fails if the store does.
    pub async fn allowed_each(
        &self,
        of: &[(UserId, ServerId)],
        needed: impl Into<Needed> + Send,
    ) -> Result<Vec<Result<Server, Refusal>>, StoreError> {
        let needed = needed.into();
        let checked = |found: Option<(Server, Access)>| {
            let (server, access) = found.ok_or(Refusal::NotFound)?;
            access.check(needed)?;
            Ok(server)
        };
        Ok(self.servers.find_each(of).await?.into_iter().map(checked).collect())
    }

    /// Returns those of these servers that sleep, and that players cannot wake though their rule says so: their host has too many.
    ///
    /// # Errors
    /// Fails if the store does.
    pub async fn without_gate(&self, servers: &[&Server]) -> Result<Vec<ServerId>, StoreError> {
        let waits = |server: &&&Server| {
            let idle = server.idle.as_ref();
            idle.is_some_and(|idle| idle.asleep.is_some() && idle.rule.wake_on_join.is_some())
        };
        let asleep: Vec<_> = servers.iter().filter(waits).map(|server| server.id).collect();
        if asleep.is_empty() { Ok(vec![]) } else { self.servers.without_gate(&asleep, GATES_MAX).await }
    }

    /// Returns the abilities of each of these servers, in their order: those of its host.
    ///
    /// # Errors
    /// Fails if the store does.
    pub async fn abilities(&self, servers: &[&Server]) -> Result<Vec<Abilities>, StoreError> {
        let reported = self.abilities_of_hosts(servers).await?;
        let of = |(abilities, server): (Abilities, &&Server)| {
            let has_rcon = self.catalogue.get(&server.game_type).is_some_and(|game| game.rcon.is_some());
            let lacks_commands = abilities.why_not(Ability::Commands).is_some();
            // A game's own RCON takes the commands that its host cannot pass on.
            let abilities = if has_rcon && lacks_commands { abilities.with(Ability::Commands) } else { abilities };
            abilities.of_a_server()
        };
        Ok(reported.into_iter().zip(servers).map(of).collect())
    }

    /// Returns the abilities of the host of each of these servers.
    async fn abilities_of_hosts(&self, servers: &[&Server]) -> Result<Vec<Abilities>, StoreError> {
        let hosts: BTreeSet<_> = servers.iter().filter_map(|server| server.host.as_deref()).collect();
        let hosts: Vec<_> = hosts.into_iter().collect();
        let reported = if hosts.is_empty() { BTreeMap::new() } else { self.hosts.abilities(&hosts).await? };
        let of = |server: &&Server| server.host.as_ref().and_then(|host| reported.get(host)).cloned();
        Ok(servers.iter().map(|server| of(server).unwrap_or_default()).collect())
    }

    /// Returns the players on each of these servers, in their order, as a user of this relation to it may know them; `None`
    /// where nobody knows who plays.
    ///
    /// # Errors
    /// Fails if the store does.
    pub async fn players(&self, servers: &[(&Server, Access)]) -> Result<Vec<Option<Measured>>, StoreError> {
        let running = servers.iter().filter(|(server, _)| server.status == Status::Running);
        let running: Vec<_> = running.map(|(server, _)| server.id).collect();
        let measured = if running.is_empty() { BTreeMap::new() } else { self.players.players(&running).await? };
        let seen =
            |(server, access): &(&Server, Access)| measured.get(&server.id).map(|it| it.clone().seen_by(*access));
        Ok(servers.iter().map(seen).collect())
    }

    /// Refuses a server whose host surely lacks this ability.
    async fn check(&self, server: &Server, ability: Ability) -> Result<(), ServersError> {
        let abilities = self.abilities_of_hosts(&[server]).await?;
        match abilities.iter().find_map(|it| it.why_not(ability)) {
            Some(why) => Err(ServersError::Unable { ability, why: why.to_owned() }),
            None => Ok(()),
        }
    }

    /// Returns the caller's own servers, then those that are shared with the caller, within reach, with the relation to
    /// each.
    ///
    /// # Errors
    /// Fails if the store does.
    pub async fn list(
        &self,
        caller: &UserId,
        reach: &Reach,
        filter: &ServerFilter,
        page: Page<ServerId>,
    ) -> Result<Vec<(Server, Access)>, ServersError> {
        Ok(self.servers.list(caller, reach, filter, page).await?)
    }

    /// Changes a server. Only its owner may.
    ///
    /// # Errors
    /// Fails as [`Self::allowed`] does, and if a value is invalid.
    pub async fn change(&self, caller: &UserId, id: ServerId, change: ServerChange) -> Result<Server, ServersError> {
        let server = self.allowed(caller, id, Needed::Ownership).await?;
        // A name of an earlier version may break the rule. A caller who sends it back unchanged keeps it.
        let new_name = change.name.filter(|name| *name != server.name);
        let change = ServerChange {
            name: new_name.as_deref().map(checked_name).transpose()?,
            description: match change.description {
                Some(Some(text)) => Some(Some(checked_description(&text)?)),
                other => other,
            },
            restart_choice: match change.restart_choice {
                Some(Some(choice)) => Some(Some(self.checked_choice(&server, choice)?)),
                other => other,
            },
            ..change
        };
        if let Some(Some(rule)) = &change.idle {
            self.check_idle(&server, rule)?;
        }
        if let (Some(name), Some(game)) = (&change.name, self.catalogue.get(&server.game_type)) {
            check_name_in_files(game, name)?;
        }
        let choice = change.restart_choice.map_or(server.restart_choice, Option::unwrap_or_default);
        let on = self.catalogue.restart_policy(&server.game_type, choice).on;
        let changed = self.servers.change(caller, id, &change, on).await.map_err(|error| self.refused(error))?;
        changed.ok_or(ServersError::NotFound("server"))
    }

    /// Returns the rule by which a server is started again.
    pub fn restart_policy(&self, server: &Server) -> RestartPolicy {
        self.catalogue.restart_policy(&server.game_type, server.restart_choice)
    }

    /// Returns a choice with those that were made before.
    fn checked_choice(&self, server: &Server, choice: RestartChoice) -> Result<RestartChoice, ServersError> {
        let choice = choice.or(server.restart_choice);
        let policy = self.catalogue.restart_policy(&server.game_type, choice);
        policy.check().map_err(|InvalidPolicy { field, rule }| invalid("restart_policy", format!("{field} {rule}")))?;
        Ok(choice)
    }

    /// Checks a rule for stops. It needs a game that tells when nobody plays; of a game that this process does not know,
    /// nobody can say here.
    fn check_idle(&self, server: &Server, rule: &IdleRule) -> Result<(), ServersError> {
        if self.catalogue.get(&server.game_type).is_some_and(|game| game.query.is_none()) {
            let why = "is not possible for this server: its game tells nobody who plays, since its entry in the catalogue has no \
                       `query`; let a schedule stop it";
            return Err(invalid("idle", why.to_owned()));
        }
        if rule.wake_on_join.is_some() {
            let game = self.catalogue.get(&server.game_type);
            let is_on_cluster =
                |home: &Home| home.kind == RunsOn::Agones && server.host.as_deref() == Some(home.name.as_str());
            let why = if game.is_some_and(|game| game.gate_port().is_none()) {
                Some("is for Minecraft's Java edition alone")
            } else if self.policy.homes.iter().any(is_on_cluster) {
                Some("is not possible on a cluster, where a stopped server has no address")
            } else {
                None
            };
            if let Some(why) = why {
                return Err(invalid("idle", format!("wake_on_join {why}; leave it out")));
            }
        }
        rule.check().map_err(|InvalidIdle { field, rule }| invalid("idle", format!("{field} {rule}")))
    }

    /// Requests an operation.
    ///
    /// # Errors
    /// Fails if the actor may not do this, or the server cannot take it.
    pub async fn request(&self, request: Request) -> Result<Operation, ServersError> {
        match self.request_all(std::slice::from_ref(&request)).await?.pop() {
            Some(answer) => Ok(answer?),
            None => Err(StoreError::Internal("no answer to a request".into()).into()),
        }
    }

    /// Requests many operations in one transaction. The answers have the order of the requests.
    ///
    /// # Errors
    /// Fails if the store does. Then no request was accepted.
    pub async fn request_all(&self, requests: &[Request]) -> Result<Vec<Result<Operation, Refusal>>, StoreError> {
        let accepted = self.operations.accept(requests, self.policy.billing, &self.catalogue).await?;
        for (action, state) in accepted.ended {
            operation::count(action, state);
        }
        Ok(accepted.answers)
    }

    /// Returns the operations with these ids, in any order, whoever asked for them: for the program itself.
    ///
    /// # Errors
    /// Fails if the store does.
    pub async fn operations(&self, ids: &[OperationId]) -> Result<Vec<Operation>, StoreError> {
        self.operations.operations(ids).await
    }

    /// Returns an operation on a server within reach that the caller may read. Its owner sees it also if the server is
    /// gone.
    ///
    /// # Errors
    /// Fails with [`ServersError::NotFound`] if the caller may know of none, with [`ServersError::NotAllowed`] if the
    /// caller may only see its server.
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

    /// Returns the operations of a server that the caller may read, newest first.
    ///
    /// # Errors
    /// Fails as [`Self::allowed`] does.
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

/// Returns the problems in one sentence.
fn told(problems: &[SettingProblem]) -> String {
    let each: Vec<_> = problems.iter().map(|it| format!("settings.{}: {}", it.setting, it.problem)).collect();
    each.join("; ")
}

pub(crate) fn invalid(field: &'static str, rule: String) -> ServersError {
    ServersError::Invalid { field, rule }
}

fn checked_name(text: &str) -> Result<String, ServersError> {
    name::checked(text).map_err(|bad| invalid("name", bad.to_string()))
}

/// Checks whether the game's files can hold the name of a server.
fn check_name_in_files(game: &Game, name: &str) -> Result<(), ServersError> {
    let unheld = game.unheld(name, &SettingValues::new()).into_iter().find(|unheld| unheld.setting.is_none());
    unheld.map_or(Ok(()), |unheld| Err(invalid("name", unheld.rule())))
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
