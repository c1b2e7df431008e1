//! Who pays for what runs.

use std::{sync::Arc, time::Duration};

use agis_accounts::{
    LedgerStore,
    ledger::{Entered, Entry},
};
use agis_base::UserId;
use agis_storage::{Db, DbConfig};
use agis_test_support::wait;
use serde_json::json;
use tokio_postgres::Client;

use crate::common::{Api, OWNER, SOON, Stack};

const ON: [(&str, &str); 1] = [("BILLING", "on")];
/// For a hundred thousand charges on a busy machine.
const LONG: Duration = Duration::from_secs(180);

/// A server that costs this an hour, and its id.
async fn priced(api: &Api, sql: &Client, price: i32) -> i64 {
    let id = api.server("priced", "demo").await;
    let set = "update game_servers set cost_per_hour = $2 where id = $1";
    sql.execute(set, &[&i32::try_from(id).expect("an id"), &price]).await.expect("priced");
    id
}

async fn one<T: for<'a> tokio_postgres::types::FromSql<'a>>(sql: &Client, query: &str) -> T {
    sql.query_one(query, &[]).await.expect("a row").get(0)
}

async fn until(sql: &Client, what: &str, query: &str) {
    wait::until(LONG, what, async || one::<bool>(sql, query).await.then_some(())).await;
}

/// Every balance is what its lines add up to, and what the last of them says.
async fn sums_agree(sql: &Client) {
    let disagree: i64 = one(
        sql,
        "select count(*) from users u where u.credits <>
             (select coalesce(sum(amount), 0) from credit_ledger l where l.discord_id = u.discord_id)
           or u.credits <> coalesce((select balance from credit_ledger l where l.discord_id = u.discord_id
                                     order by id desc limit 1), 0)",
    )
    .await;
    assert_eq!(disagree, 0, "accounts disagree with their lines");
}

#[tokio::test]
async fn nothing_is_charged_and_nothing_refused_unless_an_operator_says_so() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    let sql = stack.sql().await;
    let id = priced(&api, &sql, 130).await;
    api.act(id, "start").await;
    assert_eq!(one::<i64>(&sql, "select count(*) from credit_ledger where kind <> 'welcome'").await, 0);
    assert_eq!(api.get("/api/v1/users/me").await.expect(200)["credits"], 100);
    sums_agree(&sql).await;
}

#[tokio::test]
async fn who_cannot_pay_the_first_hour_is_refused_until_an_operator_grants_it() {
    let stack = Stack::start().await;
    let api = stack.api(&ON).await;
    let sql = stack.sql().await;
    let id = priced(&api, &sql, 130).await;
    for action in ["start", "restart"] {
        let refused = api.call("POST", &format!("/api/v1/servers/{id}/{action}"), None).await.expect(402);
        assert_eq!(refused["code"], "insufficient_credits");
        assert!(refused["detail"].as_str().is_some_and(|why| why.contains("130 credits")), "{refused}");
    }
    let grant = |amount: &str, reason: &str| {
        stack.output(&[], &["credits", "grant", "--user", OWNER, "--amount", amount, "--reason", reason])
    };
    assert_eq!(stack.command(&["credits", "grant", "--user", OWNER, "--amount", "100", "--reason", "a prize"]), "200");
    for (amount, reason) in [("0", "x"), ("-5", "x"), ("5", " "), ("2147483647", "x"), ("1000000000", "a\nb")] {
        assert!(!grant(amount, reason).status.success(), "{amount} {reason:?}");
    }
    let unknown = stack.output(&[], &["credits", "grant", "--user", "777", "--amount", "5", "--reason", "x"]);
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("no such user"));
    // The same order twice, and what was wrong of it taken back.
    let entry = |command: &str, amount: &str, id: &str| {
        let args = ["credits", command, "--user", OWNER, "--amount", amount, "--reason", "an order", "--id", id];
        let output = stack.output(&[], &args);
        String::from_utf8_lossy(if output.status.success() { &output.stdout } else { &output.stderr }).trim().to_owned()
    };
    for _ in 0..2 {
        assert_eq!(entry("grant", "70", "order 1"), "270");
    }
    for (command, amount) in [("grant", "71"), ("correct", "70")] {
        assert!(entry(command, amount, "order 1").contains("the id of something else"), "{command} {amount}");
    }
    assert!(entry("correct", "-271", "all").contains("they have 270"));
    assert!(entry("correct", "0", "none").contains("correct nothing"));
    for _ in 0..2 {
        assert_eq!(entry("correct", "-70", "order 1, back"), "200");
    }

    api.act(id, "start").await;
    wait::until(SOON, "the first hour to be paid", async || {
        (api.get("/api/v1/users/me").await.expect(200)["credits"] == 70).then_some(())
    })
    .await;
    // What runs is not refused what it has paid for.
    api.act(id, "restart").await;
    let stats = api.get("/api/v1/users/me/stats").await.expect(200);
    assert_eq!((&stats["credits_earned"], &stats["credits_spent"]), (&json!(200), &json!(130)));
    assert_eq!(one::<i64>(&sql, "select count(*) from credit_ledger where kind = 'charge'").await, 1);
    assert_eq!(
        one::<String>(&sql, "select reason from credit_ledger where kind = 'grant' order by id limit 1").await,
        "a prize"
    );
    sums_agree(&sql).await;
    // What dashboards show is what the ledger says.
    for (sample, expected) in [
        ("agis_bot_credits_given{kind=\"grant\"}", 170.0),
        ("agis_bot_credits_given{kind=\"correction\"}", -70.0),
        ("agis_bot_credits_hourly{game_type=\"demo\"}", 130.0),
        ("agis_bot_credits_spent_total{game_type=\"demo\"}", 130.0),
        ("agis_bot_credits_held", 70.0),
        // The next hour costs 130 again.
        ("agis_bot_servers_short_of_credits", 1.0),
    ] {
        wait::until(SOON, &format!("{sample} to be {expected}"), async || {
            ((api.metric(sample).await - expected).abs() < 0.5).then_some(())
        })
        .await;
    }
    for change in ["update credit_ledger set amount = 1000", "delete from credit_ledger", "truncate credit_ledger"] {
        assert!(sql.batch_execute(change).await.is_err(), "{change}");
    }
}

