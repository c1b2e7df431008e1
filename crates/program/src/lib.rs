//! The common part of both programs, so that REST and Discord follow the same rules.
//!
//! - [`settings`]: the environment of both programs
//! - [`domain`]: the domain's services over one database
//! - [`limits`]: the limiter, in this process or in Redis
//! - [`upkeep`]: regular jobs of any process

pub mod domain;
pub mod limits;
pub mod settings;
pub mod upkeep;

pub use domain::Domain;
pub use limits::Limits;
pub use settings::{Logs, Rules};
