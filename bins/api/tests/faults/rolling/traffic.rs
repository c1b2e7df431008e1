//! Clients of several replicas, as they reach them through a Service of Kubernetes: a connection stays where it is until
//! it is closed, and a new one goes to a replica that was ready when last looked at. Nothing is tried twice.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use agis_test_support::wait;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    task::JoinSet,
    time::{MissedTickBehavior, interval, interval_at, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::common::{Api, SOON};

/// Requests a second, over all connections.
const RATE: u32 = 200;
const CONNECTIONS: u32 = 20;
/// How often one is used before its client makes another: so traffic finds its way to who is new.
const USES: usize = 25;
/// How often it is asked who is ready: in between, the clients do not know.
const LOOK: Duration = Duration::from_millis(200);

/// Addresses of a replica: REST, and readiness.
#[derive(Debug, Clone)]
pub(crate) struct Replica {
    pub(crate) api: SocketAddr,
    metrics: SocketAddr,
}

impl Replica {
    pub(crate) fn of(api: &Api) -> Self {
        let address = |url: &str| url.trim_start_matches("http://").parse().expect("an address");
        Self { api: address(&api.base), metrics: address(&api.metrics) }
    }

    /// Returns the status of `/readyz`; `None` if nobody listens.
    pub(crate) async fn readiness(&self) -> Option<u16> {
        Some(ask_once(self.metrics, &request("GET", "/readyz", "none", "")).await.ok()?.status)
    }

    /// An answer to a request on a connection of its own; nothing where nobody listens.
    pub(crate) async fn answer(&self, request: &str) -> Option<Answer> {
        ask_once(self.api, request).await.ok()
    }
}

/// A request as it is sent.
pub(crate) fn request(method: &str, path: &str, key: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "{method} {path} HTTP/1.1\r\nHost: agis\r\nAuthorization: Bearer {key}\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    )
}

/// Relevant parts of an answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) close: bool,
    pub(crate) body: String,
}

async fn ask_once(address: SocketAddr, request: &str) -> std::io::Result<Answer> {
    ask(&mut BufReader::new(TcpStream::connect(address).await?), request).await
}

/// Sends a request, and reads its answer.
async fn ask(connection: &mut BufReader<TcpStream>, request: &str) -> std::io::Result<Answer> {
    connection.write_all(request.as_bytes()).await?;
    answer(connection).await
}

/// Reads an answer to its end.
pub(crate) async fn answer(connection: &mut BufReader<TcpStream>) -> std::io::Result<Answer> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if connection.read_line(&mut head).await? == 0 {
            return Err(std::io::Error::other(format!("closed after {head:?}")));
        }
    }
    let head = head.to_lowercase();
    let header = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    let length = header("content-length").and_then(|length| length.parse().ok()).unwrap_or_default();
    let mut body = vec![0; length];
    connection.read_exact(&mut body).await?;
    Ok(Answer {
        status: status.ok_or_else(|| std::io::Error::other(format!("no status in {head:?}")))?,
        close: header("connection") == Some("close"),
        body: String::from_utf8_lossy(&body).into_owned(),
    })
}

/// The replicas of a Service: those that there are, and those that are believed to be ready.
#[derive(Debug, Clone, Default)]
pub(crate) struct Service {
    replicas: Arc<Mutex<Vec<Replica>>>,
    ready: Arc<Mutex<Vec<SocketAddr>>>,
    turn: Arc<AtomicUsize>,
}

impl Service {
    pub(crate) fn add(&self, replica: &Replica) {
        self.replicas.lock().expect("replicas").push(replica.clone());
    }

    pub(crate) fn remove(&self, replica: &Replica) {
        self.replicas.lock().expect("replicas").retain(|one| one.api != replica.api);
    }

    /// How many are believed to be ready.
    pub(crate) fn ready(&self) -> usize {
        self.ready.lock().expect("endpoints").len()
    }

    async fn look(self) {
        let mut looks = interval(LOOK);
        loop {
            looks.tick().await;
            let replicas = self.replicas.lock().expect("replicas").clone();
            let mut ready = vec![];
            for replica in replicas {
                if replica.readiness().await == Some(200) {
                    ready.push(replica.api);
                }
            }
            *self.ready.lock().expect("endpoints") = ready;
        }
    }

    fn endpoint(&self) -> std::io::Result<SocketAddr> {
        let ready = self.ready.lock().expect("endpoints");
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        ready.get(turn % ready.len().max(1)).copied().ok_or_else(|| std::io::Error::other("nobody is ready"))
    }
}

