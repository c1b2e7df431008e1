//! Servers that run are paid for, hour by hour.

use std::{sync::Arc, time::Duration};

use agis_accounts::{LedgerStore, ledger::Unpaid};
use agis_base::StoreError;
use agis_servers::{Action, Origin, Request, Servers, operation::Identity};
use tokio_util::sync::CancellationToken;

/// How often is looked whose hour is over.
const POLL: Duration = Duration::from_secs(15);
/// How many owners a round charges before it looks whether it should end.
const OWNERS: u32 = 100;

/// The loop that has servers paid for.
pub struct Biller {
    /// Accounts.
    pub ledger: Arc<dyn LedgerStore>,
    /// Servers, to be stopped.
    pub servers: Servers,
}

impl Biller {
    /// Runs until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            match self.round().await {
                // An outage of ours may have left more than one hour of a server.
                Ok(true) => continue,
                Ok(false) => {}
                Err(error) => tracing::warn!(%error, "hours of servers are charged later"),
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(POLL) => {}
            }
        }
    }

    /// Answers whether there may be more.
    async fn round(&self) -> Result<bool, StoreError> {
        let charged = self.ledger.charge(OWNERS).await?;
        for charge in &charged.charges {
            metrics::counter!("agis_bot_credits_spent_total", "game_type" => charge.game_type.clone())
                .increment(charge.credits.unsigned_abs().into());
        }
        for unpaid in &charged.unpaid {
            // One that cannot be stopped now is unpaid again in a minute.
            if let Err(error) = self.stop(unpaid).await {
                tracing::warn!(server_id = unpaid.server.0, %error, "a server that nobody pays for could not be stopped");
            }
        }
        Ok(!charged.charges.is_empty())
    }

    async fn stop(&self, unpaid: &Unpaid) -> Result<(), agis_servers::ServersError> {
        let request = Request {
            server: unpaid.server,
            action: Action::Stop,
            origin: Origin::Operator,
            actor: unpaid.owner.clone(),
            channel: None,
            identity: Identity::None,
        };
        self.servers.request(request).await?;
        tracing::info!(server_id = unpaid.server.0, "A server is stopped that nobody pays for");
        metrics::counter!("agis_bot_unpaid_stops_total").increment(1);
        Ok(())
    }
}
