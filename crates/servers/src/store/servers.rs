use agis_base::{Once, Reach, ServerId, StoreError, UserId};
use async_trait::async_trait;
use thiserror::Error;

use super::page::Page;
use crate::{
    access::Access,
    label::Label,
    restart::RestartOn,
    server::{NewServer, Server, ServerChange, Status},
};

/// Filter of a list of servers; `None` filters nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServerFilter {
    /// Only servers of this status.
    pub status: Option<Status>,
    /// Only servers of this game.
    pub game_type: Option<String>,
    /// Only servers with this text in their name, without regard to case.
    pub name: Option<String>,
    /// Only servers with this label.
    pub label: Option<Label>,
    /// True: only the user's own servers. False: only servers that others share with the user.
    pub owned: Option<bool>,
}

/// Servers as rows.
#[async_trait]
pub trait ServerStore: Send + Sync {
    /// Adds a server. Name and number are checked with the owner locked, so two requests cannot both take the last
    /// place. A request that has made its server already is answered with it.
    async fn create(
        &self,
        owner: &UserId,
        new: &NewServer,
        terms: &Terms,
        once: Option<&Once>,
    ) -> Result<Server, WriteError>;

    /// Returns a server that is not deleted, whoever may see it, with the user's relation to it.
    async fn find(&self, user: &UserId, id: ServerId) -> Result<Option<(Server, Access)>, StoreError>;

    /// Returns each of these servers with the relation of this user to it, in their order; `None` for one that is deleted.
    async fn find_each(&self, of: &[(UserId, ServerId)]) -> Result<Vec<Option<(Server, Access)>>, StoreError>;

    /// Returns the user's own servers within reach, then those that are shared with the user, each by id, with the relation
    /// to each.
    async fn list(
        &self,
        user: &UserId,
        reach: &Reach,
        filter: &ServerFilter,
        page: Page<ServerId>,
    ) -> Result<Vec<(Server, Access)>, StoreError>;

    /// Returns those of these servers that sleep without a gate, since their host has `gates` of servers that fell asleep later.
    async fn without_gate(&self, servers: &[ServerId], gates: u32) -> Result<Vec<ServerId>, StoreError>;

    /// Changes what an owner may change; `None` where the owner has no such server. `on` is the ends that are followed from
    /// now on: with [`RestartOn::Never`], a restart that waits is given up.
    async fn change(
        &self,
        owner: &UserId,
        id: ServerId,
        change: &ServerChange,
        on: RestartOn,
    ) -> Result<Option<Server>, WriteError>;
}

/// Terms on which a server is created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// Host that will run the server.
    pub host: String,
    /// Price of an hour, in credits.
    pub cost_per_hour: i32,
    /// Maximum number of servers of its owner.
    pub limit: u32,
}

/// Reason why a server was not written.
#[derive(Debug, Error)]
pub enum WriteError {
    /// The owner has another server of that name, or of one that looks the same.
    #[error("the name is taken")]
    NameTaken,
    /// The owner has as many servers as allowed.
    #[error("too many servers")]
    TooMany,
    /// The host cannot run the game for now; the reason is for everybody.
    #[error("the game cannot be run: {0}")]
    GameUnavailable(String),
    /// The user does not exist.
    #[error("no such user")]
    NoUser,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}
