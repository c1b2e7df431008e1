//! Tests of starts, from an order to players who can join.

use std::{fs, os::unix::fs::MetadataExt, time::Duration};

use agis_base::ServerId;
use agis_servers::host::{Host, HostError, Observed, Reached};
use tokio::time::timeout;

use crate::{
    ONE,
    bench::{self, Bench, demo, ended, process_is_gone, within},
};

#[tokio::test]
async fn a_started_server_is_ready_for_players() {
    let bench = Bench::new();
    let host = bench.host();
    let endpoint = bench.start(&host, ONE, 1, &demo("")).await.expect("it starts");
    assert_eq!(endpoint.address, "games.example.org");
    assert_eq!(within(host.observe(ONE)).await, Ok(Observed::Running { generation: 1, endpoint: endpoint.clone() }));

    let status = bench::query(endpoint.port).await;
    assert_eq!(status["name"], "Friday {port} night; $(reboot)");
    assert_eq!(status["game"], "demo");
}

#[tokio::test]
async fn game_runs_unprivileged_in_its_directory() {
    let bench = Bench::new();
    let host = bench.host();
    bench.start(&host, ONE, 1, &demo("env = { MOTD = 'hello' }")).await.expect("it starts");
    let game = bench.game(ONE);

    let status = fs::read_to_string(format!("/proc/{game}/status")).expect("the game lives");
    let ids = status.lines().filter(|line| line.starts_with("Uid:") || line.starts_with("Gid:"));
    let ids: Vec<&str> = ids.flat_map(|line| line.split_whitespace().skip(1)).collect();
    assert!(ids.len() == 8 && !ids.contains(&"0"), "{ids:?}");
    assert!(status.contains("NoNewPrivs:\t1"), "{status}");
    if rustix_is_root() {
        assert!(status.lines().any(|line| line.trim_end() == "Groups:"), "{status}");
    }

    let world = bench.server(ONE).join("world");
    let environ = fs::read_to_string(format!("/proc/{game}/environ")).expect("the game lives");
    let mut names: Vec<_> = environ.split('\0').filter_map(|pair| pair.split_once('=')).collect();
    names.sort_unstable();
    let home = world.display().to_string();
    let path = "/usr/local/bin:/usr/bin:/bin:/usr/local/games:/usr/games";
    assert_eq!(names, [("HOME", &*home), ("LANG", "C.UTF-8"), ("MOTD", "hello"), ("PATH", path)]);
    assert_eq!(fs::read_link(format!("/proc/{game}/cwd")).expect("the game lives"), world);
    assert_eq!(fs::metadata(&world).expect("a world").mode() & 0o777, 0o700);
    let shim = fs::read(format!("/proc/{}/environ", bench.shim(ONE))).expect("the shim lives");
    assert!(shim.is_empty());
}

fn rustix_is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}

#[tokio::test]
async fn unready_game_is_taken_down() {
    let bench = Bench::new();
    let host = bench.host();
    let game = demo("args = --never-ready\nready = { when = { log = 'ready' }, within_s = 1 }");
    let refused = bench.start(&host, ONE, 1, &game).await;
    assert_eq!(refused, Err(HostError::Failed("not ready within 1 s".to_owned())));
    process_is_gone(bench.shim(ONE)).await;
}

#[tokio::test]
async fn an_open_port_or_a_delay_can_be_the_sign() {
    for ready in ["'port'", "{ delay = 1 }"] {
        let bench = Bench::new();
        let host = bench.host();
        let game = demo(&format!("args = --never-ready\nready = {{ when = {ready}, within_s = 20 }}"));
        let endpoint = bench.start(&host, ONE, 1, &game).await.expect("it starts");
        assert_eq!(bench::query(endpoint.port).await["players"], 0);
    }
}

#[tokio::test]
async fn failed_start_tells_the_last_words() {
    let bench = Bench::new();
    let host = bench.host();
    let game = demo("args = --never-ready, --exit-after, 100");
    let text = "exited with status 1 before it was ready; its last words: leaving early";
    let failed = Err(HostError::Failed(text.to_owned()));
    assert_eq!(bench.start(&host, ONE, 1, &game).await, failed);
    let log = bench.console(ONE);
    assert_eq!(bench.start(&host, ONE, 1, &game).await, failed, "told again");
    assert_eq!(bench.console(ONE), log, "nothing ran meanwhile");
    assert_eq!(within(host.observe(ONE)).await, Ok(ended(1, text)));
    bench.start(&host, ONE, 2, &demo("")).await.expect("a newer order starts it");
}

