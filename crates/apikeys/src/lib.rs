//! API keys: who calls, and with which rights.
//!
//! - [`address`]: addresses from which a key can be used
//! - [`api_key`]: a key as AGIS knows it after its creation
//! - [`cache`]: keys that this process looked up lately
//! - [`family`]: limits on which a key draws beside its own
//! - [`grant`]: rights of a key as one value, and the rule by which keys make keys
//! - [`key`]: the key itself, which cannot be printed, and its digest
//! - [`scope`]: permissions on servers, schedules and keys
//! - [`secret`]: a shared secret of an operator
//! - [`store`]: the interface of the store
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
