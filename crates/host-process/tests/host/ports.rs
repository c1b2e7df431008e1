//! Tests of the ports of servers.

use std::{
    fs,
    net::{TcpListener, UdpSocket},
    sync::Arc,
};

use agis_base::ServerId;
use agis_servers::{
    game::{Catalogue, Game, Protocol},
    host::{HostError, OpenPort, Reached},
};

use crate::{
    ONE, TWO,
    bench::{self, Bench, demo},
};

/// Returns the first of a row of free ports.
fn free(row: u16) -> u16 {
    let is_free = |port| TcpListener::bind(("127.0.0.1", port)).is_ok() && UdpSocket::bind(("127.0.0.1", port)).is_ok();
    let first = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port").port();
    (first.min(60_000)..).find(|first| (*first..first + row).all(is_free)).expect("free ports")
}

/// Returns the demo with a second port at this distance. A file of the game holds both.
fn with_query(port: u16, offset: u16) -> Arc<Game> {
    let text = format!(
        "[game]\ntitle = 'Game'\ncost_per_hour = 0\nready.when.log = 'ready'\n\
         command = ['{{agis}}', 'demo-game', '--bind', '{{bind}}', '--port', '{{port}}', '--name', '{{name}}']\n\
         ports = [{{ name = 'game', port = {port} }}, {{ name = 'query', offset = {offset}, protocol = 'udp' }}]\n\
         files.'ports.json'.set = {{ game = '{{port.game}}', query = '{{port.query}}' }}"
    );
    Arc::clone(Catalogue::parse(&text).expect("a catalogue").get("game").expect("the game"))
}

fn numbers(ports: &[OpenPort]) -> Vec<u16> {
    ports.iter().map(|port| port.port).collect()
}

#[tokio::test]
async fn ports_of_a_server_move_together() {
    let bench = Bench::new();
    let host = bench.host();
    let first = free(6);
    let game = with_query(first, 1);
    let one = bench.start(&host, ONE, 1, &game).await.expect("it starts");
    let open = |name: &str, port, protocol| OpenPort { name: name.to_owned(), port, protocol: Some(protocol) };
    assert_eq!(one.ports, [open("game", one.port, Protocol::Tcp), open("query", one.port + 1, Protocol::Udp)]);
    let file = fs::read_to_string(bench.server(ONE).join("world/ports.json")).expect("the file");
    let file: serde_json::Value = serde_json::from_str(&file).expect("JSON");
    assert_eq!(file, serde_json::json!({ "game": one.port, "query": one.port + 1 }));

    let _stranger = TcpListener::bind(("127.0.0.1", one.port + 3)).expect("a free port");
    let two = bench.start(&host, TWO, 1, &game).await.expect("it starts");
    assert_eq!(numbers(&two.ports), [one.port + 4, one.port + 5], "where both are free");
    assert_eq!(bench.delete(&host, ONE, 2).await, Ok(Reached::Deleted));
    let three = bench.start(&host, ServerId(3), 1, &game).await.expect("it starts");
    assert_eq!(three.ports, one.ports, "both were given back");
}

#[tokio::test]
async fn a_kept_port_that_is_taken_is_told() {
    let bench = Bench::new();
    let host = bench.host();
    let first = free(4);
    let game = with_query(first, 1);
    let one = bench.start(&host, ONE, 1, &game).await.expect("it starts");
    assert_eq!(bench.stop(&host, ONE, 2).await, Ok(Reached::Stopped));
    let two = bench.start(&host, TWO, 1, &game).await.expect("it starts");
    assert_eq!(two.port, one.port + 2, "a stopped server keeps its ports");

    let stranger = UdpSocket::bind(("127.0.0.1", one.port + 1)).expect("nothing listens");
    let refused = bench.start(&host, ONE, 3, &game).await;
    let says = format!("port {} (query) of this server is taken by the program '", one.port + 1);
    let own = format!("(process {}); end that program", std::process::id());
    assert!(
        matches!(&refused, Err(HostError::Failed(why)) if why.contains(&says) && why.contains(&own)),
        "{refused:?}"
    );
    drop(stranger);
    let _passing = UdpSocket::bind(("127.0.0.1", one.port)).expect("nothing listens");
    let again = bench.start(&host, ONE, 4, &game).await.expect("the game's own protocols are free");
    assert_eq!(again.ports, one.ports);
}

#[tokio::test]
async fn new_port_of_another_server_is_told() {
    let bench = Bench::new();
    let host = bench.host();
    let game = with_query(free(12), 10);
    let one = bench.start(&host, ONE, 1, &game).await.expect("it starts");
    bench.start(&host, TWO, 1, &game).await.expect("it starts");
    let changed = with_query(one.port, 1);
    let refused = bench.start(&host, ONE, 2, &changed).await;
    let says = format!("port {} (query) of this server belongs to server 2; an operator can", one.port + 1);
    assert!(matches!(&refused, Err(HostError::Failed(why)) if why.contains(&says)), "{refused:?}");
    let changed = with_query(one.port, 5);
    let moved = bench.start(&host, ONE, 3, &changed).await.expect("it starts");
    assert_eq!(numbers(&moved.ports), [one.port, one.port + 5]);
    let claims = bench.data().join("ports");
    assert!(!claims.join((one.port + 10).to_string()).exists(), "the port that has gone is given back");
    assert_eq!(bench.delete(&host, ONE, 4).await, Ok(Reached::Deleted));
    assert!(!claims.join((one.port + 5).to_string()).exists());
}

#[tokio::test]
async fn taken_port_is_passed_over_at_first() {
    let bench = Bench::new();
    let host = bench.host();
    let game = demo("");
    let one = bench.start(&host, ONE, 1, &game).await.expect("it starts");
    let two = bench.start(&host, TWO, 1, &game).await.expect("it starts");
    assert!(two.port > one.port);
    assert_eq!(numbers(&one.ports), [one.port]);
}

#[tokio::test]
async fn server_of_an_earlier_version_keeps_its_port() {
    let bench = Bench::new();
    let host = bench.host();
    let port = free(1);
    fs::create_dir_all(bench.server(ONE)).expect("a directory");
    fs::write(bench.server(ONE).join("port"), port.to_string()).expect("a file");
    fs::write(bench.data().join(format!("ports/{port}")), "1").expect("a claim");
    let endpoint = bench.start(&host, ONE, 1, &demo("")).await.expect("it starts");
    assert_eq!(endpoint.port, port);
    assert_eq!(fs::read_to_string(bench.server(ONE).join("port")).expect("a file"), port.to_string());

    // A status without the list is an earlier shim's.
    let status = bench.server(ONE).join("status.json");
    let text = fs::read_to_string(&status).expect("a status");
    let mut old: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert!(old.as_object_mut().expect("an object").remove("ports").is_some());
    fs::write(&status, old.to_string()).expect("a status");
    let seen = bench::within(agis_servers::host::Host::observe(&host, ONE)).await;
    assert!(matches!(&seen, Ok(agis_servers::host::Observed::Running { endpoint, .. }) if endpoint.port == port));
    fs::write(&status, text).expect("a status");
}
