use std::collections::BTreeMap;

use agis_base::{ServerId, StoreError, Timestamp};
use async_trait::async_trait;

use crate::{
    host::{Endpoint, Generation},
    players::{Measured, Players},
};

/// Players on servers: claims of probes, and their answers.
#[async_trait]
pub trait PlayerStore: Send + Sync {
    /// Claims the running servers of this host and these games whose last claim is
    /// [`PROBE_INTERVAL`](crate::players::PROBE_INTERVAL) old, the longest unasked first. In one second all processes
    /// together claim at most `per_second` servers; while another process claims, nothing is claimed.
    async fn claim_probes(&self, host: &str, games: &[String], per_second: u32) -> Result<Vec<Probe>, StoreError>;

    /// Stores answers. The answer to a claim after which there was another is left out.
    async fn store_players(&self, counted: &[Counted]) -> Result<(), StoreError>;

    /// Returns the players on those of these servers that run and have answered of late.
    async fn players(&self, servers: &[ServerId]) -> Result<BTreeMap<ServerId, Measured>, StoreError>;

    /// Returns the number of players by game, on servers that have answered of late.
    async fn players_by_game(&self) -> Result<Vec<(String, i64)>, StoreError>;
}

/// Claim of a probe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// The server.
    pub server: ServerId,
    /// Time of the claim, by the database's clock; with the server it names the claim.
    pub at: Timestamp,
    /// Generation of the run.
    pub generation: Generation,
    /// Key of its game in the catalogue.
    pub game_type: String,
    /// Address that players connect to.
    pub endpoint: Endpoint,
    /// Time at which the run was ready for players; `None` once the operation is forgotten that began it.
    pub ready_at: Option<Timestamp>,
}

/// Answer to a probe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counted {
    /// The server.
    pub server: ServerId,
    /// See [`Probe::at`].
    pub at: Timestamp,
    /// See [`Probe::generation`].
    pub generation: Generation,
    /// The players.
    pub players: Players,
}
