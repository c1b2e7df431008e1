//! Checks whether the host that this process serves can run the games of the catalogue.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use agis_base::StoreError;
use agis_servers::{game::Catalogue, host::Host, store::GameStore};

/// How often it is due: a program that is installed while AGIS runs makes its game available by then.
pub const INTERVAL: Duration = Duration::from_secs(5);

/// Looks at the games, and tells everybody who offers them.
pub struct Games {
    /// Tells everybody.
    pub store: Arc<dyn GameStore>,
    /// Runs them.
    pub host: Arc<dyn Host>,
    /// The games.
    pub catalogue: Arc<Catalogue>,
    /// The games that cannot be run, and the reason that was logged.
    pub told: Mutex<BTreeMap<String, String>>,
}

impl Games {
    /// Looks once.
    ///
    /// # Errors
    /// The store's; it is told the next time.
    pub async fn round(&self) -> Result<(), StoreError> {
        let mut found = vec![];
        for game in self.catalogue.games().filter(|game| game.runs_on(self.host.kind())) {
            let unfit = self.host.unfit(game).await;
            self.log(&game.key, unfit.as_ref().map(|unfit| unfit.detail.as_str()));
            found.push((game.key.clone(), unfit.map(|unfit| unfit.reason.into())));
        }
        self.store.note_games(self.host.name(), &found).await
    }

    fn log(&self, game: &str, why: Option<&str>) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.get(game).map(String::as_str) == why {
            return;
        }
        match why {
            Some(why) => {
                told.insert(game.to_owned(), why.to_owned());
                tracing::warn!(game, why, host = self.host.name(), "game cannot run on this host");
            }
            None => {
                told.remove(game);
                tracing::info!(game, host = self.host.name(), "game can run on this host again");
            }
        }
    }
}
