//! Answers requests to consoles by processes that do not reach the host, such as the bot.

use std::{sync::Arc, time::Duration};

use agis_base::StoreError;
use agis_servers::console::{
    Console, ConsoleError,
    relay::{ConsoleAnswer, ConsoleRequest, PATIENCE, RelayStore, TakenRequest},
};
use tokio::{sync::Semaphore, time::timeout};

/// How often it is due, if no bell rings.
pub const PERIOD: Duration = Duration::from_secs(5);
/// Pause while every place is taken.
const FULL: Duration = Duration::from_millis(200);
/// Requests at once. A console that hangs holds a place until the one who asked has left.
const PLACES: usize = 16;
/// Maximum number of lines of an answer, and of their characters.
const LINES: u32 = 100;
const CHARACTERS: usize = 1000;

/// Answers requests to the consoles of a host.
pub struct Consoles {
    store: Arc<dyn RelayStore>,
    console: Arc<dyn Console>,
    places: Arc<Semaphore>,
}

impl Consoles {
    /// Creates the answers for this host.
    pub fn new(store: Arc<dyn RelayStore>, console: Arc<dyn Console>) -> Self {
        Self { store, console, places: Arc::new(Semaphore::new(PLACES)) }
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
            let (store, console) = (self.store.clone(), self.console.clone());
            tokio::spawn(async move {
                let id = request.id;
                let answer = timeout(PATIENCE, answer(&*console, request)).await;
                let late =
                    || ConsoleAnswer::Failed(ConsoleError::Unavailable("the host did not answer in time".into()));
                let answer = answer.unwrap_or_else(|_| late());
                if let Err(error) = store.answer(id, &answer).await {
                    tracing::warn!(%error, "answer of a console could not be passed on");
                }
                drop(place);
            });
        }
        Ok(is_full.then_some(FULL))
    }
}

async fn answer(console: &dyn Console, TakenRequest { server, request, .. }: TakenRequest) -> ConsoleAnswer {
    let answer = match request {
        ConsoleRequest::Lines { begin, limit } => {
            console.lines(server, &begin, limit.min(LINES)).await.map(|mut piece| {
                for line in &mut piece.lines {
                    if let Some((end, _)) = line.text.char_indices().nth(CHARACTERS) {
                        line.text.truncate(end);
                    }
                }
                ConsoleAnswer::Lines(piece)
            })
        }
        ConsoleRequest::Tell { command } => console.tell(server, &command).await.map(|()| ConsoleAnswer::Told),
    };
    answer.unwrap_or_else(ConsoleAnswer::Failed)
}
