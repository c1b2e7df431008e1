//! Orders that nothing disturbs.

use std::{pin::pin, sync::Arc, time::Duration};

use agis_agones_stand_in::Fault;
use agis_servers::{
    console::{Begin, Console, ConsoleError},
    game::Protocol,
    host::{Host, HostError, Observed, Order, Reached, Slot, Target},
    platform::PlayerCount,
};
use agis_test_support::wait;
use kube::{
    ResourceExt,
    api::{DeleteParams, DynamicObject, ObjectMeta, Patch, PatchParams, PostParams},
};
use serde_json::json;
use tokio::sync::Semaphore;

use crate::scene::{SOON, Scene};

/// Each kind of game: of its own, without the SDK, with a volume, from a fleet, from a container's entry.
const GAMES: [&str; 5] = ["sdk", "quiet", "world", "fleet", "entry"];

#[tokio::test]
async fn restart_leaves_its_slot_for_the_grace() {
    for game in GAMES {
        let scene = Scene::of(game).await;
        let process = scene.process();
        process.running(&scene.start(1, game)).await;
        let first = scene.the_one().await;
        let places = Arc::new(Semaphore::new(1));
        let take = move || {
            let places = places.clone();
            async move { places.acquire_owned().await.expect("a place") }
        };
        let slot = Slot::held(take().await, take.clone());
        let order = Order { slot, ..scene.start(2, game) };
        let mut restart = pin!(process.apply(&order));
        let other = tokio::select! {
            place = take() => place,
            ended = &mut restart => panic!("{game}: it did not give its place up: {ended:?}"),
        };
        tokio::select! {
            _ = scene.until_standing(0) => {}
            ended = &mut restart => panic!("{game}: it has no place: {ended:?}"),
        }
        let began = tokio::time::timeout(Duration::from_secs(1), &mut restart).await;
        assert!(began.is_err(), "{game}: it has no place: {began:?}");
        scene.until_standing(0).await;
        drop(other);
        assert!(matches!(restart.await, Ok(Reached::Running(_))), "{game}");
        assert_ne!(scene.the_one().await.uid(), first.uid(), "{game}");
    }
}

#[tokio::test]
async fn a_server_starts_restarts_and_stops() {
    for game in GAMES {
        let scene = Scene::of(game).await;
        let process = scene.process();
        assert_eq!(process.host.observe(scene.server).await, Ok(Observed::Absent), "{game}");
        let endpoint = process.running(&scene.start(1, game)).await;
        assert!(!endpoint.address.is_empty() && endpoint.port > 0, "{game}: {endpoint:?}");
        let first = scene.the_one().await;
        scene
            .until_observed(&process, game, |it| *it == Observed::Running { generation: 1, endpoint: endpoint.clone() })
            .await;

        // The same order again is the same server.
        assert_eq!(process.running(&scene.start(1, game)).await, endpoint, "{game}");
        assert_eq!(scene.the_one().await.uid(), first.uid(), "{game}");

        process.running(&scene.start(2, game)).await;
        let second = scene.the_one().await;
        assert_ne!(second.uid(), first.uid(), "{game}: a restart is another one");
        scene.until_observed(&process, game, |it| matches!(it, Observed::Running { generation: 2, .. })).await;

        assert_eq!(process.apply(&scene.stop(3)).await, Ok(Reached::Stopped), "{game}");
        scene.until_standing(0).await;
        assert_eq!(process.apply(&scene.stop(3)).await, Ok(Reached::Stopped), "{game}");
        scene.until_observed(&process, game, |it| *it == Observed::Absent).await;
    }
}

#[tokio::test]
async fn containers_entry_runs_with_its_settings_and_world() {
    let scene = Scene::new().await;
    let process = scene.process();
    let endpoint = process.running(&scene.start(1, "entry")).await;
    let [port] = endpoint.ports.as_slice() else { panic!("{endpoint:?}") };
    assert_eq!((port.name.as_str(), port.port, port.protocol), ("game", endpoint.port, Some(Protocol::Tcp)));
    let pod = scene.the_one().await.data["spec"]["template"]["spec"].clone();
    let env = pod["containers"][0]["env"].as_array().expect("variables").clone();
    let greeting = env.iter().find(|it| it["name"] == "GREETING").expect("a greeting");
    assert_eq!(greeting["value"], "Sunday's game for friends");
    let world = scene.worlds().get(&format!("agis-{}-world", scene.server)).await.expect("a volume");
    let asked = world.spec.and_then(|it| it.resources?.requests).expect("a size");
    assert_eq!(asked["storage"].0, "1024Mi");
}

