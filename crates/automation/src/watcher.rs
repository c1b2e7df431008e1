//! Servers that end by themselves are published as stopped or crashed; of the others it is recorded that they run.

use std::{collections::HashMap, sync::Arc, time::Duration};

use agis_base::{Reason, ServerId, StoreError};
use agis_servers::{
    RestartOn,
    game::{Catalogue, RunsOn},
    host::{Generation, Host, Observed},
    restart::{EndedBy, Plan},
    store::{Billing, ObservationStore, Published},
};

use crate::supervisor;

/// Longest pause between two rounds: what no notice told of, or ended while nobody watched, is found by then.
pub const PERIOD: Duration = Duration::from_secs(10);
/// Shortest pause: a host's notices come in swarms.
pub const PAUSE: Duration = Duration::from_millis(200);

/// Crashes that were published, and taken back.
const CORRECTED: &str = "agis_bot_server_crashes_corrected_total";

/// Published servers that nobody can say of whether they run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unseen {
    /// The number of servers.
    pub servers: usize,
    /// The last of them, and why it is unseen; `None` where all are seen.
    pub why: Option<String>,
}

impl Unseen {
    fn add(&mut self, server: ServerId, why: &str) {
        self.servers += 1;
        self.why = Some(format!("server {server}: {why}"));
    }
}

/// Servers, as published, whose host was at a newer generation; whether that was told.
type Ahead = HashMap<(ServerId, Generation), bool>;

/// Watches a host, round by round.
pub struct Watcher {
    store: Arc<dyn ObservationStore>,
    host: Arc<dyn Host>,
    catalogue: Arc<Catalogue>,
    billing: Billing,
    ahead: Ahead,
}

impl Watcher {
    /// Creates the watcher of this host. It records that servers run only if they have to be paid for.
    pub fn new(
        store: Arc<dyn ObservationStore>,
        host: Arc<dyn Host>,
        catalogue: Arc<Catalogue>,
        billing: Billing,
    ) -> Self {
        // A counter that begins with its first event hides that event from rates and alerts.
        metrics::counter!("agis_bot_server_crashes_total").increment(0);
        metrics::counter!(CORRECTED).increment(0);
        Self { store, host, catalogue, billing, ahead: Ahead::new() }
    }

    /// Publishes the servers that have ended by themselves, and returns those that nobody can see. The first round adopts
    /// what an earlier process has left running.
    ///
    /// The rows are read before the host is asked, so a server that was restarted between the two is seen at another
    /// generation than the published one, and left alone. In the next round it is published anew.
    ///
    /// # Errors
    /// Fails if the store does; the next round goes on.
    pub async fn round(&mut self) -> Result<Unseen, StoreError> {
        let mut unseen = Unseen::default();
        let hosts = [self.host.name().to_owned()];
        let mut running = vec![];
        let all = self.store.published(&hosts).await?;
        self.ahead.retain(|life, _| all.iter().any(|it| (it.server, it.generation) == *life));
        for published in all {
            let (how, by) = match self.host.observe(published.server).await {
                Ok(Observed::Running { generation, .. }) if generation == published.generation => {
                    running.push(published);
                    continue;
                }
                Ok(Observed::Ended { generation, how, good }) if generation == published.generation => {
                    (how, if good { EndedBy::GoodEnd } else { EndedBy::Crash })
                }
                Ok(Observed::Absent) => {
                    // A cluster has worlds apart from its game servers.
                    let is_lost = self.host.kind() != RunsOn::Agones;
                    let by = if is_lost { EndedBy::Loss } else { EndedBy::Crash };
                    ("its host knows nothing of it any more".to_owned(), by)
                }
                // Players cannot join, so its owner pays nothing, and an operator is told.
                Ok(Observed::Starting { generation }) if generation == published.generation => {
                    unseen.add(published.server, "its host says that it is not ready");
                    continue;
                }
                Ok(
                    Observed::Running { generation, .. }
                    | Observed::Starting { generation }
                    | Observed::Ended { generation, .. },
                ) if generation > published.generation => {
                    let life = (published.server, published.generation);
                    match self.ahead.get_mut(&life) {
                        Some(told) => behind(&published, generation, std::mem::replace(told, true), &mut unseen),
                        None => drop(self.ahead.insert(life, false)),
                    }
                    continue;
                }
                Ok(_) => continue,
                Err(error) => {
                    tracing::warn!(server_id = published.server.0, %error, "server could not be observed");
                    unseen.add(published.server, &error.to_string());
                    continue;
                }
            };
            if let Err(error) = self.host.clear(published.server, published.generation).await {
                // A server that players may still use is not published as ended; the next round looks again.
                tracing::warn!(server_id = published.server.0, %error, "remains of a crashed server could not be removed");
                unseen.add(published.server, &error.to_string());
                continue;
            }
            match self.publish(&published, &how.into(), by).await {
                Err(error @ StoreError::Unavailable(_)) => return Err(error),
                // A failing server does not keep the others unseen.
                Err(error) => {
                    tracing::error!(server_id = published.server.0, %error, "crash could not be published");
                }
                Ok(()) => {}
            }
        }
        if self.billing == Billing::On {
            self.store.confirm(&running).await?;
        }
        self.correct(&hosts).await?;
        Ok(unseen)
    }

    /// Publishes as running again what runs, although it was published as crashed: the host could not say at the time, or
    /// another process said so.
    async fn correct(&self, hosts: &[String]) -> Result<(), StoreError> {
        for Published { server, generation, .. } in self.store.presumed_crashed(hosts).await? {
            let runs = matches!(self.host.observe(server).await, Ok(Observed::Running { generation: it, .. }) if it == generation);
            if runs && self.store.not_crashed(server, generation).await? {
                tracing::warn!(server_id = server.0, "server runs, although a crash was published");
                metrics::counter!(CORRECTED).increment(1);
            }
        }
        Ok(())
    }

    async fn publish(&self, published: &Published, how: &Reason, by: EndedBy) -> Result<(), StoreError> {
        let Published { server, generation, ref game_type, restart_choice, .. } = *published;
        let policy = self.catalogue.restart_policy(game_type, restart_choice);
        if by == EndedBy::GoodEnd && policy.on != RestartOn::Always {
            if self.store.ended_well(server, generation).await? {
                tracing::info!(server_id = server.0, %how, "server ended by itself");
            }
            return Ok(());
        }
        let plan = match self.store.crashed(server, generation, how, by, &policy).await {
            Err(StoreError::Refused(why)) => {
                tracing::error!(server_id = server.0, why, "end of a server was refused by the database");
                let how = "how it ended cannot be stored; an operator finds the reason in the log".into();
                self.store.crashed(server, generation, &how, by, &policy).await?
            }
            told => told?,
        };
        if let Some(plan) = plan {
            tracing::warn!(server_id = server.0, %how, "server crashed");
            metrics::counter!("agis_bot_server_crashes_total").increment(1);
            if plan == Plan::GiveUp {
                supervisor::gave_up(server, &policy);
            }
        }
        Ok(())
    }
}

/// The database was restored, or lost its last commits. What runs may be another run than the published one, and only an
/// order can bring the two together.
fn behind(published: &Published, seen: Generation, told: bool, unseen: &mut Unseen) {
    let Published { server, generation, .. } = *published;
    if !told {
        tracing::warn!(server_id = server.0, published = generation, seen, "host is ahead of the database");
    }
    let why = format!("its host is ahead of the database (generation {seen}, not {generation}): stop or restart it");
    unseen.add(server, &why);
}
