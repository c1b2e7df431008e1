//! Tests against a peer that records requests and answers as it is told.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
};

use agis_base::{StoreError, UserId};
use agis_deferrals::{Claimed, Deferral, DeferralStore, Holder};
use async_trait::async_trait;
use chrono::Utc;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    sync::Notify,
};

use super::*;

/// The peer's answer to a request; it accepts all others.
enum Told {
    Status(u16, &'static str),
    HangUp,
}

/// Stores no promise.
struct Nowhere;

#[async_trait]
impl DeferralStore for Nowhere {
    async fn keep(&self, _: &Holder, _: Duration, _: &[Deferral]) -> Result<(), StoreError> {
        Ok(())
    }

    async fn forget(&self, _: &Holder, _: &[Arc<str>]) -> Result<(), StoreError> {
        Ok(())
    }

    async fn claim(&self, _: &Holder, _: Duration, _: Duration, _: u32) -> Result<Vec<Claimed>, StoreError> {
        Ok(vec![])
    }
}

const TAKEN: Told = Told::Status(400, r#"{"code": 40060, "message": "Interaction has already been acknowledged."}"#);

#[derive(Default)]
struct Peer {
    told: Mutex<VecDeque<Told>>,
    /// Method, path behind the version, body.
    requests: Mutex<Vec<(String, String, String)>>,
    asked: Notify,
}

impl Peer {
    async fn start(told: impl IntoIterator<Item = Told>) -> (Arc<Self>, Replies) {
        // The first of several tests in a process sets it.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let peer = Arc::new(Self { told: Mutex::new(told.into_iter().collect()), ..Self::default() });
        let serving = peer.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                serving.answer(stream).await;
            }
        });
        let client = Client::builder().proxy(address, true).build();
        let deferrals = Deferrals::new(Arc::new(Nowhere), "secret").expect("a seal");
        (peer, Replies::new(Arc::new(client), Id::new(1), deferrals))
    }

    async fn answer(&self, stream: TcpStream) {
        let mut stream = BufReader::new(stream);
        let (mut head, mut length) = (String::new(), 0);
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line).await.unwrap_or(0) == 0 {
                return;
            }
            if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().expect("a length");
            }
            if line == "\r\n" {
                break;
            }
            head.push_str(&line);
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await.expect("a body");
        let mut words = head.split_whitespace().map(str::to_owned);
        let (method, path) = (words.next().expect("a method"), words.next().expect("a path"));
        let path = path.trim_start_matches("/api/v10").split('?').next().unwrap_or_default().to_owned();
        let body = String::from_utf8(body).expect("a text");
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).push((method, path, body));
        self.asked.notify_one();
        let told = self.told.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        if let Told::Status(status, body) = told.unwrap_or(Told::Status(204, "")) {
            let head = format!("HTTP/1.1 {status} x\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
            let _ = stream.write_all(format!("{head}{body}").as_bytes()).await;
        }
    }

    fn requests(&self) -> Vec<(String, String, String)> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns method and path of each request.
    fn paths(&self) -> Vec<String> {
        self.requests().into_iter().map(|(method, path, _)| format!("{method} {path}")).collect()
    }
}

const ORIGINAL: &str = "/webhooks/1/token/messages/@original";

/// Returns an interaction of now.
fn call() -> Call {
    let millis = Utc::now().timestamp_millis().unsigned_abs() - 1_420_070_400_000;
    called(millis << 22)
}

fn called(id: u64) -> Call {
    let (token, user) = ("token".to_owned(), UserId::from_stored("1"));
    Call { id: Id::new(id), token, user, member: None, channel: None }
}

fn callback(call: &Call) -> String {
    format!("POST /interactions/{}/token/callback", call.id)
}

fn answer() -> Result<Answer, Refusal> {
    Ok(render::done("Done", "It is done.").into())
}

