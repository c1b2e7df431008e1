//! What both programs have in common, so that REST and Discord cannot come to obey different rules.
//!
//! - [`settings`]: what both read from the environment
//! - [`domain`]: the domain's services over one database
//! - [`limits`]: the limiter, in this process or in Redis
//! - [`upkeep`]: what any process does now and then for them

pub mod domain;
pub mod limits;
pub mod settings;
pub mod upkeep;

pub use domain::Domain;
pub use limits::Limits;
pub use settings::{Logs, Rules};
