//! Players on servers: who may ask when, and which answers count.

use std::sync::Arc;

use agis_base::ServerId;
use agis_servers::{
    players::Players,
    store::{Counted, PlayerStore, Probe},
};
use agis_storage::Db;
use futures_util::future::join_all;
use tokio_postgres::Client;

use crate::scene::{Scene, number, queue};

const EVERY: u32 = 1000;

/// Makes so many servers that run.
async fn running(sql: &Client, servers: i32) {
    queue(sql, "there", 1..=1, servers).await;
    let run = "update game_servers set status = 'running', status_generation = 1, address = 'here', port = 7";
    sql.batch_execute(run).await.expect("running servers");
}

async fn claim(db: &Db, per_second: u32) -> Vec<Probe> {
    db.claim_probes("there", &["demo".to_owned()], per_second).await.expect("claims")
}

/// Lets this time pass for every claim.
async fn pass(sql: &Client, seconds: u32) {
    let earlier = format!("update server_players set claimed_at = claimed_at - interval '{seconds} s'");
    sql.batch_execute(&earlier).await.expect("time passes");
}

fn answer(probe: &Probe, online: u32) -> Counted {
    let players = Players::new(online, Some(8), Some(vec!["Ann \\ \"quoted\"".to_owned()]));
    Counted { server: probe.server, at: probe.at, generation: probe.generation, players }
}

async fn online(db: &Db, server: ServerId) -> Option<u32> {
    db.players(&[server]).await.expect("players").get(&server).map(|it| it.players.online)
}

#[tokio::test]
async fn each_server_is_asked_once_in_an_interval() {
    let Scene { sql, db, .. } = &Scene::start().await;
    running(sql, 3).await;
    assert_eq!(claim(db, EVERY).await.len(), 3);
    assert!(claim(db, EVERY).await.is_empty(), "asked a moment ago");
    pass(sql, 14).await;
    assert!(claim(db, EVERY).await.is_empty(), "asked 14 s ago");
    pass(sql, 1).await;
    sql.batch_execute("update game_servers set status = 'stopping' where id = (select min(id) from game_servers)")
        .await
        .expect("a stop");
    assert_eq!(claim(db, EVERY).await.len(), 2, "only servers that run");
    pass(sql, 15).await;
    assert!(db.claim_probes("elsewhere", &["demo".to_owned()], EVERY).await.expect("claims").is_empty());
    assert!(db.claim_probes("there", &["other".to_owned()], EVERY).await.expect("claims").is_empty());
}

#[tokio::test]
async fn all_processes_share_one_limit() {
    let Scene { sql, db, .. } = &Scene::start().await;
    running(sql, 50).await;
    // A prober that finds another at it claims nothing, and comes back a second later.
    let claimed = join_all((0..8).map(|_| claim(db, 10))).await;
    let mut servers: Vec<_> = claimed.iter().flatten().map(|probe| probe.server).collect();
    servers.sort();
    servers.dedup();
    assert_eq!((servers.len(), claimed.iter().flatten().count()), (10, 10));
    assert!(claim(db, 10).await.is_empty(), "within the second");
    assert_eq!(claim(db, 15).await.len(), 5, "the rest of a larger limit");
    pass(sql, 1).await;
    let next = claim(db, 10).await;
    assert!(next.len() == 10 && next.iter().all(|probe| !servers.contains(&probe.server)), "the unasked first");
    assert_eq!(number(sql, "select count(*) from server_players").await, 25);
}

