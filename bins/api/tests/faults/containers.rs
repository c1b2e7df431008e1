//! Games in containers of a real engine, while processes are killed and the database goes away.

use std::time::{Duration, Instant};

use agis_local_services::{
    engine::{Engine, Make},
    postgres::{Cluster, Options},
    registry::{Mood, Registry},
};
use agis_test_support::{proxy::Proxy, wait};
use serde_json::json;

use crate::common::{Api, SOON, Stack};

/// Lease that ends within a test.
const LEASE: (&str, &str) = ("OPERATION_LEASE_SECONDS", "3");
const ON_CONTAINER: (&str, &str) = ("AGIS_HOST", "container");

fn engine() -> (Engine, String) {
    Make::Podman.install();
    let engine = Engine::start(Make::Podman).expect("an engine");
    let address = format!("unix://{}", engine.socket().display());
    (engine, address)
}

/// A game in this image. It saves for a second before it ends.
fn game(image: &str) -> String {
    format!(
        "[boxed]\ntitle = 'Boxed'\nport = 31800\ncost_per_hour = 0\nready = {{ when = {{ log = 'up' }}, within_s = 60 }}\n\
         [boxed.container]\nimage = '{image}'\nworld = '/data'\n\
         command = ['sh', '-c', 'trap \"sleep 1; exit 0\" TERM; echo up; touch /data/saved; while true; do sleep 0.1; done']\n"
    )
}

/// Returns the containers of AGIS that an engine has.
fn containers(engine: &Engine) -> usize {
    let answer = engine.ask("GET", "/v1.41/containers/json?all=true", &[]).expect("an answer");
    answer.matches("agis.server").count()
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_api_leaves_a_deletion_to_the_next() {
    let ((engine, address), registry) = (engine(), Registry::start().expect("a registry"));
    let stack = Stack::start().await;
    stack.add_game(&game(&registry.image()));
    let settings = [ON_CONTAINER, LEASE, ("CONTAINER_HOST", address.as_str())];
    let api = stack.api(&settings).await;
    let server = api.server("a", "boxed").await;
    api.act(server, "start").await;
    assert_eq!(containers(&engine), 1);
    let deletion = api.call("DELETE", &format!("/api/v1/servers/{server}"), None).await.expect(202);
    api.until_status(server, "deleting").await;
    api.kill();
    let api = stack.api(&settings).await;
    let ended = api.ended(deletion["id"].as_str().expect("an id")).await;
    assert_eq!(ended["state"], "succeeded", "{ended}");
    assert_eq!(containers(&engine), 0);
    let trash: Vec<_> = std::fs::read_dir(stack.data_dir().join("trash")).expect("a trash").flatten().collect();
    let [world] = trash.as_slice() else { panic!("the world is kept once: {trash:?}") };
    assert!(world.path().join("saved").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn pull_outlives_an_outage_of_the_database() {
    let ((engine, address), registry) = (engine(), Registry::start().expect("a registry"));
    registry.set_mood(Mood::Stuck);
    let cluster = Cluster::start(Options::throwaway()).expect("a cluster");
    cluster.create_database("agis").expect("a database");
    let proxy = Proxy::start(([127, 0, 0, 1], cluster.port()).into()).await;
    let url = cluster.url("agis").replace(&format!(":{}/", cluster.port()), &format!(":{}/", proxy.addr().port()));
    let stack = Stack::on(url, None).await;
    stack.add_game(&game(&registry.image()));
    let api = stack.api(&[ON_CONTAINER, LEASE, ("CONTAINER_HOST", address.as_str())]).await;
    let server = api.server("a", "boxed").await;
    let start = api.ask(server, "start").await;
    until_pulling(&api, &start).await;

    proxy.blackhole();
    let began = Instant::now();
    wait::until(SOON, "the lease to end", async || (began.elapsed() > Duration::from_secs(6)).then_some(())).await;
    proxy.heal();
    registry.set_mood(Mood::Quick);
    let ended = api.ended(&start).await;
    assert_eq!((ended["state"].as_str(), ended["image"].as_str()), (Some("succeeded"), Some(&*registry.digest())));
    assert_eq!(registry.layers(), 2, "each layer came once");
    assert_eq!(containers(&engine), 1);
    api.act(server, "stop").await;
}

async fn until_pulling(api: &Api, operation: &str) {
    wait::until(SOON, "the pull", async || {
        let operation = api.get(&format!("/api/v1/operations/{operation}")).await.expect(200);
        operation["progress"].as_str().is_some_and(|text| text.starts_with("pulling image")).then_some(())
    })
    .await;
}

/// A game that answers as a Minecraft server does: the same bytes to everybody.
fn asked_game(image: &str) -> String {
    let json = r#"{"players":{"max":8,"online":1,"sample":[{"name":"Ann","id":"1"}]}}"#;
    let (outer, inner) = (json.len() + 2, json.len());
    format!(
        "[asked]\ntitle = 'Asked'\nport = 31810\ncost_per_hour = 0\nquery = 'minecraft'\n\
         ready = {{ when = {{ log = 'up' }}, within_s = 60 }}\n[asked.container]\nimage = '{image}'\nworld = '/data'\n\
         command = ['sh', '-c', '''printf '\\{outer:03o}\\000\\{inner:03o}{json}' >/data/answer; echo 'cat /data/answer; sleep 1' >/data/serve; \
         echo up; exec busybox nc -ll -p {{port}} -e sh /data/serve''']\n"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn container_tells_who_plays() {
    let ((_engine, address), registry) = (engine(), Registry::start().expect("a registry"));
    let stack = Stack::start().await;
    stack.add_game(&asked_game(&registry.image()));
    let api = stack.api(&[ON_CONTAINER, ("CONTAINER_HOST", address.as_str())]).await;
    let server = api.server("a", "asked").await;
    api.act(server, "start").await;
    let players = wait::until(2 * SOON, "the players", async || {
        let players = api.get(&format!("/api/v1/servers/{server}/players")).await.expect(200);
        (!players["online"].is_null()).then_some(players)
    })
    .await;
    assert_eq!(json!([players["online"], players["max"], players["names"]]), json!([1, 8, ["Ann"]]), "{players}");
    let listed = api.get("/api/v1/servers").await.expect(200);
    assert_eq!(listed["items"][0]["players"]["online"], 1, "{listed}");
    api.act(server, "stop").await;
    let gone = api.get(&format!("/api/v1/servers/{server}/players")).await.expect(200);
    assert!(gone["online"].is_null(), "{gone}");
}
