//! Expires and forgets what is old, and counts for dashboards.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use agis_accounts::ledger::{Kind, LedgerStore};
use agis_base::StoreError;
use agis_notices::NoticeStore;
use agis_scheduler::{firing, store::FiringStore};
use agis_servers::{
    State, Status,
    console::relay::RelayStore,
    game::Catalogue,
    store::{BatchStore, CommandStore, CountStore, HostStore, PlayerStore, RetentionStore, ShareStore},
};

use crate::worker::count_ended;

/// How long an operation waits for a worker.
const EXPIRES: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);
/// How long an idempotency key is remembered.
const KEYS: Duration = DAY;
/// How long ended operations are remembered, deleted servers, of which these are, and hosts without servers.
const HISTORY: Duration = Duration::from_secs(90 * 24 * 3600);
/// How long commands are remembered.
const COMMANDS: Duration = Duration::from_secs(30 * 24 * 3600);
/// How long actions on many servers are remembered: not as long as their operations.
const BATCHES: Duration = Duration::from_secs(30 * 24 * 3600);
/// How long notices are remembered that were sent or given up.
const NOTICES: Duration = Duration::from_secs(7 * 24 * 3600);
/// How long a member's roles are remembered whom nobody has seen. The bot asks for those on whose roles something depends
/// long before.
const ROLES: Duration = Duration::from_secs(30 * 24 * 3600);
/// How many servers are forgotten in one round: much hangs on each.
const SERVERS: u32 = 100;
/// How long the schedules of a deleted server are kept: as long as its world.
const SCHEDULES: Duration = Duration::from_secs(7 * 24 * 3600);
/// How much is forgotten in one round, so that a backlog never makes a round fail.
const BATCH: u32 = 5000;

/// How often it is due.
pub const INTERVAL: Duration = Duration::from_secs(15);

/// The small jobs.
pub struct Housekeeping {
    /// Schedules, to be counted.
    pub firings: Arc<dyn FiringStore>,
    /// Servers and operations, to be counted.
    pub counts: Arc<dyn CountStore>,
    /// Players on servers, to be counted.
    pub players: Arc<dyn PlayerStore>,
    /// Servers and operations, to expire and be forgotten.
    pub retention: Arc<dyn RetentionStore>,
    /// Roles of members, to be forgotten.
    pub shares: Arc<dyn ShareStore>,
    /// Reports of hosts, to be forgotten.
    pub reports: Arc<dyn HostStore>,
    /// Credits, to be counted.
    pub ledger: Arc<dyn LedgerStore>,
    /// Commands, to be forgotten.
    pub commands: Arc<dyn CommandStore>,
    /// Notices, to be forgotten.
    pub notices: Arc<dyn NoticeStore>,
    /// Actions on many servers, to be forgotten.
    pub batches: Arc<dyn BatchStore>,
    /// Requests to consoles, to be forgotten.
    pub relay: Arc<dyn RelayStore>,
    /// The games, whose servers are counted.
    pub catalogue: Arc<Catalogue>,
    /// The words that were not understood in the last round, by table.
    pub told: Mutex<BTreeSet<(&'static str, String)>>,
    /// Hosts whose servers were counted: where one has none any more, it is told as well.
    pub hosts: Mutex<BTreeSet<String>>,
}

impl Housekeeping {
    /// Does them all, each whatever becomes of the others.
    ///
    /// # Errors
    /// The first of the store's errors; what failed is done the next time.
    pub async fn round(&self) -> Result<(), StoreError> {
        let expired = self.retention.expire(EXPIRES).await;
        count_ended(expired.as_deref().unwrap_or_default(), State::Expired);
        let keys = self.retention.forget_keys(KEYS, BATCH).await;
        let runs = self.firings.forget_runs(firing::KEPT_FOR.to_std().unwrap_or(HISTORY), BATCH).await;
        let schedules = self.firings.forget_schedules(SCHEDULES, BATCH).await;
        let operations = self.retention.forget_operations(HISTORY, BATCH).await;
        let servers = self.retention.forget_servers(HISTORY, SERVERS).await;
        let roles = self.shares.forget_roles(ROLES, BATCH).await;
        let notices = self.notices.forget(NOTICES, BATCH).await;
        let commands = self.commands.forget_commands(COMMANDS, BATCH).await;
        let hosts = self.reports.forget_hosts(HISTORY).await;
        let batches = self.batches.forget_batches(BATCHES, BATCH).await;
        let requests = self.relay.forget_requests().await;
        let words = self.words().await;
        let gauges = self.gauges().await;
        let credits = self.credits().await;
        let forgotten = keys
            .and(runs)
            .and(schedules)
            .and(operations)
            .and(servers)
            .and(roles)
            .and(notices)
            .and(hosts)
            .and(commands)
            .and(batches)
            .and(requests);
        expired.map(drop).and(forgotten).and(words).and(gauges).and(credits)
    }

