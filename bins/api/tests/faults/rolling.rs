//! How a process ends: one after the other under traffic, in the middle of long requests, and when it is asked twice.

mod traffic;

use std::{
    collections::BTreeSet,
    process::ExitStatus,
    time::{Duration, Instant},
};

use agis_test_support::wait;
use tokio::{
    io::{AsyncWriteExt, BufReader},
    net::TcpStream,
};
use tokio_postgres::Client;

use self::traffic::{Replica, Service, Traffic, answer, request};
use crate::{
    common::{Api, SOON, Stack, signal},
    fleet::{self, Games, games_file, rows},
};

/// Longer than the clients take to notice.
const DELAY: Duration = Duration::from_secs(1);
const SERVES_ON: (&str, &str) = ("SHUTDOWN_DELAY_SECONDS", "1");
/// For an end in which nobody is waited for, on a busy machine.
const IN_TIME: Duration = Duration::from_secs(10);
/// How many starts run the whole time.
const STARTS: usize = 5;
/// An operation goes on elsewhere long before this.
const LEASE: (&str, &str) = ("OPERATION_LEASE_SECONDS", "60");
const ASKED: &str = r#"agis_bot_api_requests_total{method="GET",endpoint="/api/v1/users/me",status="200"}"#;

/// Ready once its gate is there, in its world; and games for those who start and stop them meanwhile.
fn games() -> Games {
    games_file(
        "gated",
        r#"
        title = "Ready when the gate opens"
        command = ["sh", "-c", "until [ -e gate ]; do sleep 0.2; done; echo ready for players; exec sleep 100000"]
        cost_per_hour = 0
        ready = { when = { log = "ready for players" }, within_s = 300 }
        stop = { how = { signal = "SIGTERM" }, grace_s = 5 }

        [sleeper]
        title = "Sleeper"
        command = ["sleep", "100000"]
        port = 31000
        cost_per_hour = 0
        ready = { when = { delay = 0 }, within_s = 30 }
        stop = { how = { signal = "SIGTERM" }, grace_s = 5 }
        "#,
    )
}

