//! Consoles: lines that a server writes, and commands that are typed.

use std::{
    fs,
    time::{Duration, Instant},
};

use agis_test_support::wait;
use serde_json::{Value, json};

use crate::common::{Api, OWNER, SOON, STRANGER, Stack, is_alive};

/// An event as it came: its id, its kind, its data.
#[derive(Debug, Clone, PartialEq)]
struct Event {
    id: String,
    kind: String,
    data: Value,
}

/// A client of server-sent events.
struct Stream {
    response: reqwest::Response,
    text: String,
    /// Everything that came, comments too.
    raw: String,
}

impl Stream {
    async fn open(stack: &Stack, api: &Api, path: &str, last: Option<&str>) -> Self {
        Self::open_as(&stack.key, api, path, last).await
    }

    async fn open_as(key: &str, api: &Api, path: &str, last: Option<&str>) -> Self {
        let mut request = reqwest::Client::new().get(format!("{}{path}", api.base)).bearer_auth(key);
        if let Some(last) = last {
            request = request.header("Last-Event-ID", last);
        }
        let response = request.send().await.expect("an answer");
        assert_eq!(response.status(), 200, "{path}");
        let header = |name: &str| response.headers()[name].to_str().expect("text").to_owned();
        let told = ["content-type", "cache-control", "x-accel-buffering"].map(header);
        assert_eq!(told, ["text/event-stream", "no-store", "no"]);
        Self { response, text: String::new(), raw: String::new() }
    }

    /// The next event; none where the stream has ended.
    async fn next(&mut self) -> Option<Event> {
        let next = async {
            loop {
                if let Some((block, rest)) = self.text.split_once("\n\n") {
                    let field = |name: &str| {
                        let line = block.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
                        line.map(str::to_owned)
                    };
                    let (id, kind) = (field("id").unwrap_or_default(), field("event").unwrap_or_default());
                    let data = field("data").map(|data| serde_json::from_str(&data).expect("JSON"));
                    self.text = rest.to_owned();
                    if let Some(data) = data {
                        return Some(Event { id, kind, data });
                    }
                    continue;
                }
                let chunk = self.response.chunk().await.ok().flatten()?;
                self.text += std::str::from_utf8(&chunk).expect("text");
                self.raw += std::str::from_utf8(&chunk).expect("text");
            }
        };
        tokio::time::timeout(SOON, next).await.expect("an event, or the end")
    }

    /// The texts of so many lines, and the id of the last.
    async fn lines(&mut self, count: usize) -> (Vec<String>, String) {
        let (mut texts, mut last) = (vec![], String::new());
        while texts.len() < count {
            let event = self.next().await.unwrap_or_else(|| panic!("the stream ended behind {texts:?}"));
            assert_eq!(event.kind, "", "{event:?}");
            texts.push(event.data["text"].as_str().expect("text").to_owned());
            last = event.id;
        }
        (texts, last)
    }

    async fn until(&mut self, text: &str) {
        while self.lines(1).await.0 != [text] {}
    }
}

async fn running(api: &Api, game: &str) -> i64 {
    let id = api.server("talks", game).await;
    api.act(id, "start").await;
    id
}

fn logs(id: i64, query: &str) -> String {
    format!("/api/v1/servers/{id}/logs?{query}")
}

async fn tell(api: &Api, id: i64, command: &str) {
    let answer = api.post(&format!("/api/v1/servers/{id}/command"), json!({ "command": command })).await;
    assert_eq!((answer.status.as_u16(), &answer.body), (204, &json!("")));
}

fn texts(list: &Value) -> Vec<String> {
    let text = |line: &Value| line["text"].as_str().expect("text").to_owned();
    list["items"].as_array().expect("items").iter().map(text).collect()
}

/// Waits for a line, and answers with it.
async fn until_line(api: &Api, id: i64, text: &str) -> Value {
    wait::until(SOON, &format!("the line '{text}'"), async || {
        let list = api.get(&logs(id, "tail=1000")).await.expect(200);
        list["items"].as_array()?.iter().find(|line| line["text"] == text).cloned()
    })
    .await
}

/// Puts lines into the log of a server that does not run, as its shim would.
fn keep(stack: &Stack, id: i64, minute: u32, lines: std::ops::Range<u32>) {
    let text: String = lines.map(|line| format!("2026-01-01T00:{minute:02}:00.{line:03}Z line {line}\n")).collect();
    fs::create_dir_all(stack.server_dir(id)).expect("the server's directory");
    fs::write(stack.server_dir(id).join("console.log"), text).expect("a log");
}

