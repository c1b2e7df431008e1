//! Answers that somebody was promised.

use std::sync::Arc;

use agis_base::{OperationId, UserId};

use crate::seal::Sealed;

/// Promised answer, as a store keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deferral {
    /// Idempotency key of the request; no two promises share one.
    pub key: Arc<str>,
    /// User who asked.
    pub user: UserId,
    /// Sealed token that opens the answer.
    pub token: Sealed,
    /// Place of the answer.
    pub place: Place,
    /// Operation whose end the answer reports.
    pub operation: Option<OperationId>,
}

/// Place of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// A message of its own.
    Message,
    /// The message whose button was pressed.
    Component,
}

impl Place {
    /// Returns the stored word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Message => "message",
            Self::Component => "component",
        }
    }

    /// Returns the place of a stored word.
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Message, Self::Component].into_iter().find(|place| place.as_str() == word)
    }
}