/// Results of requests.
#[derive(Debug, Default)]
pub(crate) struct Count {
    /// By the replica that answered.
    pub(crate) answered: std::collections::BTreeMap<SocketAddr, usize>,
    pub(crate) failures: Vec<String>,
    /// Connections on which more than one request was sent.
    pub(crate) kept: usize,
}

/// Clients that ask at a constant rate.
pub(crate) struct Traffic {
    stop: CancellationToken,
    clients: JoinSet<Count>,
    looks: tokio::task::JoinHandle<()>,
    began: Instant,
    asked: Arc<AtomicUsize>,
}

impl Traffic {
    /// Begins to ask once somebody is ready; `request` makes the request of a number.
    pub(crate) async fn begin(service: &Service, request: impl Fn(usize) -> String + Send + Sync + 'static) -> Self {
        let (stop, request) = (CancellationToken::new(), Arc::new(request));
        let looks = tokio::spawn(service.clone().look());
        wait::until(SOON, "endpoints", async || (service.ready() > 0).then_some(())).await;
        let (mut clients, asked) = (JoinSet::new(), Arc::new(AtomicUsize::new(0)));
        for number in 0..CONNECTIONS {
            let (service, stop, request, asked) = (service.clone(), stop.clone(), request.clone(), asked.clone());
            clients.spawn(async move { client(number, &service, &stop, &*request, &asked).await });
        }
        Self { stop, clients, looks, began: Instant::now(), asked }
    }

    /// Ends it when all requests that are due by now were made, and tells what became of them. A busy machine makes them late.
    pub(crate) async fn end(mut self) -> Count {
        let due = (self.began.elapsed().as_secs_f64() * f64::from(RATE)) as usize;
        let all_asked = async || (self.asked.load(Ordering::Relaxed) >= due).then_some(());
        wait::until(SOON * 2, "the requests that are due", all_asked).await;
        self.stop.cancel();
        let mut all = Count::default();
        while let Some(client) = self.clients.join_next().await {
            let count = client.expect("a client");
            count
                .answered
                .into_iter()
                .for_each(|(replica, answers)| *all.answered.entry(replica).or_default() += answers);
            all.failures.extend(count.failures);
            all.kept += count.kept;
        }
        self.looks.abort();
        all
    }
}

async fn client(
    number: u32,
    service: &Service,
    stop: &CancellationToken,
    request: &(dyn Fn(usize) -> String + Send + Sync),
    made: &AtomicUsize,
) -> Count {
    let mut count = Count::default();
    let mut connection = None;
    let every = Duration::from_secs(CONNECTIONS.into()) / RATE;
    let mut turns = interval_at((Instant::now() + every * number / CONNECTIONS).into(), every);
    // A late client catches up: the rate is constant.
    turns.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut asked = number as usize;
    while stop.run_until_cancelled(turns.tick()).await.is_some() {
        let request = request(asked);
        asked += CONNECTIONS as usize;
        made.fetch_add(1, Ordering::Relaxed);
        match timeout(SOON, turn(service, &mut connection, &request)).await {
            Ok(Ok((replica, answer, uses))) => {
                *count.answered.entry(replica).or_default() += 1;
                count.kept += usize::from(uses == 2);
                if !(200..300).contains(&answer.status) {
                    count.failures.push(format!("{replica} answered {answer:?} to {request:?}"));
                }
            }
            Ok(Err(error)) => {
                let of = connection.take().map(|open: Open| (open.replica, open.uses));
                count.failures.push(format!("{error} on {of:?}: {request:?}"));
            }
            Err(_) => {
                let of = connection.take().map(|open| (open.replica, open.uses));
                count.failures.push(format!("no answer on {of:?}: {request:?}"));
            }
        }
    }
    count
}

/// A connection of a client.
struct Open {
    replica: SocketAddr,
    stream: BufReader<TcpStream>,
    uses: usize,
}

/// One request, on the connection that there is, else on a new one.
async fn turn(
    service: &Service,
    connection: &mut Option<Open>,
    request: &str,
) -> std::io::Result<(SocketAddr, Answer, usize)> {
    if connection.is_none() {
        let replica = service.endpoint()?;
        let stream = BufReader::new(TcpStream::connect(replica).await?);
        *connection = Some(Open { replica, stream, uses: 0 });
    }
    let open = connection.as_mut().expect("a connection");
    open.uses += 1;
    let answer = ask(&mut open.stream, request).await?;
    let (replica, uses) = (open.replica, open.uses);
    if answer.close || uses == USES {
        *connection = None;
    }
    Ok((replica, answer, uses))
}