fn rotate(stack: &Stack, id: i64) {
    let file = |name: &str| stack.server_dir(id).join(name);
    let _ = fs::rename(file("console.log.1"), file("console.log.2"));
    fs::rename(file("console.log"), file("console.log.1")).expect("put aside");
}

fn numbered(lines: std::ops::Range<u32>) -> Vec<String> {
    lines.map(|line| format!("line {line}")).collect()
}

#[tokio::test]
async fn command_and_its_answer_take_under_a_second() {
    let stack = Stack::start().await;
    let api = stack.api(&[("RUST_LOG", "trace")]).await;
    let id = running(&api, "demo").await;
    let mut stream = Stream::open(&stack, &api, &logs(id, "follow=true&tail=0"), None).await;
    let asked = Instant::now();
    tell(&api, id, "say the secret word é 😀").await;
    assert_eq!(stream.lines(2).await.0, ["> say the secret word é 😀", "the secret word é 😀"]);
    assert!(asked.elapsed() < Duration::from_secs(5), "a second, on a machine that is not busy: {:?}", asked.elapsed());
    assert!(stream.raw.starts_with("retry: 1000\n\n"), "{}", stream.raw);

    tell(&api, id, "stop").await;
    stream.until("saving the world").await;
    wait::until(SOON, "the game to be gone", async || {
        (api.get(&format!("/api/v1/servers/{id}")).await.body["status"] != "running").then_some(())
    })
    .await;
    let log = serde_json::to_string(&api.log()).expect("JSON");
    assert!(!log.contains("secret word"), "what is typed, and what a game says, is not for the operator's log");
}

#[tokio::test]
async fn stopped_server_takes_no_command() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    let id = api.server("quiet", "demo").await;
    let path = format!("/api/v1/servers/{id}/command");
    let refused = async |code: &str| {
        let answer = api.post(&path, json!({ "command": "say hi" })).await;
        assert_eq!((answer.status.as_u16(), &answer.body["code"]), (409, &json!(code)), "{}", answer.body);
    };
    refused("not_running").await;
    api.act(id, "start").await;
    // As a shim of an earlier version left it.
    fs::remove_file(stack.server_dir(id).join("console.in")).expect("the channel");
    refused("no_console").await;
    api.act(id, "restart").await;
    tell(&api, id, "say hi").await;
    api.act(id, "stop").await;
    refused("not_running").await;
    assert_eq!(api.get(&logs(id, "tail=1")).await.expect(200)["items"][0]["text"], "saving the world");
}

#[tokio::test]
async fn game_that_does_not_read_harms_nothing() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    let id = running(&api, "sleeper").await;
    let command = "\u{1f600}".repeat(1000);
    let path = format!("/api/v1/servers/{id}/command");
    // More than the game's pipe and the channel hold together.
    let mut busy = false;
    for _ in 0..60 {
        let answer = api.post(&path, json!({ "command": command })).await;
        busy |= answer.body["code"] == "console_busy";
        assert!(answer.status == 204 || answer.body["code"] == "console_busy", "{}", answer.body);
    }
    assert!(busy, "the channel has a bound");
    until_line(&api, id, "> (the game does not read its console: the last command was not taken)").await;
    let shim = stack.process_of(id).expect("a process")["shim"]["pid"].as_i64().expect("a pid");
    assert!(is_alive(shim));
    api.act(id, "stop").await;
    wait::until(SOON, "the supervisor to end", async || (!is_alive(shim)).then_some(())).await;
}

#[tokio::test]
async fn log_lists_from_end_moment_or_cursor() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    let id = api.server("history", "demo").await;
    let empty = api.get(&logs(id, "")).await.expect(200);
    assert_eq!(empty, json!({ "items": [], "next_cursor": null, "gap": false }));

    keep(&stack, id, 0, 0..150);
    rotate(&stack, id);
    keep(&stack, id, 1, 150..250);
    let list = async |query: &str| api.get(&logs(id, query)).await.expect(200);
    assert_eq!(texts(&list("").await), numbered(150..250), "the last hundred");
    assert_eq!(texts(&list("tail=120").await), numbered(130..250));
    assert_eq!(texts(&list("since=2026-01-01T00:01:00.240Z").await), numbered(240..250));
    assert_eq!(texts(&list("since=2026-01-01T00:01:00.240Z&tail=3").await), numbered(247..250));
    assert_eq!(texts(&list("since=2026-01-01T02:01:00.240%2B02:00").await), numbered(240..250));

    let (mut all, mut query) = (vec![], "tail=1000&limit=60".to_owned());
    loop {
        let page = list(&query).await;
        all.extend(texts(&page));
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        query = format!("tail=1000&limit=60&cursor={cursor}");
    }
    assert_eq!(all, numbered(0..250));

    // Behind the last line there is nothing yet, and later what comes then.
    let last = list("tail=1").await["items"][0].clone();
    assert_eq!(last["at"], "2026-01-01T00:01:00.249Z");
    let cursor = last["cursor"].as_str().expect("a cursor");
    assert_eq!(list(&format!("cursor={cursor}")).await["items"], json!([]));
    rotate(&stack, id);
    keep(&stack, id, 2, 250..252);
    let page = list(&format!("cursor={cursor}")).await;
    assert_eq!((texts(&page), &page["gap"]), (numbered(250..252), &json!(false)));
    for minute in 3..6 {
        rotate(&stack, id);
        keep(&stack, id, minute, 100 * minute..100 * minute + 1);
    }
    assert_eq!(list(&format!("cursor={cursor}")).await["gap"], true, "its file is gone");
}

