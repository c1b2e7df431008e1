//! Servers on which nobody plays are stopped, as their owners wish.

use std::{sync::Arc, time::Duration};

use agis_base::{ServerId, StoreError};
use agis_servers::{
    Origin, Permission, Servers, ServersError, operation,
    store::{Announced, Billing, IdleStore},
};
use tokio::task::JoinSet;

/// Pause between two passes. A count of players must be fresh at the stop.
pub const PERIOD: Duration = Duration::from_secs(5);
/// Servers of a round.
const BATCH: u32 = 100;
/// Longest time of an announcement.
const SAYING: Duration = Duration::from_secs(5);

/// Stops of servers on which nobody played.
const STOPS: &str = "agis_bot_idle_stops_total";

/// Stops servers on which nobody plays, round by round.
pub struct Idler {
    store: Arc<dyn IdleStore>,
    servers: Servers,
    billing: Billing,
    /// Last server of the previous round; `None` if a pass begins.
    after: Option<ServerId>,
}

impl Idler {
    /// Creates the loop over these rows, with the servers to whose players it speaks.
    pub fn new(store: Arc<dyn IdleStore>, servers: Servers, billing: Billing) -> Self {
        // A counter that begins with its first event hides that event from rates and alerts.
        metrics::counter!(STOPS).increment(0);
        Self { store, servers, billing, after: None }
    }

    /// Takes the next step with some of the servers on which nobody plays. Returns no pause until a pass has seen all.
    ///
    /// # Errors
    /// Fails if the store does; the next pass goes on.
    pub async fn round(&mut self) -> Result<Option<Duration>, StoreError> {
        let round = self.store.stop_idle(self.after.take(), BATCH, self.billing).await?;
        for (action, state) in round.accepted.ended {
            operation::count(action, state);
        }
        for answer in round.accepted.answers {
            match answer {
                Ok(operation) => {
                    metrics::counter!(STOPS).increment(1);
                    let (server, id) = (operation.server.0, operation.id);
                    tracing::info!(server_id = server, operation_id = %id, "server on which nobody plays is stopped");
                }
                Err(refusal) => tracing::debug!(?refusal, "server on which nobody plays is not stopped"),
            }
        }
        let mut tasks = JoinSet::new();
        for announced in round.announced {
            let servers = self.servers.clone();
            tasks.spawn(async move {
                let _ = tokio::time::timeout(SAYING, announce(&servers, announced)).await;
            });
        }
        while tasks.join_next().await.is_some() {}
        self.after = round.last;
        Ok(self.after.map(|_| Duration::ZERO))
    }
}

/// Tells the players, if there are any after all. Many games have no way to say something.
async fn announce(servers: &Servers, Announced { server, owner, minutes }: Announced) {
    let in_time = if minutes == 1 { "a minute".to_owned() } else { format!("{minutes} minutes") };
    let text = format!("Nobody plays here: the server stops in {in_time}");
    let said = async {
        let command = servers.say(&owner, server, Permission::Schedule, Origin::Idle, &text).await?;
        Ok::<_, ServersError>(command.send().await?)
    };
    if let Err(error) = said.await {
        tracing::debug!(server_id = server.0, %error, "stop of a server on which nobody plays was not announced");
    }
}
