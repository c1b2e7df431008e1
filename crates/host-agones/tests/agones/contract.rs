//! Promises of every kind of host, on a cluster.

use std::sync::{Arc, Mutex};

use agis_base::ServerId;
use agis_host_contract::{Behaviour, Stage, promises};
use agis_servers::{game::Game, host::Host};
use async_trait::async_trait;
use kube::ResourceExt;
use serde_json::json;

use crate::scene::{Process, Scene};

/// A cluster, and the processes that serve it.
struct Site {
    scene: Scene,
    processes: Mutex<Vec<Process>>,
}

async fn site() -> Site {
    Site { scene: Scene::new().await, processes: Mutex::default() }
}

#[async_trait]
impl Stage for Site {
    fn server(&self) -> ServerId {
        self.scene.server
    }

    async fn process(&self) -> Arc<dyn Host> {
        let process = self.scene.process();
        let host = process.host.clone();
        self.processes.lock().expect("processes").push(process);
        host
    }

    fn game(&self, behaviour: Behaviour) -> Arc<Game> {
        self.scene.game(match behaviour {
            Behaviour::Plays => "sdk",
            Behaviour::Waits => "waits",
            Behaviour::Fails => "stuck",
        })
    }

    async fn kill(&self) {
        self.scene.sicken(&self.scene.the_one().await.name_any()).await;
    }

    async fn end_well(&self) {
        let name = self.scene.the_one().await.name_any();
        self.scene.patch(&name, json!({ "status": { "state": "Shutdown" } })).await;
    }
}

promises!(site());