#[tokio::test]
async fn an_owner_who_runs_dry_is_told_and_has_some_time_before_the_server_is_stopped() {
    let stack = Stack::start().await;
    let sql = stack.sql().await;
    let unbilled = stack.api(&[]).await;
    let id = priced(&unbilled, &sql, 130).await;
    unbilled.act(id, "start").await;
    unbilled.stop().await;
    let api = stack.api(&ON).await;
    let told = |kind: &str| format!("select count(*) = 1 from notices where kind = '{kind}' and server_id = {id}");
    until(&sql, "the owner to be told", &told("credits_low")).await;
    assert_eq!(api.get(&format!("/api/v1/servers/{id}")).await.expect(200)["status"], "running");
    let grace =
        format!("select paid_until between now() + '5 min' and now() + '10 min' from game_servers where id = {id}");
    assert!(one::<bool>(&sql, &grace).await);

    sql.batch_execute("update game_servers set paid_until = now()").await.expect("the time is over");
    api.until_status(id, "stopped").await;
    assert!(one::<bool>(&sql, &told("credits_out")).await);
    assert_eq!(one::<i64>(&sql, "select count(*) from credit_ledger where kind = 'charge'").await, 0);
    let operations = api.get(&format!("/api/v1/servers/{id}/operations")).await.expect(200);
    assert_eq!(
        (&operations["items"][0]["action"], &operations["items"][0]["origin"]),
        (&json!("stop"), &json!("operator"))
    );
    api.call("POST", &format!("/api/v1/servers/{id}/start"), None).await.expect(402);
    sums_agree(&sql).await;
}

#[tokio::test]
async fn a_restart_as_the_grace_ends_is_no_way_not_to_pay() {
    let stack = Stack::start().await;
    let sql = stack.sql().await;
    let unbilled = stack.api(&[]).await;
    let id = priced(&unbilled, &sql, 130).await;
    unbilled.act(id, "start").await;
    unbilled.stop().await;
    let api = stack.api(&ON).await;
    let told = "select count(*) = 1 from notices where kind = 'credits_low'";
    until(&sql, "the owner to be told", told).await;
    sql.batch_execute("update game_servers set paid_until = now()").await.expect("the time is over");
    // It may be too late for it already.
    drop(api.call("POST", &format!("/api/v1/servers/{id}/restart"), None).await);
    api.until_status(id, "stopped").await;
    assert!(one::<bool>(&sql, told).await, "once");
    assert_eq!(one::<i64>(&sql, "select count(*) from credit_ledger where kind = 'charge'").await, 0);
}

#[tokio::test]
async fn an_account_that_cannot_be_charged_keeps_nobody_else_from_paying() {
    let stack = Stack::start().await;
    let sql = stack.sql().await;
    stack.api(&[]).await.stop().await;
    // The hour that the first of them owes stands in the ledger already, which cannot be.
    sql.batch_execute(
        "insert into users (discord_id, credits) select n, 100 from unnest('{u1,u2}'::text[]) n;
         insert into credit_ledger (discord_id, amount, balance, kind) select n, 100, 100, 'opening' from unnest('{u1,u2}'::text[]) n;
         insert into game_servers (id, discord_id, name, game_type, status, desired, host, cost_per_hour, paid_until)
             select right(n, 1)::int, n, n, 'demo', 'running', 'running', 'elsewhere', 1, '2026-11-27 10:00Z'
             from unnest('{u1,u2}'::text[]) n;
         update billing set free_until = '2026-11-27 09:00Z';
         insert into credit_ledger (discord_id, amount, balance, kind, server_id, game_type, hour)
             values ('u1', -1, 99, 'charge', 1, 'demo', '2026-11-27 10:00Z');",
    )
    .await
    .expect("filled");
    let _api = stack.api(&ON).await;
    until(&sql, "the other to pay", "select credits < 100 from users where discord_id = 'u2'").await;
    assert_eq!(one::<i64>(&sql, "select count(*) from credit_ledger where discord_id = 'u1'").await, 2);
}

