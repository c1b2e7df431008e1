//! Rules for senders of notices.

use std::{sync::Arc, time::Duration};

use agis_base::{Reason, StoreError};

use crate::{
    notice::Notice,
    store::{Failure, NoticeStore},
};

/// Length of a claim. If sending takes longer, another sender may follow.
pub const LEASE: Duration = Duration::from_secs(60);

/// Applies the rules about notices.
#[derive(Clone)]
pub struct Notices {
    store: Arc<dyn NoticeStore>,
}

impl Notices {
    /// Creates the service over this store.
    pub fn new(store: Arc<dyn NoticeStore>) -> Self {
        Self { store }
    }

    /// Claims up to `limit` notices to send within [`LEASE`], each followed by [`Self::sent`] or [`Self::failed`].
    ///
    /// # Errors
    /// Fails if the store does.
    pub async fn claim(&self, limit: u32) -> Result<Vec<Notice>, StoreError> {
        let claimed = self.store.claim(limit, LEASE).await?;
        count_given_up(claimed.given_up);
        Ok(claimed.notices)
    }

    /// Records a delivery. Has no effect if another attempt has the notice.
    ///
    /// # Errors
    /// Fails if the store does. The notice is claimed again when its lease ends.
    pub async fn sent(&self, notice: &Notice) -> Result<(), StoreError> {
        if self.store.sent(notice).await? {
            count("sent", 1);
        }
        Ok(())
    }

    /// Records a failed delivery. The notice is tried again later, unless it was tried often enough or the failure is
    /// `permanent`: the recipient accepts no messages, say.
    ///
    /// # Errors
    /// Fails if the store does. The notice is claimed again when its lease ends.
    pub async fn failed(&self, notice: &Notice, why: &Reason, permanent: bool) -> Result<(), StoreError> {
        match self.store.failed(notice, why, permanent).await? {
            Some(Failure::Retried) => count("retried", 1),
            Some(Failure::GivenUp) => {
                tracing::warn!(notice_id = notice.id.0, %why, "notice is given up");
                count_given_up(1);
            }
            None => {}
        }
        Ok(())
    }
}

/// Counts notices that are not tried again, in `agis_bot_notices_total`.
pub fn count_given_up(notices: u64) {
    count("given_up", notices);
}

fn count(outcome: &'static str, notices: u64) {
    metrics::counter!("agis_bot_notices_total", "outcome" => outcome).increment(notices);
}
