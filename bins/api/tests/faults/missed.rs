//! Slots that passed while no process ran.

use agis_test_support::wait;
use serde_json::{Value, json};
use tokio_postgres::Client;

use crate::{
    common::{Api, SOON, Stack},
    fleet::{self, HOST, Lot, ON_HOST},
};

/// Makes a server that should run, and a schedule that stops it, whose next run was due long ago.
async fn overdue(sql: &Client, cron: &str, policy: &str, due: &str) -> i64 {
    let id: i64 = fleet::one(
        sql,
        &format!(
            "with made as (
                 insert into game_servers (discord_id, name, game_type, host, desired)
                 values ('{}', '{cron} {policy}', 'sleeper', '{HOST}', 'running') returning id)
             insert into server_schedules (server_id, discord_id, action, cron_expression, missed_run_policy, next_run)
             select id, '{}', 'stop', '{cron}', '{policy}', {due} from made returning id::bigint",
            crate::common::OWNER,
            crate::common::OWNER,
        ),
    )
    .await;
    id
}

/// A schedule's history, the oldest first, once nothing of it is pending.
async fn history(api: &Api, schedule: i64) -> Vec<Value> {
    wait::until(SOON, "a history without open ends", async || {
        let runs = api.get(&format!("/api/v1/schedules/{schedule}/runs?limit=100")).await.expect(200);
        let runs: Vec<_> = runs["items"].as_array().expect("items").iter().rev().cloned().collect();
        (!runs.is_empty() && runs.iter().all(|run| run["state"] != "pending")).then_some(runs)
    })
    .await
}

fn assert_missed(run: &Value) {
    let expected = json!([1, "missed", "scheduler_unavailable", null]);
    assert_eq!(json!([run["slots"], run["state"], run["reason"], run["operation_id"]]), expected, "{run}");
}

/// The minute in the middle between the last slot of an hourly schedule and the next one.
async fn half_an_hour_ago(sql: &Client) -> (String, &'static str) {
    const SLOT: &str = "date_trunc('minute', now()) - interval '30 minutes'";
    let minute: String =
        fleet::one(sql, &format!("select extract(minute from ({SLOT}) at time zone 'UTC')::int::text")).await;
    (format!("{minute} * * * *"), SLOT)
}

#[tokio::test]
async fn latest_missed_minute_runs_and_others_have_rows() {
    let stack = Stack::start().await;
    let sql = stack.sql().await;
    let schedule = overdue(&sql, "* * * * *", "run_once", "date_trunc('minute', now()) - interval '3 minutes'").await;
    let api = stack.api(&[ON_HOST]).await;
    let runs = history(&api, schedule).await;
    let ran = runs.iter().position(|run| run["state"] == "succeeded").expect("one that ran");
    assert!(ran >= 3, "{runs:?}");
    runs[..ran].iter().for_each(assert_missed);
    let lateness = runs[ran]["lateness_ms"].as_i64().expect("a lateness");
    assert!((0..60_000).contains(&lateness), "the latest slot was less than a minute ago: {lateness} ms");
    let gaps: i64 = fleet::one(
        &sql,
        "select (extract(epoch from max(slot) - min(slot)) / 60 + 1 - count(*))::bigint from schedule_runs",
    )
    .await;
    assert_eq!(gaps, 0, "minutes without a row");
}

