//! Facts about a game's entry in the catalogue, and the protocol that tells who plays.

use serde::Deserialize;

/// Facts about an entry. AGIS does nothing with them but to show them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct About {
    /// Address of the page that the entry follows.
    pub documentation: Option<String>,
    /// Address of the licence that a server's owner has to accept.
    pub eula: Option<String>,
    /// Whether somebody ran the entry; `None` if it does not say so.
    pub tried: Option<Tried>,
}

agis_base::words! {
    /// Whether somebody ran an entry of the catalogue.
    #[derive(Deserialize)]
    #[serde(rename_all = "lowercase")]
    Tried {
        /// A server of the entry ran.
        Run = "run",
        /// The entry follows its documentation, and nobody ran it.
        Untried = "untried",
    }
}

/// Protocol that tells who plays, and the port that speaks it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// Protocol.
    pub kind: QueryKind,
    /// Name of the port.
    pub port: String,
}

agis_base::words! {
    /// Protocol by which a game tells who plays.
    #[derive(Deserialize)]
    #[serde(rename_all = "lowercase")]
    QueryKind {
        /// Valve's A2S, of games with Steam.
        A2s = "a2s",
        /// Status of Minecraft's Java edition.
        Minecraft = "minecraft",
        /// Status of Minecraft's Bedrock edition.
        Bedrock = "bedrock",
        /// `getstatus` of Quake 3 and its relatives.
        Quake3 = "quake3",
        /// Luanti, formerly Minetest.
        Luanti = "luanti",
    }
}