#[tokio::test]
async fn stream_resumes_after_rotation_and_kill() {
    let stack = Stack::start().await;
    let (one, two) = (stack.api(&[]).await, stack.api(&[]).await);
    let id = one.server("history", "demo").await;
    let path = logs(id, "follow=true&tail=10");
    let mut stream = Stream::open(&stack, &one, &path, None).await;
    keep(&stack, id, 0, 0..20);
    let (seen, last) = stream.lines(20).await;
    assert_eq!(seen, numbered(0..20), "what comes after the beginning is not cut to the tail");
    one.kill();
    assert_eq!(stream.next().await, None);

    rotate(&stack, id);
    keep(&stack, id, 1, 20..30);
    let mut stream = Stream::open(&stack, &two, &path, Some(&last)).await;
    let (seen, last) = stream.lines(10).await;
    assert_eq!(seen, numbered(20..30));
    rotate(&stack, id);
    keep(&stack, id, 2, 30..35);
    let (seen, middle) = stream.lines(3).await;
    assert_eq!(seen, numbered(30..33), "the stream itself passes a rotation");
    drop(stream);

    let three = stack.api(&[]).await;
    assert_eq!(Stream::open(&stack, &three, &path, Some(&middle)).await.lines(2).await.0, numbered(33..35));
    assert_eq!(Stream::open(&stack, &three, &path, Some(&last)).await.lines(5).await.0, numbered(30..35));
    for minute in 3..6 {
        rotate(&stack, id);
        keep(&stack, id, minute, 100 * minute..100 * minute + 1);
    }
    let mut stream = Stream::open(&stack, &three, &path, Some(&last)).await;
    assert_eq!(stream.next().await.expect("an event").kind, "gap");
    assert_eq!(stream.lines(3).await.0, ["line 300", "line 400", "line 500"]);
    let wrong = stack.client.get(format!("{}{path}", three.base)).bearer_auth(&stack.key).header("Last-Event-ID", "7");
    let refused = three.send(wrong).await.expect("an answer").expect(400).clone();
    assert_eq!(refused["code"], "invalid_cursor");
    assert!(refused["detail"].as_str().is_some_and(|detail| detail.starts_with("Last-Event-ID: ")), "{refused}");
}

#[tokio::test]
async fn a_shutdown_does_not_wait_for_followers() {
    let stack = Stack::start().await;
    let api = stack.api(&[("SHUTDOWN_DRAIN_SECONDS", "120")]).await;
    let id = api.server("followed", "demo").await;
    let mut streams = vec![];
    for _ in 0..3 {
        streams.push(Stream::open(&stack, &api, &logs(id, "follow=true"), None).await);
    }
    assert_eq!(api.metric("agis_bot_console_followers").await, 3.0);
    let asked = Instant::now();
    assert!(api.stop().await.success());
    assert!(asked.elapsed() < Duration::from_secs(40), "{:?}", asked.elapsed());
    for mut stream in streams {
        assert_eq!(stream.next().await, None);
        assert!(stream.response.chunk().await.is_ok_and(|rest| rest.is_none()), "a clean end, not one cut off");
    }
}

#[tokio::test]
async fn follower_without_the_right_is_cut_off() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    let id = api.server("followed", "demo").await;
    let body = json!({ "name": "short-lived", "scopes": ["read:servers"], "rate_limit": 100 });
    let made = api.post("/api/v1/auth/keys", body).await.expect(201);
    let key = made["key"].as_str().expect("a key");
    let path = logs(id, "follow=true");
    let mut by_key = Stream::open_as(key, &api, &path, None).await;
    let mut by_owner = Stream::open(&stack, &api, &path, None).await;
    let gone = format!("/api/v1/auth/keys/{}", made["id"].as_str().expect("an id"));
    assert_eq!(api.call("DELETE", &gone, None).await.status, 204);
    assert_eq!(by_key.next().await, None);

    keep(&stack, id, 0, 0..1);
    assert_eq!(by_owner.lines(1).await.0, numbered(0..1), "the others go on");
    let sql = stack.sql().await;
    stack.make_key(STRANGER, &[]);
    sql.batch_execute(&format!("update game_servers set discord_id = '{STRANGER}'")).await.expect("another owner");
    assert_eq!(by_owner.next().await, None);
}