#[tokio::test]
async fn secrets_go_with_their_game_server() {
    let scene = Scene::new().await;
    let process = scene.process();
    let mut order = scene.start(1, "entry");
    let Target::Running(launch) = &mut order.target else { panic!("it is a start") };
    launch.settings.insert("key".to_owned(), json!("hunter2").into());
    process.running(&order).await;
    let made = scene.the_one().await;
    assert!(!made.data.to_string().contains("hunter2"), "{:?}", made.data);
    let name = made.name_any();
    let secret = scene.secrets().get(&name).await.expect("a secret");
    assert_eq!(secret.data.expect("data")["KEY"].0, b"hunter2");
    assert_eq!(secret.metadata.owner_references.expect("an owner")[0].uid, made.uid().expect("an id"));
    // Another process continues the start.
    assert!(matches!(scene.process().apply(&order).await, Ok(Reached::Running(_))));
    assert_eq!(process.apply(&scene.stop(2)).await, Ok(Reached::Stopped));
    wait::until(SOON, "the end of the secret", async || {
        scene.secrets().get_opt(&name).await.expect("an answer").is_none().then_some(())
    })
    .await;
}

#[tokio::test]
async fn console_says_when_a_game_is_ready() {
    let scene = Scene::on_stand_in().await;
    let process = scene.process();
    let (order, delayed) = (scene.start(1, "tells"), Duration::from_millis(300));
    let mut start = pin!(process.running(&order));
    let name = format!("agis-{}-1", scene.server);
    let runs = wait::until(SOON, "a pod that runs", async || {
        let pod = scene.pods().get_opt(&name).await.expect("an answer")?;
        pod.status?.conditions?.iter().any(|it| it.type_ == "Ready" && it.status == "True").then_some(())
    });
    tokio::select! {
        endpoint = &mut start => panic!("it has said nothing: {endpoint:?}"),
        () = async { runs.await; tokio::time::sleep(delayed).await } => {}
    }
    scene.stand_in().print(&name, "loading the world");
    scene.stand_in().print(&name, "[12:00] server is up!");
    let endpoint = start.await;
    // The game knows the very ports that players use.
    let spec = scene.the_one().await.data["spec"].clone();
    let number = i64::from(endpoint.port);
    assert_eq!((&spec["ports"][0]["hostPort"], &spec["ports"][0]["containerPort"]), (&json!(number), &json!(number)));
    assert_eq!(spec["ports"][1]["hostPort"], number + 1);
    let env = spec["template"]["spec"]["containers"][0]["env"].as_array().expect("variables").clone();
    assert!(env.contains(&json!({ "name": "PORT", "value": number.to_string() })), "{env:?}");
}

#[tokio::test]
async fn created_objects_name_their_server() {
    for game in ["sdk", "fleet"] {
        let scene = Scene::of(game).await;
        let process = scene.process();
        let order = scene.start(7, game);
        process.running(&order).await;
        let labels = scene.the_one().await.labels().clone();
        for (label, value) in [
            ("app.kubernetes.io/managed-by", "agis"),
            ("agis.wtg.cluster/host", scene.name.as_str()),
            ("agis.wtg.cluster/server", &scene.server.to_string()),
            ("agis.wtg.cluster/generation", "7"),
            ("agis.wtg.cluster/operation", &order.operation.to_string()),
            ("wtg.cluster/user-id", "42"),
            ("wtg.cluster/server-name", "Sunday-s-game"),
        ] {
            assert_eq!(labels.get(label).map(String::as_str), Some(value), "{game}: {label}");
        }
    }
}

