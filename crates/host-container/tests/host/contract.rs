//! Promises of every kind of host, on real containers. An engine is dear, so all of them stand on one.

use std::{path::Path, sync::Arc};

use agis_base::ServerId;
use agis_host_contract::{Behaviour, Stage, promises};
use agis_servers::{console::Console, game::Game, host::Host};
use async_trait::async_trait;

use crate::{
    ONE,
    bench::{Bench, demo},
};

/// A data directory, and the game that its server plays.
struct Machine {
    bench: Bench,
    plays: Arc<Game>,
}

async fn machine(bench: &Bench) -> Machine {
    Machine { bench: bench.with_new_data(), plays: demo(&[], "") }
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
        Some(self.bench.data.path())
    }

    fn game(&self, behaviour: Behaviour) -> Arc<Game> {
        let never = |within| {
            let ready = format!("ready = {{ when = {{ log = 'ready' }}, within_s = {within} }}");
            demo(&["--never-ready"], &ready)
        };
        match behaviour {
            Behaviour::Plays => Arc::clone(&self.plays),
            Behaviour::Waits => never(60),
            Behaviour::Fails => never(1),
        }
    }

    async fn kill(&self) {
        self.bench.signal("SIGKILL").await;
    }

    async fn end_well(&self) {
        self.bench.signal("SIGTERM").await;
    }
}

promises!(bench = Bench::new(); machine(&bench));
