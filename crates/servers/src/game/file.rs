//! Files that a game finds in its working directory.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::format::Format;

/// File of a game.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GameFile {
    /// Text, which may hold [`Placeholder`](super::Placeholder)s; `None` if the catalogue sets keys only.
    pub text: Option<String>,
    /// Format of the file.
    pub format: Format,
    /// Time at which the file is written.
    pub kind: Kind,
    /// Keys that are set at every start, in this order: addresses and ports follow the text that people typed. If there
    /// are any, `text` is only the file's beginning.
    pub set: Vec<Setting>,
}

/// Time at which a file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// At every start.
    Managed,
    /// If the file is absent.
    Initial,
}

/// Key in a file, and its value.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
pub struct Setting {
    /// Names that lead to the key, the outermost first.
    pub path: Vec<String>,
    /// Text, number or truth value. A text may hold [`Placeholder`](super::Placeholder)s.
    pub value: Value,
}
