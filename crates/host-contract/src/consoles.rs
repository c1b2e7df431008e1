//! Promises about lines and commands.

use agis_servers::{
    console::{Begin, Console, ConsoleError, Line},
    host::{Ability, Reached},
};
use agis_test_support::wait;

use crate::stage::{PATIENCE, Server, Stage};

const EVERYTHING: Begin = Begin::Recent { tail: None, since: None };
/// Number of lines that no game of a stage writes.
const MANY: u32 = 1000;

/// A console is the same, read at once or in pieces, and its last lines are those of the whole.
pub async fn console_gives_each_line_once(stage: &dyn Stage) {
    let (server, host) = (Server(stage), stage.process().await);
    let Some(console) = stage.console().await.filter(|_| host.abilities().has(Ability::Console)) else { return };
    assert_eq!(read(stage, &*console, EVERYTHING, MANY).await, [], "a server that never ran has no lines");
    server.start(&*host, 1).await;
    let lines = wait::until(PATIENCE, "a line", async || {
        Some(read(stage, &*console, EVERYTHING, MANY).await).filter(|lines| !lines.is_empty())
    })
    .await;
    assert_eq!(read(stage, &*console, EVERYTHING, 1).await, lines);
    let last = Begin::Recent { tail: Some(1), since: None };
    assert_eq!(read(stage, &*console, last, MANY).await, lines[lines.len() - 1..]);
    let end = lines[lines.len() - 1].position.clone();
    assert_eq!(read(stage, &*console, Begin::Behind(end), MANY).await, [], "nothing is told twice");
}

/// A command reaches the game that runs, once, and its answer can be read by whoever follows. Nothing else takes one.
pub async fn commands_reach_a_run_alone(stage: &dyn Stage) {
    let (server, host) = (Server(stage), stage.process().await);
    let Some(console) = stage.console().await.filter(|_| host.abilities().has(Ability::Commands)) else { return };
    let id = stage.server();
    assert_eq!(console.tell(id, "say early").await, Err(ConsoleError::NotRunning));
    server.start(&*host, 1).await;
    let before = read(stage, &*console, EVERYTHING, MANY).await;
    let follow = before.last().map_or(EVERYTHING, |line| Begin::Behind(line.position.clone()));
    console.tell(id, "say hello").await.expect("a command");
    let said = async |word: &str| {
        let lines = read(stage, &*console, follow.clone(), MANY).await;
        lines.into_iter().filter(|line| line.text == word).count()
    };
    wait::until(PATIENCE, "an answer", async || (said("hello").await > 0).then_some(())).await;
    // An answer to the next command shows that no second one of the first is on its way.
    console.tell(id, "say bye").await.expect("a command");
    wait::until(PATIENCE, "an answer", async || (said("bye").await > 0).then_some(())).await;
    assert_eq!(said("hello").await, 1);
    assert_eq!(server.stop(&*host, 2).await, Ok(Reached::Stopped));
    assert_eq!(console.tell(id, "say late").await, Err(ConsoleError::NotRunning));
    let is_kept = host.abilities().has(Ability::PastConsole);
    assert!(!is_kept || said("hello").await == 1, "the lines of the last run are gone");
}

/// Reads on from a place until there is nothing more, at most `limit` lines at a time.
async fn read(stage: &dyn Stage, console: &dyn Console, mut begin: Begin, limit: u32) -> Vec<Line> {
    let mut lines = vec![];
    loop {
        let piece = console.lines(stage.server(), &begin, limit).await.expect("a console");
        assert!(piece.lines.len() <= limit as usize, "more lines than wanted");
        lines.extend(piece.lines);
        if !piece.more {
            return lines;
        }
        begin = Begin::Behind(piece.end);
    }
}
