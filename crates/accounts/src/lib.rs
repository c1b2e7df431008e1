//! Whose credits, tier and stats?
//!
//! - [`user`]: a user as people know them
//! - [`ledger`]: what moves on an account, and when a server that runs is paid for
//! - [`stats`]: what a user has done here, in numbers
//! - [`store`]: what a database promises
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
