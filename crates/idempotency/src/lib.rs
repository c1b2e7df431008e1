//! Was this asked before?
//!
//! - [`reply`]: the request and its answer
//! - [`store`]: the promises of a database
//! - [`service`]: times and bounds
//!
//! A caller names a request by a key of its own. AGIS does the request once and repeats the answer afterwards. Between
//! the two the request is in flight, under a lease, so that another attempt takes over from a killed process. The
//! transaction that creates something for the request also writes [`agis_base::Once`].

pub mod reply;
pub mod service;
pub mod store;

pub use reply::{Asked, Fingerprint, Reply};
pub use service::Idempotency;
pub use store::{Begun, Replies};
