//! The schema: up, down, and who notices.

mod in_use;

use std::process::Output;

use agis_test_support::wait;
use serde_json::json;

use crate::common::{SOON, Stack};

/// The names of all migrations, in order; the first is the schema of v1.7.0.
fn all() -> Vec<String> {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/../../migrations");
    let entries = std::fs::read_dir(directory).expect("the migrations").map(|entry| entry.expect("an entry"));
    let mut names: Vec<_> = entries.map(|entry| entry.file_name().into_string().expect("text")).collect();
    names.sort();
    names
}

/// A line for each of these migrations.
fn lines(word: &str, names: &[String]) -> String {
    names.iter().map(|name| format!("{word} {name}")).collect::<Vec<_>>().join("\n")
}

/// A stack whose database is as a new one: without a table.
pub(crate) async fn unmigrated() -> Stack {
    let stack = Stack::start().await;
    let sql = stack.sql().await;
    sql.batch_execute("drop schema public cascade; create schema public").await.expect("an empty database");
    stack
}

pub(crate) fn migrate(stack: &Stack, direction: &str) -> String {
    stack.command(&["migrate", direction])
}

/// Every column, with what matters of it.
pub(crate) async fn columns(stack: &Stack) -> Vec<String> {
    let query = "select format('%s.%s %s(%s) null=%s default=%s', table_name, column_name, data_type,
                               character_maximum_length, is_nullable, column_default)
                 from information_schema.columns
                 where table_schema = 'public' and table_name <> '__diesel_schema_migrations' order by 1";
    texts(stack, query).await
}

async fn texts(stack: &Stack, query: &str) -> Vec<String> {
    stack.sql().await.query(query, &[]).await.expect("rows").iter().map(|row| row.get(0)).collect()
}

pub(crate) async fn indexes(stack: &Stack) -> Vec<String> {
    texts(stack, "select indexdef from pg_indexes where schemaname = 'public' order by 1").await
}

pub(crate) async fn constraints(stack: &Stack) -> Vec<String> {
    let query = "select format('%s %s %s', conrelid::regclass, conname, pg_get_constraintdef(oid)) from pg_constraint
                 where connamespace = 'public'::regnamespace
                 and conname not like '%diesel%' order by 1";
    texts(stack, query).await
}

#[tokio::test]
async fn each_direction_says_what_it_did() {
    let stack = unmigrated().await;
    let all = all();
    let (last, others) = all.split_last().expect("a migration");
    assert_eq!(migrate(&stack, "status"), lines("pending", &all));
    assert_eq!(migrate(&stack, "up"), lines("applied", &all));
    assert_eq!(migrate(&stack, "up"), "the schema is up to date");
    assert_eq!(migrate(&stack, "redo"), format!("reverted {last}\napplied {last}"));
    assert_eq!(migrate(&stack, "down"), format!("reverted {last}"));
    assert_eq!(migrate(&stack, "status"), format!("{}\npending {last}", lines("applied", others)));
    for name in others.iter().rev() {
        assert_eq!(migrate(&stack, "down"), format!("reverted {name}"));
    }

    let nothing_left = stack.output(&[], &["migrate", "down"]);
    assert_eq!(nothing_left.status.code(), Some(1), "there is nothing to revert");
    let unreachable = stack.output(&[("DATABASE_URL", "postgres://nobody@127.0.0.1:1/agis")], &["migrate", "up"]);
    let error = String::from_utf8(unreachable.stderr).expect("text");
    assert!(unreachable.status.code() == Some(1) && error.contains("the database is not available"), "{error}");
}

#[tokio::test]
async fn two_that_migrate_at_once_take_turns() {
    let stack = unmigrated().await;
    let outputs: Vec<Output> = std::thread::scope(|scope| {
        let up = || scope.spawn(|| stack.output(&[], &["migrate", "up"]));
        let both = [up(), up()];
        both.into_iter().map(|thread| thread.join().expect("a thread")).collect()
    });
    let mut said: Vec<_> = outputs.into_iter().map(|output| (output.status.code(), output.stdout)).collect();
    said.sort();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    assert_eq!((said[0].0, said[1].0), (Some(0), Some(0)), "{said:?}");
    assert_eq!(text(&said[0].1), lines("applied", &all()));
    assert_eq!(text(&said[1].1), "the schema is up to date");
}

