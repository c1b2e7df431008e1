//! Who calls, allowed to do what?
//!
//! - [`address`]: from where a key may be used
//! - [`api_key`]: a key as it is known after its creation
//! - [`cache`]: the keys that this process has looked up lately
//! - [`family`]: on whose limits a key draws beside its own
//! - [`grant`]: what a key may do as one value, and what keys may do to keys
//! - [`key`]: the key itself, which cannot be printed, and its digest
//! - [`scope`]: what a key may do
//! - [`secret`]: a shared secret of an operator
//! - [`store`]: what a database promises
//! - [`service`]: the rules that both transports share

pub mod address;
pub mod api_key;
pub mod cache;
pub mod family;
pub mod grant;
pub mod key;
pub mod scope;
pub mod secret;
pub mod service;
pub mod store;

pub use address::{Block, Blocks};
pub use api_key::{ApiKey, KeyState, Maker};
pub use cache::KeyCache;
pub use family::KeyBuckets;
pub use grant::{Beyond, Grant, KeyChange, Wanted};
pub use key::{Digest, Key};
pub use scope::{Permission, Scope, Scopes};
pub use secret::Secret;
pub use service::{ApiKeys, KeysError, NewKey, Policy};
pub use store::KeyStore;
