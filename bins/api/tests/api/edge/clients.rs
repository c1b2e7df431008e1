//! Clients that are slow, deaf or many.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::{Duration, Instant},
};

use agis_test_support::wait;

use super::wire::{connect, to_the_end};
use crate::common::{Api, OWNER, SOON, Stack};

/// On a busy machine; every limit under test is a second or two, its default 15 or more.
const PROMPTLY: Duration = Duration::from_secs(12);

/// Sends a byte now and then until the other side has had enough of it; answers with what came.
fn trickle(stream: &mut TcpStream, byte: &[u8]) -> (String, Duration) {
    let mut bytes = stream.try_clone().expect("a handle");
    let byte = byte.to_vec();
    let writer = std::thread::spawn(move || {
        for _ in 0..200 {
            if bytes.write_all(&byte).is_err() {
                return;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    });
    let end = to_the_end(stream);
    drop(writer);
    end
}

fn request(line: &str, key: &str, more: &str) -> Vec<u8> {
    format!("{line} HTTP/1.1\r\nHost: agis\r\nAuthorization: Bearer {key}\r\n{more}").into_bytes()
}

/// Reads one answer, which has a Content-Length, from a connection that goes on.
fn one_answer(stream: &mut TcpStream) -> String {
    let mut answer = vec![];
    let mut byte = [0];
    while !answer.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).expect("a head");
        answer.push(byte[0]);
    }
    let head = String::from_utf8(answer).expect("text").to_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).expect("a length");
    let mut body = vec![0; length.parse().expect("a number")];
    stream.read_exact(&mut body).expect("a body");
    head
}

#[tokio::test]
async fn slow_body_is_ended_with_a_problem() {
    let stack = Stack::start().await;
    // The server discards bytes after the answer while it keeps a connection.
    let api = stack.api(&[("CLIENT_TIMEOUT_SECONDS", "1"), ("KEEP_ALIVE_SECONDS", "1")]).await;
    let framings = ["Content-Length: 5000", "Transfer-Encoding: chunked"];
    // A name for the request has its body read before a handler asks for it, or where none does.
    let named = ["/api/v1/servers", "/api/v1/servers/1/start", "/api/v1/servers/1/command"];
    let requests = named.into_iter().map(|path| (path, "Idempotency-Key: k\r\n")).chain([("/api/v1/servers", "")]);
    let cases: Vec<_> = requests.flat_map(|request| framings.map(|framing| (request, framing))).collect();
    // Together, as each takes its second.
    let clients = cases.into_iter().map(|((path, name), framing)| {
        let mut stream = connect(&api);
        let head = request(
            &format!("POST {path}"),
            &stack.key,
            &format!("Content-Type: application/json\r\n{name}{framing}\r\n\r\n"),
        );
        std::thread::spawn(move || {
            stream.write_all(&head).expect("a head");
            let (answer, took) = trickle(&mut stream, if framing.starts_with('C') { b" " } else { b"1\r\n \r\n" });
            let what = format!("{path} {name} {framing}");
            assert!(answer.starts_with("HTTP/1.1 408") && answer.contains("\"slow_body\""), "{what}: {answer}");
            assert!(took < PROMPTLY, "{what}: {took:?}");
        })
    });
    for client in clients.collect::<Vec<_>>() {
        client.join().expect("a body that was ended");
    }
}

#[tokio::test]
async fn slow_head_is_ended_first_or_later() {
    let stack = Stack::start().await;
    let api = stack.api(&[("CLIENT_TIMEOUT_SECONDS", "1"), ("KEEP_ALIVE_SECONDS", "1")]).await;
    let mut first = connect(&api);
    first.write_all(b"GET /healthz HTTP/1.1\r\nX: ").expect("a beginning");
    let (answer, took) = trickle(&mut first, b"y");
    assert!(answer.starts_with("HTTP/1.1 408") && took < PROMPTLY, "{took:?}: {answer}");

    let mut later = connect(&api);
    later.write_all(&request("GET /api/v1/users/me", &stack.key, "\r\n")).expect("a request");
    assert!(one_answer(&mut later).starts_with("http/1.1 200"));
    later.write_all(b"GET /healthz HTTP/1.1\r\nX: ").expect("a beginning");
    let (answer, took) = trickle(&mut later, b"y");
    assert!(!answer.contains("200") && took < PROMPTLY, "{took:?}: {answer}");

    let mut silent = connect(&api);
    let (_, took) = to_the_end(&mut silent);
    assert!(took < PROMPTLY, "{took:?}");
}

#[tokio::test]
async fn unwanted_body_does_not_keep_a_connection() {
    let stack = Stack::start().await;
    let api = stack.api(&[("CLIENT_TIMEOUT_SECONDS", "1"), ("KEEP_ALIVE_SECONDS", "1")]).await;
    for framing in ["Content-Length: 5000", "Transfer-Encoding: chunked"] {
        let mut stream = connect(&api);
        stream.write_all(&request("GET /api/v1/users/me", &stack.key, &format!("{framing}\r\n\r\n"))).expect("a head");
        let (answer, took) = trickle(&mut stream, b"1\r\n \r\n");
        assert!(answer.starts_with("HTTP/1.1 200") && took < PROMPTLY, "{framing}: {took:?}: {answer}");
    }
}

