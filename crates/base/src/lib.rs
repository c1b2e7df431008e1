//! Words that two or more domains share: typed ids, names, timestamps, store errors, idempotent
//! requests, actions, labels, lengths of time, time zones, the pace of work on many servers, and how a value is written as a
//! word.
//!
//! This crate depends on no other crate of AGIS. A word of a single domain lives in that domain.

mod action;
mod error;
mod id;
mod label;
pub mod name;
mod once;
mod pace;
mod reach;
mod reason;
mod span;
mod trace;
mod word;
pub mod zone;

pub use action::PowerAction;
pub use error::StoreError;
pub use id::{
    BatchId, ChannelId, CommandId, GuildId, InvalidDiscordId, InvalidId, KeyId, OperationId, RoleId, ScheduleId,
    ServerId, UserId,
};
pub use label::{InvalidLabel, LABEL_MAX, Label};
pub use once::Once;
pub use pace::{MANY_MAX, Pace};
pub use reach::Reach;
pub use reason::{REASON_MAX, Reason};
pub use span::{InvalidSpan, Span};
pub use trace::{REQUEST_ID_MAX, Trace, TraceId};
pub use word::Word;
pub use zone::Zone;

/// Point in time, in UTC. Zones exist only in cron expressions and on screens.
pub type Timestamp = chrono::DateTime<chrono::Utc>;
