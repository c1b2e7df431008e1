use std::{collections::BTreeMap, time::Duration};

use agis_base::{Reason, StoreError};
use async_trait::async_trait;

/// Games that a host cannot run for now. The process that serves the host says so again and again: what it has said is taken
/// for true for [`UNAVAILABLE_FOR`], by the database's clock.
#[async_trait]
pub trait GameStore: Send + Sync {
    /// Notes which of these games cannot be run on the host, each with the reason, and that the others can. Games that are
    /// not among them are left alone: another process may have them in its catalogue.
    async fn note_games(&self, host: &str, games: &[(String, Option<Reason>)]) -> Result<(), StoreError>;

    /// The games that cannot be run on the host, by key, and why.
    async fn unavailable_games(&self, host: &str) -> Result<BTreeMap<String, String>, StoreError>;
}

/// How long it is believed that a game cannot be run, if nobody says so again.
pub const UNAVAILABLE_FOR: Duration = Duration::from_secs(60);
