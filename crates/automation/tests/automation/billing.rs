//! Servers that run are paid for.

use std::sync::Arc;

use agis_automation::Biller;
use agis_servers::store::Billing;
use agis_storage::Db;
use tokio_postgres::{Client, types::FromSql};

use crate::scene::{Scene, servers};

/// Has everybody asked for what they owe, until nobody owes more.
async fn bill(db: &Arc<Db>) {
    let mut biller = Biller::new(db.clone(), servers(db, Billing::On));
    while biller.round().await.expect("a round").is_some() {}
}

async fn one<T: for<'a> FromSql<'a>>(sql: &Client, query: &str) -> T {
    sql.query_one(query, &[]).await.expect("a row").get(0)
}

/// Every balance is what its lines add up to, and what the last of them says.
async fn sums_agree(sql: &Client) {
    let disagree: i64 = one(sql, include_str!("../../../storage/tests/storage/accounts_that_disagree.sql")).await;
    assert_eq!(disagree, 0, "accounts disagree with their lines");
}

/// A server of a host that nobody serves, with this `paid_until` and `confirmed_until` in SQL. Its owner has a hundred
/// credits, and an hour costs one.
async fn unserved(sql: &Client, owner: &str, paid_until: &str, confirmed_until: &str) -> i32 {
    let fill = format!(
        "insert into users (discord_id, credits) values ('{owner}', 100) on conflict do nothing;
         insert into credit_ledger (discord_id, amount, balance, kind)
             select '{owner}', 100, 100, 'opening'
             where not exists (select from credit_ledger where discord_id = '{owner}');
         update billing set free_until = now() - interval '20 days';"
    );
    sql.batch_execute(&fill).await.expect("an owner");
    let insert = format!(
        "insert into game_servers
             (discord_id, name, game_type, status, desired, host, cost_per_hour, paid_until, confirmed_until)
         values ('{owner}', '{owner}', 'demo', 'running', 'running', 'elsewhere', 1, {paid_until}, {confirmed_until})
         returning id"
    );
    one(sql, &insert).await
}

async fn hours(sql: &Client, server: i32) -> i64 {
    one(sql, &format!("select count(*) from credit_ledger where kind = 'charge' and server_id = {server}")).await
}

#[tokio::test]
async fn unchargeable_account_blocks_no_other() {
    let Scene { sql, db, .. } = &Scene::start().await;
    // The hour that the first of them owes stands in the ledger already, which cannot be. One batch has one now().
    sql.batch_execute(
        "insert into users (discord_id, credits) select n, 100 from unnest('{u1,u2}'::text[]) n;
         insert into credit_ledger (discord_id, amount, balance, kind) select n, 100, 100, 'opening' from unnest('{u1,u2}'::text[]) n;
         insert into game_servers
             (id, discord_id, name, game_type, status, desired, host, cost_per_hour, confirmed_until, paid_until)
             select right(n, 1)::int, n, n, 'demo', 'running', 'running', 'elsewhere', 1, now(),
                    date_trunc('hour', now()) - interval '1 hour'
             from unnest('{u1,u2}'::text[]) n;
         update billing set free_until = date_trunc('hour', now()) - interval '2 hours';
         insert into credit_ledger (discord_id, amount, balance, kind, server_id, game_type, hour)
             values ('u1', -1, 99, 'charge', 1, 'demo', date_trunc('hour', now()) - interval '1 hour');",
    )
    .await
    .expect("filled");
    bill(db).await;
    assert!(one::<bool>(sql, "select credits < 100 from users where discord_id = 'u2'").await, "the other pays");
    assert_eq!(one::<i64>(sql, "select count(*) from credit_ledger where discord_id = 'u1'").await, 2);
}

#[tokio::test]
async fn unconfirmed_hours_are_not_charged() {
    let Scene { sql, db, .. } = &Scene::start().await;
    let h = |hours: &str| format!("now() - interval '{hours} hours'");
    let unseen = unserved(sql, "u1", "null", "null").await;
    let lost = unserved(sql, "u2", &h("3"), &h("3.1")).await;
    // Seen until the middle of the third of the hours that passed.
    let half = unserved(sql, "u3", &h("5"), &h("2.5")).await;
    let seen = unserved(sql, "u4", &h("5"), "now()").await;
    let first = unserved(sql, "u5", "null", &h("7")).await;
    bill(db).await;
    assert!(
        one::<bool>(sql, &format!("select paid_until > now() from game_servers where id = {seen}")).await,
        "a server that was seen pays"
    );
    bill(db).await;
    let charged = [unseen, lost, half, seen, first];
    let mut all = vec![];
    for server in charged {
        all.push(hours(sql, server).await);
    }
    assert_eq!(all, [0, 0, 3, 6, 1]);
    let beyond = "select count(*) from credit_ledger l join game_servers s on s.id = l.server_id
                  where l.hour > s.confirmed_until";
    assert_eq!(one::<i64>(sql, beyond).await, 0);
    sums_agree(sql).await;
}

#[tokio::test]
async fn stop_of_an_unpaid_server_is_queued_once() {
    let Scene { sql, db, .. } = &Scene::start().await;
    let server = unserved(sql, "u1", "now()", "now()").await;
    sql.batch_execute(
        "update game_servers set cost_per_hour = 500, warned_at = now() - interval '1 hour', updated_at = now()
         where discord_id = 'u1'",
    )
    .await
    .expect("too dear");
    bill(db).await;
    let stops = format!("select count(*) from operations where server_id = {server} and action = 'stop'");
    assert!(one::<bool>(sql, &format!("select ({stops}) = 1")).await, "the stop");
    for _ in 0..2 {
        // The host may still confirm that it runs, for nobody can stop it there.
        let due = "update game_servers set paid_until = now(), confirmed_until = now() where discord_id = 'u1'";
        sql.batch_execute(due).await.expect("due");
        bill(db).await;
    }
    assert_eq!(one::<i64>(sql, &stops).await, 1);
    assert_eq!(hours(sql, server).await, 0);
}
