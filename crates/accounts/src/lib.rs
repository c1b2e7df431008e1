//! Whose credits, tier and stats?
//!
//! - [`user`]: a user as people know them
//! - [`store`]: what a database promises
//! - [`service`]: the rules that both transports share

pub mod service;
pub mod store;
pub mod user;

pub use service::Accounts;
pub use store::UserStore;
pub use user::User;
