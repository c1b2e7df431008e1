//! Speaks the games' protocols: who plays ([`players`]), RCON ([`rcon`]), and the gate of a server that sleeps
//! ([`MinecraftGate`]).
//!
//! Every answer comes from outside. A probe listens only to the address that it asked, reads a bounded number of bytes,
//! and has a deadline. The protocols are small: the crates for them are blocking, or bring dozens of other games.

mod a2s;
mod bedrock;
mod error;
mod minecraft;
mod quake3;
pub mod rcon;
mod reader;
mod udp;

use std::{net::SocketAddr, time::Duration};

use agis_servers::{
    game::QueryProtocol,
    players::{GameQuery, Players, Unanswered},
};
use async_trait::async_trait;

pub use error::QueryError;
pub use minecraft::gate::MinecraftGate;

/// Time for a probe, from the look-up of the address to the last byte.
pub const DEADLINE: Duration = Duration::from_secs(2);

/// Asks games over the network.
#[derive(Debug, Clone, Copy, Default)]
pub struct NetworkQuery;

#[async_trait]
impl GameQuery for NetworkQuery {
    async fn ask(&self, protocol: QueryProtocol, host: &str, port: u16) -> Result<Players, Unanswered> {
        players(protocol, host, port).await.map_err(|error| Unanswered(error.to_string()))
    }
}

/// Asks the game at this address who plays.
///
/// # Errors
/// Fails if the game does not answer within [`DEADLINE`], or not as the protocol says.
pub async fn players(protocol: QueryProtocol, host: &str, port: u16) -> Result<Players, QueryError> {
    let asked = async {
        let address = address(host, port).await?;
        match protocol {
            QueryProtocol::A2s => a2s::players(address).await,
            QueryProtocol::Minecraft => minecraft::players(host, address).await,
            QueryProtocol::Bedrock => bedrock::players(address).await,
            QueryProtocol::Quake3 => quake3::players(address).await,
        }
    };
    tokio::time::timeout(DEADLINE, asked).await.unwrap_or(Err(QueryError::Silent(DEADLINE)))
}

async fn address(host: &str, port: u16) -> Result<SocketAddr, QueryError> {
    let first = tokio::net::lookup_host((host, port)).await?.next();
    first.ok_or_else(|| QueryError::Unreachable(std::io::Error::other("its name has no address")))
}
