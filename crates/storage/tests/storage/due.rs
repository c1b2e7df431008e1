//! Operations that wait for a worker.

use std::time::Duration;

use agis_servers::{Action, store::LeaseStore};
use agis_test_support::wait;

use crate::scene::{Scene, number, queue};

const SOON: Duration = Duration::from_secs(30);

#[tokio::test]
async fn the_turn_goes_round_the_owners() {
    let Scene { sql, db: store, .. } = &Scene::start().await;
    queue(sql, "there", 1..=3, 3).await;
    queue(sql, "elsewhere", 4..=4, 3).await;
    let turns = async |actions: &[Action], limit| {
        let due = store.due("there", actions, limit).await.expect("what waits");
        due.iter().map(|due| due.owner.to_string()).collect::<Vec<_>>().join("")
    };
    assert_eq!(turns(&[Action::Start, Action::Restart], 100).await, "123123123");
    assert_eq!(turns(&[Action::Start], 4).await, "1231");
    assert_eq!(turns(&[Action::Stop, Action::Delete], 100).await, "");

    // A postponed operation waits; one that lost its worker does not.
    sql.batch_execute(
        "update operations set available_at = now() + interval '1 hour' where server_id in
             (select id from game_servers where discord_id = '1');
         update operations set state = 'running', lease_until = now() - interval '1 second' where server_id in
             (select id from game_servers where discord_id = '2');
         update operations set state = 'running', lease_until = now() + interval '1 hour' where server_id in
             (select min(id) from game_servers where discord_id = '3')",
    )
    .await
    .expect("other times");
    assert_eq!(turns(&[Action::Start], 100).await, "32322");
}

/// Half a million ended operations, and nobody has told the planner of them.
#[tokio::test]
async fn due_operations_need_no_scan_of_history() {
    let Scene { sql, db: store, .. } = &Scene::start().await;
    queue(sql, "there", 1..=10, 10).await;
    sql.batch_execute(
        "insert into operations (id, server_id, action, state, origin, actor, generation, finished_at)
         select gen_random_uuid(), (select min(id) from game_servers), 'start', 'succeeded', 'rest', '1', 1, now()
         from generate_series(1, 100000)",
    )
    .await
    .expect("a history");
    let read = "select coalesce(sum(seq_tup_read), 0)::int8 from pg_stat_user_tables where relname in ('operations', 'game_servers')";
    let before = number(sql, read).await;
    for _ in 0..3 {
        assert_eq!(store.due("there", &[Action::Start], 50).await.expect("what waits").len(), 50);
    }
    // PostgreSQL reports another connection's reads a moment later.
    let idle = "select count(*) from pg_stat_user_tables where relname = 'operations' and idx_scan > 0";
    wait::until(SOON, "statistics", async || (number(sql, idle).await > 0).then_some(())).await;
    let after = number(sql, read).await;
    assert!(after - before < 100_000, "{} rows were read one after the other", after - before);
}
