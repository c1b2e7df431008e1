//! Finds answers that a dead process owed.

use std::time::Duration;

use agis_base::StoreError;
use agis_deferrals::Deferrals;
use futures_util::future::join_all;

use crate::{repair::begin_counting, voice::Voice};

/// Maximum number of answers per round.
const BATCH: u32 = 20;
/// Longest pause between two rounds.
pub const PERIOD: Duration = Duration::from_secs(5);

/// Gives answers that nobody else gives any more, round by round.
pub struct Mender {
    deferrals: Deferrals,
    voice: Voice,
}

impl Mender {
    pub(crate) fn new(deferrals: Deferrals, voice: Voice) -> Self {
        begin_counting();
        Self { deferrals, voice }
    }

    /// Takes over the next answers. Returns no pause if more may wait.
    ///
    /// # Errors
    /// Fails if the answers cannot be claimed.
    pub async fn round(&self) -> Result<Option<Duration>, StoreError> {
        let Some(handler) = self.voice.handler() else { return Ok(self.voice.pause()) };
        let orphans = self.deferrals.claim(BATCH).await?;
        let given = join_all(orphans.into_iter().map(|orphan| handler.give(orphan))).await.len();
        Ok((given >= BATCH as usize).then_some(Duration::ZERO))
    }
}