#[tokio::test]
async fn missed_hour_runs_by_its_policy() {
    let stack = Stack::start().await;
    let sql = stack.sql().await;
    let (cron, slot) = half_an_hour_ago(&sql).await;
    let due = format!("{slot} - interval '2 hours'");
    let once = overdue(&sql, &cron, "run_once", &due).await;
    let skip = overdue(&sql, &cron, "skip", &due).await;
    let api = stack.api(&[ON_HOST]).await;

    let runs = history(&api, once).await;
    assert_eq!(runs.len(), 3, "{runs:?}");
    runs[..2].iter().for_each(assert_missed);
    let (state, lateness) = (&runs[2]["state"], runs[2]["lateness_ms"].as_i64().expect("a lateness"));
    assert_eq!(state, "succeeded");
    assert!((1_800_000..1_980_000).contains(&lateness), "half an hour late: {lateness} ms");

    let runs = history(&api, skip).await;
    assert_eq!(runs.len(), 3, "{runs:?}");
    runs.iter().for_each(assert_missed);
    for schedule in [once, skip] {
        let schedule = api.get(&format!("/api/v1/schedules/{schedule}")).await.expect(200);
        assert_eq!(schedule["next_run"], schedule["next_runs"][0].as_str().expect("utc").replace("+00:00", "Z"));
    }
    fleet::assert_counted(&[&api], "stop", 1.0).await;
    assert!((fleet::executions(&[&api], "stop", "missed").await - 5.0).abs() < 0.5, "every missed slot is counted");
}

#[tokio::test]
async fn three_days_of_minutes_are_folded() {
    let stack = Stack::start().await;
    let sql = stack.sql().await;
    let due = "date_trunc('minute', now()) - interval '3 days'";
    overdue(&sql, "* * * * *", "run_once", due).await;
    let first: String = fleet::one(&sql, "select next_run::text from server_schedules").await;
    let api = stack.api(&[ON_HOST]).await;
    wait::until(SOON, "the latest slot to run", async || {
        let ran: i64 = fleet::one(&sql, "select count(*) from schedule_runs where state = 'succeeded'").await;
        (ran > 0).then_some(())
    })
    .await;
    // At the turn of a minute the next slot's operation supersedes that of the one that was about to run.
    let query = format!(
        "with ran as (select min(slot) as slot from schedule_runs where state = 'succeeded')
         select count(*)::text, sum(slots)::text, max(slots)::text, sum(slots) filter (where state = 'missed')::text,
                count(*) filter (where state <> 'missed' and reason is distinct from 'superseded')::text,
                ((extract(epoch from (select slot from ran) - '{first}'::timestamptz)) / 60)::bigint::text
         from schedule_runs r where r.slot < (select slot from ran)"
    );
    let before = fleet::rows(&sql, &query).await.remove(0);
    let [rows, slots, folded, missed, others, passed] = before.try_into().expect("six numbers");
    assert_eq!(slots, passed, "slots that these rows stand for, and minutes that passed");
    assert_eq!(others.as_deref(), Some("0"), "slots that are neither missed nor superseded");
    let number = |n: Option<String>| n.expect("n").parse::<f64>().expect("a number");
    let [rows, slots, folded, missed] = [rows, slots, folded, missed].map(number);
    assert!((1400.0..=1441.0).contains(&rows), "{rows} rows for a day");
    assert!(slots >= 4320.0 && (rows - 1.0 + folded - slots).abs() < 0.5, "one of {rows} rows stands for {folded}");
    assert!(slots - missed < 1.5, "{missed} of {slots} slots were missed; one was superseded at most");
    let counted = fleet::executions(&[&api], "stop", "missed").await;
    assert!((counted - missed).abs() < 0.5, "{counted} of {missed} missed slots are counted");
}

#[tokio::test]
async fn half_a_day_is_caught_up_in_any_number() {
    const SCHEDULES: i32 = 200;
    let stack = Stack::start().await;
    let sql = stack.sql().await;
    fleet::every_minute(&sql, &[Lot(SCHEDULES, "sleeper", "stop")]).await;
    sql.batch_execute("update server_schedules set next_run = next_run - interval '12 hours'").await.expect("overdue");
    let _api = stack.api(&[ON_HOST]).await;
    wait::until(fleet::LONG, "every schedule to have run once", async || {
        let ran: i64 =
            fleet::one(&sql, "select count(distinct schedule_id) from schedule_runs where state = 'succeeded'").await;
        (ran == i64::from(SCHEDULES)).then_some(())
    })
    .await;
    let gaps: i64 = fleet::one(
        &sql,
        "select count(*) from (
             select from schedule_runs group by schedule_id
             having sum(slots) <> extract(epoch from max(slot) - min(slot)) / 60 + 1) gaps",
    )
    .await;
    assert_eq!(gaps, 0, "schedules with a minute that has no row");
}