#[tokio::test]
async fn only_the_latest_claim_of_a_run_counts() {
    let Scene { sql, db, .. } = &Scene::start().await;
    running(sql, 1).await;
    let first = claim(db, EVERY).await.pop().expect("a claim");
    assert_eq!(online(db, first.server).await, None, "nobody has answered");
    pass(sql, 15).await;
    let late = Counted { at: first.at - std::time::Duration::from_secs(15), ..answer(&first, 7) };
    db.store_players(&[late]).await.expect("stored");
    assert_eq!(online(db, first.server).await, Some(7));

    pass(sql, 15).await;
    let second = claim(db, EVERY).await.pop().expect("another claim");
    db.store_players(&[answer(&first, 9)]).await.expect("left out");
    db.store_players(&[answer(&second, 2)]).await.expect("stored");
    let measured = db.players(&[first.server]).await.expect("players").remove(&first.server).expect("known");
    assert_eq!((measured.players, measured.at), (answer(&second, 2).players, second.at));
    assert_eq!(db.players_by_game().await.expect("sums"), [("demo".to_owned(), 2)]);

    // The next run has not answered yet, and a stopped one never does.
    sql.batch_execute("update game_servers set status_generation = 2").await.expect("a restart");
    assert_eq!(online(db, first.server).await, None);
    sql.batch_execute("update game_servers set status_generation = 1, status = 'stopped'").await.expect("a stop");
    assert_eq!(online(db, first.server).await, None);
    assert!(db.players_by_game().await.expect("sums").is_empty());
}

#[tokio::test]
async fn old_count_is_unknown() {
    let Scene { sql, db, .. } = &Scene::start().await;
    running(sql, 1).await;
    let probe = claim(db, EVERY).await.pop().expect("a claim");
    let unnamed = Counted { players: Players::new(0, None, None), ..answer(&probe, 0) };
    db.store_players(std::slice::from_ref(&unnamed)).await.expect("stored");
    let measured = db.players(&[probe.server]).await.expect("players").remove(&probe.server).expect("known");
    assert_eq!(measured.players, unnamed.players, "zero is known");
    for (age, expected) in [(59, Some(0)), (61, None)] {
        let older = format!("update server_players set measured_at = now() - interval '{age} s'");
        sql.batch_execute(&older).await.expect("time passes");
        assert_eq!(online(db, probe.server).await, expected, "{age} s");
    }
}

#[tokio::test]
async fn players_go_with_their_server() {
    let Scene { sql, db, .. } = &Scene::start().await;
    let db: &Arc<Db> = db;
    running(sql, 1).await;
    let probe = claim(db, EVERY).await.pop().expect("a claim");
    sql.batch_execute("delete from operations; delete from game_servers").await.expect("forgotten");
    db.store_players(&[answer(&probe, 1)]).await.expect("nothing to store");
    assert_eq!(number(sql, "select count(*) from server_players").await, 0);
}

#[tokio::test]
async fn clock_that_goes_back_leaves_no_count_fresh() {
    let Scene { sql, db, .. } = &Scene::start().await;
    running(sql, 1).await;
    let probe = claim(db, EVERY).await.pop().expect("a claim");
    db.store_players(&[answer(&probe, 0)]).await.expect("stored");
    assert_eq!(online(db, probe.server).await, Some(0));
    // As the rows look to a clock that was set back.
    let earlier =
        "update server_players set claimed_at = now() + interval '1 hour', measured_at = now() + interval '1 hour'";
    sql.batch_execute(earlier).await.expect("another clock");
    assert_eq!(online(db, probe.server).await, None, "nobody knows how old it is");
    assert!(db.players_by_game().await.expect("sums").is_empty());
    assert_eq!(claim(db, 1).await.len(), 1, "the game is asked again");
}

#[tokio::test]
async fn run_begins_with_the_first_operation_of_its_generation() {
    let Scene { sql, db, .. } = &Scene::start().await;
    running(sql, 1).await;
    sql.batch_execute(
        "update operations set state = 'succeeded', finished_at = now() - interval '1 hour';
         insert into operations (id, server_id, action, origin, actor, generation, state, finished_at)
         select gen_random_uuid(), server_id, 'start', 'rest', '1', 1, 'succeeded', now() from operations",
    )
    .await
    .expect("a start of a server that runs");
    let probe = claim(db, EVERY).await.pop().expect("a claim");
    let ready = probe.ready_at.expect("a time");
    assert!(probe.at - ready > chrono::TimeDelta::minutes(59), "players came before {ready}");
}
