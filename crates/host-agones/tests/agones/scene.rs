//! A cluster, a host's name and a server for one test.

use std::{
    fmt::Debug,
    sync::Arc,
    sync::atomic::{AtomicI32, Ordering::SeqCst},
    time::Duration,
};

use agis_agones_stand_in::Cluster;
use agis_base::{OperationId, ServerId, UserId};
use agis_host_agones::{AgonesHost, Config, Pace};
use agis_servers::{
    game::{Catalogue, Game},
    host::{Endpoint, Host, HostError, Launch, Observed, Order, Progress, Reached, Slot, Target},
};
use agis_test_support::wait;
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Pod, Secret};
use kube::{
    Api, Client, ResourceExt,
    api::{ApiResource, DeleteParams, DynamicObject, GroupVersionKind, ListParams, Patch, PatchParams, PostParams},
    config::{KubeConfigOptions, Kubeconfig, KubeconfigError},
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::faults::Faults;

/// For what takes a moment on the stand-in, and pulls an image on a real cluster.
pub(crate) const SOON: Duration = Duration::from_secs(60);

/// Finalizer by which tests hold objects.
const FINALIZER: &str = "agis.wtg.cluster/test";
const IMAGE: &str = "us-docker.pkg.dev/agones-images/examples/simple-game-server:0.38";

pub(crate) struct Scene {
    pub(crate) client: Client,
    config: kube::Config,
    /// How often its processes look by themselves: some have no watch that could tell them.
    pub(crate) pace: Pace,
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
        let name = format!("test-{number}");
        Self {
            client: Client::try_from(config.clone()).expect("a client"),
            config,
            pace: Pace {
                look: Duration::from_millis(100),
                watch: Duration::from_secs(1),
                reap: Duration::from_millis(300),
            },
            catalogue: Catalogue::parse(&catalogue(&image(), &name)).expect("a catalogue"),
            name,
            server: ServerId(number),
            stand_in,
        }
    }

    /// Returns a scene in which this game can be started.
    pub(crate) async fn of(game: &str) -> Self {
        let scene = Self::new().await;
        if game == "fleet" {
            scene.keep_fleet().await;
        }
        scene
    }

    /// The stand-in, to be told what to do.
    pub(crate) fn stand_in(&self) -> &Cluster {
        self.stand_in.as_ref().expect("a scene on the stand-in")
    }

    /// A Fleet of its own, with one game server for a start and one for a restart: what is allocated counts as a replica, so
    /// tests would take them from each other.
    pub(crate) async fn keep_fleet(&self) {
        let spec = json!({
            "replicas": 2,
            "template": { "spec": {
                "ports": [{ "name": "default", "containerPort": 7654 }],
                "template": { "spec": { "containers": [{ "name": "game", "image": image() }] } },
            } },
        });
        let fleet: DynamicObject = serde_json::from_value(json!({
            "apiVersion": "agones.dev/v1", "kind": "Fleet", "metadata": { "name": self.name }, "spec": spec,
        }))
        .expect("a Fleet");
        self.fleets().create(&PostParams::default(), &fleet).await.expect("a fleet");
        let of_fleet = ListParams::default().labels(&format!("agones.dev/fleet={}", self.name));
        wait::until(SOON, "two game servers of the fleet that are free", async || {
            let all = self.gameservers().list(&of_fleet).await.expect("a list");
            (all.iter().filter(|it| it.data["status"]["state"] == "Ready").count() == 2).then_some(())
        })
        .await;
    }

    /// Takes away whatever this test has made, also where it failed: what stays allocated, or holds a volume, would be missing
    /// to the next.
    pub(crate) async fn clean(client: Client, name: &str, server: ServerId) {
        let (fleets, gameservers) = (api(&client, "Fleet", "fleets"), api(&client, "GameServer", "gameservers"));
        let _ = fleets.delete(name, &DeleteParams::default()).await;
        let ours = ListParams::default().labels(&format!("agis.wtg.cluster/server={server}"));
        clean_of(&gameservers, &ours).await;
        clean_of(&Api::<ConfigMap>::default_namespaced(client.clone()), &ours).await;
        clean_of(&Api::<ConfigMap>::namespaced(client.clone(), &fence_namespace(&client)), &ours).await;
        clean_of(&Api::<PersistentVolumeClaim>::default_namespaced(client), &ours).await;
    }

    /// Has the test hold an object, beside whoever holds it already, or no longer.
    pub(crate) async fn hold<K>(&self, api: &Api<K>, name: &str, is_held: bool)
    where
        K: kube::Resource + Clone + DeserializeOwned + Debug,
    {
        hold(api, name, is_held).await.expect("patched");
    }

    /// A process that serves this cluster.
    pub(crate) fn process(&self) -> Process {
        self.process_with(&Faults::none())
    }

    /// A process whose calls meet these faults.
    pub(crate) fn process_with(&self, faults: &Faults) -> Process {
        self.process_of(&self.name, faults, true)
    }

    /// Returns a process that watches nothing and takes nothing away, so that its calls are those of its orders alone.
    pub(crate) fn worker(&self, faults: &Faults) -> Process {
        self.process_of(&self.name, faults, false)
    }

    pub(crate) fn process_of(&self, name: &str, faults: &Faults, runs: bool) -> Process {
        let (namespace, fence_namespace) = (self.client.default_namespace().to_owned(), self.fence_namespace());
        let config = Config { name: name.to_owned(), namespace, fence_namespace, pace: self.pace };
        let host = AgonesHost::new(faults.on(&self.client), config, &self.catalogue).expect("a host");
        let process = Process { host: Arc::new(host), stop: CancellationToken::new() };
        if runs {
            let (host, stop) = (process.host.clone(), process.stop.clone());
            tokio::spawn(async move { host.run(stop).await });
        }
        process
    }

    pub(crate) fn order(&self, generation: i64, target: Target) -> Order {
        Order {
            server: self.server,
            operation: OperationId::new(),
            generation,
            target,
            slot: Slot::default(),
            progress: Progress::default(),
        }
    }

    pub(crate) fn game(&self, key: &str) -> Arc<Game> {
        self.catalogue.get(key).expect("a game").clone()
    }

    pub(crate) fn start(&self, generation: i64, game: &str) -> Order {
        let game = self.game(game);
        let settings = game.setting_values(&Default::default()).expect("a default of each setting");
        let launch = Launch {
            game,
            server_name: "Sunday's game".into(),
            owner: UserId::from_stored("42"),
            settings,
            rcon_password: Default::default(),
        };
        self.order(generation, Target::Running(launch))
    }

    pub(crate) fn stop(&self, generation: i64) -> Order {
        self.order(generation, Target::Stopped)
    }

    pub(crate) fn gameservers(&self) -> Api<DynamicObject> {
        api(&self.client, "GameServer", "gameservers")
    }

    fn fleets(&self) -> Api<DynamicObject> {
        api(&self.client, "Fleet", "fleets")
    }

    fn fence_namespace(&self) -> String {
        fence_namespace(&self.client)
    }

    pub(crate) fn fences(&self) -> Api<ConfigMap> {
        Api::namespaced(self.client.clone(), &self.fence_namespace())
    }

    /// The games' namespace, in which older versions keep their fences.
    pub(crate) fn former(&self) -> Api<ConfigMap> {
        Api::default_namespaced(self.client.clone())
    }

    pub(crate) fn worlds(&self) -> Api<PersistentVolumeClaim> {
        Api::default_namespaced(self.client.clone())
    }

    pub(crate) fn secrets(&self) -> Api<Secret> {
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

    /// Waits until the cluster's own view of a server is this.
    pub(crate) async fn until_observed(
        &self,
        process: &Process,
        what: &str,
        is: impl Fn(&Observed) -> bool,
    ) -> Observed {
        wait::until(SOON, what, async || process.host.observe(self.server).await.ok().filter(&is)).await
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        // A stand-in ends with its test.
        if self.stand_in.is_some() {
            return;
        }
        let (config, name, server) = (self.config.clone(), self.name.clone(), self.server);
        // The test's own runtime waits here.
        let cleaning = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            let clean = async { Self::clean(Client::try_from(config).expect("a client"), &name, server).await };
            let _ = runtime.block_on(async { tokio::time::timeout(SOON, clean).await });
        });
        let _ = cleaning.join();
    }
}

