use agis_base::{Reason, ServerId, StoreError, Timestamp};
use async_trait::async_trait;

use crate::{
    host::Generation,
    restart::{EndedBy, Plan, RestartChoice, RestartPolicy},
};

/// Published servers, for those who compare them with their hosts.
#[async_trait]
pub trait ObservationStore: Send + Sync {
    /// Returns the servers of these hosts that are published as running.
    async fn published(&self, hosts: &[String]) -> Result<Vec<Published>, StoreError>;

    /// Records that these servers were found running at their generation, after they were read. A row that has changed since
    /// is left alone.
    async fn confirm(&self, running: &[Published]) -> Result<(), StoreError>;

    /// Records that a running server has ended by itself at this generation, and plans its restart by this policy, in one
    /// transaction. Its owner is told unless it is started again. Returns the plan; `None` if that is no news.
    async fn crashed(
        &self,
        server: ServerId,
        generation: Generation,
        how: &Reason,
        by: EndedBy,
        policy: &RestartPolicy,
    ) -> Result<Option<Plan>, StoreError>;

    /// Returns the servers of these hosts that are published as crashed, although nothing was asked of them since. Their host
    /// may see them running: it could not say at the time.
    async fn presumed_crashed(&self, hosts: &[String]) -> Result<Vec<Published>, StoreError>;

    /// Takes back that a server has crashed at this generation: its host sees it running. Returns false if the server has
    /// changed since.
    async fn not_crashed(&self, server: ServerId, generation: Generation) -> Result<bool, StoreError>;

    /// Records that a running server has come to a good end by itself at this generation: it is stopped, and stays so
    /// unless something was asked of it since. Returns false if that is no news.
    async fn ended_well(&self, server: ServerId, generation: Generation) -> Result<bool, StoreError>;

    /// Returns the servers of these hosts that should be running.
    async fn wanted(&self, hosts: &[String]) -> Result<Vec<ServerId>, StoreError>;
}

/// Server as it is published: running or crashed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// Id of the server.
    pub server: ServerId,
    /// Generation at which it was published.
    pub generation: Generation,
    /// Host of the server.
    pub host: String,
    /// Key of its game.
    pub game_type: String,
    /// See [`Server::restart_choice`](crate::Server::restart_choice).
    pub restart_choice: RestartChoice,
    /// Time of this read, by the database's clock.
    pub at: Timestamp,
}
