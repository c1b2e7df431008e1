//! A stand-in for a Kubernetes API server with Agones, on localhost, without a cluster.
//!
//! ```no_run
//! # async fn example() {
//! use agis_agones_stand_in::{Cluster, Fault, Kind, State};
//! use serde_json::json;
//!
//! let cluster = Cluster::start().await;
//! // Build a client from cluster.kubeconfig(), or from cluster.url(), then for example:
//! cluster.put(json!({
//!     "apiVersion": "agones.dev/v1", "kind": "GameServer", "metadata": {"name": "one"},
//!     "spec": {"ports": [{"containerPort": 25565}],
//!              "template": {"spec": {"containers": [{"name": "game", "image": "example/game"}]}}},
//! }));
//! cluster.until_state("one", State::Ready).await;
//! cluster.fault_next("PATCH /apis/agones.dev", 1, Fault::LoseReply);
//! cluster.crash("one");
//! cluster.until_state("one", State::Unhealthy).await;
//! assert_eq!(cluster.list(Kind::Pod).len(), 1);
//! # }
//! ```
//!
//! **Objects** are config maps, claims, pods, GameServers and Fleets; they are read, watched and changed as a real API
//! server lets them be, which refuses what one would refuse. GameServers and Fleets are held against Agones' own CRDs:
//! the files in `k8s/schemas/agones` of this checkout, else in `shared/data/agones` beside one of the folders above it.
//! Without them there is no stand-in: it would take what a cluster does not.
//!
//! **Agones** is played by a controller that takes a GameServer through all its states, keeps Fleets full, allocates
//! and cleans up, and by games that say at once that they are ready. A game whose container has an environment
//! variable [`GAME`] is another one: see there.
//!
//! **Faults** come on demand: outages of all kinds ([`Cluster::fault`]), watches that end ([`Cluster::drop_watches`]),
//! history that is forgotten ([`Cluster::compact`]), quotas, games that crash, pods that are evicted or will not end.
//!
//! **Not here**: server-side apply and strategic merge patches (refused), deleting a whole collection, streaming lists
//! (refused as an older server does), `managedFields`, protobuf, subresources other than `pods/log`, rolling updates of
//! Fleets, and the API's own schema (`kubectl create` wants `--validate=false`).
//!
//! The stand-in speaks plain HTTP and asks nobody who they are. There are two namespaces: [`NAMESPACE`], with all that was said,
//! and [`FENCES`], in which objects are kept and nothing happens to them, and which cannot be watched. In any other one there
//! is nothing, and nothing can be created.

mod admission;
mod agones;
mod builtin;
mod faults;
mod game_state;
mod hub;
mod kind;
mod knobs;
mod meta;
mod observe;
mod patch;
mod pods;
mod request;
mod rest;
mod schema;
mod selector;
mod state;
mod status;
mod store;
mod write;

use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::Arc;

use actix_web::dev::ServerHandle;
use tokio::task::AbortHandle;

pub use faults::Fault;
pub use game_state::State;
pub use kind::Kind;
pub use request::Request;
pub use schema::Schema;

use hub::{Facts, Hub};
use schema::Schemas;

/// The namespace in which Agones works.
pub const NAMESPACE: &str = "agones-dev";
/// The other namespace.
pub const FENCES: &str = "agones-dev-fences";
/// The environment variable of a game's container that says how the game behaves. Without it, it tells Agones' SDK that
/// it is ready as soon as it runs.
///
/// - `silent`: its pod is ready as soon as it runs, but it never speaks to the SDK
/// - `stuck`: it runs, but neither is its pod ready nor does it speak
pub const GAME: &str = "AGIS_TEST_GAME";

/// The stand-in; it ends with the last clone.
#[derive(Debug, Clone)]
pub struct Cluster {
    hub: Arc<Hub>,
    /// `None` for the handle that the server itself holds.
    _running: Option<Arc<Running>>,
}

#[derive(Debug)]
struct Running {
    rest: ServerHandle,
    controller: AbortHandle,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.controller.abort();
        // The order to stop is given by the call; nobody waits for the end.
        drop(self.rest.stop(false));
    }
}

impl Cluster {
    /// Starts on a free port of localhost.
    ///
    /// # Panics
    /// Panics if localhost has no free port, or if Agones' CRDs are nowhere.
    pub async fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
        let started = listener.and_then(Self::start_on);
        started.unwrap_or_else(|error| panic!("no stand-in for Kubernetes: {error}"))
    }

    /// Starts on `listener`, in a runtime of Tokio's.
    ///
    /// # Errors
    /// Fails if the port cannot be used, or if Agones' CRDs are nowhere.
    pub fn start_on(listener: TcpListener) -> io::Result<Self> {
        let facts = Facts { url: format!("http://{}", listener.local_addr()?), schemas: Schemas::load()? };
        let hub = Arc::new(Hub::new(facts));
        let server = rest::serve(listener, Self { hub: Arc::clone(&hub), _running: None })?;
        let rest = server.handle();
        tokio::spawn(server);
        let controller = tokio::spawn(agones::run(Arc::clone(&hub))).abort_handle();
        Ok(Self { hub, _running: Some(Arc::new(Running { rest, controller })) })
    }

    /// Returns the address of the API server.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.hub.facts.url
    }

    /// The text of a file for `KUBECONFIG`; its context is called `stand-in`, and is in [`NAMESPACE`].
    #[must_use]
    pub fn kubeconfig(&self) -> String {
        format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: stand-in\n\
             clusters:\n- name: stand-in\n  cluster:\n    server: {}\n\
             contexts:\n- name: stand-in\n  context:\n    cluster: stand-in\n    user: anybody\n    namespace: {NAMESPACE}\n\
             users:\n- name: anybody\n  user: {{}}\n",
            self.url()
        )
    }
}
