//! Games that Debian packages: each runs, answers by its own protocol, and stops.

use std::{io, path::Path, process::Stdio, time::Duration};

use agis_test_support::wait;
use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UdpSocket},
    process::Command,
    time::timeout,
};

use crate::{
    common::{Api, SOON, Stack},
    fleet,
};

/// Names that are syntax for some reader of configurations, and that every game shows.
const NAME: &str = "Bob's [EU] #1 {port}";
/// Time for one answer. A game that still loads may lose a question.
const ANSWER: Duration = Duration::from_secs(1);

/// Game of the built-in catalogue.
struct Packaged {
    key: &'static str,
    program: &'static str,
    /// Asks the game at this port what people would see.
    ask: AsyncFn,
    /// Part of the answer.
    says: &'static str,
    /// Value of the setting that adds bots; `None` for a game without one.
    bots: Option<u32>,
    /// Players that AGIS sees; `None` if the game does not tell.
    players: Option<u32>,
    /// Joins the game at this port as Ann. Other games have no client without a screen.
    join: Option<fn(u16) -> Command>,
}

type AsyncFn = fn(u16) -> std::pin::Pin<Box<dyn Future<Output = io::Result<Vec<u8>>> + Send>>;

const GAMES: [Packaged; 5] = [
    game("openttd", "openttd", |port| Box::pin(openttd(port)), NAME),
    Packaged { join: Some(join_bzflag), ..game("bzflag", "bzfs", |port| Box::pin(bzflag(port)), "BZFS") },
    game("minetest", "minetestserver", |port| Box::pin(luanti(port)), "OEt\u{3}"),
    game("teeworlds", "teeworlds-server", |port| Box::pin(teeworlds(port)), NAME),
    Packaged {
        bots: Some(2),
        players: Some(2),
        ..game("openarena", "openarena-server", |port| Box::pin(quake3(port)), NAME)
    },
];

const fn game(key: &'static str, program: &'static str, ask: AsyncFn, says: &'static str) -> Packaged {
    Packaged { key, program, ask, says, bots: None, players: Some(0), join: None }
}

#[tokio::test]
async fn packaged_games_answer_and_stop() {
    let is_there = |game: &&Packaged| Path::new("/usr/games").join(game.program).exists();
    let (there, missing): (Vec<_>, Vec<_>) = GAMES.iter().partition(is_there);
    for game in missing {
        untried(game.key);
    }
    let stack = Stack::start().await;
    fleet::own_ids(&stack.sql().await).await;
    let api = stack.api(&[("GAMES_FILE", "")]).await;
    join_all(there.iter().map(|game| plays(&stack, &api, game))).await;
}

/// Plays twice: the second start finds a world, and the files that the game wrote.
async fn plays(stack: &Stack, api: &Api, game: &Packaged) {
    let id = api.server(&format!("{NAME} of {}", game.key), game.key).await;
    if let Some(bots) = game.bots {
        api.call("PATCH", &format!("/api/v1/servers/{id}/settings"), Some(json!({ "bots": bots }))).await.expect(200);
    }
    for is_first in [true, false] {
        api.act(id, "start").await;
        let running = api.until_status(id, "running").await;
        let port = u16::try_from(running["port"].as_u64().expect("a port")).expect("a port");
        wait::until(SOON, &format!("{} to answer", game.key), async || {
            let answer = timeout(ANSWER, (game.ask)(port)).await.ok()?.ok()?;
            String::from_utf8_lossy(&answer).contains(game.says).then_some(())
        })
        .await;
        // A reader of the console could act as the operator of the game.
        let console = api.get(&format!("/api/v1/servers/{id}/logs?limit=1000")).await.expect(200).to_string();
        assert!(!console.to_lowercase().contains("rcon password"), "{}: {console}", game.key);
        if is_first {
            sees_players(api, id, game).await;
            if let Some(join) = game.join {
                sees_who_comes_and_goes(api, id, game.key, &mut join(port)).await;
            }
        }
        let operation = api.ended(&api.ask(id, "stop").await).await;
        let outcome = (&operation["state"], &operation["killed_after_grace"]);
        assert_eq!(outcome, (&"succeeded".into(), &false.into()), "{}: {operation}", game.key);
        fleet::assert_no_copy(stack, id);
        assert!(
            (game.ask)(port).await.is_err() || timeout(ANSWER, (game.ask)(port)).await.is_err(),
            "{} is gone",
            game.key
        );
    }
}