#[tokio::test]
async fn time_spent_disabled_is_not_missed() {
    let stack = Stack::start().await;
    let sql = stack.sql().await;
    let schedule = overdue(&sql, "* * * * *", "run_once", "date_trunc('minute', now()) - interval '3 minutes'").await;
    sql.batch_execute("update server_schedules set enabled = false, next_run = null").await.expect("disabled");
    let api = stack.api(&[ON_HOST]).await;
    let path = format!("/api/v1/schedules/{schedule}");
    let enabled_at: String = fleet::one(&sql, "select now()::text").await;
    let enabled = api.call("PATCH", &path, Some(json!({ "enabled": true }))).await.expect(200);
    assert!(enabled["next_run"].is_string(), "{enabled}");
    // A round of the scheduler after that has seen it.
    let other = overdue(&sql, "0 0 1 1 *", "skip", "now() - interval '1 year'").await;
    sql.batch_execute("notify agis_schedules").await.expect("a notice");
    history(&api, other).await;
    let early: i64 = fleet::one(
        &sql,
        &format!("select count(*) from schedule_runs where schedule_id = {schedule} and slot < '{enabled_at}'"),
    )
    .await;
    assert_eq!(early, 0, "slots from before it was enabled");
}

/// A schedule of a server whose slot of today was so long ago, and which was due first some days before.
async fn daily(sql: &Client, server: i32, action: &str, ago: &str, days: i32) -> i64 {
    let slot = format!("(date_trunc('minute', now()) - interval '{ago}')");
    fleet::one(
        sql,
        &format!(
            "insert into server_schedules (server_id, discord_id, action, cron_expression, next_run)
             values ({server}, '{}', '{action}', to_char({slot} at time zone 'UTC', 'FMMI FMHH24') || ' * * *',
                     {slot} - interval '{days} days') returning id::bigint",
            crate::common::OWNER
        ),
    )
    .await
}

async fn server(sql: &Client) -> i32 {
    let insert = "insert into game_servers (discord_id, name, game_type, host, desired)";
    let owner = crate::common::OWNER;
    fleet::one(sql, &format!("{insert} values ('{owner}', 'caught up', 'sleeper', '{HOST}', 'running') returning id"))
        .await
}

/// How the last run of a schedule ended.
async fn last_end(api: &Api, schedule: i64) -> (String, Value) {
    let run = history(api, schedule).await.pop().expect("a run");
    (run["state"].as_str().expect("a state").to_owned(), run["reason"].clone())
}

#[tokio::test]
async fn last_due_action_wins_after_an_outage() {
    let stack = Stack::start().await;
    let sql = stack.sql().await;
    fleet::own_ids(&sql).await;
    let server = server(&sql).await;
    // The start has waited for days, and its slot of today is newer than that of the stop.
    let start = daily(&sql, server, "start", "30 minutes", 3).await;
    let stop = daily(&sql, server, "stop", "12 hours", 0).await;
    let api = stack.api(&[ON_HOST]).await;
    assert_eq!(last_end(&api, start).await, ("succeeded".to_owned(), Value::Null));
    assert_eq!(last_end(&api, stop).await, ("skipped".to_owned(), json!("superseded")));
    api.until_status(server.into(), "running").await;
}

#[tokio::test]
async fn older_slot_does_not_undo_a_newer_one() {
    let stack = Stack::start().await;
    let sql = stack.sql().await;
    fleet::own_ids(&sql).await;
    let server = server(&sql).await;
    let start = daily(&sql, server, "start", "30 minutes", 0).await;
    let stop = daily(&sql, server, "stop", "12 hours", 0).await;
    let holder = stack.sql().await;
    holder
        .batch_execute(&format!("begin; select from server_schedules where id = {stop} for update"))
        .await
        .expect("held");
    let api = stack.api(&[ON_HOST]).await;
    assert_eq!(last_end(&api, start).await, ("succeeded".to_owned(), Value::Null));
    holder.batch_execute("rollback").await.expect("let go");
    assert_eq!(last_end(&api, stop).await, ("skipped".to_owned(), json!("superseded")));
    api.until_status(server.into(), "running").await;
    // The next slot counts again.
    let at_once = daily(&sql, server, "stop", "0 minutes", 0).await;
    sql.batch_execute("notify agis_schedules").await.expect("a notice");
    assert_eq!(last_end(&api, at_once).await, ("succeeded".to_owned(), Value::Null));
    api.until_status(server.into(), "stopped").await;
}

