//! The trait of platforms that count the players of their servers. `host-agones` implements it.

use agis_base::ServerId;
use async_trait::async_trait;

use crate::{
    host::Generation,
    players::{Players, Unanswered},
};

/// Platform on which games tell who plays.
#[async_trait]
pub trait PlayerCount: Send + Sync {
    /// Returns the players that the run of this generation has told the platform of.
    async fn players(&self, server: ServerId, generation: Generation) -> Result<Players, Unanswered>;
}
