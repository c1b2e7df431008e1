//! Servers and schedules in bulk, written straight into the database, and what must be true of them afterwards.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use agis_test_support::wait;
use tokio_postgres::Client;

use crate::common::{Api, OWNER, SOON, Stack, is_alive};

/// The host that servers of a fleet live on, and the setting of a process that serves it.
pub(crate) const HOST: &str = "fleet";
pub(crate) const ON_HOST: (&str, &str) = ("AGIS_HOST_NAME", HOST);
/// The shortest lease there is.
pub(crate) const SHORT_LEASE: (&str, &str) = ("OPERATION_LEASE_SECONDS", "2");

/// For what many operations take on a busy machine.
pub(crate) const LONG: Duration = Duration::from_secs(120);

/// So many servers of a game, each with a schedule of this action.
pub(crate) struct Lot(pub(crate) i32, pub(crate) &'static str, pub(crate) &'static str);

/// Gives the servers of this database ids that no other test's have: a shim is known by its server's id.
pub(crate) async fn own_ids(sql: &Client) {
    static FLEETS: AtomicU32 = AtomicU32::new(0);
    let fleet = std::process::id() % 200_000 * 8 + FLEETS.fetch_add(1, Ordering::Relaxed) % 8;
    let first = fleet * 1250 + 1;
    sql.batch_execute(&format!("alter sequence game_servers_id_seq restart with {first}")).await.expect("own ids");
}

/// Writes servers whose schedules are all due at the beginning of this minute and then not before tomorrow, and rings.
pub(crate) async fn due(sql: &Client, lots: &[Lot]) {
    let slot: String = one(sql, "select date_trunc('minute', now())::text").await;
    let cron = format!("to_char(timestamptz '{slot}' at time zone 'UTC', 'FMMI FMHH24') || ' * * *'");
    write(sql, lots, &cron, &format!("timestamptz '{slot}'")).await;
}

/// Writes servers whose schedules are due now and every minute, and rings.
pub(crate) async fn every_minute(sql: &Client, lots: &[Lot]) {
    write(sql, lots, "'* * * * *'", "date_trunc('minute', now())").await;
}

async fn write(sql: &Client, lots: &[Lot], cron: &str, next_run: &str) {
    let lots: String = lots
        .iter()
        .map(|Lot(servers, game, action)| {
            format!(
                "with made as (
                     insert into game_servers (discord_id, name, game_type, host, desired)
                     select '{OWNER}', '{action} ' || n, '{game}', '{HOST}',
                            case when '{action}' = 'start' then 'stopped' else 'running' end from generate_series(1, {servers}) n
                     returning id)
                 insert into server_schedules (server_id, discord_id, action, cron_expression, next_run)
                 select id, '{OWNER}', '{action}', {cron}, {next_run} from made;"
            )
        })
        .collect();
    // Tables of this size have statistics elsewhere; here autovacuum has had no time to come by.
    let all = format!("begin; {lots} analyze game_servers; notify agis_schedules; commit");
    sql.batch_execute(&all).await.expect("a fleet");
}

/// The one value of a query.
pub(crate) async fn one<T: for<'a> tokio_postgres::types::FromSql<'a>>(sql: &Client, query: &str) -> T {
    sql.query_one(query, &[]).await.unwrap_or_else(|error| panic!("{query}: {error}")).get(0)
}

/// Rows of a query whose columns are text.
pub(crate) async fn rows(sql: &Client, query: &str) -> Vec<Vec<Option<String>>> {
    let rows = sql.query(query, &[]).await.unwrap_or_else(|error| panic!("{query}: {error}"));
    rows.iter().map(|row| (0..row.len()).map(|column| row.get(column)).collect()).collect()
}

/// Waits until as many runs have ended.
pub(crate) async fn until_ended(sql: &Client, runs: i64) {
    wait::until(LONG, &format!("{runs} runs to end"), async || {
        let ended: i64 = one(sql, "select count(*) from schedule_runs where state <> 'pending'").await;
        (ended >= runs).then_some(())
    })
    .await;
}

/// How many operations of schedules have ended.
pub(crate) async fn ended_operations(sql: &Client) -> i64 {
    one(sql, "select count(*) from operations where origin = 'schedule' and finished_at is not null").await
}

/// Nothing lost, nothing doubled: so many firings, each of which succeeded as one operation of its own.
pub(crate) async fn assert_exactly_once(sql: &Client, firings: i64) {
    let states = rows(sql, "select state, reason, count(*)::text from schedule_runs group by 1, 2 order by 1, 2").await;
    assert_eq!(states, [[Some("succeeded".to_owned()), None, Some(firings.to_string())]], "runs");
    let operations = "select state, count(*)::text from operations where origin = 'schedule' group by 1 order by 1";
    assert_eq!(rows(sql, operations).await, [["succeeded", &firings.to_string()].map(|it| Some(it.to_owned()))]);
    let own = "select count(distinct o.id) from schedule_runs r join operations o on o.id = r.operation_id";
    let own: i64 = one(sql, own).await;
    assert_eq!(own, firings, "operations that belong to one run each");
    let deadlocks: i64 = one(sql, "select deadlocks from pg_stat_database where datname = current_database()").await;
    assert_eq!(deadlocks, 0, "deadlocks");
}

