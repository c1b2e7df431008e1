//! Whose credits, tier and stats?
//!
//! - [`user`]: a user as people know them
//! - [`stats`]: what a user has done here, in numbers
//! - [`store`]: what a database promises
//! - [`service`]: the rules that both transports share

pub mod service;
pub mod stats;
pub mod store;
pub mod user;

pub use service::Accounts;
pub use stats::Stats;
pub use store::UserStore;
pub use user::User;
