use std::{fs, net::TcpListener};

use agis_servers::host::{Host, HostError, Observed, Reached, Target};
use serde_json::json;

use crate::{
    ONE, TWO,
    bench::{Bench, apply, begin, demo, eventually, game, query, script, start, stop},
};

#[tokio::test]
async fn world_and_port_outlive_a_stop() {
    let (bench, game) = (Bench::new(), demo(&[], ""));
    let host = bench.host();
    assert_eq!(host.observe(ONE).await, Ok(Observed::Absent));
    let first = start(&host, ONE, 1, &game).await.expect("a start");
    assert_eq!(query(first.port).await["name"], "Friday {port} night; $(reboot)");
    assert_eq!(host.observe(ONE).await, Ok(Observed::Running { generation: 1, endpoint: first.clone() }));
    assert_eq!(stop(&host, ONE, 2).await, Ok(Reached::Stopped));
    assert!(bench.world(ONE).join("world.json").exists());
    assert!(matches!(host.observe(ONE).await, Ok(Observed::Ended { generation: 1, how, .. }) if how == "stopped"));
    assert_eq!(start(&host, ONE, 3, &game).await.expect("a start"), first);
    assert_eq!(bench.containers().await.len(), 1);

    let deleted = apply(&host, ONE, 4, Target::Deleted).await;
    assert_eq!(deleted, Ok(Reached::Deleted));
    assert_eq!(host.observe(ONE).await, Ok(Observed::Absent));
    assert!(bench.containers().await.is_empty());
    let kept = fs::read_dir(bench.data.path().join("trash")).expect("a trash").flatten().next().expect("the world");
    assert!(kept.path().join("world.json").exists());
    assert_eq!(begin(&host, ONE, 3, &game).await, Err(HostError::Stale { seen: 4 }));
}

#[tokio::test]
async fn taken_port_is_told() {
    let (bench, game) = (Bench::new(), demo(&[], ""));
    let host = bench.host();
    let port = start(&host, ONE, 1, &game).await.expect("a start").port;
    // Another server gets the next port, and its game listens on the same one inside.
    let other = start(&host, TWO, 1, &game).await.expect("a start").port;
    assert!(other > port, "{other} {port}");
    assert_eq!(query(other).await["game"], "demo");
    stop(&host, ONE, 2).await.expect("a stop");
    let taken = TcpListener::bind(("127.0.0.1", port)).expect("the port");
    let Err(HostError::Failed(why)) = begin(&host, ONE, 3, &game).await else { panic!("the port is taken") };
    assert!(why.contains(&format!("port {port} (game) of this server is taken by the program")), "{why}");
    drop(taken);
}

#[tokio::test]
async fn game_is_told_its_public_port() {
    let bench = Bench::new();
    let game = script("echo port {port}; sleep 100", "ready = { when = { log = 'port' } }", "public_ports = true");
    let host = bench.host();
    let [one, two] =
        [start(&host, ONE, 1, &game).await, start(&host, TWO, 1, &game).await].map(|it| it.expect("a start"));
    assert_ne!(one.port, two.port);
    assert_eq!(crate::bench::lines(&host, TWO).await, [format!("port {}", two.port)]);
}

#[tokio::test]
async fn rcon_is_open_to_this_machine_alone() {
    let bench = Bench::new();
    let host = bench.host_bound_to("127.0.0.2");
    let game = script(
        "for port in {port} {port.rcon}; do nc -ll -p $port -e echo hi & done; echo up; sleep 100",
        "ports = [{ name = 'game', port = FREE }, { name = 'rcon', offset = 1 }]\nready = { when = { log = 'up' } }
         console = { rcon = { port = 'rcon' } }",
        "env = { PASSWORD = '{rcon.password}' }",
    );
    let endpoint = start(&host, ONE, 1, &game).await.expect("a start");
    let [public, rcon] = endpoint.ports.as_slice() else { panic!("{endpoint:?}") };
    let open = |address: String, port| tokio::net::TcpStream::connect((address, port));
    let [shared, private] = [host.reached_at(""), host.reached_privately_at("")];
    assert!(open(shared.clone(), public.port).await.is_ok(), "players reach the game");
    assert!(open(private, rcon.port).await.is_ok(), "AGIS reaches its RCON");
    assert!(open(shared, rcon.port).await.is_err(), "nobody else does");
}

#[tokio::test]
async fn signs_of_readiness() {
    let bench = Bench::new();
    let host = bench.host();
    let port = demo(&["--never-ready"], "ready = { when = 'port' }");
    let endpoint = start(&host, ONE, 1, &port).await.expect("a start");
    assert_eq!(query(endpoint.port).await["players"], json!(0));
    let delay = demo(&["--never-ready"], "ready = { when = { delay = 1 } }");
    start(&host, ONE, 2, &delay).await.expect("a start");
    let late = demo(&["--never-ready"], "ready = { when = { log = 'ready' }, within_s = 1 }");
    let Err(HostError::Failed(why)) = begin(&host, ONE, 3, &late).await else { panic!("it is never ready") };
    assert!(why.starts_with("not ready within 1 s"), "{why}");
    eventually(async || matches!(host.observe(ONE).await, Ok(Observed::Ended { generation: 3, .. }))).await;
}

#[tokio::test]
async fn health_check_of_the_image_is_a_sign() {
    let bench = Bench::bare();
    let image = "docker.io/agis-test/healthy:1";
    let check = "HEALTHCHECK --interval=1s --retries=100 CMD [\"/bin/ls\", \"/data/well\"]";
    bench.engine.build(image, &[], check).expect("an image");
    let game = game(&format!(
        "ready = {{ when = 'health', within_s = 60 }}\n[game.container]\nimage = '{image}'\nworld = '/data'\n\
         command = ['sleep', '1000']"
    ));
    let host = bench.host();
    let (started, ()) = tokio::join!(Box::pin(start(&host, ONE, 1, &game)), async {
        eventually(async || !bench.containers().await.is_empty()).await;
        let name = bench.containers().await.pop().expect("a container");
        let name = name.trim_start_matches('/');
        // The check is made, and the game is not well.
        eventually(async || bench.engine.check_health(name).is_ok()).await;
        assert!(matches!(host.observe(ONE).await, Ok(Observed::Starting { generation: 1 })));
        fs::write(bench.world(ONE).join("well"), "").expect("a world");
        eventually(async || {
            let _ = bench.engine.check_health(name);
            matches!(host.observe(ONE).await, Ok(Observed::Running { generation: 1, .. }))
        })
        .await;
    });
    started.expect("a start");
}
