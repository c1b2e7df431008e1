use std::time::Duration;

use agis_base::StoreError;
use async_trait::async_trait;

use super::{billing::Billing, operations::Accepted};
/// Restarts that wait, as rows.
#[async_trait]
pub trait RestartStore: Send + Sync {
    /// Orders the restarts of a host whose time has come, in one transaction: each is accepted by
    /// [`crate::power::accept`] as a start that the owner asks for, unless something was asked of the server since its end.
    /// At most `at_once` of its orders are open at a time. A restart that is refused waits no more; its owner is told.
    async fn restart(&self, host: &str, at_once: u32, billing: Billing) -> Result<Restarted, StoreError>;
}

/// Result of a round over the restarts of a host.
#[derive(Debug, Clone, Default)]
pub struct Restarted {
    /// Answers to the restarts whose time had come.
    pub accepted: Accepted,
    /// Time until the next restart that waits for its time; `None` if there is none.
    pub until_next: Option<Duration>,
}
