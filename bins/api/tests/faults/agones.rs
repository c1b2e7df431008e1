//! The real program on a cluster with Agones: the stand-in.

use std::{path::PathBuf, time::Duration};

use agis_agones_stand_in::{Cluster, FENCES, Kind, NAMESPACE, State};
use agis_test_support::wait;
use serde_json::{Value, json};

use crate::{
    common::{Api, SOON, Stack},
    fleet,
};

const GAMES: &str = r#"
[survival]
title = "Survival"
cost_per_hour = 30
restart = { on = "never" }
ready = { when = "ready", within_s = 60 }
query = { log = { join = '(\S+) joined', leave = '(\S+) left' } }
world = { size = "1Gi", mount = "/data" }
gameserver = """
spec:
  ports: [{ name: default, containerPort: 25565, protocol: TCP }]
  template: { spec: { containers: [{ name: game, image: "example.org/survival:1.2" }] } }
"""

[arena]
title = "Arena"
cost_per_hour = 120
fleet = "arena"
"#;

/// The Roles of the manifests, by namespace: agis-api may do nothing else.
const ACCESS: [(&str, &str); 2] = [
    (
        NAMESPACE,
        concat!(
            include_str!("../../../../k8s/games/access.yaml"),
            "---\n",
            include_str!("../../../../k8s/games/move.yaml")
        ),
    ),
    (FENCES, include_str!("../../../../k8s/fences/access.yaml")),
];

#[derive(serde::Deserialize)]
struct Role {
    #[serde(default)]
    rules: Vec<Rule>,
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct Rule {
    api_groups: [String; 1],
    resources: [String; 1],
    verbs: Vec<String>,
}

impl Rule {
    fn words(&self) -> (String, Vec<&str>) {
        let ([group], [resource]) = (&self.api_groups, &self.resources);
        let resource = if group.is_empty() { resource.clone() } else { format!("{resource}.{group}") };
        (resource, self.verbs.iter().map(String::as_str).collect())
    }
}

/// A stack whose games run on a cluster that lets it do what the manifests say.
struct Scene {
    stack: Stack,
    cluster: Cluster,
    kubeconfig: PathBuf,
    games: PathBuf,
    _files: tempfile::TempDir,
}

impl Scene {
    async fn new() -> Self {
        let cluster = Cluster::start().await;
        for (namespace, access) in ACCESS {
            let roles: Vec<Role> = serde_saphyr::from_multiple(access).expect("YAML");
            let rules: Vec<_> = roles.iter().flat_map(|role| &role.rules).map(Rule::words).collect();
            let rules: Vec<_> = rules.iter().map(|(resource, verbs)| (resource.as_str(), verbs.as_slice())).collect();
            cluster.restrict(namespace, &rules);
        }
        let files = tempfile::tempdir().expect("a folder");
        let (kubeconfig, games) = (files.path().join("kubeconfig"), files.path().join("games.toml"));
        std::fs::write(&kubeconfig, cluster.kubeconfig()).expect("a file");
        std::fs::write(&games, GAMES).expect("a file");
        Self { stack: Stack::start().await, cluster, kubeconfig, games, _files: files }
    }

    fn settings<'a>(&'a self, more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
        let path = |path: &'a PathBuf| path.to_str().expect("text");
        let ours = [("AGIS_HOST", "agones"), ("KUBECONFIG", path(&self.kubeconfig)), ("GAMES_FILE", path(&self.games))];
        [ours.as_slice(), more].concat()
    }

    async fn api(&self, more: &[(&str, &str)]) -> Api {
        self.stack.api(&self.settings(more)).await
    }

