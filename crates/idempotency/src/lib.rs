//! Was this asked before?
//!
//! - [`reply`]: what was asked, and what was answered
//! - [`store`]: what a database promises
//! - [`service`]: for how long, and how many
//!
//! A caller names a request by a key of its own. The first time it is done; after that, its answer is repeated. Between
//! the two it is in flight, under a lease, so that what a killed process left is taken over. What the request makes is
//! noted by [`agis_base::Once`] in the transaction that makes it.

pub mod reply;
pub mod service;
pub mod store;

pub use reply::{Asked, Fingerprint, Reply};
pub use service::Idempotency;
pub use store::{Begun, Replies};
