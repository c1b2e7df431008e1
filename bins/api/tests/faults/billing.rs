//! Owners pay for servers that run.

use std::{sync::Arc, time::Duration};

use agis_accounts::{
    LedgerStore,
    ledger::{Entered, Entry},
};
use agis_base::{ServerId, UserId};
use agis_servers::{
    Action, Origin, Request,
    game::Catalogue,
    operation::Identity,
    store::{Billing, OperationStore},
};
use agis_storage::{Db, DbConfig};
use agis_test_support::wait;
use serde_json::json;
use tokio_postgres::Client;

use crate::common::{Api, OWNER, SOON, Stack, signal};

pub(crate) const ON: [(&str, &str); 1] = [("BILLING", "on")];
/// The hour that was paid, or the time that was given, ends now, and the server still runs.
pub(crate) const OVER: &str = "update game_servers set paid_until = now(), confirmed_until = now()";
/// For a hundred thousand charges on a busy machine.
const LONG: Duration = Duration::from_secs(180);

/// A server that costs this an hour, and its id.
pub(crate) async fn priced(api: &Api, sql: &Client, price: i32) -> i64 {
    let id = api.server("priced", "demo").await;
    let set = "update game_servers set cost_per_hour = $2 where id = $1";
    sql.execute(set, &[&i32::try_from(id).expect("an id"), &price]).await.expect("priced");
    id
}

pub(crate) async fn one<T: for<'a> tokio_postgres::types::FromSql<'a>>(sql: &Client, query: &str) -> T {
    sql.query_one(query, &[]).await.expect("a row").get(0)
}

pub(crate) async fn until(sql: &Client, what: &str, query: &str) {
    wait::until(LONG, what, async || one::<bool>(sql, query).await.then_some(())).await;
}

/// Starts another process, which begins with a round of the biller, once the host has confirmed what runs.
async fn billed_at_once(stack: &Stack, sql: &Client) -> Api {
    let confirmed = "select count(*) = 0 from game_servers, billing where status = 'running'
                     and coalesce(confirmed_until < greatest(free_until, now() - interval '1 minute'), true)";
    until(sql, "the host to confirm what runs", confirmed).await;
    stack.api(&ON).await
}

/// Every balance is what its lines add up to, and what the last of them says.
async fn sums_agree(sql: &Client) {
    let disagree: i64 =
        one(sql, include_str!("../../../../crates/storage/tests/storage/accounts_that_disagree.sql")).await;
    assert_eq!(disagree, 0, "accounts disagree with their lines");
}

