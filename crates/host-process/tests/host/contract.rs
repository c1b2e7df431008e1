//! Promises of every kind of host, on real processes.

use std::{path::Path, sync::Arc};

use agis_base::ServerId;
use agis_host_contract::{Behaviour, Stage, promises};
use agis_servers::{console::Console, game::Game, host::Host};
use async_trait::async_trait;
use rustix::process::{Pid, Signal, kill_process};

use crate::{
    ONE,
    bench::{self, Bench, demo},
};

/// A data directory, and the games that its server plays: one port for all of them.
struct Machine {
    bench: Bench,
    plays: Arc<Game>,
}

async fn machine() -> Machine {
    Machine { bench: Bench::new(), plays: demo("") }
}

#[async_trait]
impl Stage for Machine {
    fn server(&self) -> ServerId {
        ONE
    }

    async fn process(&self) -> Arc<dyn Host> {
        Arc::new(self.bench.host())
    }

    async fn console(&self) -> Option<Arc<dyn Console>> {
        Some(Arc::new(self.bench.host()))
    }

    fn data(&self) -> Option<&Path> {
        Some(self.bench.data())
    }

    fn game(&self, behaviour: Behaviour) -> Arc<Game> {
        let never = |within| {
            demo(&format!("args = --never-ready\nready = {{ when = {{ log = 'ready' }}, within_s = {within} }}"))
        };
        match behaviour {
            Behaviour::Plays => Arc::clone(&self.plays),
            Behaviour::Waits => never(60),
            Behaviour::Fails => never(1),
        }
    }

    async fn kill(&self) {
        bench::kill(self.bench.game(ONE));
    }

    async fn end_well(&self) {
        let game = Pid::from_raw(self.bench.game(ONE)).expect("a pid");
        kill_process(game, Signal::TERM).expect("a game");
    }
}

promises!(machine());
