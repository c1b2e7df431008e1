//! A cluster, a host's name and a server for one test.

use std::{
    sync::Arc,
    sync::atomic::{AtomicI32, Ordering::SeqCst},
    time::Duration,
};

use agis_base::{OperationId, ServerId, UserId};
use agis_host_agones::{AgonesHost, Config};
use agis_servers::{
    game::Catalogue,
    host::{Endpoint, Host, HostError, Launch, Observed, Order, Reached, Target},
};
use agis_test_support::{kubernetes::Cluster, wait};
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Pod};
use kube::{
    Api, Client, ResourceExt,
    api::{ApiResource, DeleteParams, DynamicObject, GroupVersionKind, ListParams, Patch, PatchParams, PostParams},
    config::{KubeConfigOptions, Kubeconfig, KubeconfigError},
};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::faults::Faults;

/// For what takes a moment on the stand-in, and pulls an image on a real cluster.
pub(crate) const SOON: Duration = Duration::from_secs(60);

const FLEET: &str = "agis-test";
const IMAGE: &str = "us-docker.pkg.dev/agones-images/examples/simple-game-server:0.38";

pub(crate) struct Scene {
    pub(crate) client: Client,
    pub(crate) name: String,
    pub(crate) server: ServerId,
    catalogue: Catalogue,
    /// Ends with the test.
    stand_in: Option<Cluster>,
}

/// A process that serves the cluster; it is killed when this is dropped.
pub(crate) struct Process {
    pub(crate) host: Arc<AgonesHost>,
    stop: CancellationToken,
}

impl Drop for Process {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Scene {
    pub(crate) async fn new() -> Self {
        match std::env::var("AGIS_TEST_KUBECONFIG") {
            Ok(file) => Self::on(Kubeconfig::read_from(file), None).await,
            Err(_) => Self::on_stand_in().await,
        }
    }

    /// For what no real cluster does when it is asked to.
    pub(crate) async fn on_stand_in() -> Self {
        let cluster = Cluster::start().await;
        Self::on(Kubeconfig::from_yaml(&cluster.kubeconfig()), Some(cluster)).await
    }

    async fn on(config: Result<Kubeconfig, KubeconfigError>, stand_in: Option<Cluster>) -> Self {
        static SERVERS: AtomicI32 = AtomicI32::new(1);
        let _ = rustls::crypto::ring::default_provider().install_default();
        let options = KubeConfigOptions::default();
        let mut config = kube::Config::from_custom_kubeconfig(config.expect("a kubeconfig"), &options)
            .await
            .expect("a configuration");
        config.default_retry = false;
        let number = std::process::id().cast_signed() % 100_000 * 1000 + SERVERS.fetch_add(1, SeqCst);
        let image = std::env::var("AGIS_TEST_GAME_IMAGE").unwrap_or_else(|_| IMAGE.to_owned());
        let scene = Self {
            client: Client::try_from(config).expect("a client"),
            name: format!("test-{number}"),
            server: ServerId(number),
            catalogue: Catalogue::parse(&catalogue(&image)).expect("a catalogue"),
            stand_in,
        };
        scene.keep_fleet(&image).await;
        scene
    }

    /// The stand-in, to be told what to do.
    pub(crate) fn stand_in(&self) -> &Cluster {
        self.stand_in.as_ref().expect("a scene on the stand-in")
    }

    async fn keep_fleet(&self, image: &str) {
        let spec = json!({
            "replicas": 2,
            "template": { "spec": {
                "ports": [{ "name": "default", "containerPort": 7654 }],
                "template": { "spec": { "containers": [{ "name": "game", "image": image }] } },
            } },
        });
        let fleet: DynamicObject = serde_json::from_value(json!({
            "apiVersion": "agones.dev/v1", "kind": "Fleet", "metadata": { "name": FLEET }, "spec": spec,
        }))
        .expect("a Fleet");
        let _ = self.api("Fleet", "fleets").create(&PostParams::default(), &fleet).await;
        wait::until(SOON, "a game server of the fleet that is free", async || {
            let all =
                self.api("GameServer", "gameservers").list(&ListParams::default().labels("agones.dev/fleet")).await;
            all.expect("a list").iter().any(|it| it.data["status"]["state"] == "Ready").then_some(())
        })
        .await;
    }

    fn api(&self, kind: &str, plural: &str) -> Api<DynamicObject> {
        let resource = ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk("agones.dev", "v1", kind), plural);
        Api::default_namespaced_with(self.client.clone(), &resource)
    }

    /// A process that serves this cluster.
    pub(crate) fn process(&self) -> Process {
        self.process_with(&Faults::none())
    }

    /// A process whose calls meet these faults.
    pub(crate) fn process_with(&self, faults: &Faults) -> Process {
        self.process_of(&self.name, faults, true)
    }

    /// One that watches nothing and takes nothing away, so that its calls are those of its orders alone.
    pub(crate) fn worker(&self, faults: &Faults) -> Process {
        self.process_of(&self.name, faults, false)
    }

    pub(crate) fn process_of(&self, name: &str, faults: &Faults, runs: bool) -> Process {
        let config = Config { name: name.to_owned(), namespace: self.client.default_namespace().to_owned() };
        let host = AgonesHost::new(faults.on(&self.client), config, &self.catalogue).expect("a host");
        let process = Process { host: Arc::new(host), stop: CancellationToken::new() };
        if runs {
            let (host, stop) = (process.host.clone(), process.stop.clone());
            tokio::spawn(async move { host.run(stop).await });
        }
        process
    }

