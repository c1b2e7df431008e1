//! The process: how it begins, what it tells of itself, how it ends.

use std::{
    io::{Read, Write},
    net::{IpAddr, TcpListener, TcpStream},
    time::{Duration, Instant},
};

use agis_test_support::wait;
use reqwest::Method;
use serde_json::{Value, json};

use crate::common::{Api, SOON, Stack, is_alive, query_game, signal};

async fn fetched(stack: &Stack, url: String) -> reqwest::Response {
    stack.client.get(url).send().await.expect("an answer")
}

#[tokio::test]
async fn all_configuration_errors_are_told_at_once() {
    let stack = Stack::start().await;
    let wrong = [
        ("DATABASE_URL", ""),
        ("API_PORT", "high"),
        ("BIND_ADDRESS", "everywhere"),
        ("OPERATION_LEASE_SECONDS", "0"),
        ("GAMES_FILE", "/nowhere.toml"),
        ("GAMES_ON_SHUTDOWN", "explode"),
        ("AGIS_DATA_DIR", "relative"),
    ];
    let output = stack.output(&wrong, &["serve"]);
    let error = String::from_utf8(output.stderr).expect("text");
    assert_eq!(output.status.code(), Some(1), "{error}");
    for (key, value) in wrong {
        let line = error.lines().find(|line| line.trim_start().starts_with(key));
        assert!(line.is_some_and(|line| line.contains(value)), "{key} is not told in:\n{error}");
    }
    assert!(error.contains("7 error(s)"), "{error}");

    let url = stack.output(&[("DATABASE_URL", "mysql://here")], &["serve"]);
    let error = String::from_utf8(url.stderr).expect("text");
    assert!(url.status.code() == Some(1) && error.contains("DATABASE_URL=…: is not a Postgres URL"), "{error}");
    let filter = stack.output(&[("RUST_LOG", "a=b=c")], &["serve"]);
    let error = String::from_utf8(filter.stderr).expect("text");
    assert!(filter.status.code() == Some(1) && error.contains("RUST_LOG"), "{error}");
}

#[tokio::test]
async fn a_port_that_is_taken_is_a_clear_error() {
    let stack = Stack::start().await;
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address");
    for key in ["API_PORT", "METRICS_PORT"] {
        let output = stack.output(&[(key, &address.port().to_string())], &["serve"]);
        let error = String::from_utf8(output.stderr).expect("text");
        assert_eq!(output.status.code(), Some(1), "{error}");
        assert!(error.contains(&format!("cannot listen on {address}")) && error.contains(key), "{error}");
    }
}

#[tokio::test]
async fn log_has_each_request_by_its_id() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    let listening = api.logged("the address", |line| line["message"] == "API server listening").await;
    assert_eq!(listening["address"], api.base.strip_prefix("http://").expect("an address"));
    api.logged("the scheduler", |line| line["message"] == "scheduler started").await;

    let request = stack.client.get(format!("{}/api/v1/servers/99?limit=1", api.base)).header("X-Request-Id", "look-1");
    api.send(request.bearer_auth(&stack.key)).await.expect("an answer").expect(404);
    let line = api.logged("the request", |line| line["span"]["request_id"] == "look-1").await;
    let told = ["message", "method", "endpoint"].map(|field| line[field].as_str().unwrap_or_default().to_owned());
    assert_eq!(told, ["request", "GET", "/api/v1/servers/{id}"], "{line}");
    assert_eq!((&line["status"], line["took_us"].is_number()), (&json!(404), true), "{line}");
    assert!(api.log().iter().all(|line| line["text"].is_null()), "every line is JSON");
}