#[tokio::test]
async fn down_to_nothing_and_up_is_the_same() {
    let stack = unmigrated().await;
    migrate(&stack, "up");
    let lifted = (columns(&stack).await, indexes(&stack).await, constraints(&stack).await);
    for _ in all() {
        migrate(&stack, "down");
    }
    let tables = texts(&stack, "select tablename::text from pg_tables where schemaname = 'public'").await;
    assert_eq!(tables, ["__diesel_schema_migrations"]);
    let functions =
        texts(&stack, "select proname::text from pg_proc where pronamespace = 'public'::regnamespace").await;
    assert_eq!(functions, Vec::<String>::new());
    migrate(&stack, "up");
    assert_eq!((columns(&stack).await, indexes(&stack).await, constraints(&stack).await), lifted);
}

#[tokio::test]
async fn down_to_the_first_is_v1_7_0() {
    let (stack, old) = (unmigrated().await, unmigrated().await);
    let sql = old.sql().await;
    let v1_7_0 = include_str!("../../../../migrations/2026-11-01-000000_v1_7_0/up.sql");
    sql.batch_execute(v1_7_0).await.expect("the old schema");
    migrate(&stack, "up");
    for _ in &all()[1..] {
        migrate(&stack, "down");
    }
    assert_eq!(columns(&stack).await, columns(&old).await);
    assert_eq!(constraints(&stack).await, constraints(&old).await);
    let own = |index: &String| !index.contains("__diesel");
    let left: Vec<_> = indexes(&stack).await.into_iter().filter(own).collect();
    assert_eq!(left, indexes(&old).await);
}

#[tokio::test]
async fn process_waits_for_the_schema() {
    let stack = unmigrated().await;
    let api = stack.api(&[]).await;
    let waiting = wait::until(SOON, "the process to say what is missing", async || {
        let answer = api.ready().await;
        answer.body.to_string().contains("agis-api migrate up").then_some(answer)
    })
    .await;
    assert_eq!((waiting.status.as_u16(), &waiting.body["status"]), (503, &json!("starting")));
    migrate(&stack, "up");
    let ready = wait::until(SOON, "the process to be ready", async || {
        let answer = api.ready().await;
        (answer.status == 200).then_some(answer)
    })
    .await;
    assert_eq!(ready.body["components"]["database"]["status"], "ok");
}

#[tokio::test]
async fn firings_in_flight_become_one_operation_each() {
    const FIRINGS: &str = "2026-11-22-000000_firings_choose_operations";
    let stack = Stack::start().await;
    let sql = stack.sql().await;
    while !migrate(&stack, "down").contains(FIRINGS) {}
    let accepted = "0199d3a0-4b5c-7def-8123-456789abcdef";
    sql.batch_execute(&format!(
        "insert into game_servers (id, discord_id, name, game_type) select 7, discord_id, 'sky', 'demo' from users;
         insert into server_schedules (id, server_id, discord_id, action, cron_expression, timezone, next_run)
             select id, 7, discord_id, 'start', '0 8 * * *', 'UTC', now() from users, generate_series(1, 2) as id;
         insert into operations (id, server_id, action, origin, actor, idempotency_key, generation)
             values ('{accepted}', 7, 'start', 'schedule', '1', 'firing:1/1790000000123456', 1);
         insert into schedule_runs (schedule_id, slot, action, state)
             select id, to_timestamp(1790000000) + interval '123456 us', 'start', 'pending' from server_schedules",
    ))
    .await
    .expect("two firings, one of which is an operation");

    migrate(&stack, "up");
    let chosen = "select operation_id::text from schedule_runs order by schedule_id";
    let [first, second] = &texts(&stack, chosen).await[..] else { panic!("two runs") };
    assert!(first == accepted && second != accepted, "{first} {second}");
    while !migrate(&stack, "down").contains(FIRINGS) {}
    let known = "select coalesce(o.idempotency_key, 'none') from schedule_runs r
                 left join operations o on o.id = r.operation_id order by r.schedule_id";
    assert_eq!(texts(&stack, known).await, ["firing:1/1790000000123456", "none"]);
}

#[tokio::test]
async fn newer_schema_is_served_and_not_reverted() {
    let stack = Stack::start().await;
    let newer = "insert into __diesel_schema_migrations (version) values ('29991231000000')";
    stack.sql().await.execute(newer, &[]).await.expect("a migration of a newer program");
    let api = stack.api(&[]).await;
    wait::until(SOON, "the process to be ready", async || (api.ready().await.status == 200).then_some(())).await;
    api.get("/api/v1/users/me").await.expect(200);
    assert_eq!(migrate(&stack, "up"), "the schema is up to date");
    let down = stack.output(&[], &["migrate", "down"]);
    let error = String::from_utf8(down.stderr).expect("text");
    assert!(down.status.code() == Some(1) && error.contains("29991231000000"), "{error}");
    assert_eq!(migrate(&stack, "status"), lines("applied", &all()));
}