fn fence_namespace(client: &Client) -> String {
    format!("{}-fences", client.default_namespace())
}

fn api(client: &Client, kind: &str, plural: &str) -> Api<DynamicObject> {
    let resource = ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk("agones.dev", "v1", kind), plural);
    Api::default_namespaced_with(client.clone(), &resource)
}

async fn clean_of<K>(api: &Api<K>, which: &ListParams)
where
    K: kube::Resource + Clone + DeserializeOwned + Debug,
{
    for object in api.list(which).await.into_iter().flatten() {
        let _ = api.delete(&object.name_any(), &DeleteParams::default()).await;
        let _ = hold(api, &object.name_any(), false).await;
    }
}

async fn hold<K>(api: &Api<K>, name: &str, is_held: bool) -> kube::Result<()>
where
    K: kube::Resource + Clone + DeserializeOwned + Debug,
{
    loop {
        let Some(object) = api.get_opt(name).await? else { return Ok(()) };
        let mut finalizers = object.finalizers().to_vec();
        if finalizers.iter().any(|one| one == FINALIZER) == is_held {
            return Ok(());
        }
        finalizers.retain(|one| one != FINALIZER);
        finalizers.extend(is_held.then(|| FINALIZER.to_owned()));
        // With its version: others have finalizers of theirs.
        let version = object.resource_version();
        let patch = json!({ "metadata": { "finalizers": finalizers, "resourceVersion": version } });
        match api.patch(name, &PatchParams::default(), &Patch::Merge(patch)).await {
            Err(kube::Error::Api(status)) if status.code == 409 => {}
            patched => return patched.map(drop),
        }
    }
}