#[tokio::test]
async fn due_run_of_a_changed_schedule_has_a_row() {
    let stack = Stack::start().await;
    let sql = stack.sql().await;
    let server = server(&sql).await;
    let schedule = daily(&sql, server, "stop", "2 minutes", 1).await;
    let holder = stack.sql().await;
    // Nobody claims: a scheduler passes over what another holds, and so does a change wait.
    holder.batch_execute("begin; select from server_schedules for update").await.expect("held");
    let api = stack.api(&[ON_HOST]).await;
    let path = format!("/api/v1/schedules/{schedule}");
    let change = api.call("PATCH", &path, Some(json!({ "cron_expression": "0 0 1 1 *" })));
    let let_go = async {
        wait::until(SOON, "the change to wait", async || {
            let waits = "select count(*) > 0 from pg_stat_activity
                         where datname = current_database() and wait_event_type = 'Lock'";
            fleet::one::<bool>(&sql, waits).await.then_some(())
        })
        .await;
        holder.batch_execute("rollback").await.expect("let go");
    };
    let (changed, ()) = tokio::join!(change, let_go);
    changed.expect(200);
    let runs = history(&api, schedule).await;
    assert_eq!(runs.len(), 2, "{runs:?}");
    for run in &runs {
        assert_ne!(run["state"], "pending");
        assert!(run["reason"].is_string() || run["state"] == "succeeded", "{run}");
    }
}

#[tokio::test]
async fn frequent_runs_are_forgotten() {
    let stack = Stack::start().await;
    let sql = stack.sql().await;
    let server = server(&sql).await;
    let often = overdue(&sql, "* * * * *", "skip", "date_trunc('minute', now())").await;
    let old = |schedule: i64, runs: i32| {
        format!(
            "insert into schedule_runs (schedule_id, slot, action, state, finished_at)
             select {schedule}, date_trunc('minute', now()) - interval '3 days' - n * interval '1 minute', 'stop', 'succeeded', now()
             from generate_series(1, {runs}) n;"
        )
    };
    let deleted = daily(&sql, server, "stop", "2 hours", 0).await;
    let daily = daily(&sql, server, "stop", "2 minutes", 0).await;
    let gone: i64 = fleet::one(
        &sql,
        &format!(
            "with gone as (
                 insert into game_servers (discord_id, name, game_type, host, desired, deleted_at)
                 values ('{}', 'gone', 'sleeper', '{HOST}', 'deleted', now() - interval '8 days') returning id)
             update server_schedules set server_id = (select id from gone), enabled = false, next_run = null
             where id = {deleted} returning server_id::bigint",
            crate::common::OWNER
        ),
    )
    .await;
    sql.batch_execute(&format!("{}{}{}", old(often, 8), old(daily, 8), old(deleted, 8))).await.expect("old runs");
    let _api = stack.api(&[ON_HOST]).await;
    let left = async |schedule: i64| {
        let old = format!(
            "select count(*) from schedule_runs where schedule_id = {schedule} and slot < now() - interval '3 days'"
        );
        fleet::one::<i64>(&sql, &old).await
    };
    wait::until(SOON, "what is old to be forgotten", async || {
        let schedules = format!("select count(*) from server_schedules where server_id = {gone}");
        let schedules: i64 = fleet::one(&sql, &schedules).await;
        (left(often).await == 0 && schedules == 0).then_some(())
    })
    .await;
    assert_eq!(left(daily).await, 8, "what runs once a day is kept for 90 days");
}
