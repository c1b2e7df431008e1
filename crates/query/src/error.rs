use std::{io, time::Duration};

use thiserror::Error;

/// Reason why a game told nothing that can be used.
#[derive(Debug, Error)]
pub enum QueryError {
    /// Nothing, or not enough, came in time.
    #[error("no answer within {} s", .0.as_secs_f32())]
    Silent(Duration),
    /// The operating system refused.
    #[error("cannot be reached: {0}")]
    Unreachable(#[from] io::Error),
    /// An answer came that the protocol does not allow.
    #[error("the answer is malformed: {0}")]
    Malformed(&'static str),
}
