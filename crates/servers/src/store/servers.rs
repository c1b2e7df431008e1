use agis_base::{Once, Reach, ServerId, StoreError, UserId};
use async_trait::async_trait;
use thiserror::Error;

use super::Page;
use crate::{
    access::Access,
    server::{NewServer, Server, ServerChange, Status},
};

/// Which servers of a list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServerFilter {
    /// That do this only.
    pub status: Option<Status>,
    /// Of this game only.
    pub game_type: Option<String>,
    /// With this in their name only, without regard to case.
    pub name: Option<String>,
    /// The user's own, or those that others share with them, only.
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

    /// A server that is not deleted, whoever may see it, and what this user is to it.
    async fn find(&self, user: &UserId, id: ServerId) -> Result<Option<(Server, Access)>, StoreError>;

    /// The servers within reach that are a user's own, and then those that are shared with them, each by id, and what the
    /// user is to each.
    async fn list(
        &self,
        user: &UserId,
        reach: &Reach,
        filter: &ServerFilter,
        page: Page<ServerId>,
    ) -> Result<Vec<(Server, Access)>, StoreError>;

    /// Changes what an owner may change; `None` where the owner has no such server.
    async fn change(&self, owner: &UserId, id: ServerId, change: &ServerChange) -> Result<Option<Server>, WriteError>;
}

/// On what terms a server is created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// The host that will run it.
    pub host: String,
    /// Credits per hour.
    pub cost_per_hour: i32,
    /// How many servers its owner may have.
    pub limit: u32,
}

/// Why a server was not written.
#[derive(Debug, Error)]
pub enum WriteError {
    /// The owner has another server of that name, or of one that looks the same.
    #[error("the name is taken")]
    NameTaken,
    /// The owner has as many servers as allowed.
    #[error("too many servers")]
    TooMany,
    /// The host cannot run the game for now; why, for everybody.
    #[error("the game cannot be run: {0}")]
    GameUnavailable(String),
    /// There is no such user.
    #[error("no such user")]
    NoUser,
    /// The store itself.
    #[error(transparent)]
    Store(#[from] StoreError),
}
