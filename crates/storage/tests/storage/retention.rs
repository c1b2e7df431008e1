//! Rows that nobody needs any more go.

use std::time::Duration;

use agis_apikeys::KeyStore;
use agis_servers::{
    Status,
    store::{CountStore, RetentionStore, ShareStore},
};
use tokio_postgres::Client;

use crate::scene::Scene;

const DAY: Duration = Duration::from_secs(24 * 3600);

async fn count(sql: &Client, from: &str) -> i64 {
    sql.query_one(&format!("select count(*) from {from}"), &[]).await.expect("a count").get(0)
}

#[tokio::test]
async fn deleted_servers_leave_only_the_ledger() {
    let Scene { sql, db, .. } = &Scene::start().await;
    sql.batch_execute(
        "insert into game_servers (id, discord_id, name, game_type, host, desired, deleted_at)
             select 10 + n, discord_id, 's' || n, 'demo', 'here', 'deleted', now() - '60 days'::interval - n * '10 days'::interval
             from users, generate_series(1, 5) n;
         insert into game_servers (id, discord_id, name, game_type, host) select 10, discord_id, 'live', 'demo', 'here' from users;
         insert into operations (id, server_id, action, state, origin, actor, generation, finished_at)
             select gen_random_uuid(), id, 'stop', 'succeeded', 'rest', '1', 1, now() from game_servers;
         insert into server_schedules (id, server_id, discord_id, action, cron_expression, timezone, enabled, next_run)
             select id, id, discord_id, 'start', '0 8 * * *', 'UTC', false, null from game_servers;
         insert into schedule_runs (schedule_id, slot, action, state, finished_at)
             select id, now(), 'start', 'succeeded', now() from server_schedules;
         insert into server_shares (server_id, kind, grantee_id, permissions, granted_by)
             select id, 'member', '2', '{read}', '1' from game_servers;
         insert into credit_ledger (discord_id, amount, balance, kind, server_id, game_type, hour)
             select discord_id, -1, 99, 'charge', id, 'demo', now() from game_servers;",
    )
    .await
    .expect("servers");
    // They were deleted 70 to 110 days ago: three are old enough, of which two may go at once.
    db.forget_servers(85 * DAY, 2).await.expect("forgotten");
    let left = "game_servers where deleted_at is not null";
    assert_eq!(count(sql, left).await, 3);
    assert_eq!(count(sql, "game_servers where id in (14, 15)").await, 0, "the oldest go first");
    db.forget_servers(85 * DAY, 2).await.expect("forgotten");
    assert_eq!(count(sql, left).await, 2);
    for table in ["operations", "server_schedules", "schedule_runs", "server_shares"] {
        assert_eq!(count(sql, table).await, 3, "{table}");
    }
    assert_eq!(count(sql, "credit_ledger where kind = 'charge'").await, 6);
}

#[tokio::test]
async fn unseen_members_roles_are_forgotten() {
    let Scene { sql, db, .. } = &Scene::start().await;
    sql.batch_execute(
        "insert into member_roles (discord_id, guild_id, roles, seen_at)
             select n::text, '7', '{7}', now() - n * '10 days'::interval from generate_series(1, 5) n",
    )
    .await
    .expect("members");
    db.forget_roles(25 * DAY, 2).await.expect("forgotten");
    assert_eq!(count(sql, "member_roles where discord_id in ('1', '2', '3')").await, 3);
    db.forget_roles(25 * DAY, 2).await.expect("forgotten");
    assert_eq!(count(sql, "member_roles").await, 2);
}

#[tokio::test]
async fn counting_servers_reads_no_deleted_ones() {
    let Scene { sql, db, .. } = &Scene::start().await;
    sql.batch_execute(
        "insert into game_servers (discord_id, name, game_type, host, desired, deleted_at)
             select discord_id, 's' || n, 'demo', 'here', 'deleted', now() from users, generate_series(1, 20000) n;
         insert into game_servers (discord_id, name, game_type, host)
             select discord_id, 'live ' || n, 'demo', 'here' from users, generate_series(1, 20) n;
         analyze game_servers",
    )
    .await
    .expect("servers");
    let query = "explain select host, status, count(*) from game_servers
                 where host is not null and deleted_at is null group by host, status";
    let plan: Vec<String> = sql.query(query, &[]).await.expect("a plan").iter().map(|row| row.get(0)).collect();
    assert!(plan.iter().any(|line| line.contains("idx_game_servers_")), "{plan:#?}");

    let counted = db.by_host_and_status().await.expect("counted");
    assert_eq!(counted, [("here".to_owned(), Status::Stopped, 20)]);
}

#[tokio::test]
async fn long_ended_keys_are_forgotten() {
    let Scene { sql, db, .. } = &Scene::start().await;
    sql.batch_execute(
        "insert into api_keys (id, key_hash, discord_id, name, scopes, expires_at, bucket, maker_buckets, maker_limits)
             select 100 + n, 'ended ' || n, discord_id, 'k', '{*}', now() - n * '10 days'::interval, null, '{}', '{}'
             from users, generate_series(1, 6) n;
         insert into api_keys (id, key_hash, discord_id, name, scopes, expires_at, bucket, maker_buckets, maker_limits)
             select 200, 'heir', discord_id, 'k', '{*}', null, 105, '{106}', '{7}' from users;
         update api_keys set replaced_by = 106 where id = 101;
         update api_keys set replaced_by = 200 where id = 105;",
    )
    .await
    .expect("keys");
    // The keys ended 10 to 60 days ago: four are old enough, of which two may go at once.
    let ids = async || {
        let row = sql.query_one("select string_agg(id::text, ' ' order by id) from api_keys where id > 100", &[]).await;
        row.expect("ids").get::<_, String>(0)
    };
    db.forget_ended(25 * DAY, 2).await.expect("forgotten");
    assert_eq!(ids().await, "101 102 103 104 200", "the oldest go first");
    db.forget_ended(25 * DAY, 100).await.expect("forgotten");
    assert_eq!(ids().await, "101 102 200");
    let left =
        "api_keys where id = 101 and replaced_by is null or id = 200 and bucket = 105 and maker_buckets = '{106}'";
    assert_eq!(count(sql, left).await, 2, "a bucket outlives its key");
    sql.batch_execute(
        "insert into api_keys (id, key_hash, discord_id, name, scopes, expires_at)
             select 1000 + n, 'more ' || n, discord_id, 'k', '{*}', now() - n * '1 second'::interval from users, generate_series(1, 5000) n;
         analyze api_keys",
    )
    .await
    .expect("keys");
    let query = "explain select id from api_keys where expires_at < now() - interval '30 days'
                 order by expires_at limit 100 for update skip locked";
    let plan: Vec<String> = sql.query(query, &[]).await.expect("a plan").iter().map(|row| row.get(0)).collect();
    assert!(plan.iter().any(|line| line.contains("idx_api_keys_expires_at")), "{plan:#?}");
}
