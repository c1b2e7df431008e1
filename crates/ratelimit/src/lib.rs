//! May they, now? A token bucket: L tokens, refilled at L per hour, kept as one instant (GCRA).
//!
//! - [`quota`]: L, and the arithmetic (pure)
//! - [`decision`]: the answer, and what its headers say
//! - [`limiter`]: what a limiter promises
//! - [`memory`]: a limiter in this process

pub mod decision;
pub mod limiter;
pub mod memory;
pub mod quota;

pub use decision::Decision;
pub use limiter::{Bucket, Deciding, Limiter};
pub use memory::MemoryLimiter;
pub use quota::Quota;
