//! The ports in the row of a server.

use agis_base::{ServerId, UserId};
use agis_servers::{game::Protocol, host::OpenPort, store::ServerStore};

use crate::scene::{OWNER, Scene};

#[tokio::test]
async fn only_current_ports_are_read() {
    let Scene { db, sql, .. } = &Scene::start().await;
    let open = |port| OpenPort { name: "game".to_owned(), port, protocol: Some(Protocol::Udp) };
    for (id, ports, expected) in [
        (1, r#"[{"name": "game", "port": 7, "protocol": "udp"}]"#, vec![open(7)]),
        (2, r#"[{"name": "game", "port": 7, "protocol": "udp", "newer": 1}]"#, vec![open(7)]),
        // An earlier version has moved the server.
        (3, r#"[{"name": "game", "port": 8, "protocol": "udp"}]"#, vec![]),
        // A newer version has written these.
        (4, r#"[{"name": "game", "port": 7, "protocol": "quic"}]"#, vec![]),
        (5, r#"{"game": 7}"#, vec![]),
        (6, "null", vec![]),
    ] {
        let row = format!(
            "insert into game_servers (id, discord_id, name, game_type, address, port, ports)
             values ({id}, '{OWNER}', 'server {id}', 'demo', 'here', 7, '{ports}')"
        );
        sql.batch_execute(&row).await.expect("a row");
        let found = db.find(&UserId::from_stored(OWNER), ServerId(id)).await.expect("an answer");
        let endpoint = found.and_then(|(server, _)| server.endpoint).expect("an endpoint");
        assert_eq!((endpoint.port, endpoint.ports), (7, expected), "{ports}");
    }
}
