//! Words that two or more domains share: typed ids, names, timestamps, store errors, idempotent
//! requests, actions, lengths of time, and how a value is written as a word.
//!
//! This crate depends on no other crate of AGIS. A word of a single domain lives in that domain.

mod action;
mod error;
mod id;
pub mod name;
mod once;
mod reach;
mod reason;
mod span;
mod trace;
mod word;

pub use action::PowerAction;
pub use error::StoreError;
pub use id::{
    ChannelId, CommandId, GuildId, InvalidDiscordId, InvalidId, KeyId, OperationId, RoleId, ScheduleId, ServerId,
    UserId,
};
pub use once::Once;
pub use reach::Reach;
pub use reason::{REASON_MAX, Reason};
pub use span::{InvalidSpan, Span};
pub use trace::{REQUEST_ID_MAX, Trace, TraceId};
pub use word::Word;

/// Point in time, in UTC. Zones exist only in cron expressions and on screens.
pub type Timestamp = chrono::DateTime<chrono::Utc>;
