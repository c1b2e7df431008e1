//! Users with their credits, tiers and stats.
//!
//! - [`user`]: a user as people know them
//! - [`ledger`]: credits, and the hours of running servers
//! - [`stats`]: totals of a user's actions
//! - [`store`]: the promises of a database
//! - [`service`]: the rules that both transports share

pub mod ledger;
pub mod service;
pub mod stats;
pub mod store;
pub mod user;

pub use ledger::LedgerStore;
pub use service::Accounts;
pub use stats::Stats;
pub use store::UserStore;
pub use user::User;
