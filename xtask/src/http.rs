//! A client for our own programs and for Prometheus.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use serde_json::Value;

const CONNECT: Duration = Duration::from_secs(1);
const ANSWER: Duration = Duration::from_secs(30);

/// A request to `host:port`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Request<'a> {
    pub(crate) method: &'a str,
    pub(crate) path: &'a str,
    /// The API key, if there is one.
    pub(crate) key: Option<&'a str>,
    pub(crate) body: Option<&'a Value>,
}

/// Sends a GET to a path of `host:port` and returns the status.
pub(crate) fn get(host: &str, path: &str, key: Option<&str>) -> io::Result<u16> {
    Ok(ask(host, Request { method: "GET", path, key, body: None })?.0)
}

/// Returns the status and the body of an answer; no body, and one that is no JSON, is null.
pub(crate) fn ask(host: &str, request: Request<'_>) -> io::Result<(u16, Value)> {
    let mut answer = Vec::new();
    send(host, request)?.read_to_end(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    Ok((status.ok_or(io::ErrorKind::InvalidData)?, serde_json::from_str(body).unwrap_or_default()))
}

/// Sends a request, and leaves its answer to the caller. HTTP/1.0 has no answers in chunks.
pub(crate) fn send(host: &str, request: Request<'_>) -> io::Result<TcpStream> {
    let address = host.to_socket_addrs()?.next().ok_or(io::ErrorKind::AddrNotAvailable)?;
    let mut stream = TcpStream::connect_timeout(&address, CONNECT)?;
    stream.set_read_timeout(Some(ANSWER))?;
    stream.set_write_timeout(Some(ANSWER))?;
    let Request { method, path, key, body } = request;
    let body = body.map(Value::to_string).unwrap_or_default();
    let key = key.map(|key| format!("Authorization: Bearer {key}\r\n")).unwrap_or_default();
    let content = format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len());
    let content = if method == "GET" { "" } else { &content };
    write!(stream, "{method} {path} HTTP/1.0\r\nHost: {host}\r\n{key}{content}\r\n{body}")?;
    Ok(stream)
}
