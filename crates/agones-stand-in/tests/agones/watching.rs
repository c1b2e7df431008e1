use std::pin::pin;
use std::time::Duration;

use agis_agones_stand_in::{Cluster, Kind};
use futures_util::{StreamExt, TryStreamExt};
use kube::api::{WatchEvent, WatchParams};
use kube::runtime::watcher::{self, Event, watcher};
use serde_json::json;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::timeout;

use crate::scene::Scene;

const PATIENCE: Duration = Duration::from_secs(20);

fn map(name: &str, label: &str) -> serde_json::Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "labels": {"l": label}}})
}

/// Returns the events of a watch, one word for each.
async fn words(scene: &Scene, params: &WatchParams, from: &str, act: impl FnOnce(&Cluster)) -> Vec<String> {
    let stream = scene.config_maps().watch(params, from).await.expect("a watch");
    act(&scene.cluster);
    scene.cluster.end_watches();
    let words = stream.map_ok(|event| match event {
        WatchEvent::Added(object) => format!("+{}", object.metadata.name.unwrap_or_default()),
        WatchEvent::Modified(object) => format!("~{}", object.metadata.name.unwrap_or_default()),
        WatchEvent::Deleted(object) => format!("-{}", object.metadata.name.unwrap_or_default()),
        WatchEvent::Bookmark(_) => "bookmark".to_owned(),
        WatchEvent::Error(status) => format!("error {}", status.code),
    });
    timeout(PATIENCE, words.try_collect()).await.expect("it ends").expect("events")
}

#[tokio::test]
async fn selector_watch_sees_matches_come_and_go() {
    let scene = Scene::new().await;
    scene.cluster.put(map("old", "1"));
    let params = WatchParams::default().labels("l=1");
    let told = words(&scene, &params, "0", |cluster| {
        cluster.put(map("a", "2"));
        cluster.put(map("a", "1"));
        let mut more = map("a", "1");
        more["data"] = json!({"k": "v"});
        cluster.put(more);
        cluster.put(map("a", "3"));
        cluster.put(map("b", "1"));
        cluster.delete(Kind::ConfigMap, "b");
        cluster.delete(Kind::ConfigMap, "a");
    });
    assert_eq!(told.await, ["+old", "+a", "~a", "-a", "+b", "-b", "bookmark"]);
}

#[tokio::test]
async fn watch_tells_what_came_after_its_version() {
    let scene = Scene::new().await;
    let first = scene.cluster.put(map("a", "1"));
    let version = first["metadata"]["resourceVersion"].as_str().expect("a version");
    scene.cluster.put(map("b", "1"));
    let told = words(&scene, &WatchParams::default().disable_bookmarks(), version, |_| {}).await;
    assert_eq!(told, ["+b"]);
    scene.cluster.compact();
    let told = words(&scene, &WatchParams::default(), version, |_| {}).await;
    assert_eq!(told, ["error 410"]);
}

#[tokio::test]
async fn open_watch_is_told_of_lost_history() {
    let scene = Scene::new().await;
    let told = words(&scene, &WatchParams::default(), "0", Cluster::compact).await;
    assert_eq!(told, ["error 410"]);
}

#[tokio::test]
async fn a_watch_lasts_as_long_as_it_wanted() {
    let scene = Scene::new().await;
    let params = WatchParams::default().timeout(1);
    let stream = scene.config_maps().watch(&params, "0").await.expect("a watch");
    let events: Vec<_> = timeout(PATIENCE, stream.try_collect()).await.expect("it ends").expect("events");
    assert!(matches!(events[..], [WatchEvent::Bookmark(_)]), "{events:?}");
    scene.cluster.until("no watch", |cluster| (cluster.watches(Kind::ConfigMap) == 0).then_some(())).await;
}

/// The host relies on the client's watcher: it comes back from all of these with the truth.
#[tokio::test]
async fn watcher_survives_compaction_and_breaks() {
    let scene = Scene::new().await;
    scene.cluster.put(map("a", "1"));
    scene.cluster.put(map("b", "1"));
    let mut heard = listen(&scene);
    until(&mut heard, "b").await;
    for (act, name) in [(Cluster::drop_watches as fn(&Cluster), "c"), (Cluster::compact, "d")] {
        scene.cluster.until_watched(Kind::ConfigMap, 1).await;
        act(&scene.cluster);
        scene.cluster.put(map(name, "1"));
        let before = until(&mut heard, name).await;
        // After a break it goes on where it was; without history it begins anew with all there is.
        assert_eq!(before.contains(&"a".to_owned()), name == "d", "{before:?}");
    }
    scene.cluster.until_watched(Kind::ConfigMap, 1).await;
    let watches = scene.cluster.requests_to("watch=true");
    assert!(watches.len() >= 3 && watches.iter().all(|request| request.query.contains("allowWatchBookmarks=true")));
    assert!(!scene.cluster.requests_to("continue=").is_empty());
}

/// The names of what a watcher finds, which goes on by itself.
fn listen(scene: &Scene) -> UnboundedReceiver<String> {
    let (told, heard) = unbounded_channel();
    let maps = scene.config_maps();
    tokio::spawn(async move {
        let mut events = pin!(watcher(maps, watcher::Config::default().page_size(1)));
        while let Some(event) = events.next().await {
            if let Ok(Event::Apply(object) | Event::InitApply(object)) = event {
                object.metadata.name.into_iter().for_each(|name| drop(told.send(name)));
            }
        }
    });
    heard
}

/// Collects the names that are heard until this one is.
async fn until(heard: &mut UnboundedReceiver<String>, name: &str) -> Vec<String> {
    let mut before = Vec::new();
    loop {
        match timeout(PATIENCE, heard.recv()).await.expect("an event in time").expect("a watcher never ends") {
            found if found == name => return before,
            other => before.push(other),
        }
    }
}

#[tokio::test]
async fn a_server_without_streaming_lists_says_so() {
    let scene = Scene::new().await;
    let mut events = pin!(watcher(scene.config_maps(), watcher::Config::default().streaming_lists()));
    let first = timeout(PATIENCE, events.try_next()).await.expect("in time");
    let said = match first {
        Ok(Some(Event::Init)) => timeout(PATIENCE, events.try_next()).await.expect("in time"),
        other => other,
    };
    assert!(said.is_err(), "{said:?}");
}
