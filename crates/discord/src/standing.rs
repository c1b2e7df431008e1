//! State of the bot at Discord: the connected shards, and whether Discord refuses the bot.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio_util::sync::CancellationToken;
use twilight_http::{Error, error::ErrorType};

/// State of the bot at Discord. Cheap to clone.
#[derive(Clone, Default)]
pub struct Standing {
    state: Arc<Mutex<ShardStates>>,
    refused: CancellationToken,
}

#[derive(Default)]
struct ShardStates {
    /// Trouble of each shard; empty for a connected one.
    shards: BTreeMap<u32, Option<String>>,
    disconnected: Option<String>,
    why_refused: Option<String>,
}

impl Standing {
    /// Returns the trouble for an operator; `None` if all is well.
    pub fn trouble(&self) -> Option<String> {
        let state = self.lock();
        if let Some(why) = state.why_refused.as_ref().or(state.disconnected.as_ref()) {
            return Some(why.clone());
        }
        let (shard, why) = state.shards.iter().find_map(|(shard, why)| Some((shard, why.as_ref()?)))?;
        Some(format!("shard {shard}: {why}"))
    }

    /// Returns whether nobody has tried to connect yet, which is no trouble.
    pub fn is_starting(&self) -> bool {
        let state = self.lock();
        state.shards.is_empty() && state.disconnected.is_none() && state.why_refused.is_none()
    }

    /// Returns the number of connected shards.
    pub fn shards_connected(&self) -> usize {
        self.lock().shards.values().filter(|why| why.is_none()).count()
    }

    /// Returns whether Discord refuses the bot. The bot then makes no more calls with its token: Discord bans the
    /// address of a bot that does.
    pub fn is_refused(&self) -> bool {
        self.refused.is_cancelled()
    }

    /// Resolves when Discord refuses the bot.
    pub(crate) async fn refused(&self) {
        self.refused.cancelled().await;
    }

    /// Records that Discord refuses the bot, for good: it takes another token or another configuration, and a restart.
    pub fn refuse(&self, why: &str) {
        tracing::error!(why, "Discord refuses the bot");
        let mut state = self.lock();
        state.why_refused = Some(why.to_owned());
        // Closes the open connections.
        state.shards.clear();
        self.refused.cancel();
    }

    /// Records that there is no gateway to connect to.
    pub(crate) fn disconnected(&self, why: &str) {
        tracing::warn!(why, "not connected to Discord");
        self.lock().disconnected = Some(why.to_owned());
    }

    /// Records the number of shards that are about to connect.
    pub(crate) fn expect(&self, shards: u32) {
        let mut state = self.lock();
        state.disconnected = None;
        state.shards = (0..shards).map(|shard| (shard, Some("it is connecting".to_owned()))).collect();
    }

    pub(crate) fn connected(&self, shard: u32) {
        self.lock().shards.insert(shard, None);
    }

    pub(crate) fn lost(&self, shard: u32, why: &str) {
        self.lock().shards.insert(shard, Some(why.to_owned()));
    }

    /// Records a refused token if a call failed for that.
    pub(crate) fn heed(&self, error: &Error) {
        if is_refusal(error) && !self.is_refused() {
            self.refuse(NOT_TAKEN);
        }
    }

    fn lock(&self) -> MutexGuard<'_, ShardStates> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(crate) const NOT_TAKEN: &str = "Discord does not take the bot's token (DISCORD_TOKEN)";

/// Returns whether Discord refuses the bot's token. twilight makes no more calls after a 401 and answers `Unauthorized`
/// itself.
pub(crate) fn is_refusal(error: &Error) -> bool {
    match error.kind() {
        ErrorType::Unauthorized => true,
        ErrorType::Response { status, .. } => status.get() == 401,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusal_outweighs_other_troubles() {
        let standing = Standing::default();
        assert!(standing.is_starting());
        standing.disconnected("no answer");
        assert!(!standing.is_starting());
        let refused = Standing::default();
        refused.refuse("no");
        assert_eq!((refused.trouble().as_deref(), refused.is_starting()), (Some("no"), false));
        assert_eq!(standing.trouble().as_deref(), Some("no answer"));
        standing.expect(2);
        standing.connected(0);
        assert_eq!(standing.trouble().as_deref(), Some("shard 1: it is connecting"));
        standing.connected(1);
        assert_eq!((standing.trouble(), standing.shards_connected(), standing.is_starting()), (None, 2, false));
        standing.refuse("no");
        assert_eq!((standing.trouble().as_deref(), standing.is_refused()), (Some("no"), true));
    }
}