    /// The GameServers of ours that are not on their way out.
    fn standing(&self) -> Vec<Value> {
        let is_ours = |it: &Value| it["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "agis";
        let stays = |it: &Value| it["metadata"]["deletionTimestamp"].is_null();
        self.cluster.list(Kind::GameServer).into_iter().filter(|it| is_ours(it) && stays(it)).collect()
    }

    fn the_one(&self) -> String {
        let standing = self.standing();
        assert_eq!(standing.len(), 1, "{standing:#?}");
        standing[0]["metadata"]["name"].as_str().expect("a name").to_owned()
    }
}

#[tokio::test]
async fn players_on_a_cluster_are_counted() {
    let scene = Scene::new().await;
    let api = scene.api(&[]).await;
    let id = api.server("Sunday", "survival").await;
    api.act(id, "start").await;
    api.until_status(id, "running").await;
    let players = async |expected: Value| {
        wait::until(2 * SOON, &format!("{expected}"), async || {
            let players = api.get(&format!("/api/v1/servers/{id}/players")).await.expect(200);
            (json!([players["online"], players["names"]]) == expected).then_some(())
        })
        .await;
    };
    players(json!([0, []])).await;
    scene.cluster.print_at_once(&scene.the_one(), &["ann joined", "ben joined", "ann left"]);
    players(json!([1, ["ben"]])).await;
}

#[tokio::test]
async fn server_lives_on_a_cluster() {
    let scene = Scene::new().await;
    let api = scene.api(&[]).await;
    let games = api.get("/api/v1/games").await.expect(200);
    assert_eq!((&games["items"][1]["game_type"], &games["items"][1]["port"]), (&json!("survival"), &json!(null)));
    let id = api.server("Sunday", "survival").await;
    api.act(id, "start").await;
    let server = api.until_status(id, "running").await;
    let status = scene.cluster.get(Kind::GameServer, &scene.the_one()).expect("it")["status"].clone();
    assert_eq!((&server["address"], &server["port"]), (&status["address"], &status["ports"][0]["port"]));

    scene.cluster.print(&scene.the_one(), "ready for players");
    let logs = api.get(&format!("/api/v1/servers/{id}/logs")).await.expect(200);
    let lines = logs["items"].as_array().expect("lines");
    assert!(lines.iter().any(|line| line["text"] == "ready for players"), "{logs}");
    let told = api.post(&format!("/api/v1/servers/{id}/command"), json!({ "command": "say hello" })).await;
    let refused = told.expect(409);
    assert_eq!(refused["code"], "no_console");
    let [past, commands] = server["inabilities"].as_array().expect("inabilities").as_slice() else {
        panic!("{server}")
    };
    assert_eq!((&past["what"], &commands["what"]), (&json!("past_console"), &json!("commands")), "told before a try");
    let detail = refused["detail"].as_str().expect("a detail");
    assert_eq!(Some(detail.replace("this server takes no commands: ", "").as_str()), commands["why"].as_str());
    assert_eq!(server["abilities"], json!(["console"]));

    let first = scene.the_one();
    api.act(id, "restart").await;
    assert_ne!(scene.the_one(), first);
    api.act(id, "stop").await;
    assert_eq!(scene.standing().len(), 0);
    let operation = api.call("DELETE", &format!("/api/v1/servers/{id}"), None).await.expect(202);
    api.ended(operation["id"].as_str().expect("an id")).await;
    let world = scene.cluster.get(Kind::PersistentVolumeClaim, &format!("agis-{id}-world")).expect("the world is kept");
    assert!(world["metadata"]["deletionTimestamp"].is_null());
}

#[tokio::test]
async fn fence_beside_the_games_is_moved() {
    let scene = Scene::new().await;
    let first = scene.api(&[]).await;
    let id = first.server("Sunday", "survival").await;
    first.act(id, "start").await;
    let running = scene.the_one();
    first.kill();
    let fence = scene.cluster.list_in(FENCES, Kind::ConfigMap).pop().expect("a fence");
    scene.cluster.delete_in(FENCES, Kind::ConfigMap, &format!("agis-{id}"));
    let metadata = json!({ "name": fence["metadata"]["name"], "labels": fence["metadata"]["labels"] });
    let kind = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": fence["data"] });
    scene.cluster.put(kind);

    let second = scene.api(&[]).await;
    wait::until(SOON, "the fence to be moved", async || {
        let (old, new) = (scene.cluster.list(Kind::ConfigMap), scene.cluster.list_in(FENCES, Kind::ConfigMap));
        (old.is_empty() && new.len() == 1 && new[0]["data"] == fence["data"]).then_some(())
    })
    .await;
    second.until_status(id, "running").await;
    assert_eq!(scene.the_one(), running);
    second.act(id, "stop").await;
    assert_eq!(scene.standing().len(), 0);
}

#[tokio::test]
async fn missing_right_to_fences_is_not_ready() {
    let scene = Scene::new().await;
    scene.cluster.restrict(FENCES, &[]);
    let api = scene.api(&[]).await;
    wait::until(SOON, "readiness to say it", async || {
        let ready = api.ready().await;
        let why = ready.body["components"]["cluster"]["why"].as_str().unwrap_or_default();
        (why.contains(FENCES) && why.contains("k8s/fences") && ready.status == 503).then_some(())
    })
    .await;
}

#[tokio::test]
async fn cluster_crash_is_told_and_start_mends_it() {
    let scene = Scene::new().await;
    let api = scene.api(&[]).await;
    let id = api.server("fragile", "survival").await;
    api.act(id, "start").await;
    scene.cluster.crash(&scene.the_one());
    let server = api.until_status(id, "crashed").await;
    assert!(server["error"].as_str().is_some_and(|why| why.contains("unhealthy")), "{server}");
    assert_eq!(scene.standing().len(), 0, "nobody plays on what nobody pays for");
    api.act(id, "start").await;
    api.until_status(id, "running").await;
    scene.cluster.evict(&scene.the_one());
    api.until_status(id, "crashed").await;
}

#[tokio::test]
async fn game_that_shuts_itself_down_is_stopped() {
    let scene = Scene::new().await;
    let api = scene.api(&[]).await;
    let id = api.server("match", "survival").await;
    api.act(id, "start").await;
    scene.cluster.shutdown(&scene.the_one());
    let server = api.until_status(id, "stopped").await;
    assert_eq!(server["error"], json!(null), "{server}");
    let notices: i64 = fleet::one(&scene.stack.sql().await, "select count(*) from notices").await;
    assert_eq!((scene.standing().len(), notices), (0, 0));
}

#[tokio::test]
async fn killed_start_leaves_one_server() {
    let scene = Scene::new().await;
    scene.cluster.hold(State::Scheduled);
    let lease = [("OPERATION_LEASE_SECONDS", "2")];
    let first = scene.api(&lease).await;
    let id = first.server("adopted", "survival").await;
    let operation = first.ask(id, "start").await;
    let name = wait::until(SOON, "its game server", async || scene.standing().pop()).await["metadata"]["name"].clone();
    scene.cluster.until_state(name.as_str().expect("a name"), State::Scheduled).await;
    first.kill();
    let second = scene.api(&lease).await;
    scene.cluster.release();
    assert_eq!(second.ended(&operation).await["state"], "succeeded");
    assert_eq!(json!(scene.the_one()), name, "the one that the first has begun");
}

#[tokio::test]
async fn cluster_outage_holds_up_operations_only() {
    let scene = Scene::new().await;
    let api = scene.api(&[]).await;
    let id = api.server("patient", "survival").await;
    api.act(id, "start").await;
    scene.cluster.outage();
    scene.cluster.drop_watches();
    let operation = api.ask(id, "stop").await;
    wait::until(SOON, "the operation to say why it waits", async || {
        let operation = api.get(&format!("/api/v1/operations/{operation}")).await.expect(200);
        let error = operation["error"].as_str().unwrap_or_default();
        (operation["state"] == "queued" && error.contains("cluster cannot be reached")).then_some(())
    })
    .await;
    wait::until(SOON, "readiness to name the cluster", async || {
        let ready = api.ready().await;
        let told = ready.body["components"]["cluster"]["why"].is_string();
        (told && ready.status == 200).then_some(())
    })
    .await;
    api.get("/api/v1/users/me").await.expect(200);
    scene.cluster.recover();
    assert_eq!(api.ended(&operation).await["state"], "succeeded");
    assert_eq!(scene.standing().len(), 0);
}

/// Until readiness says that one server is unseen, for a reason that contains these words.
async fn until_unseen(api: &Api, words: &str) {
    wait::until(SOON, "readiness to tell of a server that is not seen", async || {
        let host = api.ready().await.body["components"]["host"].clone();
        let why = host["unseen_why"].as_str().unwrap_or_default();
        (host["unseen_servers"] == 1 && why.contains(words)).then_some(())
    })
    .await;
}

#[tokio::test]
async fn cluster_outage_confirms_nothing() {
    let scene = Scene::new().await;
    let (api, sql) = (scene.api(&[("BILLING", "on")]).await, scene.stack.sql().await);
    let id = api.server("dead", "survival").await;
    api.act(id, "start").await;
    let confirmed = format!("select coalesce(confirmed_until::text, '') from game_servers where id = {id}");
    let confirmed = async || fleet::one::<String>(&sql, &confirmed).await;
    wait::until(SOON, "it to be confirmed", async || (!confirmed().await.is_empty()).then_some(())).await;
    scene.cluster.outage();
    until_unseen(&api, &format!("server {id}: ")).await;
    scene.cluster.crash(&scene.the_one());
    // A watcher that finds it running then says so at once.
    let long_ago = format!("update game_servers set confirmed_until = now() - interval '1 hour' where id = {id}");
    sql.batch_execute(&long_ago).await.expect("an hour ago");
    let last = confirmed().await;
    let rounds = || api.log().iter().filter(|line| line["message"] == "server could not be observed").count();
    let before = rounds();
    wait::until(SOON, "another round of the watcher", async || (rounds() > before).then_some(())).await;
    until_unseen(&api, &format!("server {id}: ")).await;
    assert_eq!(confirmed().await, last, "of a dead server nothing is confirmed");
    scene.cluster.recover();
    api.until_status(id, "crashed").await;
}

#[tokio::test]
async fn unready_published_server_is_told_of() {
    let scene = Scene::new().await;
    let api = scene.api(&[]).await;
    let id = api.server("unready", "survival").await;
    api.act(id, "start").await;
    scene.cluster.hold(State::Scheduled);
    scene.cluster.set_state(&scene.the_one(), State::Scheduled);
    until_unseen(&api, "not ready").await;
}

fn arena() -> Value {
    json!({
        "apiVersion": "agones.dev/v1", "kind": "Fleet", "metadata": { "name": "arena" },
        "spec": { "replicas": 1, "template": { "spec": {
            "ports": [{ "name": "default", "containerPort": 7777 }],
            "template": { "spec": { "containers": [{ "name": "game", "image": "example.org/arena:3" }] } },
        } } },
    })
}

#[tokio::test]
async fn empty_fleet_holds_up_a_start() {
    let scene = Scene::new().await;
    let api = scene.api(&[]).await;
    let id = api.server("arena", "arena").await;
    let operation = api.ask(id, "start").await;
    wait::until(SOON, "the operation to say that there is none", async || {
        let operation = api.get(&format!("/api/v1/operations/{operation}")).await.expect(200);
        operation["error"].as_str().is_some_and(|why| why.contains("the fleet 'arena'")).then_some(())
    })
    .await;
    scene.cluster.put(arena());
    assert_eq!(api.ended(&operation).await["state"], "succeeded");
    let name = scene.the_one();
    assert_eq!(scene.cluster.state(&name), Some(State::Allocated));
    let labels = scene.cluster.get(Kind::GameServer, &name).expect("it")["metadata"]["labels"].clone();
    assert_eq!(labels["wtg.cluster/allocated"], "true");
    api.act(id, "stop").await;
    assert_eq!(scene.standing().len(), 0);
}

/// Agones' autoscaler, as k8s/games/fleet.yaml sets it up: so many more than are allocated, every two seconds.
async fn scale(cluster: Cluster, mut fleet: Value) {
    let mut looks = tokio::time::interval(Duration::from_secs(2));
    loop {
        looks.tick().await;
        let allocated =
            cluster.list(Kind::GameServer).iter().filter(|it| State::of(it) == Some(State::Allocated)).count();
        fleet["spec"]["replicas"] = json!(allocated + 4);
        cluster.put(fleet.clone());
    }
}

#[tokio::test]
async fn twenty_starts_keep_up_with_the_autoscaler() {
    let scene = Scene::new().await;
    let api = scene.api(&[]).await;
    let scaling = tokio::spawn(scale(scene.cluster.clone(), arena()));
    let mut operations = vec![];
    for number in 0..20 {
        let id = api.server(&format!("arena {number}"), "arena").await;
        operations.push(api.ask(id, "start").await);
    }
    for operation in operations {
        assert_eq!(api.ended(&operation).await["state"], "succeeded");
    }
    scaling.abort();
}

#[tokio::test]
async fn impossible_cluster_settings_fail_the_start() {
    let scene = Scene::new().await;
    let refused = |settings: &[(&str, &str)]| {
        let output = scene.stack.output(&scene.settings(settings), &["serve"]);
        assert!(!output.status.success());
        String::from_utf8(output.stderr).expect("text")
    };
    let local = scene.games.with_file_name("local.toml");
    std::fs::write(
        &local,
        "[g]\ntitle = \"G\"\ncost_per_hour = 0\ncommand = [\"g\"]\nport = 1\nready = { when = \"port\" }\n",
    )
    .expect("a file");
    let said = refused(&[("GAMES_ON_SHUTDOWN", "stop"), ("GAMES_FILE", local.to_str().expect("text"))]);
    assert!(said.contains("GAMES_ON_SHUTDOWN") && said.contains("has no game"), "{said}");
    let said = refused(&[("AGIS_HOST_NAME", "my cluster")]);
    assert!(said.contains("cannot stand in a label"), "{said}");
    let said = refused(&[("KUBECONFIG", "/nowhere/kubeconfig")]);
    assert!(said.contains("KUBECONFIG"), "{said}");
    let broken = scene.games.with_file_name("broken.toml");
    std::fs::write(&broken, "[g]\ntitle = \"G\"\ncost_per_hour = 0\ngameserver = \"spec: {}\"\n").expect("a file");
    let said = refused(&[("GAMES_FILE", broken.to_str().expect("text"))]);
    assert!(said.contains("game 'g': its gameserver has no container"), "{said}");
}
