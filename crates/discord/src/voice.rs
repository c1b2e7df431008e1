//! Whether the bot may call Discord on its own.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use crate::{handler::Handler, standing::Standing};

/// Pause until the next look whether Discord has told who the bot is.
const SOON: Duration = Duration::from_millis(100);

/// The bot's right to call Discord: from when Discord has told who the bot is, until it refuses the bot.
#[derive(Clone, Default)]
pub(crate) struct Voice {
    /// Set when Discord has told who the bot is.
    pub(crate) handler: Arc<OnceLock<Handler>>,
    pub(crate) standing: Standing,
}

impl Voice {
    /// Returns the handler of a bot that may call Discord. A refused bot leaves the work to others.
    pub(crate) fn handler(&self) -> Option<&Handler> {
        self.handler.get().filter(|_| !self.standing.is_refused())
    }

    /// Returns the pause of a loop that may not call Discord; `None` if it will not be allowed to any more.
    pub(crate) fn pause(&self) -> Option<Duration> {
        (!self.standing.is_refused()).then_some(SOON)
    }
}
