//! Requests to consoles of hosts that the asking process does not reach.

use agis_base::{CommandId, ServerId};
use agis_servers::console::{
    Begin, Dispatch, Piece, Position, Way,
    relay::{ConsoleAnswer, ConsoleRequest, RelayStore},
};
use uuid::Uuid;

use crate::scene::Scene;

const SERVER: ServerId = ServerId(7);

fn request() -> ConsoleRequest {
    ConsoleRequest::Lines { begin: Begin::Recent { tail: Some(3), since: None }, limit: 3 }
}

async fn scene() -> Scene {
    let scene = Scene::start().await;
    let host = "insert into hosts (name, kind, report) values ('here', 'process', '{}')";
    scene.sql.execute(host, &[]).await.expect("a host");
    scene
}

#[tokio::test]
async fn request_is_taken_once_and_answered_once() {
    let Scene { db, .. } = &scene().await;
    let id = Uuid::now_v7();
    assert!(!db.ask(id, "elsewhere", SERVER, &request()).await.expect("an answer"), "nobody serves it");
    assert!(db.ask(id, "here", SERVER, &request()).await.expect("stored"));
    assert_eq!(db.take("elsewhere", 9).await.expect("requests"), []);
    let (one, other) = tokio::join!(db.take("here", 9), db.take("here", 9));
    let taken = [one.expect("requests"), other.expect("requests")].concat();
    let [taken] = taken.as_slice() else { panic!("{taken:?}") };
    assert_eq!((taken.id, taken.server, &taken.request), (id, SERVER, &request()));
    assert_eq!(db.answered(id).await.expect("an answer"), None);
    let piece = Piece { lines: vec![], end: Position::new("1-2"), more: false, lost: true };
    let answer = ConsoleAnswer::Lines(piece);
    db.answer(id, &answer).await.expect("stored");
    assert_eq!(db.answered(id).await.expect("an answer"), Some(answer));
    assert_eq!(db.answered(id).await.expect("an answer"), None, "it is forgotten");
}

#[tokio::test]
async fn request_that_nobody_waits_for_is_never_begun() {
    let Scene { db, sql, .. } = &scene().await;
    let command =
        ConsoleRequest::Send(Dispatch { command: CommandId::new(), way: Way::Console, line: "stop".to_owned() });
    let ids = [Uuid::now_v7(), Uuid::now_v7(), Uuid::now_v7()];
    for id in ids {
        assert!(db.ask(id, "here", SERVER, &command).await.expect("stored"));
    }
    assert!(db.give_up(ids[0]).await.expect("given up"), "nobody has begun");
    let older = "update console_requests set asked_at = asked_at - interval '6 seconds' where id = $1::text::uuid";
    sql.execute(older, &[&ids[1].to_string()]).await.expect("an old request");
    let taken = db.take("here", 9).await.expect("requests");
    assert_eq!(taken.iter().map(|it| it.id).collect::<Vec<_>>(), [ids[2]]);
    assert!(!db.give_up(ids[2]).await.expect("given up"), "somebody has begun");
    sql.execute("update console_requests set asked_at = asked_at - interval '1 hour'", &[]).await.expect("old ones");
    db.forget_requests().await.expect("forgotten");
    let left = sql.query_one("select count(*) from console_requests", &[]).await.expect("a count");
    assert_eq!(left.get::<_, i64>(0), 0);
}
