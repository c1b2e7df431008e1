//! Postgres goes away under load and comes back: no firing is lost or doubled, and callers are told.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use agis_local_services::postgres::{Cluster, Options};
use agis_test_support::{proxy::Proxy, wait};
use tokio::task::JoinSet;
use tokio_postgres::Client;

use crate::{
    common::{Answer, Api, SOON, Stack},
    fleet::{self, LONG, Lot, ON_HOST},
};

/// No answer takes longer, whatever the database does: a connection is waited for 3 s, a call 10 s; some slack.
const BOUND: Duration = Duration::from_secs(17);
const CALLERS: usize = 4;

/// A cluster that a test may treat as it likes; the other tests' server is untouched.
pub(crate) fn cluster() -> Cluster {
    let cluster = Cluster::start(Options::throwaway()).expect("a cluster");
    cluster.create_database("agis").expect("a database");
    cluster
}

/// Callers who ask and ask, and check every answer.
struct Load {
    on: Arc<AtomicBool>,
    callers: JoinSet<Heard>,
}

#[derive(Debug, Default)]
struct Heard {
    good: usize,
    unavailable: usize,
    slowest: Duration,
}

impl Load {
    async fn start(api: &Arc<Api>) -> Self {
        let mut load = Self { on: Arc::new(AtomicBool::new(true)), callers: JoinSet::new() };
        for caller in 0..CALLERS {
            let server = api.server(&format!("asked {caller}"), "sleeper").await;
            let (api, on) = (api.clone(), load.on.clone());
            load.callers.spawn(async move {
                let mut heard = Heard::default();
                let mut pace = tokio::time::interval(Duration::from_millis(50));
                while on.load(Ordering::Relaxed) {
                    pace.tick().await;
                    let path = format!("/api/v1/servers/{server}");
                    let began = Instant::now();
                    let answer = match heard.good % 4 {
                        0 => api.call("POST", &format!("{path}/stop"), None).await,
                        1 => api.get("/api/v1/schedules?limit=5").await,
                        _ => api.get(&path).await,
                    };
                    heard.note(&answer, began.elapsed());
                }
                heard
            });
        }
        load
    }

    async fn end(self) -> Heard {
        self.on.store(false, Ordering::Relaxed);
        let mut all = Heard::default();
        for heard in self.callers.join_all().await {
            all.good += heard.good;
            all.unavailable += heard.unavailable;
            all.slowest = all.slowest.max(heard.slowest);
        }
        all
    }
}

impl Heard {
    /// An answer is a good one, or says that the database is away and when to come again.
    fn note(&mut self, answer: &Answer, took: Duration) {
        assert!(took < BOUND, "an answer after {took:?}");
        self.slowest = self.slowest.max(took);
        if answer.status.is_success() {
            self.good += 1;
            return;
        }
        assert_eq!((answer.status.as_u16(), &answer.body["code"]), (503, &"unavailable".into()), "{}", answer.body);
        assert_eq!(answer.header("content-type"), "application/problem+json");
        assert!(answer.header("retry-after").parse::<u32>().is_ok_and(|seconds| seconds > 0));
        self.unavailable += 1;
    }
}

/// Work of one slot, some of which has ended.
async fn in_the_middle(sql: &Client) {
    fleet::due(sql, &[Lot(280, "sleeper", "stop"), Lot(20, "sleeper", "start")]).await;
    wait::until(LONG, "some operations to have ended", async || {
        (fleet::ended_operations(sql).await > 20).then_some(())
    })
    .await;
    assert!(fleet::ended_operations(sql).await < 300, "the work has ended before its database went away");
}

/// The process takes traffic all the while, and names what does not work.
pub(crate) async fn until_degraded(api: &Api) {
    wait::until(SOON, "readiness to name the database", async || {
        let answer = api.ready().await;
        let report = answer.expect(200);
        (report["components"]["database"]["status"] == "degraded").then_some(())
    })
    .await;
}

pub(crate) async fn until_healed(api: &Api) {
    wait::until(SOON, "readiness to name nothing", async || {
        let report = api.ready().await.expect(200);
        (report["status"] == "ok").then_some(())
    })
    .await;
}

