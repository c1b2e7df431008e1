//! Real parts for tests, and what brings them up.
//!
//! - [`postgres`]: a private PostgreSQL cluster, found or fetched, never run as root
//! - [`redis`]: a private Redis
//! - [`Database`]: an empty database for one test
//! - [`certificates`]: CAs, certificates and keys
//! - [`proxy`]: a TCP proxy that loses the connection on purpose
//! - `discord`: a stand-in for Discord (with the feature of that name)
//! - `kubernetes`: a stand-in for Kubernetes with Agones (with the feature of that name)
//! - [`clock`]: programs under test share the test's clock
//! - [`wait`]: the one place where a test may sleep
//! - [`apt`]: what the system's package manager can give
//! - [`account`], [`leash`]: who a helper process runs as, and how it ends when its parent is killed

pub mod account;
pub mod apt;
pub mod certificates;
pub mod clock;
mod database;
#[cfg(feature = "discord")]
pub mod discord;
mod error;
#[cfg(feature = "kubernetes")]
pub mod kubernetes;
pub mod leash;
pub mod postgres;
pub mod proxy;
mod random;
pub mod redis;
mod sql;
pub mod wait;

pub use database::Database;
pub use error::{Error, Result};
