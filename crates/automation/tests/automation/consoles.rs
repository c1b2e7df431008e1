//! Consoles answer processes that do not reach their host.

use std::{future::pending, sync::Arc, time::Duration};

use agis_automation::Consoles;
use agis_base::{ServerId, UserId};
use agis_servers::{
    Origin,
    console::{
        Begin, CommandError, Console, ConsoleError, Line, Piece, Position, WantsAnswer,
        relay::{ConsoleAnswer, ConsoleRequest, Relay, RelayStore},
    },
    store::Billing,
};
use agis_storage::Db;
use agis_test_support::wait;
use async_trait::async_trait;
use tokio::sync::watch;
use uuid::Uuid;

use crate::scene::{Scene, queue, servers, servers_of};

const SOON: Duration = Duration::from_secs(60);
const HANGS: ServerId = ServerId(7);

/// A console of one long line, of which one server's never answers.
struct Hoarse;

#[async_trait]
impl Console for Hoarse {
    fn host(&self) -> &str {
        "there"
    }

    async fn lines(&self, server: ServerId, _: &Begin, limit: u32) -> Result<Piece, ConsoleError> {
        if server == HANGS {
            pending::<()>().await;
        }
        let line = |_| Line { at: Default::default(), text: "é".repeat(5000), position: Position::new("1-1") };
        Ok(Piece { lines: (0..limit).map(line).collect(), end: Position::new("1-2"), more: false, lost: false })
    }

    async fn tell(&self, _: ServerId, _: &str) -> Result<(), ConsoleError> {
        Err(ConsoleError::NotRunning)
    }
}

async fn scene() -> Scene {
    let scene = Scene::start().await;
    let host = "insert into hosts (name, kind, report) values ('there', 'process', '{}')";
    scene.sql.execute(host, &[]).await.expect("a host");
    scene
}

fn hoarse(db: &Arc<Db>) -> Consoles {
    let dispatcher = servers_of(db, Billing::Off, vec![Arc::new(Hoarse)]).dispatcher().clone();
    Consoles::new(db.clone(), Arc::new(Hoarse), dispatcher)
}

fn read() -> ConsoleRequest {
    ConsoleRequest::Lines { begin: Begin::Recent { tail: None, since: None }, limit: 100_000 }
}

#[tokio::test]
async fn console_that_hangs_holds_up_no_other() {
    let Scene { db, .. } = &scene().await;
    let (hanging, other) = (Uuid::now_v7(), Uuid::now_v7());
    for (id, server) in [(hanging, HANGS), (other, ServerId(8))] {
        assert!(db.ask(id, "there", server, &read()).await.expect("stored"));
    }
    let consoles = hoarse(db);
    assert_eq!(consoles.round().await.expect("a round"), None, "there are places left");
    let answer = wait::until(SOON, "an answer", async || db.answered(other).await.expect("an answer")).await;
    let ConsoleAnswer::Lines(piece) = answer else { panic!("{answer:?}") };
    assert_eq!((piece.lines.len(), piece.lines[0].text.chars().count()), (100, 1000), "an answer has a bound");
    assert_eq!(db.answered(hanging).await.expect("an answer"), None);
}

#[tokio::test]
async fn refusal_of_a_console_reaches_the_one_who_asked() {
    let Scene { db, sql, .. } = &scene().await;
    queue(sql, "there", 1..=1, 1).await;
    let owner = UserId::from_stored("1");
    let id: i32 = sql.query_one("select id from game_servers", &[]).await.expect("a server").get(0);
    // Nobody rings: both sides look by themselves.
    let (_bell, rings) = watch::channel(());
    let servers = servers(db, Billing::Off).with_relay(Relay::new(db.clone(), rings));
    let consoles = hoarse(db);
    let answering = async {
        loop {
            consoles.round().await.expect("a round");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let told = async {
        let command =
            servers.command(&owner, ServerId(id), Origin::Rest, "say hi", WantsAnswer::No).await.expect("a command");
        command.send().await
    };
    tokio::select! {
        () = answering => {}
        told = told => assert!(matches!(told, Err(CommandError::Console(ConsoleError::NotRunning)))),
    }
}