#[tokio::test]
async fn strangers_are_counted_and_write_no_log() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    let url = |path: &str| format!("{}{path}", api.base);
    for (method, path, status) in [
        (Method::GET, "/nothing", 404),
        (Method::POST, "/.env", 404),
        (Method::PUT, "/healthz", 405),
        (Method::GET, "/api/v1/nothing", 401),
        (Method::OPTIONS, "/api/v1/games", 401),
        (Method::GET, "/api/docs/../../etc/passwd", 404),
    ] {
        for _ in 0..5 {
            let answer = stack.client.request(method.clone(), url(path)).header("X-Request-Id", "stranger");
            assert_eq!(api.send(answer).await.expect("an answer").status, status, "{method} {path}");
        }
    }
    // A caller who is known is told of; the log is in order.
    let mine = stack.client.get(url("/api/v1/nothing")).header("X-Request-Id", "mine").bearer_auth(&stack.key);
    api.send(mine).await.expect("an answer").expect(404);
    api.logged("the last", |line| line["span"]["request_id"] == "mine").await;
    let told: Vec<_> = api.log().into_iter().filter(|line| line["span"]["request_id"] == "stranger").collect();
    assert!(told.is_empty(), "{told:?}");
    let unmatched = "agis_bot_api_requests_total{method=\"GET\",endpoint=\"unmatched\",status=\"404\"}";
    assert!(api.metric(unmatched).await >= 5.0);
}

#[tokio::test]
async fn probes_and_metrics_need_no_key() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    wait::until(SOON, "the process to be ready", async || (api.ready().await.status == 200).then_some(())).await;
    for (base, path) in [
        (&api.base, "/healthz"),
        (&api.base, "/api/health"),
        (&api.metrics, "/healthz"),
        (&api.metrics, "/readyz"),
        (&api.metrics, "/metrics"),
    ] {
        let answer = fetched(&stack, format!("{base}{path}")).await;
        assert_eq!(answer.status(), 200, "{base}{path}");
    }
    let metrics = fetched(&stack, format!("{}/metrics", api.metrics)).await;
    assert!(metrics.headers()["content-type"].to_str().expect("text").starts_with("text/plain"));
    for path in ["/metrics", "/readyz"] {
        assert_eq!(fetched(&stack, format!("{}{path}", api.base)).await.status(), 404, "{path} is for the inside");
    }
}

#[tokio::test]
async fn metrics_port_is_on_loopback_by_default() {
    let stack = Stack::start().await;
    let api = stack.api(&[("BIND_ADDRESS", "0.0.0.0")]).await;
    assert!(api.base.starts_with("http://0.0.0.0:") && api.metrics.starts_with("http://127.0.0.1:"), "{}", api.metrics);
    let api = stack.api(&[("METRICS_ADDRESS", "127.0.0.2")]).await;
    assert!(api.metrics.starts_with("http://127.0.0.2:"), "{}", api.metrics);
    assert_eq!(fetched(&stack, format!("{}/healthz", api.metrics)).await.status(), 200);
}

#[tokio::test]
async fn readiness_lists_components_to_operators_only() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    let report = wait::until(SOON, "all to be well", async || {
        let report = api.ready().await.body;
        (report["status"] == "ok").then_some(report)
    })
    .await;
    let components = report["components"].as_object().expect("components");
    let names: Vec<_> = components.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "biller",
            "clients",
            "database",
            "host",
            "idle_stops",
            "listener",
            "redis",
            "scheduler",
            "settler",
            "steps",
            "time_zones",
            "workers"
        ]
    );
    for (name, component) in components {
        assert_eq!(
            component["status"],
            if matches!(name.as_str(), "biller" | "redis") { "off" } else { "ok" },
            "{name}: {component}"
        );
        assert_eq!(
            component["silent_s"].is_number(),
            !matches!(name.as_str(), "biller" | "redis" | "clients" | "time_zones"),
            "{name}"
        );
    }
    assert_eq!(components["scheduler"]["lag_s"], 0.0);
    assert!(components["host"]["name"].is_string());
    assert!(components["time_zones"]["data"].is_string());
    let open = fetched(&stack, format!("{}/api/health", api.base)).await;
    assert_eq!(open.json::<Value>().await.expect("JSON"), json!({ "status": "ok" }));
}

