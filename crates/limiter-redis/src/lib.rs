//! Redis behind ratelimit's trait, so that several processes share a caller's bucket.
//!
//! - [`url`]: where Redis is, not to be printed
//! - `script`, `take.lua`: one decision, made by Redis on its own clock
//! - `link`: the connection, there or not
//! - [`limiter`]: asks Redis while it is there, and decides in this process while it is not

pub mod limiter;
mod link;
mod script;
pub mod url;

pub use limiter::RedisLimiter;
pub use link::Error;
pub use url::{Files, RedisUrl, UrlError};