#[tokio::test]
async fn what_ran_while_nothing_was_charged_is_not_charged_later() {
    let stack = Stack::start().await;
    let sql = stack.sql().await;
    let billed = stack.api(&ON).await;
    let id = priced(&billed, &sql, 10).await;
    billed.act(id, "start").await;
    until(&sql, "the first hour", "select count(*) = 1 from credit_ledger where kind = 'charge'").await;
    let paid_until = "select paid_until::text from game_servers";
    let first = one::<String>(&sql, paid_until).await;
    billed.stop().await;

    let free = async |since: &str| {
        let unbilled = stack.api(&[]).await;
        until(&sql, "the word that nothing is charged", &format!("select free_until > '{since}' from billing")).await;
        unbilled.stop().await;
    };
    // An hour that is paid and not over is neither forgotten nor paid again.
    free(&one::<String>(&sql, "select now()::text").await).await;
    let api = stack.api(&ON).await;
    api.act(id, "restart").await;
    assert_eq!(one::<String>(&sql, paid_until).await, first);
    api.stop().await;

    sql.batch_execute("update game_servers set paid_until = now() - interval '3 hours'").await.expect("it is over");
    free(&one::<String>(&sql, "select now()::text").await).await;
    let api = stack.api(&ON).await;
    until(&sql, "an hour from now on", "select bool_and(paid_until > now() + '59 min') from game_servers").await;
    assert_eq!(api.get("/api/v1/users/me").await.expect(200)["credits"], 80);
    sums_agree(&sql).await;
}

#[tokio::test]
async fn a_hundred_thousand_hours_are_paid_once_each_whatever_dies_meanwhile() {
    const OWNERS: i64 = 100;
    const SERVERS: i64 = 50;
    const HOURS: i64 = 20;
    let stack = Stack::start().await;
    let sql = stack.sql().await;
    let fill = format!(
        "insert into users (discord_id, credits) select 'u' || n, 1000000 from generate_series(1, {OWNERS}) n;
         insert into credit_ledger (discord_id, amount, balance, kind)
             select discord_id, credits, credits, 'opening' from users where discord_id like 'u%';
         insert into game_servers (discord_id, name, game_type, status, desired, host, cost_per_hour, paid_until)
             select 'u' || n, 's' || m, 'demo', 'running', 'running', 'elsewhere', 1, now() - '{HOURS} h'::interval + '30 min'
             from generate_series(1, {OWNERS}) n, generate_series(1, {SERVERS}) m;
         update billing set free_until = now() - '{HOURS} h'::interval;
         analyze;"
    );
    sql.batch_execute(&fill).await.expect("filled");
    let db = Arc::new(Db::new(&DbConfig { url: stack.url.clone(), connections: 4, billing: true }).expect("a pool"));
    let grants = tokio::spawn(async move {
        for n in 0..500 {
            let user = UserId::from_stored(&format!("u{}", n % OWNERS + 1));
            let reason = "while others spend".to_owned();
            let entry = Entry { user, credits: 7, corrects: false, reason, id: format!("grant {n}") };
            assert!(matches!(db.enter(&entry).await, Ok(Entered::Written(_))));
            assert!(matches!(db.enter(&entry).await, Ok(Entered::Before(_))), "once");
        }
    });
    let paid = "select count(*) from credit_ledger where kind = 'charge'";
    let mut last = 0;
    let mut processes = vec![stack.api(&ON).await, stack.api(&ON).await];
    for _ in 0..3 {
        wait::until(LONG, "some more hours to be paid", async || {
            let now = one::<i64>(&sql, paid).await;
            (now >= last + 5000).then(|| last = now)
        })
        .await;
        processes.remove(0).kill();
        processes.push(stack.api(&ON).await);
    }
    until(&sql, "all hours to be paid", "select bool_and(paid_until > now()) from game_servers").await;
    grants.await.expect("granted");
    assert_eq!(one::<i64>(&sql, paid).await, OWNERS * SERVERS * HOURS);
    let gaps = "select count(*) from (
                    select hour - lag(hour) over (partition by server_id order by hour) as step
                    from credit_ledger where kind = 'charge') s where step <> '1 hour'";
    assert_eq!(one::<i64>(&sql, gaps).await, 0, "hour follows hour");
    let wrong = format!(
        "select count(*) from users where discord_id like 'u%' and credits <> 1000000 - {SERVERS} * {HOURS} + 35"
    );
    assert_eq!(one::<i64>(&sql, &wrong).await, 0);
    sums_agree(&sql).await;
}