/// `executions_total` of an action and a status over all these processes.
pub(crate) async fn executions(apis: &[&Api], action: &str, status: &str) -> f64 {
    let sample = format!("agis_bot_scheduler_executions_total{{action=\"{action}\",status=\"{status}\"}}");
    let mut sum = 0.0;
    for api in apis {
        sum += api.metric(&sample).await;
    }
    sum
}

/// Waits until so many runs of an action are counted as successful; not one more is.
pub(crate) async fn assert_counted(apis: &[&Api], action: &str, runs: f64) {
    let counted = wait::until(SOON, "the runs to be counted", async || {
        let counted = executions(apis, action, "success").await;
        (counted >= runs).then_some(counted)
    })
    .await;
    assert!((counted - runs).abs() < 0.5, "{counted} of {runs} runs counted");
}

/// The servers on which schedules do this.
pub(crate) async fn servers_of(sql: &Client, action: &str) -> Vec<i64> {
    let query = format!("select server_id::bigint from server_schedules where action = '{action}' order by 1");
    sql.query(&query, &[]).await.expect("servers").iter().map(|row| row.get(0)).collect()
}

/// Each server is ready at this generation, with one living shim, one game, and no second copy of either.
pub(crate) async fn assert_one_copy_each(stack: &Stack, servers: &[i64], generation: i64) {
    // A shim that is about to refuse is gone in a moment; a second copy would stay.
    wait::until(SOON, "one copy of each server", async || {
        let (shims, places) = (shims(), places());
        let one = servers.iter().all(|server| {
            let world = stack.server_dir(*server).join("world").to_string_lossy().into_owned();
            shims.get(server).is_some_and(|pids| pids.len() == 1)
                && places.get(&world).is_some_and(|pids| pids.len() == 1)
        });
        one.then_some(())
    })
    .await;
    let (shims, places) = (shims(), places());
    for server in servers {
        let status = stack.process_of(*server).expect("a status");
        assert_eq!((&status["phase"], &status["generation"]), (&"ready".into(), &generation.into()), "{status}");
        assert_eq!(shims[server], BTreeSet::from([status["shim"]["pid"].as_i64().expect("a pid")]));
        let game = status["game"]["pid"].as_i64().expect("a pid");
        let world = stack.server_dir(*server).join("world").to_string_lossy().into_owned();
        assert!(is_alive(game) && places[&world].contains(&game), "{status}");
    }
}

/// Nothing of a server lives.
pub(crate) fn assert_no_copy(stack: &Stack, server: i64) {
    let world = stack.server_dir(server).join("world").to_string_lossy().into_owned();
    assert_eq!((shims().get(&server), places().get(&world)), (None, None), "processes of server {server}");
}

/// The shims of this machine, by server.
fn shims() -> BTreeMap<i64, BTreeSet<i64>> {
    let mut shims: BTreeMap<i64, BTreeSet<i64>> = BTreeMap::new();
    for pid in pids() {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let name = String::from_utf8_lossy(line.split(|byte| *byte == 0).next().unwrap_or_default()).into_owned();
        if let Some(server) = name.strip_prefix("agis-shim ").and_then(|server| server.parse().ok()) {
            shims.entry(server).or_default().insert(pid);
        }
    }
    shims
}

/// The processes of this machine, by their working directory: a game works in its server's world.
fn places() -> BTreeMap<String, BTreeSet<i64>> {
    let mut places: BTreeMap<String, BTreeSet<i64>> = BTreeMap::new();
    for pid in pids() {
        if let Ok(place) = fs::read_link(format!("/proc/{pid}/cwd")) {
            places.entry(place.to_string_lossy().into_owned()).or_default().insert(pid);
        }
    }
    places
}

fn pids() -> Vec<i64> {
    let entries = fs::read_dir("/proc").expect("/proc").flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// A catalogue of one game of the test's own, for as long as the value lives.
pub(crate) struct Games(tempfile::NamedTempFile);

impl Games {
    pub(crate) fn setting(&self) -> (&str, &str) {
        ("GAMES_FILE", self.0.path().to_str().expect("a path"))
    }
}

/// A catalogue with one game, whose table says this; the port is chosen here.
pub(crate) fn games_file(key: &str, table: &str) -> Games {
    let file = tempfile::NamedTempFile::new().expect("a file");
    let port = 29_000 + std::process::id() * 7 % 1500;
    fs::write(&file, format!("[{key}]\nport = {port}\n{table}")).expect("a catalogue");
    Games(file)
}
