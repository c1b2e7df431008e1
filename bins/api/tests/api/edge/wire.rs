//! Bytes on a socket, as no well-behaved client sends them.

use std::{
    io::{ErrorKind, Read, Write},
    net::TcpStream,
    time::{Duration, Instant},
};

use crate::common::{Api, SOON, Stack};

/// A connection to the REST port.
pub(super) fn connect(api: &Api) -> TcpStream {
    let stream = TcpStream::connect(api.base.strip_prefix("http://").expect("an address")).expect("a connection");
    stream.set_read_timeout(Some(SOON)).expect("a limit");
    stream.set_write_timeout(Some(SOON)).expect("a limit");
    stream
}

/// Everything that comes until the other side ends, and how long that took. Whether it ends in order or is cut is the
/// same here; that nothing comes and nothing ends fails.
pub(super) fn to_the_end(stream: &mut TcpStream) -> (String, Duration) {
    let (mut all, mut piece, began) = (vec![], [0; 65536], Instant::now());
    loop {
        match stream.read(&mut piece) {
            Ok(0) => break,
            Ok(read) => all.extend_from_slice(&piece[..read]),
            Err(error) if matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe) => break,
            Err(error) => panic!("after {} bytes and {:?}: {error}", all.len(), began.elapsed()),
        }
    }
    (String::from_utf8_lossy(&all).into_owned(), began.elapsed())
}

/// Sends bytes, as many as are taken, and answers with everything that comes.
pub(super) fn exchange(api: &Api, bytes: &[u8]) -> String {
    let mut stream = connect(api);
    // The server may have had enough before it has read all.
    let _ = stream.write_all(bytes);
    to_the_end(&mut stream).0
}

fn head(lines: &str) -> Vec<u8> {
    format!("{}\r\n\r\n", lines.replace('\n', "\r\n")).into_bytes()
}

fn statuses(answer: &str) -> Vec<&str> {
    answer.match_indices("HTTP/1.").map(|(at, _)| answer[at..].split(' ').nth(1).unwrap_or_default()).collect()
}

#[tokio::test]
async fn oversized_head_is_refused() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    let many = (0..5000).map(|number| format!("X-{number}: y\n")).collect::<String>();
    let cases = [
        ("too many headers", format!("GET /api/v1/games HTTP/1.1\nHost: agis\n{many}X: y"), ["400", "431"]),
        ("a header too long", format!("GET / HTTP/1.1\nHost: agis\nX: {}", "y".repeat(200_000)), ["400", "431"]),
        ("a path too long", format!("GET /{} HTTP/1.1\nHost: agis", "y".repeat(70_000)), ["400", "414"]),
        ("a query too long", format!("GET /?{} HTTP/1.1\nHost: agis", "y".repeat(100_000)), ["400", "414"]),
        (
            "a key too long",
            format!(
                "GET /api/v1/games HTTP/1.1\nHost: agis\nConnection: close\nAuthorization: Bearer agis_{}",
                "A".repeat(60_000)
            ),
            ["401", "431"],
        ),
    ];
    for (what, text, expected) in cases {
        let answer = exchange(&api, &head(&text));
        let status = statuses(&answer).first().copied().unwrap_or_default();
        assert!(expected.contains(&status), "{what}: {answer:.300}");
        api.get("/api/v1/users/me").await.expect(200);
    }
    assert!(!api.log().iter().any(|line| line.to_string().contains("panicked")), "{:?}", api.log());
}

#[tokio::test]
async fn ambiguous_request_end_is_refused() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    let second = "GET /healthz HTTP/1.1\r\nHost: agis\r\n\r\n";
    let doubtful = [
        "Content-Length: 4\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\nContent-Length: 4",
        "Content-Length: 4\nContent-Length: 5",
        "Content-Length: +4",
        "Content-Length: 4, 4",
        "Content-Length: -1",
        "Content-Length: 99999999999999999999999",
        "Transfer-Encoding: chunked\nTransfer-Encoding: chunked",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding : chunked",
        "Content-Length : 4",
        "Host: other",
        "X: y\n Content-Length: 4",
    ];
    for lines in doubtful {
        let mut bytes = head(&format!("POST /api/v1/servers HTTP/1.1\nHost: agis\n{lines}"));
        bytes.extend_from_slice(b"0\r\n\r\n");
        bytes.extend_from_slice(second.as_bytes());
        let answer = exchange(&api, &bytes);
        assert_eq!(statuses(&answer), ["400"], "{lines}: {answer}");
    }
    let old = exchange(&api, &head("POST /api/v1/servers HTTP/1.0\nTransfer-Encoding: chunked"));
    assert_eq!(statuses(&old), ["400"], "{old}");
    let nobody = exchange(&api, &head("GET /healthz HTTP/1.1"));
    assert_eq!(statuses(&nobody), ["400"], "HTTP/1.1 needs a Host: {nobody}");
    let noise = exchange(&api, &[0, 159, 146, 150, 13, 10, 13, 10]);
    assert_eq!(statuses(&noise), ["400"], "{noise}");
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    let me = format!("GET /api/v1/users/me HTTP/1.1\r\nHost: agis\r\nAuthorization: Bearer {}\r\n", stack.key);
    let requests = format!("{me}\r\nGET /nothing HTTP/1.1\r\nHost: agis\r\n\r\n{me}Connection: close\r\n\r\n");
    let answer = exchange(&api, requests.as_bytes());
    assert_eq!(statuses(&answer), ["200", "404", "200"], "{answer}");
}
