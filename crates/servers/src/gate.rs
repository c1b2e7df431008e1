//! Gates of servers that sleep: they listen in place of the game, and tell who wants to play.

use std::io;

use async_trait::async_trait;

/// Maximum number of gates of a host: those of the servers that fell asleep last.
pub const GATES_MAX: u32 = 500;

/// Speaks the protocol of a game in its place.
#[async_trait]
pub trait Gatekeeper: Send + Sync {
    /// Listens at this address until somebody joins whom the door admits. Then the port is free before the door is asked,
    /// and the player gets its answer. Dropping the future frees the port as well.
    ///
    /// # Errors
    /// Fails if it cannot listen there: another program does, say.
    async fn keep(&self, address: &str, port: u16, door: &dyn Door) -> io::Result<()>;
}

/// Door of one server.
#[async_trait]
pub trait Door: Send + Sync {
    /// Returns the line in the players' list of servers, which may change while the gate is open.
    fn sign(&self) -> String;

    /// Returns whether this player may wake the server. Nobody has proved the name.
    fn admits(&self, player: &str) -> bool;

    /// Wakes the server. Returns the text that the player reads: an error if the server stays asleep.
    async fn join(&self, player: &str) -> Result<String, String>;
}