#[tokio::test]
async fn unready_server_is_taken_down_for_good() {
    let scene = Scene::new().await;
    let process = scene.process();
    let order = scene.start(1, "stuck");
    let why = process.apply(&order).await.expect_err("it never says that it is ready");
    assert!(matches!(&why, HostError::Failed(why) if why.contains("not ready within 2 s")), "{why}");
    scene.until_standing(0).await;
    let again = process.apply(&order).await.expect_err("it has ended");
    assert!(matches!(again, HostError::Failed(_)), "{again}");
    scene.until_standing(0).await;
    scene.until_observed(&process, "its end", |it| matches!(it, Observed::Ended { generation: 1, .. })).await;
}

#[tokio::test]
async fn refusal_is_told_in_the_clusters_words() {
    let scene = Scene::new().await;
    let process = scene.process();
    let why = process.apply(&scene.start(1, "broken")).await.expect_err("no such protocol");
    assert!(matches!(&why, HostError::Failed(why) if why.contains("CARRIER_PIGEON")), "{why}");
    scene.until_standing(0).await;
    // A fleet may come, or have one free again: the order waits.
    let why = process.apply(&scene.start(2, "nowhere")).await.expect_err("no such fleet");
    assert!(matches!(&why, HostError::Unavailable(why) if why.contains("agis-no-such-fleet")), "{why}");
}

#[tokio::test]
async fn refused_stop_lets_players_play_on() {
    let scene = Scene::on_stand_in().await;
    let process = scene.process();
    process.running(&scene.start(1, "sdk")).await;
    // As admission webhooks and policies refuse.
    for code in [400, 403, 422] {
        scene.stand_in().fault("DELETE", Fault::Status(code));
        let why = process.apply(&scene.stop(2)).await.expect_err("it is refused");
        assert!(matches!(&why, HostError::Unavailable(why) if why.starts_with("the cluster refuses it")), "{why}");
        scene.stand_in().recover();
        scene.stand_in().fault("PUT", Fault::Status(code));
        let why = process.apply(&scene.stop(3)).await.expect_err("its fence is refused");
        assert!(matches!(&why, HostError::Unavailable(_)), "{why}");
        scene.stand_in().recover();
        scene.stand_in().fault("GET", Fault::Status(code));
        let why = process.apply(&scene.stop(2)).await.expect_err("nobody can look");
        assert!(matches!(&why, HostError::Unavailable(_)), "{why}");
        scene.stand_in().recover();
    }
    scene.until_standing(1).await;
    assert_eq!(process.apply(&scene.stop(2)).await, Ok(Reached::Stopped));
    scene.until_standing(0).await;
}

#[tokio::test]
async fn foreign_game_server_is_not_taken() {
    let scene = Scene::new().await;
    let process = scene.process();
    process.running(&scene.start(1, "sdk")).await;
    let ours = scene.the_one().await;
    assert_eq!(process.apply(&scene.stop(2)).await, Ok(Reached::Stopped));
    scene.until_standing(0).await;
    let name = format!("agis-{}-3", scene.server);
    let mut spec = ours.data["spec"].clone();
    spec["ports"][0].as_object_mut().expect("a port").remove("hostPort");
    for host in [Some("another"), None] {
        let mut labels = ours.labels().clone();
        labels.insert("agis.wtg.cluster/generation".into(), "3".into());
        labels.insert("agis.wtg.cluster/host".into(), host.unwrap_or_default().into());
        if host.is_none() {
            labels.clear();
        }
        let mut theirs = DynamicObject { data: json!({ "spec": spec }), ..ours.clone() };
        theirs.metadata = ObjectMeta { name: Some(name.clone()), labels: Some(labels), ..ObjectMeta::default() };
        scene.gameservers().create(&PostParams::default(), &theirs).await.expect("somebody else's");
        let why = process.apply(&scene.start(3, "sdk")).await.expect_err("the name is taken");
        assert!(matches!(&why, HostError::Unavailable(why) if why.contains("somebody else's")), "{why}");
        scene.gameservers().delete(&name, &DeleteParams::default()).await.expect("deleted by its owner");
        wait::until(SOON, "it to be gone", async || {
            scene.gameservers().get_opt(&name).await.expect("an answer").is_none().then_some(())
        })
        .await;
    }
    process.running_soon(&scene.start(3, "sdk")).await;
}