/// Waits until AGIS sees the game's players, bots among them.
async fn sees_players(api: &Api, id: i64, game: &Packaged) {
    let path = format!("/api/v1/servers/{id}/players");
    let Some(expected) = game.players else {
        let unknown = api.get(&path).await.expect(200);
        assert!(unknown["online"].is_null(), "{}: {unknown}", game.key);
        return;
    };
    let players = wait::until(2 * SOON, &format!("players of {}", game.key), async || {
        Some(api.get(&path).await.expect(200)).filter(|players| players["online"] == expected)
    })
    .await;
    let names = players["names"].as_array().expect("names").len();
    assert_eq!(names, expected as usize, "{}: {players}", game.key);
}

/// Lets Ann join, and leave.
async fn sees_who_comes_and_goes(api: &Api, id: i64, key: &str, join: &mut Command) {
    let path = format!("/api/v1/servers/{id}/players");
    let until = async |names: Value| {
        wait::until(3 * SOON, &format!("{key} to be played by {names}"), async || {
            (api.get(&path).await.expect(200)["names"] == names).then_some(())
        })
        .await;
    };
    let join = join.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    let mut ann = join.spawn().expect("the client that comes with the game");
    until(json!(["ann"])).await;
    ann.kill().await.expect("she leaves");
    until(json!([])).await;
}

/// An observer, who types nothing.
fn join_bzflag(port: u16) -> Command {
    let mut command = Command::new("/usr/games/bzadmin");
    command.args(["-ui", "stdboth", &format!("ann@127.0.0.1:{port}")]);
    command
}

async fn udp(port: u16) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind("127.0.0.1:0").await?;
    socket.connect(("127.0.0.1", port)).await?;
    Ok(socket)
}

async fn told(socket: &UdpSocket, question: &[u8]) -> io::Result<Vec<u8>> {
    socket.send(question).await?;
    let mut answer = vec![0; 4096];
    let length = socket.recv(&mut answer).await?;
    answer.truncate(length);
    Ok(answer)
}

async fn tcp(port: u16, question: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    stream.write_all(question).await?;
    let mut answer = vec![0; 4096];
    let length = stream.read(&mut answer).await?;
    answer.truncate(length);
    Ok(answer)
}

/// Asks for the status, as server browsers do.
async fn quake3(port: u16) -> io::Result<Vec<u8>> {
    told(&udp(port).await?, b"\xff\xff\xff\xffgetstatus\n").await
}

/// Asks for a token, and with it for the server's info.
async fn teeworlds(port: u16) -> io::Result<Vec<u8>> {
    const OURS: &[u8] = &[1, 2, 3, 4];
    let socket = udp(port).await?;
    let question = [&[4, 0, 0], b"\xff\xff\xff\xff".as_slice(), &[5], OURS, &[0; 512]].concat();
    let answer = told(&socket, &question).await?;
    let theirs = answer.get(8..12).ok_or(io::ErrorKind::InvalidData)?;
    told(&socket, &[&[0x21], theirs, OURS, b"\xff\xff\xff\xffgie3\x05"].concat()).await
}

/// Says hello, as a client does that has no number yet.
async fn luanti(port: u16) -> io::Result<Vec<u8>> {
    told(&udp(port).await?, b"OEt\x03\x00\x00\x00\x01").await
}

/// Asks for the game's info: the size of the packet, and its kind.
async fn openttd(port: u16) -> io::Result<Vec<u8>> {
    tcp(port, &[3, 0, 7]).await
}

async fn bzflag(port: u16) -> io::Result<Vec<u8>> {
    tcp(port, b"BZFLAG\r\n\r\n").await
}

#[expect(clippy::print_stderr, reason = "whoever runs the tests shall know what was not tried")]
pub(crate) fn untried(game: &str) {
    eprintln!("not tried: {game} is not installed (cargo xtask test --games)");
}
