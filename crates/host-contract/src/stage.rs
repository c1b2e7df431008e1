//! A place for one test: a server, and processes that serve its host one after the other or at once.

use std::{path::Path, sync::Arc, time::Duration};

use agis_base::{OperationId, ServerId, UserId};
use agis_servers::{
    console::Console,
    game::Game,
    host::{Endpoint, Generation, Host, HostError, Launch, Observed, Order, Progress, Reached, Slot, Target},
};
use agis_test_support::wait;
use async_trait::async_trait;

/// Longer than anything here takes, on a busy machine too.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Behaviour of a game.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Behaviour {
    /// Gets ready, and runs until it is stopped.
    Plays,
    /// Never gets ready; AGIS waits for a minute or so.
    Waits,
    /// Never gets ready; AGIS waits for two seconds at most.
    Fails,
}

/// Parts that only a kind of host knows.
#[async_trait]
pub trait Stage: Sync {
    /// Server of this stage, which no other test has.
    fn server(&self) -> ServerId;

    /// Returns the host as another process sees it, over the same state. A process may be dropped at any time.
    async fn process(&self) -> Arc<dyn Host>;

    /// Returns the consoles of the host as another process sees them; `None` if the games of this stage do not answer to
    /// `say`.
    async fn console(&self) -> Option<Arc<dyn Console>> {
        None
    }

    /// Returns the data directory; `None` if the host keeps no worlds on this machine.
    fn data(&self) -> Option<&Path> {
        None
    }

    /// Returns a game of this behaviour.
    fn game(&self, behaviour: Behaviour) -> Arc<Game>;

    /// Kills the run of the server from outside.
    async fn kill(&self);

    /// Has the running game end by itself, in a way that it calls good.
    async fn end_well(&self);
}

/// Orders and observations of the stage's server.
pub(crate) struct Server<'a>(pub(crate) &'a dyn Stage);

impl Server<'_> {
    /// Gives an order, with a deadline, again while the host makes room for it.
    pub(crate) async fn apply(&self, host: &dyn Host, n: Generation, target: Target) -> Result<Reached, HostError> {
        let order = Order {
            server: self.0.server(),
            operation: OperationId::new(),
            generation: n,
            target,
            slot: Slot::default(),
            progress: Progress::default(),
        };
        wait::until(PATIENCE, "an order to be carried out", async || match host.apply(&order).await {
            Err(HostError::Unavailable(_) | HostError::Full(_)) => None,
            answer => Some(answer),
        })
        .await
    }

    pub(crate) async fn begin(&self, host: &dyn Host, n: Generation, game: Behaviour) -> Result<Reached, HostError> {
        let game = self.0.game(game);
        let settings = game.setting_values(&Default::default()).expect("a default of each setting");
        let launch = Launch {
            game,
            server_name: "Sunday's $(game)".into(),
            owner: UserId::from_stored("1"),
            settings,
            rcon_password: Default::default(),
        };
        self.apply(host, n, Target::Running(launch)).await
    }

    /// Starts the game that plays, and returns its address.
    pub(crate) async fn start(&self, host: &dyn Host, n: Generation) -> Endpoint {
        match self.begin(host, n, Behaviour::Plays).await {
            Ok(Reached::Running(endpoint)) => endpoint,
            other => panic!("not running: {other:?}"),
        }
    }

    pub(crate) async fn stop(&self, host: &dyn Host, n: Generation) -> Result<Reached, HostError> {
        self.apply(host, n, Target::Stopped).await
    }

    pub(crate) async fn delete(&self, host: &dyn Host, n: Generation) -> Result<Reached, HostError> {
        self.apply(host, n, Target::Deleted).await
    }

    /// Waits until the host observes this: a host may hear of changes a moment later.
    pub(crate) async fn until(&self, host: &dyn Host, what: &str, is: impl Fn(&Observed) -> bool) -> Observed {
        wait::until(PATIENCE, what, async || host.observe(self.0.server()).await.ok().filter(&is)).await
    }

    /// Waits until the server runs at this generation, and returns its address.
    pub(crate) async fn until_running(&self, host: &dyn Host, n: Generation) -> Endpoint {
        let runs = |it: &Observed| matches!(it, Observed::Running { generation, .. } if *generation == n);
        match self.until(host, "it to run", runs).await {
            Observed::Running { endpoint, .. } => endpoint,
            other => panic!("{other:?}"),
        }
    }

    /// Waits until nothing of the server runs.
    pub(crate) async fn until_over(&self, host: &dyn Host) -> Observed {
        let is_over = |it: &Observed| matches!(it, Observed::Ended { .. } | Observed::Absent);
        self.until(host, "its end", is_over).await
    }
}
