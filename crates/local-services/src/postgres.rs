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

use crate::certificates::ServerTls;

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
    tls: Option<ServerTls>,
    access: Option<&'static str>,
    socket: bool,
}

impl Options {
    /// A cluster that keeps its data in `dir`.
    pub fn durable(dir: impl Into<PathBuf>) -> Self {
        Self { dir: Some(dir.into()), durability: Durability::Durable, ..Self::throwaway() }
    }

    /// A cluster among the temporary files, removed with the [`Cluster`].
    #[must_use]
    pub fn throwaway() -> Self {
        Self {
            dir: None,
            downloads: None,
            durability: Durability::Throwaway,
            max_connections: 100,
            env: vec![],
            tls: None,
            access: None,
            socket: false,
        }
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

    /// Speaks TLS to those who ask for it.
    #[must_use]
    pub fn tls(self, tls: ServerTls) -> Self {
        Self { tls: Some(tls), ..self }
    }

    /// Sets who may connect, and how: lines of `pg_hba.conf`, in place of everybody from this machine with the password.
    #[must_use]
    pub fn access(self, lines: &'static str) -> Self {
        Self { access: Some(lines), ..self }
    }

    /// Listens on a socket in the cluster's folder too.
    #[must_use]
    pub fn socket(self) -> Self {
        Self { socket: true, ..self }
    }

    /// Variables that the server has besides this process' own.
    #[must_use]
    pub fn env(self, env: Vec<(&'static str, OsString)>) -> Self {
        Self { env, ..self }
    }
}
