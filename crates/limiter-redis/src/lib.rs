//! Redis behind ratelimit's trait, so that several processes share a caller's bucket.
//!
//! - [`url`]: the address of Redis, never printed
//! - `script`, `take.lua`: one decision by Redis, on its own clock
//! - `link`: the connection, present or absent
//! - [`limiter`]: asks Redis while it is there, and decides in this process while it is not

pub mod limiter;
mod link;
mod script;
pub mod url;

pub use limiter::RedisLimiter;
pub use link::Error;
pub use url::{Files, RedisUrl, UrlError};