#[tokio::test]
async fn quick_answer_mentions_nobody() {
    let (peer, replies) = Peer::start([]).await;
    let call = call();
    let delivered = replies.deliver(&call, Style::Private, false, async { answer() }).await;
    assert_eq!(delivered.status, Some(Status::Ok));
    let requests = peer.requests();
    assert_eq!(peer.paths(), [callback(&call)]);
    let body = &requests[0].2;
    assert!(body.contains("\"type\":4") && body.contains("\"flags\":64"), "{body}");
    assert!(body.contains("\"allowed_mentions\":{\"parse\":[]}"), "{body}");
}

#[tokio::test]
async fn slow_answer_is_deferred_and_put_in_place() {
    let (peer, replies) = Peer::start([]).await;
    let work = async {
        peer.asked.notified().await;
        answer()
    };
    let call = call();
    let delivered = replies.deliver(&call, Style::Public, true, work).await;
    assert_eq!(delivered.status, Some(Status::Ok));
    assert_eq!(peer.paths(), [callback(&call), format!("PATCH {ORIGINAL}")]);
    assert!(peer.requests()[0].2.contains("\"type\":5"));
}

#[tokio::test]
async fn late_public_failure_is_told_in_private() {
    let (peer, replies) = Peer::start([]).await;
    let work = async {
        peer.asked.notified().await;
        Err(Refusal::Unavailable { begun: true })
    };
    let call = call();
    let delivered = replies.deliver(&call, Style::Public, true, work).await;
    assert_eq!(delivered.status, Some(Status::Failed));
    let follow_up = "POST /webhooks/1/token".to_owned();
    assert_eq!(peer.paths(), [callback(&call), format!("DELETE {ORIGINAL}"), follow_up]);
    let told = &peer.requests()[2].2;
    assert!(told.contains("\"flags\":64") && told.contains("may have been done"), "{told}");
}

#[tokio::test]
async fn second_delivery_never_answers_again() {
    let (peer, replies) = Peer::start([TAKEN]).await;
    let work = async {
        peer.asked.notified().await;
        answer()
    };
    let call = call();
    let delivered = replies.deliver(&call, Style::Private, true, work).await;
    assert_eq!(delivered.status, None);
    assert_eq!(peer.paths(), [callback(&call)]);
}

#[tokio::test]
async fn an_answer_is_sent_again_where_that_helps() {
    let (peer, replies) = Peer::start([Told::Status(502, "bad gateway")]).await;
    let call = call();
    let delivered = replies.deliver(&call, Style::Private, false, async { answer() }).await;
    assert_eq!(delivered.status, Some(Status::Ok));
    assert_eq!(peer.paths().len(), 2);
}

#[tokio::test]
async fn an_answer_whose_receipt_was_lost_is_ours() {
    let (peer, replies) = Peer::start([Told::HangUp, TAKEN]).await;
    let call = call();
    let delivered = replies.deliver(&call, Style::Private, false, async { answer() }).await;
    assert_eq!(delivered.status, Some(Status::Ok));
    assert_eq!(peer.paths().len(), 2);
}

#[tokio::test]
async fn other_deliverys_work_is_not_answered() {
    let (peer, replies) = Peer::start([]).await;
    let call = call();
    let delivered = replies.deliver(&call, Style::Private, true, async { Err(Refusal::Repeated) }).await;
    assert_eq!(delivered.status, None);
    assert_eq!(peer.paths(), [""; 0]);
}

#[tokio::test]
async fn overdue_interaction_is_not_done() {
    let unknown = Told::Status(404, r#"{"code": 10062, "message": "Unknown interaction"}"#);
    let (peer, replies) = Peer::start([unknown]).await;
    let (call, mut done) = (called(7), false);
    let work = async {
        done = true;
        answer()
    };
    let delivered = replies.deliver(&call, Style::Private, true, work).await;
    assert_eq!((delivered.status, done), (Some(Status::Failed), false));
    assert_eq!(peer.paths(), [callback(&call)]);
}
