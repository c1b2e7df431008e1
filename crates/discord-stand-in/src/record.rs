//! Records of the bot's requests and connections.

use std::time::Instant;

use serde_json::Value;

/// A request of the bot.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Request {
    /// Time of arrival.
    pub at: Instant,
    /// HTTP method.
    pub method: String,
    /// Path after `/api/v10`, without the query.
    pub path: String,
    /// JSON body; null without one.
    pub body: Value,
    /// Status of the response.
    pub status: u16,
    /// Faults of the request.
    pub complaints: Vec<String>,
}

/// Entry of a gateway connection into a session.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Entry {
    /// Id of the session.
    pub session: String,
    /// Whether it resumed a session (RESUME) or began one (IDENTIFY).
    pub resumed: bool,
    /// Number of the shard, and of shards in all.
    pub shard: (u64, u64),
    /// Intents: the events that it asks for.
    pub intents: u64,
}
