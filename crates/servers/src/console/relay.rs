//! Requests to the console of a server by a process that does not reach the server's host. They go through the database to
//! a process that does.

use std::{sync::Arc, time::Duration};

use agis_base::{ServerId, StoreError};
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use tokio::{
    sync::watch,
    time::{Instant, timeout},
};
use uuid::Uuid;

use super::{Begin, ConsoleError, Dispatch, Piece, Sent};
use crate::rcon::ANSWER_WITHIN;

/// Time within which a request is begun, or never, so that no command is sent late. Lines are not waited for any longer.
pub const PATIENCE: Duration = Duration::from_secs(5);
/// Time between two looks for new lines, since each look passes through two processes.
pub(super) const PACE: Duration = Duration::from_secs(1);
/// Time for a command and its answer, with the way there and back.
const COMMAND_WITHIN: Duration = ANSWER_WITHIN.saturating_add(Duration::from_secs(1));
/// Time between two looks for an answer, if no bell rings.
const LOOK: Duration = Duration::from_millis(250);

/// Request to a console.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConsoleRequest {
    /// See [`Console::lines`](super::Console::lines).
    Lines {
        /// Start of the read.
        begin: Begin,
        /// Maximum number of lines.
        limit: u32,
    },
    /// See [`Dispatcher::send_here`](super::Dispatcher::send_here).
    Send(Dispatch),
}

/// Result of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConsoleAnswer {
    /// Lines of the console.
    Lines(Piece),
    /// The game may have got the command.
    Sent(Sent),
    /// The console, or the game, failed.
    Failed(ConsoleError),
}

/// Request that a process has taken. Nobody else has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TakenRequest {
    /// Id of the request.
    pub id: Uuid,
    /// Server to whose console it goes.
    pub server: ServerId,
    /// The request.
    pub request: ConsoleRequest,
}

/// Requests on their way.
#[async_trait]
pub trait RelayStore: Send + Sync {
    /// Stores a request to a server of this host, and rings the bell of those who serve it. Returns whether anybody does;
    /// otherwise nothing is stored.
    async fn ask(&self, id: Uuid, host: &str, server: ServerId, request: &ConsoleRequest) -> Result<bool, StoreError>;

    /// Returns the answer, once there is one, and forgets the request.
    async fn answered(&self, id: Uuid) -> Result<Option<ConsoleAnswer>, StoreError>;

    /// Gives a request up. Returns whether nobody had begun with it; then nobody will.
    async fn give_up(&self, id: Uuid) -> Result<bool, StoreError>;

    /// Takes requests to servers of this host that are younger than [`PATIENCE`], each for the caller alone.
    async fn take(&self, host: &str, limit: u32) -> Result<Vec<TakenRequest>, StoreError>;

    /// Stores the answer to a request that was taken, and rings the bell of whoever waits.
    async fn answer(&self, id: Uuid, answer: &ConsoleAnswer) -> Result<(), StoreError>;

    /// Forgets requests that nobody waits for any more.
    async fn forget_requests(&self) -> Result<(), StoreError>;
}

/// Way to the consoles of hosts that this process does not reach.
#[derive(Clone)]
pub struct Relay {
    store: Arc<dyn RelayStore>,
    /// Rings when a request was answered.
    bell: watch::Receiver<()>,
}

impl Relay {
    /// Creates the way through this store.
    pub fn new(store: Arc<dyn RelayStore>, bell: watch::Receiver<()>) -> Self {
        Self { store, bell }
    }

    pub(super) async fn lines(
        &self,
        host: &str,
        server: ServerId,
        begin: &Begin,
        limit: u32,
    ) -> Result<Piece, ConsoleError> {
        let request = ConsoleRequest::Lines { begin: begin.clone(), limit };
        match self.ask(host, server, request, PATIENCE).await? {
            ConsoleAnswer::Lines(piece) => Ok(piece),
            other => Err(other.mismatch()),
        }
    }

    pub(super) async fn send(&self, host: &str, server: ServerId, dispatch: Dispatch) -> Result<Sent, ConsoleError> {
        match self.ask(host, server, ConsoleRequest::Send(dispatch), COMMAND_WITHIN).await? {
            ConsoleAnswer::Sent(sent) => Ok(sent),
            other => Err(other.mismatch()),
        }
    }

    async fn ask(
        &self,
        host: &str,
        server: ServerId,
        request: ConsoleRequest,
        within: Duration,
    ) -> Result<ConsoleAnswer, ConsoleError> {
        let failed = |error: StoreError| ConsoleError::Unavailable(error.to_string());
        let (id, until) = (Uuid::now_v7(), Instant::now() + within);
        let mut bell = self.bell.clone();
        if !self.store.ask(id, host, server, &request).await.map_err(failed)? {
            return Err(ConsoleError::Unserved);
        }
        loop {
            bell.mark_unchanged();
            if let Some(answer) = self.store.answered(id).await.map_err(failed)? {
                return Ok(answer);
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            let rung = async {
                // A bell that is gone never rings.
                if bell.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
            };
            let _ = timeout(LOOK.min(left), rung).await;
        }
        Err(match self.store.give_up(id).await.map_err(failed)? {
            true => ConsoleError::Unserved,
            false => ConsoleError::Unavailable("the process that serves its host did not answer in time".to_owned()),
        })
    }
}

impl ConsoleAnswer {
    fn mismatch(self) -> ConsoleError {
        match self {
            Self::Failed(error) => error,
            Self::Lines(_) | Self::Sent(_) => {
                ConsoleError::Unavailable("the answer belongs to another request".to_owned())
            }
        }
    }
}