#[tokio::test]
async fn unnamed_proxy_is_told_of_once() {
    let stack = Stack::start().await;
    let through = async |api: &Api, header: &str| {
        let request = stack.client.get(format!("{}/api/v1/users/me", api.base)).bearer_auth(&stack.key);
        api.send(request.header(header, "198.51.100.7")).await.expect("an answer").expect(200);
    };
    let told = |api: &Api| api.log().iter().filter(|line| line["peer"] == "127.0.0.1").count();
    let unnamed = stack.api(&[]).await;
    let stranger = reqwest::Client::builder().local_address(IpAddr::from([127, 0, 0, 9])).build().expect("a client");
    let asked = stranger.get(format!("{}/api/v1/users/me", unnamed.base)).header("X-Forwarded-For", "203.0.113.1");
    asked.send().await.expect("an answer");
    for header in ["X-Forwarded-For", "X-Forwarded-For", "Forwarded"] {
        through(&unnamed, header).await;
    }
    let report = wait::until(SOON, "readiness to name it", async || {
        let report = unnamed.ready().await.body;
        (report["components"]["clients"]["unnamed_proxies"] == json!(["127.0.0.1", "127.0.0.9"])).then_some(report)
    })
    .await;
    assert_eq!(report["components"]["clients"]["status"], "ok", "any stranger can send such a header");
    unnamed.logged("the proxy", |line| line["peer"] == "127.0.0.1").await;
    assert_eq!(told(&unnamed), 1);

    let named = stack.api(&[("TRUSTED_PROXIES", "127.0.0.1")]).await;
    through(&named, "X-Forwarded-For").await;
    assert_eq!((named.stop().await.success(), unnamed.stop().await.success()), (true, true));
}

#[tokio::test]
async fn shutdown_lets_a_running_request_end() {
    let stack = Stack::start().await;
    let mut api = stack.api(&[]).await;
    wait::until(SOON, "the process to be ready", async || (api.ready().await.status == 200).then_some(())).await;
    let body = json!({ "name": "the last one", "game_type": "demo" }).to_string();
    let mut late = TcpStream::connect(api.base.strip_prefix("http://").expect("an address")).expect("a connection");
    late.set_read_timeout(Some(SOON)).expect("a limit");
    let head = format!(
        "POST /api/v1/servers HTTP/1.1\r\nHost: agis\r\nAuthorization: Bearer {}\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        stack.key,
        body.len()
    );
    late.write_all(head.as_bytes()).expect("half a request");
    // This request comes later and is answered, while the half request is being read.
    api.get("/api/v1/users/me").await.expect(200);

    signal(api.pid(), "TERM");
    let draining = wait::until(SOON, "readiness to go off", async || {
        let answer = api.ready().await;
        (answer.status == 503).then_some(answer)
    })
    .await;
    assert_eq!(draining.body["status"], "draining");
    late.write_all(body.as_bytes()).expect("the other half");
    let mut answer = String::new();
    late.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
    assert!(wait::until(SOON, "the process to end", async || api.exit()).await.success());
}

#[tokio::test]
async fn idle_process_ends_within_seconds() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    // A client that keeps its connection, as every one does.
    api.get("/api/v1/users/me").await.expect(200);
    let asked = Instant::now();
    let status = api.stop().await;
    assert!(status.success(), "{status}");
    // The drain lasts at most 5 s here.
    assert!(asked.elapsed() < Duration::from_secs(10), "{:?}", asked.elapsed());
}

#[tokio::test]
async fn shutdown_lets_games_save() {
    let stack = Stack::start().await;
    let api = stack.api(&[("GAMES_ON_SHUTDOWN", "stop")]).await;
    let (ready, starting) = (api.server("saves", "demo").await, api.server("slow", "slow").await);
    api.act(ready, "start").await;
    api.ask(starting, "start").await;
    let pid = async |server: i64| {
        let process = async || stack.process_of(server)?["game"]["pid"].as_i64();
        wait::until(SOON, "the game's process", process).await
    };
    let games = [pid(ready).await, pid(starting).await];
    let port = api.get(&format!("/api/v1/servers/{ready}")).await.expect(200)["port"].as_u64().expect("a port");
    assert!(api.stop().await.success());

    let alive: Vec<_> = games.into_iter().filter(|game| is_alive(*game)).collect();
    assert_eq!(alive, Vec::<i64>::new(), "of {games:?}");
    assert!(query_game(u16::try_from(port).expect("a port")).await.is_err());
    let world = std::fs::read(stack.server_dir(ready).join("world/world.json")).expect("the world was saved");
    assert_eq!(serde_json::from_slice::<Value>(&world).expect("JSON"), json!({ "name": "saves" }));

    let next = stack.api(&[]).await;
    for server in [ready, starting] {
        let server = next.get(&format!("/api/v1/servers/{server}")).await.expect(200);
        assert_eq!((&server["status"], &server["error"]), (&json!("stopped"), &Value::Null));
    }
    next.act(ready, "start").await;
}
