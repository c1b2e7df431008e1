//! An answer that somebody was promised.

use std::sync::Arc;

use agis_base::{OperationId, UserId};

use crate::seal::Sealed;

/// An answer that somebody was promised, as a store keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deferral {
    /// The idempotency key of what was asked; no two promises share one.
    pub key: Arc<str>,
    /// The user who asked.
    pub user: UserId,
    /// The token that opens the answer.
    pub token: Sealed,
    /// The place of the answer.
    pub place: Place,
    /// The operation whose end the answer is to tell.
    pub operation: Option<OperationId>,
}

/// The place of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// In a message of its own.
    Message,
    /// In the message whose button was pressed.
    Component,
}

impl Place {
    /// As it is stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Message => "message",
            Self::Component => "component",
        }
    }

    /// The place that is stored so.
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Message, Self::Component].into_iter().find(|place| place.as_str() == word)
    }
}