#[tokio::test]
async fn slow_request_is_answered_and_let_go() {
    let stack = Stack::start().await;
    let api = stack.api(&[("REQUEST_TIMEOUT_SECONDS", "1")]).await;
    let mut sql = stack.sql().await;
    let lock = sql.transaction().await.expect("a transaction");
    lock.batch_execute("lock table game_servers in access exclusive mode").await.expect("a lock");
    let began = Instant::now();
    let answer = api.get("/api/v1/servers").await;
    assert!(!answer.header("retry-after").is_empty(), "{answer:?}");
    assert!(!answer.header("x-ratelimit-limit").is_empty(), "{answer:?}");
    assert_eq!(answer.expect(503)["code"], "timed_out");
    assert!(began.elapsed() < PROMPTLY, "{:?}", began.elapsed());
    lock.rollback().await.expect("the end of the lock");
    api.get("/api/v1/servers").await.expect(200);
}

/// How many sockets the process has.
fn sockets(api: &Api) -> usize {
    let files = std::fs::read_dir(format!("/proc/{}/fd", api.pid())).expect("the process").flatten();
    files
        .filter(|file| std::fs::read_link(file.path()).is_ok_and(|it| it.to_string_lossy().starts_with("socket")))
        .count()
}

/// Servers with long descriptions, so that a list of them is far more than a socket's buffer in a few answers.
async fn much_to_tell(stack: &Stack) {
    let servers = "insert into game_servers (discord_id, name, game_type, description)
                   select $1, 's' || i, 'demo', repeat('x', 1000) from generate_series(1, 100) i";
    stack.sql().await.execute(servers, &[&OWNER]).await.expect("servers");
}

/// Asks for much, and never reads.
fn deaf(api: &Api, stack: &Stack) -> TcpStream {
    let mut stream = connect(api);
    rustix::net::sockopt::set_socket_recv_buffer_size(&stream, 4096).expect("a small buffer");
    let requests = request("GET /api/v1/servers?limit=100", &stack.key, "\r\n").repeat(100);
    stream.write_all(&requests).expect("requests");
    stream
}

#[tokio::test]
async fn a_client_that_takes_no_answer_is_let_go() {
    let stack = Stack::start().await;
    much_to_tell(&stack).await;
    let api = stack.api(&[("CLIENT_TIMEOUT_SECONDS", "2")]).await;
    wait::until(SOON, "the process to be ready", async || (api.ready().await.status == 200).then_some(())).await;
    let before = sockets(&api);
    let clients: Vec<_> = (0..20).map(|_| deaf(&api, &stack)).collect();
    wait::until(SOON, "them to be served", async || (sockets(&api) >= before + 20).then_some(())).await;
    wait::until(SOON, "them to be let go", async || (sockets(&api) < before + 10).then_some(())).await;
    drop(clients);
    api.get("/api/v1/users/me").await.expect(200);
}

#[tokio::test]
async fn deaf_clients_do_not_delay_a_shutdown() {
    let stack = Stack::start().await;
    much_to_tell(&stack).await;
    let settings = [("CLIENT_TIMEOUT_SECONDS", "300"), ("SHUTDOWN_DRAIN_SECONDS", "1")];
    let api = stack.api(&settings).await;
    let deaf = deaf(&api, &stack);
    let mut half = connect(&api);
    let more = "Content-Type: application/json\r\nContent-Length: 5000\r\n\r\n{";
    half.write_all(&request("POST /api/v1/servers", &stack.key, more)).expect("half a request");
    api.get("/api/v1/users/me").await.expect(200);
    let asked = Instant::now();
    assert!(api.stop().await.success());
    assert!(asked.elapsed() < PROMPTLY, "{:?}", asked.elapsed());
    drop((deaf, half));
}

#[tokio::test]
async fn full_server_still_answers_probes() {
    let stack = Stack::start().await;
    let api = stack.api(&[("MAX_CONNECTIONS", "4")]).await;
    wait::until(SOON, "the process to be ready", async || (api.ready().await.status == 200).then_some(())).await;
    let mut open = vec![];
    let mut waiting = loop {
        assert!(open.len() < 20, "there is no limit");
        let mut stream = connect(&api);
        stream.write_all(&request("GET /api/v1/users/me", &stack.key, "\r\n")).expect("a request");
        stream.set_read_timeout(Some(Duration::from_secs(2))).expect("a limit");
        let mut byte = [0];
        if stream.peek(&mut byte).is_err() {
            break stream;
        }
        open.push(stream);
    };
    assert!(open.len() >= 2, "{}", open.len());
    for _ in 0..20 {
        let asked = Instant::now();
        assert_eq!(api.ready().await.status, 200);
        assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
    }
    drop(open);
    waiting.set_read_timeout(Some(SOON)).expect("a limit");
    assert!(one_answer(&mut waiting).starts_with("http/1.1 200"), "its turn has come");
}
