//! A way to the cluster on which things go wrong, whatever the cluster is.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
};

use http::Request;
use kube::{Client, client::Body};
use tokio::sync::Semaphore;

/// Fault of one of the calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The caller dies before the call is sent.
    DieBefore,
    /// The caller dies before the answer comes.
    DieAfter,
    /// The call is done, and the answer is lost.
    LoseReply,
    /// The call does not get through.
    Refuse,
}

impl Fault {
    pub(crate) const ALL: [Self; 4] = [Self::DieBefore, Self::DieAfter, Self::LoseReply, Self::Refuse];
}

/// Counts the calls of a client, watches aside, and does something to one of them.
#[derive(Debug, Clone)]
pub(crate) struct Faults(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    calls: AtomicUsize,
    at: usize,
    fault: Fault,
    /// Whether the calls that wait at the gate meet the fault.
    is_at_gate: bool,
    died: Semaphore,
    is_out: AtomicBool,
    /// Calls like this wait at the gate.
    waits: fn(&Request<Body>) -> bool,
    gate: Semaphore,
    waiting: Semaphore,
}

impl Faults {
    /// The call of this number, from 0, meets a fault.
    pub(crate) fn at(call: usize, fault: Fault) -> Self {
        Self::new(call, fault, false, |_| false)
    }

    pub(crate) fn none() -> Self {
        Self::at(usize::MAX, Fault::Refuse)
    }

    /// Calls that create a GameServer, or allocate one, wait until [`Self::open`].
    pub(crate) fn gated() -> Self {
        Self::new(usize::MAX, Fault::Refuse, false, creates)
    }

    /// The same, and whoever makes such a call dies before its answer comes.
    pub(crate) fn gated_to_die() -> Self {
        Self::new(usize::MAX, Fault::DieAfter, true, creates)
    }

    /// Calls that look for a world wait until [`Self::open`].
    pub(crate) fn gated_at_worlds() -> Self {
        Self::new(usize::MAX, Fault::Refuse, false, |request| {
            request.method() == http::Method::GET && request.uri().path().contains("persistentvolumeclaims/")
        })
    }

    fn new(at: usize, fault: Fault, is_at_gate: bool, waits: fn(&Request<Body>) -> bool) -> Self {
        Self(Arc::new(Inner {
            calls: AtomicUsize::new(0),
            at,
            fault,
            is_at_gate,
            died: Semaphore::new(0),
            is_out: AtomicBool::new(false),
            waits,
            gate: Semaphore::new(0),
            waiting: Semaphore::new(0),
        }))
    }

    pub(crate) fn open(&self) {
        self.0.gate.add_permits(1000);
    }

    /// Until a call waits at the gate.
    pub(crate) async fn until_waiting(&self) {
        self.0.waiting.acquire().await.expect("open").forget();
    }

    /// Until whoever makes the calls is dead.
    pub(crate) async fn until_dead(&self) {
        self.0.died.acquire().await.expect("open").forget();
    }

    /// Nothing gets through, or all does again.
    pub(crate) fn outage(&self, is_out: bool) {
        self.0.is_out.store(is_out, SeqCst);
    }

    /// How many calls were made.
    pub(crate) fn calls(&self) -> usize {
        self.0.calls.load(SeqCst)
    }

    /// Whether the call that was to meet its fault was made.
    pub(crate) fn struck(&self) -> bool {
        self.calls() > self.0.at
    }

    /// A client like this one, whose calls meet these faults.
    pub(crate) fn on(&self, client: &Client) -> Client {
        let (faults, client, namespace) = (self.clone(), client.clone(), client.default_namespace().to_owned());
        let service = tower::service_fn(move |request: Request<Body>| {
            let (faults, client) = (faults.clone(), client.clone());
            async move { faults.pass(client, request).await }
        });
        Client::new(service, namespace)
    }

    async fn pass(self, client: Client, request: Request<Body>) -> Result<http::Response<Body>, tower_error::Lost> {
        let Inner { calls, at, fault, is_at_gate, died, is_out, waits, gate, waiting } = &*self.0;
        if is_out.load(SeqCst) {
            return Err(tower_error::Lost);
        }
        if request.uri().query().is_some_and(|query| query.contains("watch=")) {
            return client.send(request).await.map_err(|_| tower_error::Lost);
        }
        let is_waiting = waits(&request);
        if is_waiting && gate.available_permits() == 0 {
            waiting.add_permits(1);
            let _ = gate.acquire().await;
        }
        let strikes = calls.fetch_add(1, SeqCst) == *at || (is_waiting && *is_at_gate);
        if strikes && *fault == Fault::Refuse {
            return Err(tower_error::Lost);
        }
        if strikes && *fault == Fault::DieBefore {
            died.add_permits(1);
            std::future::pending::<()>().await;
        }
        let answer = client.send(request).await.map_err(|_| tower_error::Lost);
        if strikes && *fault == Fault::DieAfter {
            died.add_permits(1);
            std::future::pending::<()>().await;
        }
        if strikes && *fault == Fault::LoseReply {
            return Err(tower_error::Lost);
        }
        answer
    }
}

/// A GameServer, or an allocation.
fn creates(request: &Request<Body>) -> bool {
    request.method() == http::Method::POST && request.uri().path().contains("gameserver")
}

pub(crate) mod tower_error {
    /// A call that came to nothing.
    #[derive(Debug)]
    pub(crate) struct Lost;

    impl std::fmt::Display for Lost {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("the connection was cut")
        }
    }

    impl std::error::Error for Lost {}
}
