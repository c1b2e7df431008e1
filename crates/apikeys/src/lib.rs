//! Who calls, allowed to do what?
//!
//! - [`key`]: the key itself, which cannot be printed, and its digest
//! - [`scope`]: what a key may do
//! - [`store`]: what a database promises
//! - [`service`]: the rules that both transports share

pub mod key;
pub mod scope;
pub mod service;
pub mod store;

pub use key::{Digest, Key};
pub use scope::{Permission, Scope, Scopes};
pub use service::{ApiKeys, KeysError, NewKey, Policy};
pub use store::{ApiKey, KeyStore};