    pub(crate) fn order(&self, generation: i64, target: Target) -> Order {
        Order { server: self.server, operation: OperationId::new(), generation, target }
    }

    pub(crate) fn start(&self, generation: i64, game: &str) -> Order {
        let game = self.catalogue.get(game).expect("a game").clone();
        let launch = Launch { game, server_name: "Sunday's game".into(), owner: UserId::from_stored("42") };
        self.order(generation, Target::Running(launch))
    }

    pub(crate) fn stop(&self, generation: i64) -> Order {
        self.order(generation, Target::Stopped)
    }

    pub(crate) fn gameservers(&self) -> Api<DynamicObject> {
        self.api("GameServer", "gameservers")
    }

    pub(crate) fn fences(&self) -> Api<ConfigMap> {
        Api::default_namespaced(self.client.clone())
    }

    pub(crate) fn worlds(&self) -> Api<PersistentVolumeClaim> {
        Api::default_namespaced(self.client.clone())
    }

    pub(crate) fn pods(&self) -> Api<Pod> {
        Api::default_namespaced(self.client.clone())
    }

    /// The GameServers of this test's server that are not being deleted.
    pub(crate) async fn standing(&self) -> Vec<DynamicObject> {
        let ours = format!("agis.wtg.cluster/server={}", self.server);
        let all = self.gameservers().list(&ListParams::default().labels(&ours)).await.expect("a list");
        all.into_iter().filter(|it| it.metadata.deletion_timestamp.is_none()).collect()
    }

    /// Until so many GameServers stand there, all gone but those.
    pub(crate) async fn until_standing(&self, number: usize) -> Vec<DynamicObject> {
        wait::until(SOON, &format!("{number} game servers"), async || {
            let standing = self.standing().await;
            (standing.len() == number).then_some(standing)
        })
        .await
    }

    /// Changes a GameServer as Agones or somebody with kubectl would.
    pub(crate) async fn patch(&self, name: &str, patch: Value) {
        let patch = Patch::Merge(patch);
        self.gameservers().patch(name, &PatchParams::default(), &patch).await.expect("patched");
    }

    /// The health checks of a GameServer fail.
    pub(crate) async fn sicken(&self, name: &str) {
        self.patch(name, json!({ "status": { "state": "Unhealthy" } })).await;
    }

    /// Somebody deletes a GameServer.
    pub(crate) async fn delete(&self, name: &str) {
        self.gameservers().delete(name, &DeleteParams::default()).await.expect("deleted");
    }

    pub(crate) async fn the_one(&self) -> DynamicObject {
        let mut standing = self.standing().await;
        assert_eq!(standing.len(), 1, "{:?}", standing.iter().map(ResourceExt::name_any).collect::<Vec<_>>());
        standing.remove(0)
    }

    /// What runs, or the cluster's own view of it, until it is this.
    pub(crate) async fn until_observed(
        &self,
        process: &Process,
        what: &str,
        is: impl Fn(&Observed) -> bool,
    ) -> Observed {
        wait::until(SOON, what, async || process.host.observe(self.server).await.ok().filter(&is)).await
    }
}

impl Process {
    /// Gives an order, with a deadline.
    pub(crate) async fn apply(&self, order: &Order) -> Result<Reached, HostError> {
        tokio::time::timeout(SOON, self.host.apply(order)).await.expect("an answer in time")
    }

    pub(crate) async fn running(&self, order: &Order) -> Endpoint {
        match self.apply(order).await {
            Ok(Reached::Running(endpoint)) => endpoint,
            other => panic!("not running: {other:?}"),
        }
    }
}

fn catalogue(image: &str) -> String {
    let gameserver = |health: &str, game: &str| {
        format!(
            r#"gameserver = """
spec:
  ports: [{{ name: default, containerPort: 7654 }}]
  health: {{ disabled: {health} }}
  template:
    spec:
      containers:
      - name: game
        image: {image}
        env: [{{ name: AGIS_TEST_GAME, value: "{game}" }}]
"""
"#
        )
    };
    format!(
        r#"
[sdk]
title = "SDK"
cost_per_hour = 0
ready = {{ when = "ready", within_s = 50 }}
{sdk}
[quiet]
title = "Quiet"
cost_per_hour = 0
ready = {{ when = "pod", within_s = 50 }}
{quiet}
[stuck]
title = "Stuck"
cost_per_hour = 0
ready = {{ when = "ready", within_s = 2 }}
{stuck}
[world]
title = "World"
cost_per_hour = 0
ready = {{ when = "ready", within_s = 50 }}
world = {{ size = "1Gi", mount = "/data" }}
{sdk}
[broken]
title = "Broken"
cost_per_hour = 0
gameserver = """
spec:
  ports: [{{ name: default, containerPort: 7654, protocol: CARRIER_PIGEON }}]
  template: {{ spec: {{ containers: [{{ name: game, image: "{image}" }}] }} }}
"""
[fleet]
title = "Fleet"
cost_per_hour = 0
fleet = "{FLEET}"
[nowhere]
title = "Nowhere"
cost_per_hour = 0
fleet = "agis-no-such-fleet"
"#,
        sdk = gameserver("false", ""),
        quiet = gameserver("true", "silent"),
        stuck = gameserver("true", "stuck"),
    )
}
