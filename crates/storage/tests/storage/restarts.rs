//! Restarts of servers that ended by themselves: which are ordered when.

use agis_base::ServerId;
use agis_servers::store::{Billing, RestartStore, Restarted};
use agis_storage::Db;
use tokio_postgres::Client;

use crate::scene::{Scene, number, queue};

const HOST: &str = "there";

/// Makes so many servers that crashed, and whose restart is due.
async fn crashed(sql: &Client, servers: i32) {
    queue(sql, HOST, 1..=1, servers).await;
    sql.batch_execute(
        "delete from operations;
         update game_servers set status = 'crashed', status_generation = 1, restart_generation = 1, restart_max = 5,
                restart_at = now()",
    )
    .await
    .expect("crashed servers");
}

/// Makes each restart that is due the order of the supervisor, and returns the servers.
async fn round(db: &Db, at_once: u32) -> Vec<ServerId> {
    let Restarted { accepted, .. } = db.restart(HOST, at_once, Billing::Off).await.expect("a round");
    accepted.answers.into_iter().map(|answer| answer.expect("accepted").server).collect()
}

#[tokio::test]
async fn restart_that_its_host_put_off_holds_up_no_other() {
    let Scene { sql, db, .. } = &Scene::start().await;
    crashed(sql, 5).await;
    let first = round(db, 2).await;
    assert_eq!((first.len(), round(db, 2).await.len()), (2, 0), "two at a time");
    // The fleet of these two has no room, and nobody knows when it will have some.
    sql.batch_execute("update operations set available_at = now() + interval '30 s'").await.expect("put off");
    let second = round(db, 2).await;
    assert!(second.len() == 2 && second.iter().all(|server| !first.contains(server)), "{second:?}");
    // A second attempt of one of them is made, and counts.
    sql.batch_execute(
        "update operations set state = 'succeeded', finished_at = now() where available_at <= now();
         update operations set state = 'running', lease_until = now() + interval '1 min' where id = (select min(id::text)::uuid from operations where state = 'queued')",
    )
    .await
    .expect("an attempt");
    assert_eq!(round(db, 1).await.len(), 0);
    assert_eq!(round(db, 2).await.len(), 1);
}

#[tokio::test]
async fn clock_that_goes_back_delays_no_restart() {
    let Scene { sql, db, .. } = &Scene::start().await;
    crashed(sql, 1).await;
    let at = async |wait: &str| {
        let planned = format!("update game_servers set restart_at = now() + interval '{wait}'");
        sql.batch_execute(&planned).await.expect("a plan");
    };
    at("74 s").await;
    assert_eq!(round(db, 2).await.len(), 0, "the longest wait");
    at("1 hour").await;
    assert_eq!(round(db, 2).await.len(), 1, "nobody planned that");
    assert_eq!(number(sql, "select count(*) from game_servers where restart_at is not null").await, 0);
}
