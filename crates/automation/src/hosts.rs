//! Reports the host that this process serves, and claims it for its data directory.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use agis_base::StoreError;
use agis_servers::{
    host::{Host, HostReport, Uncontained},
    store::{HostStore, SERVED_FOR},
};
use tokio::sync::watch;

/// How often it is due: some reports may be lost before the host counts as unserved.
pub const PERIOD: Duration = Duration::from_secs(5);
/// Time for which a claim holds after it was asked for. It ends before an operator can give the host to another directory.
const HOLDS_FOR: Duration = Duration::from_secs(SERVED_FOR.as_secs() - PERIOD.as_secs());

/// Right of this process to serve a host. Without it, a process on a wrong data directory would find none of the servers
/// and publish all of them as crashed.
#[derive(Debug, Clone)]
pub struct Claim(watch::Sender<Option<Instant>>);

impl Default for Claim {
    fn default() -> Self {
        Self(watch::Sender::new(None))
    }
}

impl Claim {
    /// Resolves once this process has the host.
    pub async fn won(&self) {
        let _ = self.0.subscribe().wait_for(Option::is_some).await;
    }

    /// Checks whether this process ever had the host.
    pub fn was_won(&self) -> bool {
        self.0.borrow().is_some()
    }

    /// Checks whether this process has the host for sure at this moment. A process that was frozen or cannot reach the
    /// database may have lost it.
    pub fn holds(&self) -> bool {
        self.0.borrow().is_some_and(|until| Instant::now() < until)
    }
}

/// Reports a host, round by round.
pub struct Reporter {
    store: Arc<dyn HostStore>,
    host: Arc<dyn Host>,
    claim: Claim,
    /// Missing boundaries that were logged.
    told: Vec<Uncontained>,
}

/// Result of a round.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reported {
    /// This process has the host.
    Ours(HostReport),
    /// Another data directory has the host. This process must not serve it.
    Others,
}

impl Reporter {
    /// Creates the reporter of this host, whose reports renew the claim.
    pub fn new(store: Arc<dyn HostStore>, host: Arc<dyn Host>, claim: Claim) -> Self {
        Self { store, host, claim, told: vec![] }
    }

    /// Reports once.
    ///
    /// # Errors
    /// Fails if the store does; the claim runs out meanwhile.
    pub async fn round(&mut self) -> Result<Reported, StoreError> {
        let report = HostReport { abilities: self.host.abilities(), ..self.host.report().await };
        self.tell(&report);
        let asked = Instant::now();
        let (host, kind, directory) = (self.host.name(), self.host.kind(), self.host.directory());
        if !self.store.report(host, kind, directory, &report).await? {
            return Ok(Reported::Others);
        }
        self.claim.0.send_replace(Some(asked + HOLDS_FOR));
        Ok(Reported::Ours(report))
    }

    #[expect(clippy::cast_precision_loss, reason = "a gauge need not be exact to the byte")]
    fn tell(&mut self, report: &HostReport) {
        for (resource, room) in [("disk", report.disk), ("memory", report.memory)] {
            let Some(room) = room else { continue };
            metrics::gauge!("agis_bot_host_free_bytes", "resource" => resource).set(room.free as f64);
            metrics::gauge!("agis_bot_host_size_bytes", "resource" => resource).set(room.size as f64);
        }
        let missing = &report.containment.missing;
        metrics::gauge!("agis_bot_host_missing_boundaries").set(missing.len() as f64);
        if self.told != *missing {
            self.told.clone_from(missing);
            let missing: Vec<_> = missing.iter().map(ToString::to_string).collect();
            tracing::warn!(
                host = self.host.name(),
                missing = missing.join("; "),
                "boundaries around games are missing"
            );
        }
    }
}
