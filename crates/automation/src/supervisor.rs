//! Servers that ended by themselves are started again, a few at a time.

use std::{sync::Arc, time::Duration};

use agis_base::{ServerId, StoreError};
use agis_servers::{
    RestartPolicy,
    operation::{self, Refusal},
    store::{Billing, RestartStore},
};

/// Longest pause between two rounds: the safety net under lost notifications.
pub const PERIOD: Duration = Duration::from_secs(5);
/// Shortest pause: crashes come in swarms, and their operations end in swarms.
pub const PAUSE: Duration = Duration::from_millis(200);

/// Restarts by what became of them.
const RESTARTS: &str = "agis_bot_supervisor_restarts_total";

/// Orders the restarts of a host, round by round.
pub struct Supervisor {
    store: Arc<dyn RestartStore>,
    host: String,
    at_once: u32,
    billing: Billing,
}

impl Supervisor {
    /// Creates the supervisor of this host, which has at most `at_once` of its starts under way.
    pub fn new(store: Arc<dyn RestartStore>, host: String, at_once: u32, billing: Billing) -> Self {
        // A counter that begins with its first event hides that event from rates and alerts.
        ["ordered", "refused", "given_up"].iter().for_each(|outcome| count(outcome, 0));
        Self { store, host, at_once, billing }
    }

    /// Orders the restarts whose time has come. Returns the time until the next one, if there is one.
    ///
    /// # Errors
    /// Fails if the store does; the next round goes on.
    pub async fn round(&self) -> Result<Option<Duration>, StoreError> {
        let restarted = self.store.restart(&self.host, self.at_once, self.billing).await?;
        for (action, state) in restarted.accepted.ended {
            operation::count(action, state);
        }
        for answer in restarted.accepted.answers {
            match answer {
                Ok(operation) => {
                    count("ordered", 1);
                    let (server, id) = (operation.server.0, operation.id);
                    tracing::info!(server_id = server, operation_id = %id, "server is started again");
                }
                // A hold postpones it.
                Err(Refusal::Held) => {}
                Err(_) => count("refused", 1),
            }
        }
        Ok(restarted.until_next)
    }
}

/// Tells an operator that a server stays down.
pub(crate) fn gave_up(server: ServerId, RestartPolicy { max, within, .. }: &RestartPolicy) {
    count("given_up", 1);
    tracing::warn!(server_id = server.0, max, %within, "server was started again too often and stays down");
}

fn count(outcome: &'static str, restarts: u64) {
    metrics::counter!(RESTARTS, "outcome" => outcome).increment(restarts);
}
