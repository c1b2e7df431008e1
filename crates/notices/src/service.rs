//! The rules for whoever sends notices.

use std::{sync::Arc, time::Duration};

use agis_base::{Reason, StoreError};

use crate::{
    notice::Notice,
    store::{Failure, NoticeStore},
};

/// For how long a claimed notice is the claimer's. Whoever takes longer to send it may be followed by another.
pub const LEASE: Duration = Duration::from_secs(60);

/// The rules over a store.
#[derive(Clone)]
pub struct Notices {
    store: Arc<dyn NoticeStore>,
}

impl Notices {
    /// The rules over this store.
    pub fn new(store: Arc<dyn NoticeStore>) -> Self {
        Self { store }
    }

    /// Up to `limit` notices that are to be sent within [`LEASE`], each followed by [`Self::sent`] or [`Self::failed`].
    ///
    /// # Errors
    /// The store's.
    pub async fn claim(&self, limit: u32) -> Result<Vec<Notice>, StoreError> {
        let claimed = self.store.claim(limit, LEASE).await?;
        count_given_up(claimed.given_up);
        Ok(claimed.notices)
    }

    /// A notice has reached its recipient. Where another attempt has it meanwhile, this one is not heard.
    ///
    /// # Errors
    /// The store's; the notice is then claimed again when its lease has run out.
    pub async fn sent(&self, notice: &Notice) -> Result<(), StoreError> {
        if self.store.sent(notice).await? {
            count("sent", 1);
        }
        Ok(())
    }

    /// A notice has not reached its recipient. It is tried again later, unless that would be in vain (`permanent`: the
    /// recipient takes no messages, say), or it was tried often enough.
    ///
    /// # Errors
    /// The store's; the notice is then claimed again when its lease has run out.
    pub async fn failed(&self, notice: &Notice, why: &Reason, permanent: bool) -> Result<(), StoreError> {
        match self.store.failed(notice, why, permanent).await? {
            Some(Failure::Retried) => count("retried", 1),
            Some(Failure::GivenUp) => {
                tracing::warn!(notice_id = notice.id.0, %why, "A notice is given up");
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
