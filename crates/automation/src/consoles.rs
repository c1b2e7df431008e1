//! Answers requests to consoles by processes that do not reach the host, such as the bot.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use agis_base::{ServerId, StoreError};
use agis_servers::console::{
    Begin, Console, ConsoleError, Dispatcher,
    relay::{ConsoleAnswer, ConsoleRequest, PATIENCE, RelayStore, TakenRequest},
};
use tokio::{sync::Semaphore, time::timeout};

use crate::places::Places;

/// How often it is due, if no bell rings.
pub const PERIOD: Duration = Duration::from_secs(5);
/// Pause while every place is taken.
const FULL: Duration = Duration::from_millis(200);
/// Requests at once. A console that hangs holds a place until the one who asked has left.
const PLACES: usize = 16;
/// Requests to one server at once: a game that hangs leaves places to the others of its host.
const OF_ONE_SERVER: usize = 4;
/// Maximum number of lines of an answer, and of their characters.
const LINES: u32 = 100;
const CHARACTERS: usize = 1000;

/// Answers requests to the consoles of a host.
pub struct Consoles {
    store: Arc<dyn RelayStore>,
    console: Arc<dyn Console>,
    dispatcher: Dispatcher,
    places: Arc<Semaphore>,
    servers: Mutex<Places<ServerId>>,
}

impl Consoles {
    /// Creates the answers for this host, to whose games the dispatcher has a way.
    pub fn new(store: Arc<dyn RelayStore>, console: Arc<dyn Console>, dispatcher: Dispatcher) -> Self {
        let servers = Mutex::new(Places::new(OF_ONE_SERVER));
        Self { store, console, dispatcher, places: Arc::new(Semaphore::new(PLACES)), servers }
    }

    /// Takes the waiting requests, and begins to answer each. Returns the pause until the next round, if places are
    /// missing.
    ///
    /// # Errors
    /// Fails if the store does.
    pub async fn round(&self) -> Result<Option<Duration>, StoreError> {
        let free = self.places.available_permits();
        let limit = u32::try_from(free).unwrap_or(u32::MAX);
        let taken = if free == 0 { vec![] } else { self.store.take(self.console.host(), limit).await? };
        let is_full = taken.len() >= free;
        for request in taken {
            // Only this loop takes places.
            let Ok(place) = self.places.clone().try_acquire_owned() else { break };
            let of_server = self.servers.lock().unwrap_or_else(PoisonError::into_inner).take(&request.server);
            let (store, console, dispatcher) = (self.store.clone(), self.console.clone(), self.dispatcher.clone());
            tokio::spawn(async move {
                let TakenRequest { id, server, request } = request;
                let answer = match request {
                    _ if of_server.is_none() => Err(ConsoleError::Busy),
                    ConsoleRequest::Lines { begin, limit } => lines(&*console, server, &begin, limit).await,
                    ConsoleRequest::Send(dispatch) => {
                        dispatcher.send_here(console.host(), server, dispatch).await.map(ConsoleAnswer::Sent)
                    }
                };
                let answer = answer.unwrap_or_else(ConsoleAnswer::Failed);
                if let Err(error) = store.answer(id, &answer).await {
                    tracing::warn!(%error, "answer of a console could not be passed on");
                }
                drop((place, of_server));
            });
        }
        Ok(is_full.then_some(FULL))
    }
}

async fn lines(
    console: &dyn Console,
    server: ServerId,
    begin: &Begin,
    limit: u32,
) -> Result<ConsoleAnswer, ConsoleError> {
    let late = |_| ConsoleError::Unavailable("the host did not answer in time".to_owned());
    let mut piece = timeout(PATIENCE, console.lines(server, begin, limit.min(LINES))).await.map_err(late)??;
    for line in &mut piece.lines {
        if let Some((end, _)) = line.text.char_indices().nth(CHARACTERS) {
            line.text.truncate(end);
        }
    }
    Ok(ConsoleAnswer::Lines(piece))
}
