//! Servers that run are paid for, hour by hour.

use std::{sync::Arc, time::Duration};

use agis_accounts::{LedgerStore, ledger::Unpaid};
use agis_base::{StoreError, UserId};
use agis_servers::{Action, Request, Servers, game::Catalogue};
use tokio_util::sync::CancellationToken;

/// How often is looked whose hour is over.
const POLL: Duration = Duration::from_secs(15);
/// How many owners are asked for at once.
const OWNERS: u32 = 100;

/// The loop that has servers paid for.
pub struct Biller {
    /// Accounts.
    pub ledger: Arc<dyn LedgerStore>,
    /// Servers, to be stopped.
    pub servers: Servers,
    /// The games that cost something.
    pub catalogue: Arc<Catalogue>,
}

impl Biller {
    /// Runs until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        self.count_from_zero();
        while !stop.is_cancelled() {
            match self.round(&stop).await {
                // An outage of ours may have left more than one hour of a server.
                Ok(true) => continue,
                Ok(false) => {}
                Err(error) => tracing::warn!(%error, "charging round failed"),
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(POLL) => {}
            }
        }
    }

    /// A counter that begins with its first event hides that event from rates and alerts.
    fn count_from_zero(&self) {
        metrics::counter!("agis_bot_unpaid_stops_total").increment(0);
        for game in self.catalogue.games() {
            metrics::counter!("agis_bot_credits_spent_total", "game_type" => game.key.clone()).increment(0);
        }
    }

    /// Has everybody charged who owes an hour. Answers whether there may be more.
    async fn round(&self, stop: &CancellationToken) -> Result<bool, StoreError> {
        let mut paid = false;
        let mut owners = self.ledger.owing(None, OWNERS).await?;
        while let Some(last) = owners.last().cloned() {
            for owner in &owners {
                if stop.is_cancelled() {
                    return Ok(paid);
                }
                match self.charge(owner).await {
                    Ok(charged) => paid |= charged,
                    Err(error @ StoreError::Unavailable(_)) => return Err(error),
                    // The account of one is no reason to let all others play for nothing.
                    Err(error) => tracing::error!(owner = owner.as_str(), %error, "owner could not be charged"),
                }
            }
            owners = self.ledger.owing(Some(&last), OWNERS).await?;
        }
        Ok(paid)
    }

    /// Answers whether something was paid.
    async fn charge(&self, owner: &UserId) -> Result<bool, StoreError> {
        let charged = self.ledger.charge(owner).await?;
        for charge in &charged.charges {
            metrics::counter!("agis_bot_credits_spent_total", "game_type" => charge.game_type.clone())
                .increment(charge.credits.unsigned_abs().into());
        }
        for unpaid in &charged.unpaid {
            // One that cannot be stopped now stays due.
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