/// The firings of `due` became one operation each, and those of every minute left no minute out.
async fn assert_nothing_lost(stack: &Stack, sql: &Client, once: i64, every_minute: i64) {
    let schedules: i64 = fleet::one(sql, "select count(*) from server_schedules").await;
    assert_eq!(schedules, once + every_minute);
    wait::until(LONG, "every schedule's runs to end", async || {
        let done: i64 = fleet::one(
            sql,
            "select count(distinct schedule_id) from schedule_runs r
             where not exists (select from schedule_runs p where p.schedule_id = r.schedule_id and state = 'pending')",
        )
        .await;
        (done == schedules).then_some(())
    })
    .await;
    // A server that still had work when its next minute came has that work superseded, and says so. One that has been
    // stopped by then is left alone.
    let other = "select state, reason, slot::text from schedule_runs r join server_schedules s on s.id = r.schedule_id
                 where state <> 'succeeded'
                   and not (s.cron_expression = '* * * * *' and state = 'skipped'
                            and reason in ('superseded', 'server_stopped'))";
    assert_eq!(fleet::rows(sql, other).await, Vec::<Vec<_>>::new(), "runs that did not succeed");
    let gaps: i64 = fleet::one(
        sql,
        "select count(*) from (
             select from schedule_runs r join server_schedules s on s.id = r.schedule_id group by s.id
             having count(*) <> case s.cron_expression when '* * * * *'
                 then extract(epoch from max(slot) - min(slot)) / 60 + 1 else 1 end) gaps",
    )
    .await;
    assert_eq!(gaps, 0, "schedules with a slot too many or too few");
    let shared = "select count(*) - count(distinct o.id)
                  from schedule_runs r left join operations o on o.id = r.operation_id
                  where r.reason is distinct from 'server_stopped'";
    assert_eq!(fleet::one::<i64>(sql, shared).await, 0, "runs that share an operation, or have none");
    let stray = "select count(*) from operations o where origin = 'schedule'
                 and not exists (select from schedule_runs r where r.operation_id = o.id)";
    assert_eq!(fleet::one::<i64>(sql, stray).await, 0, "operations that belong to no run");
    fleet::assert_one_copy_each(stack, &fleet::servers_of(sql, "start").await, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_restart_loses_nothing() {
    let mut cluster = cluster();
    let stack = Stack::on(cluster.url("agis"), None).await;
    let sql = stack.sql().await;
    fleet::own_ids(&sql).await;
    let api = Arc::new(stack.api(&[ON_HOST]).await);
    let load = Load::start(&api).await;
    fleet::every_minute(&sql, &[Lot(20, "sleeper", "stop")]).await;
    in_the_middle(&sql).await;

    tokio::task::block_in_place(|| cluster.stop());
    until_degraded(&api).await;
    tokio::task::block_in_place(|| cluster.restart()).expect("a restart");
    until_healed(&api).await;
    let sql = stack.sql().await;
    // The scheduler fires again what comes after.
    fleet::due(&sql, &[Lot(50, "sleeper", "stop")]).await;
    assert_nothing_lost(&stack, &sql, 350, 20).await;
    let heard = load.end().await;
    assert!(heard.good > 20 && heard.unavailable > 0, "{heard:?}");
}

/// A stack whose processes reach the database through a proxy, and a connection that does not.
async fn behind_a_proxy(cluster: &Cluster) -> (Stack, Client, Proxy) {
    let proxy = Proxy::start(([127, 0, 0, 1], cluster.port()).into()).await;
    let direct = cluster.url("agis");
    let url = direct.replace(&format!(":{}/", cluster.port()), &format!(":{}/", proxy.addr().port()));
    let stack = Stack::on(url, None).await;
    let (sql, connection) = tokio_postgres::connect(&direct, tokio_postgres::NoTls).await.expect("a connection");
    tokio::spawn(connection);
    fleet::own_ids(&sql).await;
    (stack, sql, proxy)
}

#[tokio::test(flavor = "multi_thread")]
async fn half_a_minute_of_black_hole_loses_nothing() {
    let cluster = cluster();
    let (stack, sql, proxy) = behind_a_proxy(&cluster).await;
    let api = Arc::new(stack.api(&[ON_HOST, ("OPERATION_LEASE_SECONDS", "5")]).await);
    let load = Load::start(&api).await;
    fleet::every_minute(&sql, &[Lot(20, "sleeper", "stop")]).await;
    in_the_middle(&sql).await;

    proxy.blackhole();
    let began = Instant::now();
    until_degraded(&api).await;
    fleet::due(&sql, &[Lot(50, "sleeper", "stop")]).await;
    wait::until(LONG, "half a minute", async || {
        api.ready().await.expect(200);
        (began.elapsed() > Duration::from_secs(30)).then_some(())
    })
    .await;
    proxy.heal();
    until_healed(&api).await;
    assert_nothing_lost(&stack, &sql, 350, 20).await;
    let heard = load.end().await;
    assert!(heard.good > 20 && heard.unavailable > 0, "{heard:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn cut_connections_lose_nothing() {
    let cluster = cluster();
    let (stack, sql, proxy) = behind_a_proxy(&cluster).await;
    let api = Arc::new(stack.api(&[ON_HOST, ("OPERATION_LEASE_SECONDS", "3")]).await);
    let load = Load::start(&api).await;
    fleet::every_minute(&sql, &[Lot(20, "sleeper", "stop")]).await;
    in_the_middle(&sql).await;
    for _ in 0..8 {
        let ended = fleet::ended_operations(&sql).await;
        proxy.cut();
        wait::until(LONG, "the work to go on", async || {
            let now = fleet::ended_operations(&sql).await;
            (now > ended || now >= 300).then_some(())
        })
        .await;
    }
    assert_nothing_lost(&stack, &sql, 300, 20).await;
    until_healed(&api).await;
    assert!(load.end().await.good > 20);
}

#[tokio::test]
async fn end_is_written_after_a_read_only_spell() {
    let cluster = cluster();
    let stack = Stack::on(cluster.url("agis"), None).await;
    stack.add_game(
        r#"
        [waits]
        title = "Waits for a file"
        command = ["sh", "-c", "while ! test -e go; do sleep 0.1; done; echo READY; exec sleep 100000"]
        port = 28300
        cost_per_hour = 0
        ready = { when = { log = "READY" }, within_s = 30 }
        "#,
    );
    let sql = stack.sql().await;
    fleet::own_ids(&sql).await;
    let api = stack.api(&[]).await;
    let server = api.server("patient", "waits").await;
    let start = api.ask(server, "start").await;
    wait::until(SOON, "the game to run", async || stack.process_of(server).filter(|it| it["game"]["pid"].is_i64()))
        .await;
    sql.batch_execute("alter system set default_transaction_read_only = on").await.expect("set");
    sql.batch_execute("select pg_reload_conf()").await.expect("read-only");
    std::fs::write(stack.server_dir(server).join("world/go"), "").expect("ready");
    let ready = async || stack.process_of(server).filter(|it| it["phase"] == "ready");
    wait::until(SOON, "the game to be ready", ready).await;
    // Long enough for an attempt to write the end, and for the next ones.
    tokio::time::sleep(Duration::from_secs(3)).await;
    sql.batch_execute("set default_transaction_read_only = off").await.expect("this session writes");
    sql.batch_execute("alter system reset default_transaction_read_only").await.expect("reset");
    sql.batch_execute("select pg_reload_conf()").await.expect("writable");
    let ended = api.ended(&start).await;
    assert_eq!((&ended["state"], &ended["error"]), (&"succeeded".into(), &serde_json::Value::Null), "{ended}");
    api.until_status(server, "running").await;
}

#[tokio::test]
async fn read_only_sessions_are_given_up() {
    let cluster = cluster();
    let stack = Stack::on(cluster.url("agis"), None).await;
    let sql = stack.sql().await;
    let api = Arc::new(stack.api(&[]).await);
    let server = api.server("s", "demo").await;
    sql.batch_execute("alter database agis set default_transaction_read_only = on").await.expect("read-only");
    let others =
        "select pg_terminate_backend(pid) from pg_stat_activity where datname = 'agis' and pid <> pg_backend_pid()";
    sql.batch_execute(others).await.expect("new sessions");
    let start = async || api.call("POST", &format!("/api/v1/servers/{server}/start"), None).await;
    wait::until(SOON, "a write to be refused", async || (start().await.status == 503).then_some(())).await;
    // All sessions of the pool begin.
    let mut starts = JoinSet::new();
    for _ in 0..30 {
        let api = api.clone();
        let start = async move { api.call("POST", &format!("/api/v1/servers/{server}/start"), None).await.status };
        starts.spawn(start);
    }
    while let Some(status) = starts.join_next().await {
        assert_eq!(status.expect("an answer"), 503);
    }
    sql.batch_execute("alter database agis reset default_transaction_read_only").await.expect("writable");
    wait::until(SOON / 3, "a write", async || (start().await.status == 202).then_some(())).await;
}
