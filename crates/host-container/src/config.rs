use std::{path::PathBuf, time::Duration};

use crate::address::Address;

/// Configuration of the host. The composing program fills it from its environment.
#[derive(Debug, Clone)]
pub struct Config {
    /// Configuration that the hosts of a machine share.
    pub machine: agis_machine::Config,
    /// Addresses at which the engine may be, the first one first; empty for the usual sockets. Once the data directory has
    /// an engine, any other one is passed over.
    pub engines: Vec<Address>,
    /// Path of `agis-shim`, which writes the games' files.
    pub shim: PathBuf,
    /// Deadlines, and times between looks.
    pub pace: Pace,
}

/// Deadlines of calls to the engine, and times between looks. A test suite is less patient than an operator.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Deadline of a call that an engine answers at once.
    pub call: Duration,
    /// Deadline of a call for which an engine works: to create, start or remove a container. A storage driver may copy a
    /// whole image.
    pub work: Duration,
    /// Deadline of a pull.
    pub pull: Duration,
    /// Time without any progress after which a pull is given up.
    pub stall: Duration,
    /// Time between two searches for orphans.
    pub reap: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl Pace {
    /// Pace of a machine of an operator.
    pub const DEFAULT: Self = Self {
        call: Duration::from_secs(15),
        work: Duration::from_secs(120),
        pull: Duration::from_secs(60 * 60),
        stall: Duration::from_secs(120),
        reap: Duration::from_secs(30),
    };
}