/// Somebody looks at who they are, changes what a server is called, and now and then starts or stops one.
fn mix(key: String, servers: Vec<i64>) -> impl Fn(usize) -> String + Send + Sync {
    move |number| {
        let server = servers[number % servers.len()];
        let path = format!("/api/v1/servers/{server}");
        match number % 40 {
            0 => request("POST", &format!("{path}/start"), &key, ""),
            17 => request("POST", &format!("{path}/stop"), &key, ""),
            odd if odd % 4 == 3 => request("PATCH", &path, &key, &format!(r#"{{"description": "number {number}"}}"#)),
            _ => request("GET", "/api/v1/users/me", &key, ""),
        }
    }
}

/// Three replicas of a service, and how to start another.
struct Rollout {
    stack: Stack,
    games: Games,
    service: Service,
    sql: Client,
}

impl Rollout {
    async fn begin() -> Self {
        let stack = Stack::start().await;
        let (games, sql) = (games(), stack.sql().await);
        fleet::own_ids(&sql).await;
        Self { stack, games, service: Service::default(), sql }
    }

    /// A process that is ready, and known to the service.
    async fn start(&self) -> Api {
        let api = self.stack.api(&[SERVES_ON, LEASE, self.games.setting()]).await;
        wait::until(SOON, "a process to be ready", async || (api.ready().await.status == 200).then_some(())).await;
        self.service.add(&Replica::of(&api));
        api
    }

    /// The attempts at these operations that run, `id/attempt`, once all run.
    async fn running(&self, operations: &[String]) -> BTreeSet<String> {
        wait::until(IN_TIME, "the starts to run", async || {
            let running = self.attempts(operations).await;
            (running.len() == operations.len()).then_some(running)
        })
        .await
    }

    async fn attempts(&self, operations: &[String]) -> BTreeSet<String> {
        let all = operations.join("','");
        let query = format!(
            "select id || '/' || attempt from operations
             where state = 'running' and lease_until > clock_timestamp() and id in ('{all}')"
        );
        rows(&self.sql, &query).await.into_iter().flatten().flatten().collect()
    }

    /// Ends a process, and sees that everything happens in its order: each look begins with what comes last.
    async fn end(&self, mut api: Api, operations: &[String]) {
        let replica = Replica::of(&api);
        let running = self.running(operations).await;
        let held = held(&api, &running);
        let (asked, mut served) = (Instant::now(), 0);
        signal(api.pid(), "TERM");
        let status = wait::until(SOON, "the process to end", async || {
            let exit = api.exit();
            let handed_back = self.attempts(operations).await.is_disjoint(&held);
            let open = replica.answer(&self.probe()).await.is_some();
            let ready = replica.readiness().await == Some(200);
            let after = if ready { None } else { replica.answer(&self.probe()).await };
            assert!(exit.is_none() || handed_back, "it ended with operations that nobody else may have");
            assert!(held.is_empty() || !handed_back || !open, "operations were handed back before the port was closed");
            assert!(open || !ready, "the port was closed while it was ready");
            if let Some(answer) = after {
                assert!(answer.status == 200 && answer.close, "while it is not ready: {answer:?}");
                served += 1;
            }
            exit
        })
        .await;
        let took = asked.elapsed();
        assert!(status.success() && took >= DELAY && took < IN_TIME, "it ended with {status} after {took:?}");
        assert!(served > 0, "nothing was served once it was not ready");
        self.service.remove(&replica);
    }

    fn probe(&self) -> String {
        request("GET", "/api/v1/users/me", &self.stack.key, "")
    }
}

/// Returns the attempts that a process has, as it says itself. There may be none: another was quicker.
fn held(api: &Api, attempts: &BTreeSet<String>) -> BTreeSet<String> {
    let log = api.log();
    let begun = log.iter().filter(|line| line["message"] == "operation begins" && line["action"] == "start");
    let begun =
        begun.filter_map(|line| Some(format!("{}/{}", line["span"]["operation_id"].as_str()?, line["attempt"])));
    begun.filter(|attempt| attempts.contains(attempt)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn rolling_restart_fails_no_request() {
    let rollout = Rollout::begin().await;
    let mut old = vec![];
    for _ in 0..3 {
        old.push(rollout.start().await);
    }
    let (mut gated, mut operations, mut others) = (vec![], vec![], vec![]);
    for number in 0..STARTS {
        gated.push(old[0].server(&format!("gated {number}"), "gated").await);
        operations.push(old[0].ask(gated[number], "start").await);
    }
    for number in 0..4 {
        others.push(old[0].server(&format!("sleeper {number}"), "sleeper").await);
    }
    let traffic = Traffic::begin(&rollout.service, mix(rollout.stack.key.clone(), others)).await;
    let mut new = vec![];
    for api in old {
        wait::until(SOON, "three endpoints", async || (rollout.service.ready() == 3).then_some(())).await;
        rollout.end(api, &operations).await;
        new.push(rollout.start().await);
    }
    rollout.running(&operations).await;
    wait::until(SOON, "traffic at the last process", async || (new[2].metric(ASKED).await > 0.0).then_some(())).await;
    let count = traffic.end().await;
    assert!(count.failures.is_empty(), "{} failures: {:#?}", count.failures.len(), count.failures);
    assert_eq!(count.answered.len(), 6, "replicas that answered: {:?}", count.answered);
    assert!(count.kept >= 20, "connections that were kept: {}", count.kept);

    // The first holders have ended.
    let again = rollout.attempts(&operations).await;
    assert!(again.iter().all(|attempt| !attempt.ends_with("/1")), "{again:?}");

    for server in &gated {
        std::fs::write(rollout.stack.server_dir(*server).join("world/gate"), "").expect("an open gate");
    }
    for operation in &operations {
        let ended = new[0].ended(operation).await;
        assert_eq!(ended["state"], "succeeded", "{ended}");
    }
    fleet::assert_one_copy_each(&rollout.stack, &gated, 1).await;
}

/// Sends the signal and waits for the end; answers with how long it took.
async fn ended(api: &mut Api, name: &str) -> (ExitStatus, Duration) {
    let asked = Instant::now();
    signal(api.pid(), name);
    (wait::until(SOON, "the process to end", async || api.exit()).await, asked.elapsed())
}

/// A request to create a server, of which the server has the head and waits for its body.
async fn half_asked(replica: &Replica, key: &str, body: &str) -> BufReader<TcpStream> {
    let whole = request("POST", "/api/v1/servers", key, body);
    let head = whole.trim_end_matches(body).trim_end_matches("\r\n");
    let mut stream = BufReader::new(TcpStream::connect(replica.api).await.expect("a connection"));
    stream.write_all(format!("{head}\r\nExpect: 100-continue\r\n\r\n").as_bytes()).await.expect("sent");
    assert_eq!(answer(&mut stream).await.expect("a word").status, 100, "it is being handled");
    stream
}

const BODY: &str = r#"{"name": "slow", "game_type": "demo"}"#;

#[tokio::test(flavor = "multi_thread")]
async fn slow_requests_finish_and_followers_leave() {
    let stack = Stack::start().await;
    let mut api = stack.api(&[SERVES_ON]).await;
    let id = api.server("followed", "demo").await;
    api.act(id, "start").await;
    let follow = format!("{}/api/v1/servers/{id}/logs?follow=true", api.base);
    let mut console = stack.client.get(follow).bearer_auth(&stack.key).send().await.expect("a stream");
    assert!(console.chunk().await.expect("a piece").is_some());
    let replica = Replica::of(&api);
    let mut slow = half_asked(&replica, &stack.key, BODY).await;

    let rest = async {
        wait::until(SOON, "the port to close", async || {
            replica.answer(&request("GET", "/healthz", "", "")).await.is_none().then_some(())
        })
        .await;
        while console.chunk().await.expect("an end, and no cut").is_some() {}
        slow.write_all(BODY.as_bytes()).await.expect("sent");
        answer(&mut slow).await.expect("an answer")
    };
    let (answer, (status, took)) = tokio::join!(rest, ended(&mut api, "TERM"));
    assert!(answer.status == 201 && answer.close, "{answer:?}");
    assert!(answer.body.contains(r#""name":"slow""#), "{answer:?}");
    assert!(status.success() && took >= DELAY && took < IN_TIME, "it ended with {status} after {took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn endless_request_is_cut_off_after_the_drain() {
    let stack = Stack::start().await;
    let drain = ("SHUTDOWN_DRAIN_SECONDS", "2");
    let mut api = stack.api(&[SERVES_ON, drain, ("CLIENT_TIMEOUT_SECONDS", "120")]).await;
    let mut endless = half_asked(&Replica::of(&api), &stack.key, BODY).await;
    let (status, took) = ended(&mut api, "TERM").await;
    assert!(answer(&mut endless).await.is_err(), "there is nobody to answer");
    let least = DELAY + Duration::from_secs(2);
    assert!(status.success() && took >= least && took < least + IN_TIME, "it ended with {status} after {took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_ends_the_process_at_once() {
    let stack = Stack::start().await;
    let mut api = stack.api(&[("SHUTDOWN_DELAY_SECONDS", "300")]).await;
    signal(api.pid(), "TERM");
    api.logged("the shutdown", |line| line["message"] == "shutting down").await;
    let replica = Replica::of(&api);
    wait::until(SOON, "it to be no longer ready", async || (replica.readiness().await == Some(503)).then_some(()))
        .await;
    let (status, took) = ended(&mut api, "TERM").await;
    assert!(status.code() == Some(1) && took < IN_TIME, "it ended with {status} after {took:?}");
    api.logged("why", |line| line["text"].as_str().is_some_and(|text| text.contains("asked again to end"))).await;
}