#[tokio::test]
async fn nothing_is_charged_unless_billing_is_on() {
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
async fn unpayable_first_hour_is_refused_until_a_grant() {
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
    assert!(entry("correct", "-271", "all").contains("has 270 credits"));
    assert!(entry("correct", "0", "none").contains("correct nothing"));
    for _ in 0..2 {
        assert_eq!(entry("correct", "-70", "order 1, back"), "200");
    }

    api.act(id, "start").await;
    wait::until(SOON, "the first hour to be paid", async || {
        (api.get("/api/v1/users/me").await.expect(200)["credits"] == 70).then_some(())
    })
    .await;
    // A running server keeps the hour that it has paid for.
    api.act(id, "restart").await;
    let stats = api.get("/api/v1/users/me/stats").await.expect(200);
    assert_eq!((&stats["credits_earned"], &stats["credits_spent"]), (&json!(200), &json!(130)));
    assert_eq!(one::<i64>(&sql, "select count(*) from credit_ledger where kind = 'charge'").await, 1);
    assert_eq!(
        one::<String>(&sql, "select reason from credit_ledger where kind = 'grant' order by id limit 1").await,
        "a prize"
    );
    sums_agree(&sql).await;
    // Dashboards show the ledger's numbers.
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
async fn dry_owner_is_told_before_the_stop() {
    let stack = Stack::start().await;
    let sql = stack.sql().await;
    let unbilled = stack.api(&[]).await;
    let id = priced(&unbilled, &sql, 130).await;
    unbilled.act(id, "start").await;
    unbilled.stop().await;
    let api = stack.api(&ON).await;
    let told = |kind: &str| format!("select count(*) = 1 from notices where kind = '{kind}' and server_id = {id}");
    let _another = billed_at_once(&stack, &sql).await;
    until(&sql, "the owner to be told", &told("credits_low")).await;
    assert_eq!(api.get(&format!("/api/v1/servers/{id}")).await.expect(200)["status"], "running");
    let grace =
        format!("select paid_until between now() + '5 min' and now() + '10 min' from game_servers where id = {id}");
    assert!(one::<bool>(&sql, &grace).await);

    sql.batch_execute(OVER).await.expect("the time is over");
    let _third = billed_at_once(&stack, &sql).await;
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
async fn restart_at_grace_end_still_pays() {
    let stack = Stack::start().await;
    let sql = stack.sql().await;
    let unbilled = stack.api(&[]).await;
    let id = priced(&unbilled, &sql, 130).await;
    unbilled.act(id, "start").await;
    unbilled.stop().await;
    let api = stack.api(&ON).await;
    let told = "select count(*) = 1 from notices where kind = 'credits_low'";
    let _another = billed_at_once(&stack, &sql).await;
    until(&sql, "the owner to be told", told).await;
    sql.batch_execute(OVER).await.expect("the time is over");
    // The restart is refused, unless it comes too late.
    drop(api.call("POST", &format!("/api/v1/servers/{id}/restart"), None).await);
    let _third = stack.api(&ON).await;
    api.until_status(id, "stopped").await;
    assert!(one::<bool>(&sql, told).await, "once");
    assert_eq!(one::<i64>(&sql, "select count(*) from credit_ledger where kind = 'charge'").await, 0);
}

#[tokio::test]
async fn unbilled_time_is_never_charged() {
    let stack = Stack::start().await;
    let sql = stack.sql().await;
    let billed = stack.api(&ON).await;
    let id = priced(&billed, &sql, 10).await;
    billed.act(id, "start").await;
    let another = billed_at_once(&stack, &sql).await;
    until(&sql, "the first hour", "select count(*) = 1 from credit_ledger where kind = 'charge'").await;
    another.stop().await;
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
    let _another = billed_at_once(&stack, &sql).await;
    until(&sql, "an hour from now on", "select bool_and(paid_until > now() + '59 min') from game_servers").await;
    assert_eq!(api.get("/api/v1/users/me").await.expect(200)["credits"], 80);
    sums_agree(&sql).await;
}

#[tokio::test]
async fn hundred_thousand_hours_are_paid_once_each() {
    const OWNERS: i64 = 100;
    const SERVERS: i64 = 50;
    const HOURS: i64 = 20;
    let stack = Stack::start().await;
    let sql = stack.sql().await;
    let fill = format!(
        "insert into users (discord_id, credits) select 'u' || n, 1000000 from generate_series(1, {OWNERS}) n;
         insert into credit_ledger (discord_id, amount, balance, kind)
             select discord_id, credits, credits, 'opening' from users where discord_id like 'u%';
         insert into game_servers
             (discord_id, name, game_type, status, desired, host, cost_per_hour, confirmed_until, paid_until)
             select 'u' || n, 's' || m, 'demo', 'running', 'running', 'elsewhere', 1, now(), now() - '{HOURS} h'::interval + '30 min'
             from generate_series(1, {OWNERS}) n, generate_series(1, {SERVERS}) m;
         update billing set free_until = now() - '{HOURS} h'::interval;
         analyze;"
    );
    sql.batch_execute(&fill).await.expect("filled");
    let db = Arc::new(Db::new(&DbConfig { url: stack.database_url(), connections: 4 }).expect("a pool"));
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

async fn hours(sql: &Client, server: i32) -> i64 {
    one(sql, &format!("select count(*) from credit_ledger where kind = 'charge' and server_id = {server}")).await
}

#[tokio::test]
async fn outage_is_paid_until_the_server_was_seen() {
    let stack = Stack::start().await;
    let sql = stack.sql().await;
    let api = stack.api(&ON).await;
    let (dead, alive) = (priced(&api, &sql, 10).await, api.server("alive", "demo").await);
    sql.batch_execute("update game_servers set cost_per_hour = 1").await.expect("priced");
    for id in [dead, alive] {
        api.act(id, "start").await;
    }
    let another = billed_at_once(&stack, &sql).await;
    until(&sql, "the first hours", "select count(*) = 2 from credit_ledger where kind = 'charge'").await;
    another.stop().await;
    api.stop().await;
    let shim = stack.process_of(dead).expect("a process")["shim"]["pid"].as_i64().expect("a number");
    let game = stack.process_of(dead).expect("a process")["game"]["pid"].as_i64().expect("a number");
    for pid in [shim, game] {
        signal(pid, "KILL");
    }
    // The outage begins within the hour that was paid, and lasts for three more.
    let outage = "update billing set free_until = free_until - interval '1 day';
                  update game_servers set confirmed_from = now() - interval '5 h', paid_until = now() - interval '3 h',
                      confirmed_until = now() - interval '3.5 h'";
    sql.batch_execute(outage).await.expect("an outage");
    let api = stack.api(&ON).await;
    api.until_status(dead, "crashed").await;
    let _another = billed_at_once(&stack, &sql).await;
    until(&sql, "the other to pay", &format!("select paid_until > now() from game_servers where id = {alive}")).await;
    let hours = [hours(&sql, id(dead)).await, hours(&sql, id(alive)).await];
    assert_eq!(hours, [1, 5], "the one that ran on pays what it ran");
    sums_agree(&sql).await;
}

fn id(server: i64) -> i32 {
    i32::try_from(server).expect("an id")
}

/// The states of the operations that start servers, with the refusals of those that came to none.
async fn begun(sql: &Client) -> i64 {
    one(sql, "select count(*) from operations where action in ('start', 'restart') and state in ('queued', 'running', 'succeeded')").await
}

#[tokio::test(flavor = "multi_thread")]
async fn credits_for_one_hour_start_one_of_five() {
    let stack = Stack::start().await;
    let sql = stack.sql().await;
    let (one_api, other) = (stack.api(&ON).await, stack.api(&ON).await);
    let mut servers = vec![];
    for number in 0..5 {
        servers.push(one_api.server(&format!("server {number}"), "slow").await);
    }
    sql.batch_execute("update game_servers set cost_per_hour = 100").await.expect("priced");
    let schedule = json!({ "server_id": servers[4], "action": "start", "cron_expression": "* * * * *" });
    let schedule = one_api.post("/api/v1/schedules", schedule).await.expect(201)["id"].as_i64().expect("an id");
    let db = Db::new(&DbConfig { url: stack.database_url(), connections: 4 }).expect("a pool");
    let discord = Request {
        server: ServerId(id(servers[2])),
        action: Action::Start,
        origin: Origin::Discord,
        actor: UserId::from_stored(OWNER),
        channel: None,
        identity: Identity::Key("discord:1".to_owned()),
        trace: None,
    };
    let start = async |api: &Api, server: i64| {
        let answer = api.call("POST", &format!("/api/v1/servers/{server}/start"), None).await;
        assert!(answer.status == 202 || answer.body["code"] == "insufficient_credits", "{answer:?}");
        i64::from(answer.status == 202)
    };
    let due = format!(
        "update server_schedules set next_run = date_trunc('minute', now()) where id = {schedule}; notify agis_schedules"
    );
    let run = async {
        sql.batch_execute(&due).await.expect("due");
        let ended = format!(
            "select count(*) > 0 from schedule_runs where schedule_id = {schedule}
                             and (reason is not null or exists (select from operations o where o.id = operation_id))"
        );
        until(&sql, "the schedule to be heard", &ended).await;
    };
    let discord = [discord];
    let (a, b, c, (), d) = tokio::join!(
        start(&one_api, servers[0]),
        start(&other, servers[1]),
        async {
            db.accept(&discord, Billing::On, &Catalogue::default())
                .await
                .expect("answers")
                .answers
                .into_iter()
                .filter(Result::is_ok)
                .count()
        },
        run,
        start(&other, servers[3]),
    );
    assert_eq!(begun(&sql).await, 1, "{a} {b} {c} {d}");
    assert!(a + b + d + i64::try_from(c).expect("few") <= 1);

    // In one transaction too, as schedules ask.
    sql.batch_execute("update users set credits = 300").await.expect("two more");
    let again =
        |server: &i64| Request { server: ServerId(id(*server)), identity: Identity::None, ..discord[0].clone() };
    let requests: Vec<_> = servers.iter().map(again).collect();
    let accepted = db.accept(&requests, Billing::On, &Catalogue::default()).await.expect("accepted");
    // The one that has begun is asked again, for nothing.
    assert_eq!(accepted.answers.iter().filter(|it| it.is_ok()).count(), 3);
}

#[tokio::test]
async fn a_reservation_ends_with_its_start() {
    let stack = Stack::start().await;
    let sql = stack.sql().await;
    let api = stack.api(&ON).await;
    let (first, second) = (api.server("first", "slow").await, api.server("second", "slow").await);
    let unready = api.server("unready", "unready").await;
    sql.batch_execute("update game_servers set cost_per_hour = 60").await.expect("priced");
    let start = async |server: i64| api.call("POST", &format!("/api/v1/servers/{server}/start"), None).await;
    start(first).await.expect(202);
    let refused = start(second).await.expect(402);
    assert!(refused["detail"].as_str().is_some_and(|why| why.contains("reserved")), "{refused}");
    start(first).await.expect(202);
    // Superseded by a stop.
    api.act(first, "stop").await;
    // Failed.
    let failed = api.ended(&api.ask(unready, "start").await).await;
    assert_eq!(failed["state"], "failed");
    // Expired: nobody serves its host.
    sql.batch_execute(&format!("update game_servers set host = 'elsewhere' where id = {second}")).await.expect("moved");
    let operation = api.ask(second, "start").await;
    start(first).await.expect(402);
    let old = format!("update operations set created_at = now() - interval '2 hours' where id = '{operation}'");
    sql.batch_execute(&old).await.expect("old");
    assert_eq!(api.ended(&operation).await["state"], "expired");
    start(first).await.expect(202);
    assert_eq!(one::<i64>(&sql, "select count(*) from credit_ledger where kind <> 'welcome'").await, 0);
}

#[tokio::test]
async fn reserved_credits_pay_for_nothing_else() {
    let stack = Stack::start().await;
    let sql = stack.sql().await;
    let api = stack.api(&ON).await;
    let starting = api.server("starting", "slow").await;
    sql.batch_execute("update game_servers set cost_per_hour = 100").await.expect("priced");
    api.ask(starting, "start").await;
    let runs = format!(
        "insert into game_servers
             (discord_id, name, game_type, status, desired, host, cost_per_hour, paid_until, confirmed_until)
         values ('{OWNER}', 'runs', 'demo', 'running', 'running', 'elsewhere', 1, now(), now()) returning id"
    );
    let runs: i32 = one(&sql, &runs).await;
    let _another = stack.api(&ON).await;
    until(&sql, "the owner to be told", "select count(*) = 1 from notices where kind = 'credits_low'").await;
    assert_eq!(hours(&sql, runs).await, 0);
    api.act(starting, "stop").await;
    sql.batch_execute(OVER).await.expect("the time is over");
    let _third = stack.api(&ON).await;
    until(&sql, "the other to pay", &format!("select count(*) = 1 from credit_ledger where server_id = {runs}")).await;
}

#[tokio::test]
async fn remade_server_gets_no_new_grace() {
    let stack = Stack::start().await;
    let sql = stack.sql().await;
    let unbilled = stack.api(&[]).await;
    let old = priced(&unbilled, &sql, 130).await;
    unbilled.act(old, "start").await;
    unbilled.stop().await;
    let api = stack.api(&ON).await;
    let _another = billed_at_once(&stack, &sql).await;
    until(&sql, "the owner to be told", "select count(*) = 1 from notices where kind = 'credits_low'").await;
    let deleted = api.call("DELETE", &format!("/api/v1/servers/{old}"), None).await.expect(202);
    api.ended(deleted["id"].as_str().expect("an id")).await;
    let new = priced(&api, &sql, 130).await;
    for action in ["start", "restart"] {
        api.call("POST", &format!("/api/v1/servers/{new}/{action}"), None).await.expect(402);
    }
}

#[tokio::test]
async fn crash_within_a_paid_hour_restarts_free() {
    let stack = Stack::start().await;
    let sql = stack.sql().await;
    let api = stack.api(&ON).await;
    let server = priced(&api, &sql, 100).await;
    api.act(server, "start").await;
    let another = billed_at_once(&stack, &sql).await;
    until(&sql, "the first hour", "select count(*) = 1 from credit_ledger where kind = 'charge'").await;
    another.stop().await;
    let game = stack.process_of(server).expect("a process")["game"]["pid"].as_i64().expect("a number");
    signal(game, "KILL");
    api.until_status(server, "crashed").await;
    api.act(server, "start").await;
    assert_eq!(one::<i64>(&sql, "select count(*) from credit_ledger where kind = 'charge'").await, 1);
}
