//! Answers that the bot has promised in Discord: which are still owed, and by which process.
//!
//! - [`deferral`]: an answer that somebody was promised
//! - [`seal`]: the token that opens that answer, sealed so that the database alone opens nothing
//! - [`store`]: what a database promises
//! - [`service`]: which answers this process owes, and those that another can give no more
//!
//! A promise is a row under a lease of the process that made it. The process renews the lease for as long as it lives, and
//! the row goes with the answer. When a lease runs out, one other process takes the promise over.

pub mod deferral;
pub mod seal;
pub mod service;
pub mod store;

pub use deferral::{Deferral, Place};
pub use seal::{Seal, Sealed, Token};
pub use service::{Deferrals, Held, Orphan};
pub use store::{Claimed, DeferralStore, Holder};
