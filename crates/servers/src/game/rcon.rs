//! RCON of a game.

use serde::Deserialize;

agis_base::words! {
    /// Protocol of a game's RCON.
    #[derive(Deserialize)]
    #[serde(rename_all = "lowercase")]
    RconProtocol {
        /// Valve's, over TCP. Minecraft and many others speak it.
        Source = "source",
        /// Quake 3's, over UDP.
        Quake3 = "quake3",
    }
}

/// RCON of a game: commands over the network, and their answers. The game gets its password by the placeholder
/// `{rcon.password}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rcon {
    /// Protocol.
    pub protocol: RconProtocol,
    /// Name of the game's port that takes commands.
    pub port: String,
}
