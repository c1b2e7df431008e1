//! Facts about a game's entry in the catalogue.

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