#[tokio::test]
async fn world_outlives_its_servers_for_days() {
    let scene = Scene::new().await;
    let process = scene.process();
    process.running(&scene.start(1, "world")).await;
    let name = format!("agis-{}-world", scene.server);
    let world = scene.worlds().get(&name).await.expect("a volume");
    process.running(&scene.start(2, "world")).await;
    let pod = scene.the_one().await.data["spec"]["template"]["spec"].clone();
    assert_eq!(pod["volumes"][0]["persistentVolumeClaim"]["claimName"], json!(name));
    assert_eq!(pod["containers"][0]["volumeMounts"][0], json!({ "name": "world", "mountPath": "/data" }));

    assert_eq!(process.apply(&scene.order(3, Target::Deleted)).await, Ok(Reached::Deleted));
    scene.until_standing(0).await;
    assert_eq!(scene.worlds().get(&name).await.expect("the volume").uid(), world.uid(), "kept");
    drop(process);
    let fence = format!("agis-{}", scene.server);
    let kept_until =
        scene.fences().get(&fence).await.expect("a fence").annotations()["agis.wtg.cluster/delete-after"].clone();
    let kept = chrono::DateTime::parse_from_rfc3339(&kept_until).expect("a moment").to_utc() - chrono::Utc::now();
    assert!((chrono::TimeDelta::days(6)..=chrono::TimeDelta::days(7)).contains(&kept), "{kept_until}");

    // Seven days later.
    let past = (chrono::Utc::now() - chrono::TimeDelta::days(1)).to_rfc3339();
    let past = json!({ "metadata": { "annotations": { "agis.wtg.cluster/delete-after": past } } });
    scene.fences().patch(&fence, &PatchParams::default(), &Patch::Merge(past)).await.expect("patched");
    let _process = scene.process();
    wait::until(SOON, "the world and the fence to go", async || {
        let world = scene.worlds().get_opt(&name).await.expect("an answer");
        let fence = scene.fences().get_opt(&fence).await.expect("an answer");
        (world.is_none_or(|world| world.metadata.deletion_timestamp.is_some()) && fence.is_none()).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_console_is_read_and_takes_no_commands() {
    let scene = Scene::new().await;
    let process = scene.process();
    let begin = Begin::Recent { tail: None, since: None };
    assert!(process.host.lines(scene.server, &begin, 10).await.expect("no lines yet").lines.is_empty());
    process.running(&scene.start(1, "sdk")).await;
    let piece = process.host.lines(scene.server, &begin, 1000).await.expect("lines");
    let behind = process.host.lines(scene.server, &Begin::Behind(piece.end), 1000).await.expect("later lines");
    assert!(behind.lines.iter().all(|line| !piece.lines.contains(line)), "none twice");
    assert_eq!(process.host.tell(scene.server, "say hello").await, Err(ConsoleError::Mute));
}

#[tokio::test]
async fn game_tells_agones_who_plays() {
    let scene = Scene::of("sdk").await;
    let process = scene.process();
    process.running(&scene.start(1, "sdk")).await;
    let name = scene.the_one().await.name_any();
    let players = async |generation| process.host.players(scene.server, generation).await;
    let unknown = players(1).await.expect_err("nobody has told");
    assert!(unknown.to_string().contains("no list and no counter"), "{unknown}");
    scene.patch(&name, json!({ "status": { "counters": { "players": { "count": 2, "capacity": 16 } } } })).await;
    let known = wait::until(SOON, "the players", async || players(1).await.ok()).await;
    assert_eq!((known.online, known.max, known.names), (2, Some(16), None));
    assert!(players(2).await.is_err(), "another run has told nothing");
    scene.patch(&name, json!({ "status": { "lists": { "players": { "capacity": 8, "values": ["Ann"] } } } })).await;
    let named = wait::until(SOON, "the names", async || players(1).await.ok()?.names).await;
    assert_eq!(named, ["Ann"]);
    assert_eq!(process.apply(&scene.stop(2)).await, Ok(Reached::Stopped));
    assert!(players(1).await.is_err(), "nobody plays on a stopped server");
}
