//! Answers that the bot has promised in Discord: which are still owed, and by which process.
//!
//! - [`deferral`]: an answer that somebody was promised
//! - [`seal`]: the sealed token of that answer, useless to a reader of the database
//! - [`store`]: the promises of a database
//! - [`service`]: the answers that this process owes, and those that it takes over
//!
//! A promise is a row under a lease of its process. The process renews the lease while it lives, and deletes the row
//! with the answer. When a lease ends, one other process takes the promise over.

pub mod deferral;
pub mod seal;
pub mod service;
pub mod store;

pub use deferral::{Deferral, Followed, Place};
pub use seal::{Seal, Sealed, Token};
pub use service::{Deferrals, Held, Orphan};
pub use store::{Claimed, DeferralStore, Holder};
