//! Servers that end by themselves are published as stopped or crashed; of the others it is recorded that they run.

use std::{sync::Arc, time::Duration};

use agis_base::{Reason, ServerId, StoreError};
use agis_servers::{
    host::{Host, Observed},
    store::{Published, WorkStore},
};
use tokio_util::sync::CancellationToken;

/// The longest sleep: what no notice told of, or ended while nobody watched, is found by then.
const POLL: Duration = Duration::from_secs(10);
/// A host's notices come in swarms.
const PAUSE: Duration = Duration::from_millis(200);

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

/// The loop that watches a host.
pub struct Watcher {
    /// Where crashes are published.
    pub store: Arc<dyn WorkStore>,
    /// The host.
    pub host: Arc<dyn Host>,
}

impl Watcher {
    /// Runs until `stop`. The first round adopts what an earlier process has left running. `beat` is called after every
    /// round, with those that could not be looked at.
    pub async fn run(self, stop: CancellationToken, beat: impl Fn(Result<&Unseen, &StoreError>)) {
        // The first crash is to be seen as one more.
        metrics::counter!("agis_bot_server_crashes_total").increment(0);
        while !stop.is_cancelled() {
            let round = self.round().await;
            beat(round.as_ref());
            if let Err(error) = round {
                tracing::warn!(host = self.host.name(), %error, "servers could not be watched");
            }
            let changed = async {
                tokio::time::sleep(PAUSE).await;
                self.host.changed().await;
            };
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(POLL) => {}
                () = changed => {}
            }
        }
    }

    /// What is published is read before the host is looked at, so a server that was restarted between the two is seen
    /// at another generation than the one it was published at, and left alone.
    async fn round(&self) -> Result<Unseen, StoreError> {
        let mut unseen = Unseen::default();
        let hosts = [self.host.name().to_owned()];
        let mut running = vec![];
        for published in self.store.published(&hosts).await? {
            let (how, good) = match self.host.observe(published.server).await {
                Ok(Observed::Running { generation, .. }) if generation == published.generation => {
                    running.push(published);
                    continue;
                }
                Ok(Observed::Ended { generation, how, good }) if generation == published.generation => (how, good),
                Ok(Observed::Absent) => ("its host knows nothing of it any more".to_owned(), false),
                // Players cannot join, so its owner pays nothing, and an operator is told.
                Ok(Observed::Starting { generation }) if generation == published.generation => {
                    unseen.add(published.server, "its host says that it is not ready");
                    continue;
                }
                Ok(_) => continue,
                Err(error) => {
                    tracing::warn!(server_id = published.server.0, %error, "a server could not be looked at");
                    unseen.add(published.server, &error.to_string());
                    continue;
                }
            };
            if let Err(error) = self.host.clear(published.server, published.generation).await {
                // What may be played on is not published as over: it is looked at again.
                tracing::warn!(server_id = published.server.0, %error, "what is left of a server could not be taken away");
                unseen.add(published.server, &error.to_string());
                continue;
            }
            match self.publish(&published, &how.into(), good).await {
                Err(error @ StoreError::Unavailable(_)) => return Err(error),
                // One server is no reason to leave the others unseen.
                Err(error) => {
                    tracing::error!(server_id = published.server.0, %error, "a crash could not be published");
                }
                Ok(()) => {}
            }
        }
        self.store.confirm(&running).await?;
        Ok(unseen)
    }

    async fn publish(&self, published: &Published, how: &Reason, good: bool) -> Result<(), StoreError> {
        let Published { server, generation, .. } = *published;
        if good {
            if self.store.ended_well(server, generation).await? {
                tracing::info!(server_id = server.0, %how, "server ended by itself");
            }
            return Ok(());
        }
        let is_news = match self.store.crashed(server, generation, how).await {
            Err(StoreError::Refused(why)) => {
                tracing::error!(server_id = server.0, why, "how a server ended cannot be stored");
                let how = "how it ended cannot be stored; an operator finds the reason in the log".into();
                self.store.crashed(server, generation, &how).await?
            }
            told => told?,
        };
        if is_news {
            tracing::warn!(server_id = server.0, %how, "Server crashed");
            metrics::counter!("agis_bot_server_crashes_total").increment(1);
        }
        Ok(())
    }
}
