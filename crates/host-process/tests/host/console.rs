//! Consoles: lines that a server writes, and commands that are typed.

use std::{fs, io::Write, os::unix::fs::PermissionsExt};

use agis_servers::{
    console::{Begin, Console, ConsoleError},
    host::Reached,
};

use crate::{
    ONE,
    bench::{self, Bench, demo, eventually, within},
};

async fn texts(host: &impl Console) -> Vec<String> {
    let everything = Begin::Recent { tail: None, since: None };
    let piece = within(host.lines(ONE, &everything, 1000)).await.expect("a piece");
    piece.lines.into_iter().map(|line| line.text).collect()
}

#[tokio::test]
async fn any_program_on_the_data_reads_and_types() {
    let bench = Bench::new();
    let (host, other) = (bench.host(), bench.host());
    assert_eq!(within(other.tell(ONE, "say hi")).await, Err(ConsoleError::NotRunning));
    bench.start(&host, ONE, 1, &demo("")).await.expect("it starts");
    drop(host);
    assert_eq!(within(other.tell(ONE, "say hi")).await, Ok(()));
    eventually(async || texts(&other).await.ends_with(&["> say hi".to_owned(), "hi".to_owned()])).await;
    let mode = fs::metadata(bench.server(ONE).join("console.in")).expect("the channel").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(bench.stop(&other, ONE, 2).await, Ok(Reached::Stopped));
    assert_eq!(within(other.tell(ONE, "say hi")).await, Err(ConsoleError::NotRunning));
    assert_eq!(bench.delete(&other, ONE, 3).await, Ok(Reached::Deleted));
    assert_eq!(texts(&other).await, Vec::<String>::new());
}

#[tokio::test]
async fn early_command_is_no_sign_of_readiness() {
    let bench = Bench::new();
    let host = bench.host();
    let game = demo("args = --never-ready\nready = { when = { log = 'ready for players' }, within_s = 60 }");
    let start = bench.start(&host, ONE, 1, &game);
    let typed = async {
        let other = bench.host();
        eventually(async || other.tell(ONE, "echo ready for players").await == Ok(())).await;
        eventually(async || texts(&other).await.iter().any(|line| line.starts_with("unknown command"))).await;
        let status = fs::read_to_string(bench.server(ONE).join("status.json")).expect("a status");
        assert!(status.contains("starting"), "{status}");
        assert_eq!(other.tell(ONE, "say ready for players").await, Ok(()));
    };
    let (started, ()) = tokio::join!(start, typed);
    started.expect("it starts when the game itself says so");
}

#[tokio::test]
async fn supervisor_survives_strangers_writes() {
    let bench = Bench::new();
    let host = bench.host();
    bench.start(&host, ONE, 1, &demo("")).await.expect("it starts");
    let path = bench.server(ONE).join("console.in");
    let stranger = fs::OpenOptions::new().write(true).open(&path);
    let written = tokio::task::spawn_blocking(move || {
        let mut stranger = stranger.expect("the channel");
        stranger.write_all(&vec![b'x'; 1024 * 1024])?;
        stranger.write_all(b"\n\xff\xfe\0\n\n")
    });
    within(written).await.expect("done").expect("taken");
    assert_eq!(within(host.tell(ONE, "say still here")).await, Ok(()));
    eventually(async || texts(&host).await.contains(&"still here".to_owned())).await;
    fs::remove_file(&path).expect("removed");
    assert_eq!(within(host.tell(ONE, "say lost")).await, Err(ConsoleError::NoWay));
    assert!(fs::metadata(format!("/proc/{}", bench.game(ONE))).is_ok(), "it plays on");
    assert_eq!(bench.stop(&host, ONE, 2).await, Ok(Reached::Stopped));
}

#[tokio::test]
async fn deaf_game_is_supervised() {
    let bench = Bench::new();
    let host = bench.host();
    let game = bench::script("exec sleep 1000", "ready = { when = { delay = 0 } }");
    bench.start(&host, ONE, 1, &game).await.expect("it starts");
    let command = "x".repeat(1000);
    eventually(async || {
        while host.tell(ONE, &command).await == Ok(()) {}
        texts(&host).await.iter().any(|line| line.contains("was not taken"))
    })
    .await;
    assert_eq!(bench.stop(&host, ONE, 2).await, Ok(Reached::Stopped));
}

#[tokio::test]
async fn coloured_sign_without_an_end_is_the_sign() {
    let bench = Bench::new();
    let host = bench.host();
    let game = bench::script(
        r"printf '\033[1;32mServer\033[0m is\tup>'; exec sleep 1000",
        "ready = { when = { log = 'Server is\tup>' }, within_s = 60 }",
    );
    bench.start(&host, ONE, 1, &game).await.expect("it starts");
    assert_eq!(texts(&host).await, ["Server is       up>"]);
    assert_eq!(bench.stop(&host, ONE, 2).await, Ok(Reached::Stopped));
}

#[tokio::test]
async fn last_words_are_plain_text() {
    let bench = Bench::new();
    let host = bench.host();
    let game =
        bench::script(r"printf '10%%\r99%%\r\033[31mno license\033[0m'; exit 1", "ready = { when = { log = 'up' } }");
    let error = bench.start(&host, ONE, 1, &game).await.expect_err("it ends").to_string();
    assert!(error.ends_with("its last words: no license"), "{error:?}");
}

#[tokio::test]
async fn flooding_game_keeps_its_first_lines_and_stops() {
    let bench = Bench::new();
    let host = bench.host();
    let game = bench::script(
        "trap 'while :; do echo $x; done' TERM; echo first; x=$(printf %01000d 7); while :; do echo $x; done",
        "limits = { console = '1MiB/s' }\nready = { when = { log = 'first' } }\nstop = { how = { signal = 'SIGTERM' }, grace_s = 1 }",
    );
    bench.start(&host, ONE, 1, &game).await.expect("it starts");
    let noted = || bench.console(ONE).contains("> (the console was over its rate of 1 MiB/s: the game waited ");
    eventually(async || noted()).await;
    assert_eq!(bench.stop(&host, ONE, 2).await, Ok(Reached::Stopped));
    let everything = Begin::Recent { tail: None, since: None };
    let piece = within(host.lines(ONE, &everything, 1)).await.expect("a piece");
    assert_eq!(piece.lines[0].text, "first");
    assert!(bench.console(ONE).contains("KiB are missing"), "the rest was dropped, and AGIS says so");
}

#[tokio::test]
async fn game_with_a_terminal_is_heard_at_once() {
    let bench = Bench::new();
    let host = bench.host();
    // Without a terminal, `grep` holds its output back.
    let game = bench::script(
        "stty size; echo ready for players; read line; echo \"$TERM got $line\"; \
         test -t 0 && test -t 2 && (echo then; sleep 1000) | grep then",
        "console = { pty = true }\nready = { when = { log = 'ready for players' }, within_s = 60 }",
    );
    bench.start(&host, ONE, 1, &game).await.expect("it starts");
    assert_eq!(within(host.tell(ONE, "say \u{1f600}")).await, Ok(()));
    eventually(async || texts(&host).await.last().is_some_and(|line| line == "then")).await;
    assert_eq!(
        texts(&host).await,
        ["50 200", "ready for players", "> say \u{1f600}", "dumb got say \u{1f600}", "then"],
        "without an echo"
    );
    assert_eq!(bench.stop(&host, ONE, 2).await, Ok(Reached::Stopped));
}
