//! A game of Valve's protocol that is played as the test wants.

use std::sync::{
    Arc,
    atomic::{AtomicU8, Ordering},
};

use tokio::{net::UdpSocket, task::JoinHandle};

use super::{Api, Stack};

/// Adds a game that runs and says nothing. Its servers get the first ports from this one on that are free.
pub(crate) fn add_game(stack: &Stack, key: &str) {
    let port = 10_000 + std::process::id() * 41 % 18_000;
    stack.add_game(&format!(
        "[{key}]\ntitle = 'Played'\ncommand = ['sleep', '100000']\ncost_per_hour = 0\nquery = 'a2s'\n\
         ports = [{{ name = 'game', port = {port}, protocol = 'udp' }}]\nready = {{ when = {{ delay = 0 }} }}\n"
    ));
}

/// Answers in place of the game of this running server, with so many players.
pub(crate) async fn play(api: &Api, server: i64, players: Arc<AtomicU8>) -> JoinHandle<()> {
    let port = api.get(&format!("/api/v1/servers/{server}")).await.expect(200)["port"].clone();
    let port = port.as_u64().and_then(|port| u16::try_from(port).ok()).expect("a port");
    let socket = UdpSocket::bind(("127.0.0.1", port)).await.expect("the port of the game");
    tokio::spawn(async move {
        let mut question = [0; 100];
        while let Ok((length, from)) = socket.recv_from(&mut question).await {
            let online = players.load(Ordering::Relaxed);
            let answer = match question[..length].strip_prefix(b"\xff\xff\xff\xff") {
                Some(b"TSource Engine Query\0" | b"U\xff\xff\xff\xff") => b"A\x01\x02\x03\x04".to_vec(),
                Some(b"TSource Engine Query\0\x01\x02\x03\x04") => {
                    [b"I\x11Name\0map\0folder\0Game\0\0\0".as_slice(), &[online], b"\x08\0dl\0\x01v\0"].concat()
                }
                Some(b"U\x01\x02\x03\x04") => {
                    let who = b"\0Ann\x1b[31m\x00\0\0\0\0\0\0\0\0".repeat(online.into());
                    [b"D".as_slice(), &[online], &who].concat()
                }
                _ => continue,
            };
            let _ = socket.send_to(&[b"\xff\xff\xff\xff", answer.as_slice()].concat(), from).await;
        }
    })
}