#[tokio::test]
async fn every_line_of_the_console_has_its_moment() {
    let bench = Bench::new();
    let host = bench.host();
    let game = bench::script("echo out; echo err >&2; printf 'no end'", "ready = { when = { log = 'never' } }");
    let text = "exited with status 0 before it was ready; its last words: out | err | no end";
    assert_eq!(bench.start(&host, ONE, 1, &game).await, Err(HostError::Failed(text.to_owned())));
    let log = bench.console(ONE);
    let lines: Vec<_> = log.lines().map(|line| line.split_once(' ').expect("a moment and a text")).collect();
    assert_eq!(lines.iter().map(|(_, text)| *text).collect::<Vec<_>>(), ["out", "err", "no end"]);
    for (moment, _) in lines {
        // 2026-01-31T12:00:00.000Z
        assert!(moment.len() == 24 && moment.ends_with('Z') && moment.as_bytes()[19] == b'.', "{moment}");
    }
}

#[tokio::test]
async fn missing_program_is_named() {
    let bench = Bench::new();
    let host = bench.host();
    let game = bench::game("command = ['no-such-game', '{port}']\nready = { when = 'port' }");
    let text = "game cannot be run on this host: the program 'no-such-game' was not found";
    assert_eq!(bench.start(&host, ONE, 1, &game).await, Err(HostError::Failed(text.to_owned())));
    assert_eq!(within(host.observe(ONE)).await, Ok(Observed::Absent));
}

#[tokio::test]
async fn a_relative_program_is_the_servers_own() {
    let bench = Bench::new();
    let host = bench.host();
    let ready = "ready = { when = { log = 'ready' } }";
    let script = "'run.sh' = \"#!/bin/sh\\necho ready; exec sleep 1000\"";
    let game = bench::game(&format!("command = ['./run.sh']\nfiles = {{ {script} }}\n{ready}"));
    bench.start(&host, ONE, 1, &game).await.expect("it starts");

    for (id, name, text, says) in [
        (2, "none", "", "the program './none' was not found"),
        (3, "data", "no program", "may not execute './data' (permission is missing"),
        (4, "lost", "#!/no/such/shell", "its interpreter \"/no/such/shell\" was not found"),
    ] {
        let files = if name == "none" { String::new() } else { format!("files = {{ '{name}' = '{text}' }}") };
        let game = bench::game(&format!("command = ['./{name}']\n{files}\n{ready}"));
        let refused = bench.start(&host, ServerId(id), 1, &game).await;
        assert!(matches!(&refused, Err(HostError::Failed(why)) if why.contains(says)), "{name}: {refused:?}");
    }
}

#[tokio::test]
async fn script_leaving_its_game_is_named_so() {
    let bench = Bench::new();
    let host = bench.host();
    for (id, script) in [(1, "sleep 1000 & exit 0"), (2, "setsid sleep 1000 </dev/null & exit 0")] {
        let id = ServerId(id);
        let game = bench::script(script, "ready = { when = { log = 'never' } }");
        let refused = bench.start(&host, id, 1, &game).await;
        let says = "left the game in the background (sleep)";
        assert!(matches!(&refused, Err(HostError::Failed(why)) if why.contains(says)), "{script}: {refused:?}");
    }
}

#[tokio::test]
async fn stop_does_not_wait_for_the_world() {
    let bench = Bench::new();
    let host = bench.host();
    bench.start(&host, ONE, 1, &demo("")).await.expect("it starts");
    bench.stop(&host, ONE, 2).await.expect("it stops");
    // A start that has much to prepare holds the world.
    let held = agis_machine::server_dir(bench.data(), ONE).hold_world().expect("nobody else has it");
    let refused = bench.begin(&host, ONE, 3, &demo("")).await;
    let Err(HostError::Unavailable(why)) = refused else { panic!("{refused:?}") };
    assert!(why.contains("still prepares its world"), "{why}");
    let stopped = timeout(Duration::from_secs(4), bench.stop(&host, ONE, 4)).await;
    assert_eq!(stopped, Ok(Ok(Reached::Stopped)));
    assert!(matches!(bench.delete(&host, ONE, 5).await, Err(HostError::Unavailable(_))));
    drop(held);
    assert_eq!(bench.delete(&host, ONE, 5).await, Ok(Reached::Deleted));
}
