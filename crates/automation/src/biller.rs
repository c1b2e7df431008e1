//! Servers that run are paid for, hour by hour.

use std::{sync::Arc, time::Duration};

use agis_accounts::{LedgerStore, ledger::Unpaid};
use agis_base::{StoreError, UserId};
use agis_servers::{Action, Request, Servers};

/// Longest pause between two rounds.
pub const PERIOD: Duration = Duration::from_secs(15);
/// Number of owners that one round charges. No stop interrupts a round, so it must be short on a slow database too.
const OWNERS: u32 = 20;

/// Charges owners for servers that run, round by round.
pub struct Biller {
    ledger: Arc<dyn LedgerStore>,
    servers: Servers,
    /// Last owner of the previous round; `None` if a pass begins.
    after: Option<UserId>,
    /// Whether this pass has charged anybody.
    charged: bool,
}

impl Biller {
    /// Creates the biller over this ledger, with the servers that it stops.
    pub fn new(ledger: Arc<dyn LedgerStore>, servers: Servers) -> Self {
        // A counter that begins with its first event hides that event from rates and alerts.
        metrics::counter!("agis_bot_unpaid_stops_total").increment(0);
        for game in servers.catalogue().games() {
            metrics::counter!("agis_bot_credits_spent_total", "game_type" => game.key.clone()).increment(0);
        }
        Self { ledger, servers, after: None, charged: false }
    }

    /// Charges the next owners who owe an hour. Returns no pause until a pass over all owners has charged nobody: an outage
    /// of AGIS may have left more than one hour of a server.
    ///
    /// # Errors
    /// Fails if the store does; the next pass goes on.
    pub async fn round(&mut self) -> Result<Option<Duration>, StoreError> {
        let owners = self.ledger.owing(self.after.take().as_ref(), OWNERS).await?;
        for owner in &owners {
            match self.charge(owner).await {
                Ok(charged) => self.charged |= charged,
                Err(error @ StoreError::Unavailable(_)) => return Err(error),
                // The account of one is no reason to let all others play for nothing.
                Err(error) => tracing::error!(owner = owner.as_str(), %error, "owner could not be charged"),
            }
        }
        self.after = owners.last().cloned();
        let goes_on = self.after.is_some() || std::mem::take(&mut self.charged);
        Ok(goes_on.then_some(Duration::ZERO))
    }

    /// Answers whether something was paid.
    async fn charge(&self, owner: &UserId) -> Result<bool, StoreError> {
        let charged = self.ledger.charge(owner).await?;
        for charge in &charged.charges {
            metrics::counter!("agis_bot_credits_spent_total", "game_type" => charge.game_type.clone())
                .increment(charge.credits.unsigned_abs().into());
        }
        for unpaid in &charged.unpaid {
            // A server that cannot be stopped now stays due.
            if let Err(error) = self.stop(unpaid).await {
                tracing::warn!(server_id = unpaid.server.0, %error, "unpaid server could not be stopped");
            }
        }
        Ok(!charged.charges.is_empty())
    }

    async fn stop(&self, unpaid: &Unpaid) -> Result<(), agis_servers::ServersError> {
        let request = Request::of_operator(unpaid.server, Action::Stop, unpaid.owner.clone());
        self.servers.request(request).await?;
        tracing::info!(server_id = unpaid.server.0, "unpaid server is being stopped");
        metrics::counter!("agis_bot_unpaid_stops_total").increment(1);
        Ok(())
    }
}
