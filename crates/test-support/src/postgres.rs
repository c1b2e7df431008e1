//! A private PostgreSQL cluster: found or fetched, set up, run and stopped by this process.

mod binaries;
mod cluster;
mod fetch;
mod layout;
pub(crate) mod port;
mod server;

use std::ffi::OsString;
use std::path::PathBuf;

pub use cluster::Cluster;

/// Whether a cluster's data outlives a crash of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// Data is kept, and written through to the disk.
    Durable,
    /// Data goes with the [`Cluster`]: nothing waits for the disk.
    Throwaway,
}

/// How a [`Cluster`] is run.
#[derive(Debug, Clone)]
pub struct Options {
    /// The folder of the cluster; a throw-away one without a folder gets one among the temporary files.
    dir: Option<PathBuf>,
    downloads: Option<PathBuf>,
    durability: Durability,
    max_connections: u16,
    env: Vec<(&'static str, OsString)>,
}

impl Options {
    /// A cluster that keeps its data in `dir`.
    pub fn durable(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: Some(dir.into()),
            downloads: None,
            durability: Durability::Durable,
            max_connections: 100,
            env: vec![],
        }
    }

    /// A cluster among the temporary files, removed with the [`Cluster`].
    #[must_use]
    pub fn throwaway() -> Self {
        Self { dir: None, downloads: None, durability: Durability::Throwaway, max_connections: 100, env: vec![] }
    }

    /// Allows to fetch PostgreSQL where the machine has none: into this folder, or by the system's package manager.
    #[must_use]
    pub fn fetch_into(self, downloads: impl Into<PathBuf>) -> Self {
        Self { downloads: Some(downloads.into()), ..self }
    }

    /// How many connections the server accepts.
    #[must_use]
    pub fn max_connections(self, max_connections: u16) -> Self {
        Self { max_connections, ..self }
    }

    /// Variables that the server has besides this process' own.
    #[must_use]
    pub fn env(self, env: Vec<(&'static str, OsString)>) -> Self {
        Self { env, ..self }
    }
}
