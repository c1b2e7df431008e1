//! May they do it now? A token bucket: L tokens, refilled at L per hour, stored as one instant (GCRA).
//!
//! - [`quota`]: L, and the arithmetic (pure)
//! - [`decision`]: the answer and the values of its headers
//! - [`joint`]: several buckets at once (pure)
//! - [`limiter`]: the trait of a limiter
//! - [`memory`]: a limiter in this process

pub mod decision;
pub mod joint;
pub mod limiter;
pub mod memory;
pub mod quota;

pub use decision::{Decision, Verdict};
pub use limiter::{Bucket, Deciding, Draw, Limiter};
pub use memory::MemoryLimiter;
pub use quota::Quota;
