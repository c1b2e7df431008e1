//! The services of this machine that AGIS needs, for `cargo xtask dev` and for tests.
//!
//! - [`postgres`]: a private PostgreSQL cluster, found or fetched, never run as root
//! - [`redis`]: a private Redis
//! - [`engine`]: a private container engine, Docker or Podman
//! - [`registry`]: a registry of one container image; `rootfs`: the files of such an image
//! - [`certificates`]: CAs, certificates and keys, for services with TLS
//! - [`sql`]: one statement on a connection of its own
//! - [`apt`]: the packages of the system's package manager
//! - [`account`]: the account that a helper process runs as
//! - [`leash`]: ends a helper process when its parent is killed
//! - [`random`]: passwords, and names that are taken nowhere

pub mod account;
pub mod apt;
pub mod certificates;
pub mod engine;
mod error;
pub mod leash;
pub mod postgres;
pub mod random;
pub mod redis;
pub mod registry;
mod rootfs;
pub mod sql;

pub use error::{Error, Result};
