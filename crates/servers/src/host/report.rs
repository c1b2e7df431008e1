//! Report of a host about itself: the boundaries that it draws around each game, and its room.

use std::fmt;

use agis_base::{Reason, words};
use serde::{Deserialize, Serialize};

use super::Abilities;

words! {
    /// Boundary around a game. Another game, AGIS and the machine are on the other side.
    Boundary {
        /// A stop ends every process that the game began.
        Processes = "processes",
        /// The game sees no world and no secret of others.
        Files = "files",
        /// The game has an account of its own.
        Account = "account",
        /// Memory of all its processes together.
        Memory = "memory",
        /// Share of the processors.
        Cpu = "cpu",
        /// Number of its processes and threads.
        Pids = "pids",
        /// Size of its world.
        Disk = "disk",
        /// Rate of its console.
        Console = "console",
    }
}

/// Report of a host about itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostReport {
    /// Boundaries around each game.
    pub containment: Containment,
    /// Disk with the servers' worlds; `None` if the host cannot know.
    pub disk: Option<Room>,
    /// Memory of the machine; `None` if the host cannot know.
    pub memory: Option<Room>,
    /// Declared abilities, which the reporter adds; empty in a report of an earlier version.
    #[serde(default)]
    pub abilities: Abilities,
}

/// Boundaries that a host draws around each game, and those that it does not draw.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Containment {
    /// Boundaries that hold.
    pub contained: Vec<Contained>,
    /// Boundaries that do not hold.
    pub missing: Vec<Uncontained>,
}

/// Boundary that holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contained {
    /// Word of the [`Boundary`]. Reports of a newer version may have other words.
    pub what: String,
    /// Means that holds it, for an operator.
    pub by: String,
}

/// Boundary that does not hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Uncontained {
    /// Word of the [`Boundary`]. Reports of a newer version may have other words.
    pub what: String,
    /// Reason, for an operator.
    pub why: String,
}

impl fmt::Display for Uncontained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.why)
    }
}

/// Room of a resource, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Room {
    /// Bytes that are free.
    pub free: u64,
    /// Bytes in all.
    pub size: u64,
}

impl Containment {
    /// Adds a boundary that holds.
    #[must_use]
    pub fn with(mut self, boundary: Boundary, by: impl Into<String>) -> Self {
        self.contained.push(Contained { what: boundary.to_string(), by: Reason::new(by).to_string() });
        self
    }

    /// Adds a boundary that does not hold.
    #[must_use]
    pub fn without(mut self, boundary: Boundary, why: impl Into<String>) -> Self {
        self.missing.push(Uncontained { what: boundary.to_string(), why: Reason::new(why).to_string() });
        self
    }
}