    /// Counts what waits and was written by a newer version of this program, and tells of each word once.
    #[expect(clippy::cast_precision_loss, reason = "no installation has 2^52 of anything")]
    async fn words(&self) -> Result<(), StoreError> {
        let tables = [
            ("operations", self.counts.not_understood().await?),
            ("server_schedules", self.firings.not_understood().await?),
            ("notices", self.notices.not_understood().await?),
        ];
        for (table, found) in tables {
            let rows: i64 = found.iter().map(|(_, rows)| rows).sum();
            metrics::gauge!("agis_bot_rows_not_understood", "table" => table).set(rows as f64);
            let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
            told.retain(|(of, word)| *of != table || found.iter().any(|it| it.0 == *word));
            for (word, rows) in found {
                if told.insert((table, word.clone())) {
                    tracing::warn!(table, word, rows, "rows wait for a newer version");
                }
            }
        }
        Ok(())
    }

    #[expect(clippy::cast_precision_loss, reason = "no installation has 2^52 of anything")]
    async fn gauges(&self) -> Result<(), StoreError> {
        metrics::gauge!("agis_bot_scheduler_active_schedules").set(self.firings.active().await? as f64);
        let running = self.counts.running_by_game().await?;
        for game in self.catalogue.games() {
            let servers = running.iter().find(|(key, _)| *key == game.key).map_or(0, |(_, servers)| *servers);
            metrics::gauge!("agis_bot_servers_active", "game_type" => game.key.clone()).set(servers as f64);
        }
        let playing = self.players.players_by_game().await?;
        for game in self.catalogue.games().filter(|game| game.query.is_some()) {
            let players =
                playing.iter().find(|(key, _)| *key == game.key).map_or(f64::NAN, |(_, players)| *players as f64);
            // Unknown is not zero: a gauge without a number is left out of the answers to Prometheus.
            metrics::gauge!("agis_bot_players_online", "game_type" => game.key.clone()).set(players);
        }
        let counted = self.counts.by_host_and_status().await?;
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        hosts.extend(counted.iter().map(|(host, ..)| host.clone()));
        for (host, status) in hosts.iter().flat_map(|host| Status::ALL.iter().map(move |status| (host, *status))) {
            let servers = counted.iter().find(|it| it.0 == *host && it.1 == status).map_or(0, |(.., servers)| *servers);
            let labels = [("host", host.clone()), ("status", status.as_str().to_owned())];
            metrics::gauge!("agis_bot_servers", &labels).set(servers as f64);
        }
        Ok(())
    }

    #[expect(clippy::cast_precision_loss, reason = "no installation has 2^52 credits")]
    async fn credits(&self) -> Result<(), StoreError> {
        let totals = self.ledger.totals().await?;
        for kind in Kind::given() {
            let given = totals.given.iter().find(|it| it.0 == kind).map_or(0, |it| it.1);
            metrics::gauge!("agis_bot_credits_given", "kind" => kind.as_str()).set(given as f64);
        }
        for game in self.catalogue.games() {
            let paid = totals.hourly.iter().find(|it| it.0 == game.key).map_or(0, |it| it.1);
            metrics::gauge!("agis_bot_credits_hourly", "game_type" => game.key.clone()).set(paid as f64);
        }
        metrics::gauge!("agis_bot_credits_held").set(totals.held as f64);
        metrics::gauge!("agis_bot_servers_short_of_credits").set(totals.short as f64);
        Ok(())
    }
}