fn image() -> String {
    std::env::var("AGIS_TEST_GAME_IMAGE").unwrap_or_else(|_| IMAGE.to_owned())
}

impl Process {
    /// Gives an order, with a deadline.
    pub(crate) async fn apply(&self, order: &Order) -> Result<Reached, HostError> {
        tokio::time::timeout(SOON, self.host.apply(order)).await.expect("an answer in time")
    }

    /// Gives an order again until nothing stands in its way: what is deleted may take its time to go.
    pub(crate) async fn running_soon(&self, order: &Order) -> Endpoint {
        wait::until(SOON, "it to run", async || match self.apply(order).await {
            Ok(Reached::Running(endpoint)) => Some(endpoint),
            Err(HostError::Unavailable(_)) => None,
            other => panic!("not running: {other:?}"),
        })
        .await
    }

    pub(crate) async fn running(&self, order: &Order) -> Endpoint {
        match self.apply(order).await {
            Ok(Reached::Running(endpoint)) => endpoint,
            other => panic!("not running: {other:?}"),
        }
    }
}

fn catalogue(image: &str, fleet: &str) -> String {
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
[heavy]
title = "Heavy"
cost_per_hour = 0
ready = {{ when = "pod", within_s = 600 }}
world = {{ size = "1Gi", mount = "/data" }}
{quiet}
[stuck]
title = "Stuck"
cost_per_hour = 0
ready = {{ when = "ready", within_s = 2 }}
{stuck}
[waits]
title = "Waits"
cost_per_hour = 0
ready = {{ when = "ready", within_s = 50 }}
{stuck}
[world]
title = "World"
cost_per_hour = 0
ready = {{ when = "ready", within_s = 50 }}
world = {{ size = "1Gi", mount = "/data" }}
{sdk}
[entry]
title = "Entry"
cost_per_hour = 0
ports = [{{ name = "game", port = 7654 }}]
ready = {{ when = "port", within_s = 50 }}
limits = {{ memory = "128MiB", cpu = 0.2, disk = "1GiB" }}
[entry.container]
image = "{image}"
user = "1000:1000"
world = "/data"
env = {{ AGIS_TEST_GAME = "silent", TCP = "TRUE", GREETING = "{{name}} for {{settings.who}}", KEY = "{{settings.key}}" }}
[entry.settings.who]
title = "Who"
type = "text"
default = "friends"
[entry.settings.key]
title = "Key"
type = "secret"
default = ""
[tells]
title = "Tells"
cost_per_hour = 0
ports = [{{ name = "game", port = 27015, protocol = "udp" }}, {{ name = "query", offset = 1, protocol = "udp" }}]
ready = {{ when = {{ log = "server is up" }}, within_s = 50 }}
[tells.container]
image = "{image}"
public_ports = true
env = {{ AGIS_TEST_GAME = "silent", PORT = "{{port}}" }}
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
fleet = "{fleet}"
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
