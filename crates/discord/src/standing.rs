//! How the bot stands with Discord: which shards are connected, and whether Discord wants it at all.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio_util::sync::CancellationToken;
use twilight_http::{Error, error::ErrorType};

/// How the bot stands with Discord. Cheap to clone.
#[derive(Clone, Default)]
pub struct Standing {
    state: Arc<Mutex<State>>,
    refused: CancellationToken,
}

#[derive(Default)]
struct State {
    /// What each shard lacks; nothing where it is connected.
    shards: BTreeMap<u32, Option<String>>,
    disconnected: Option<String>,
    why_refused: Option<String>,
}

impl Standing {
    /// Why not everything is well, for an operator; `None` where it is.
    pub fn trouble(&self) -> Option<String> {
        let state = self.lock();
        if let Some(why) = state.why_refused.as_ref().or(state.disconnected.as_ref()) {
            return Some(why.clone());
        }
        let (shard, why) = state.shards.iter().find_map(|(shard, why)| Some((shard, why.as_ref()?)))?;
        Some(format!("shard {shard}: {why}"))
    }

    /// Whether nobody has tried to connect yet, which is no trouble.
    pub fn is_starting(&self) -> bool {
        let state = self.lock();
        state.shards.is_empty() && state.disconnected.is_none() && state.why_refused.is_none()
    }

    /// How many shards are connected.
    pub fn shards_connected(&self) -> usize {
        self.lock().shards.values().filter(|why| why.is_none()).count()
    }

    /// Whether Discord refuses the bot. Nothing more is asked of Discord with the bot's token then: whoever goes on is
    /// banned by their address.
    pub fn is_refused(&self) -> bool {
        self.refused.is_cancelled()
    }

    /// Resolves when Discord refuses the bot.
    pub(crate) async fn refused(&self) {
        self.refused.cancelled().await;
    }

    /// Notes that Discord refuses the bot, for good: it takes another token or another configuration, and a restart.
    pub fn refuse(&self, why: &str) {
        tracing::error!(why, "Discord refuses the bot");
        let mut state = self.lock();
        state.why_refused = Some(why.to_owned());
        // What is still open is let go of.
        state.shards.clear();
        self.refused.cancel();
    }

    /// Notes that there is no gateway to connect to.
    pub(crate) fn disconnected(&self, why: &str) {
        tracing::warn!(why, "not connected to Discord");
        self.lock().disconnected = Some(why.to_owned());
    }

    /// So many shards are about to connect.
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

    /// Looks at a failed call: where Discord refuses the token, that is noted.
    pub(crate) fn heed(&self, error: &Error) {
        if is_refusal(error) && !self.is_refused() {
            self.refuse(NOT_TAKEN);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(crate) const NOT_TAKEN: &str = "Discord does not take the bot's token (DISCORD_TOKEN)";

/// Whether Discord refuses the bot's token. twilight asks nothing more after a 401 and answers `Unauthorized` itself.
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
