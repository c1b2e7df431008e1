use std::{collections::BTreeMap, time::Duration};

use agis_base::{StoreError, Timestamp};
use async_trait::async_trait;
use uuid::Uuid;

use crate::{
    game::RunsOn,
    host::{Abilities, HostReport},
};

/// Time for which a host counts as served after a report, by the database's clock.
pub const SERVED_FOR: Duration = Duration::from_secs(15);

/// Reports of hosts. The process that serves a host reports it again and again, so every process can answer for it.
///
/// A report also claims the host for its data directory. The first directory has the host until an operator lets it go.
#[async_trait]
pub trait HostStore: Send + Sync {
    /// Stores the report, and returns whether the host belongs to this kind and this data directory. Otherwise nothing
    /// changes. `directory` is `None` for a kind of host without one.
    async fn report(
        &self,
        host: &str,
        kind: RunsOn,
        directory: Option<Uuid>,
        report: &HostReport,
    ) -> Result<bool, StoreError>;

    /// Returns the hosts that ever reported or have servers, by name, after the host `after`.
    async fn hosts(&self, after: Option<&str>, limit: u32) -> Result<Vec<HostState>, StoreError>;

    /// Returns the abilities that these hosts have reported, by name. Hosts that never reported are absent.
    async fn abilities(&self, hosts: &[&str]) -> Result<BTreeMap<String, Abilities>, StoreError>;

    /// Lets the next data directory that reports have the host.
    async fn let_go(&self, host: &str) -> Result<LetGo, StoreError>;

    /// Forgets hosts without servers whose last report is older than `age`.
    async fn forget_hosts(&self, age: Duration) -> Result<(), StoreError>;
}

/// Host as the database knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostState {
    /// Name of the host, as in `game_servers.host`.
    pub name: String,
    /// Word of its kind ([`RunsOn`]); `None` before the first report.
    pub kind: Option<String>,
    /// Whether a process serves it.
    pub served: bool,
    /// Time of the last report; `None` before the first.
    pub seen_at: Option<Timestamp>,
    /// Number of its servers that are ready for players.
    pub running: i64,
    /// Number of its servers.
    pub servers: i64,
    /// Last report; `None` before the first.
    pub report: Option<HostReport>,
}

/// Answer to an operator who wants a host to be let go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LetGo {
    /// The next process that reports has the host.
    Done,
    /// No process has ever reported this host.
    Unknown,
    /// A process serves the host.
    Served,
}