#[tokio::test]
async fn followers_are_counted_and_bounded() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    let id = api.server("popular", "demo").await;
    let path = logs(id, "follow=true");
    let mut streams = vec![];
    for _ in 0..20 {
        streams.push(Stream::open(&stack, &api, &path, None).await);
    }
    let refused = api.get(&path).await;
    assert_eq!((refused.status.as_u16(), &refused.body["code"]), (429, &json!("too_many_followers")));
    assert!(!refused.header("retry-after").is_empty());
    api.get(&logs(id, "")).await.expect(200);
    assert_eq!(api.metric("agis_bot_console_followers").await, 20.0);
    drop(streams);
    wait::until(SOON, "the places to be given back", async || {
        (api.metric("agis_bot_console_followers").await < 0.5).then_some(())
    })
    .await;
    Stream::open(&stack, &api, &path, None).await;
}

#[tokio::test]
async fn console_of_another_host_is_there() {
    let stack = Stack::start().await;
    let (here, data) = (stack.api(&[]).await, tempfile::tempdir().expect("a directory"));
    let id = here.server("far away", "demo").await;
    let elsewhere = [("AGIS_HOST_NAME", "elsewhere"), ("AGIS_DATA_DIR", data.path().to_str().expect("a path"))];
    let there = stack.api(&elsewhere).await;
    keep(&stack, id, 0, 0..1);
    assert_eq!(texts(&there.get(&logs(id, "")).await.expect(200)), numbered(0..1));
    let mut followed = Stream::open(&stack, &there, &logs(id, "follow=true&tail=1"), None).await;
    assert_eq!(followed.lines(1).await.0, numbered(0..1));
    here.kill();
    let sql = stack.sql().await;
    sql.batch_execute("update hosts set seen_at = now() - interval '1 hour'").await.expect("a host that is away");
    let told = there.get(&logs(id, "")).await.expect(503);
    assert_eq!(told["code"], "console_unavailable", "{told}");
    let told = there.post(&format!("/api/v1/servers/{id}/command"), json!({ "command": "x" })).await.expect(503);
    assert_eq!(told["code"], "console_unavailable", "{told}");
    sql.batch_execute("update game_servers set host = null").await.expect("a server of an earlier version");
    assert_eq!(there.get(&logs(id, "")).await.expect(409)["code"], "no_host");
}

#[tokio::test]
async fn impossible_requests_are_refused_by_name() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    let id = running(&api, "demo").await;
    for (query, what) in [
        ("tail=1001", "tail: is 0 to 1000"),
        ("tail=-1", "tail: is 0 to 1000"),
        ("limit=0", "limit: is 1 to 1000"),
        ("since=yesterday", "since: is an RFC 3339 date and time"),
        ("since=2026-01-01T00:00:00+01:00", "a '+' is written %2B"),
        ("follow=yes", "follow: is true or false"),
        ("head=3", "head: is unknown"),
    ] {
        let refused = api.get(&logs(id, query)).await.expect(400);
        assert_eq!(refused["code"], "invalid_query", "{query}");
        assert!(refused["detail"].as_str().expect("text").contains(what), "{query}: {refused}");
    }
    for cursor in ["", "x", "1-", "%00"] {
        let refused = api.get(&logs(id, &format!("cursor={cursor}"))).await.expect(400);
        assert_eq!(refused["code"], "invalid_cursor", "{cursor}");
    }
    let path = format!("/api/v1/servers/{id}/command");
    for command in ["", "two\nlines", "a\ttab", "\u{1b}[31m", "nul\0", &"x".repeat(1001)] {
        let refused = api.post(&path, json!({ "command": command })).await.expect(422);
        assert_eq!(refused["code"], "invalid_value", "{command:?}");
    }
    let refused = api.post(&path, json!({ "command": "x", "as": OWNER })).await.expect(400);
    assert_eq!(refused["code"], "invalid_body", "{refused}");
    let log = api.get(&logs(id, "tail=1000")).await.expect(200);
    assert!(texts(&log).iter().all(|line| !line.starts_with('>')), "nothing of it was typed: {log}");
}
