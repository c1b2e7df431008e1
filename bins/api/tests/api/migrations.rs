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
async fn down_to_the_bottom_leaves_nothing_and_up_again_is_the_same() {
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
async fn down_to_the_first_is_the_schema_of_v1_7_0() {
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
async fn the_names_that_operators_know_are_there() {
    let stack = Stack::start().await;
    let names = texts(&stack, "select indexname::text from pg_indexes where schemaname = 'public'").await;
    for index in [
        "idx_users_tier",
        "idx_users_credits",
        "idx_users_servers_used",
        "idx_schedules_next_run",
        "idx_schedules_discord_id",
        "idx_schedules_server_id",
        "idx_api_keys_hash",
        "idx_api_keys_discord_id",
        "api_keys_key_hash_key",
    ] {
        assert!(names.iter().any(|name| name == index), "{index} is not in {names:?}");
    }
    let sql = stack.sql().await;
    sql.execute("delete from user_stats", &[]).await.expect("no stats");
    sql.execute("insert into user_stats (discord_id, updated_at) values ('100000000000000001', '2020-01-01')", &[])
        .await
        .expect("stats");
    sql.execute("update user_stats set total_commands_used = 1", &[]).await.expect("a command");
    let fresh = sql.query_one("select updated_at = now() or updated_at > '2026-01-01' from user_stats", &[]).await;
    assert!(fresh.expect("a row").get::<_, bool>(0), "trigger_user_stats_updated_at touches what changes");
}

#[tokio::test]
async fn a_process_on_a_database_without_the_schema_waits_and_is_ready_once_it_is_there() {
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
async fn firings_that_are_on_their_way_while_the_schema_changes_become_one_operation_each() {
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

/// What is counted of the rows in `migrations/rows.sql`.
const COUNTED: [(&str, &str); 23] = [
    ("users", "users"),
    ("totals", "user_stats where total_commands_used = 5"),
    ("servers", "game_servers where deleted_at is null"),
    ("deleted servers", "game_servers where deleted_at is not null"),
    ("confirmed runs", "game_servers where confirmed_from is not null and confirmed_until is not null"),
    ("schedules", "server_schedules where enabled"),
    ("operations", "operations"),
    ("ids of requests", "operations where request_id is not null and trace_id is not null"),
    ("runs", "schedule_runs"),
    ("keys from everywhere", "api_keys where allowed_ips = '{}' and expires_at is null"),
    ("narrowed keys", "api_keys where allowed_ips <> '{}'"),
    ("keys that came of keys", "api_keys where maker_buckets = '{2}' and maker_limits = '{100}'"),
    ("idempotency keys", "idempotency_keys"),
    ("shares", "server_shares"),
    ("roles", "member_roles"),
    ("notices", "notices"),
    ("lines of the ledger", "credit_ledger where kind <> 'opening'"),
    ("ids of entries", "credit_ledger where command_id is not null"),
    ("shapes of names", "game_servers where name_shape is not null"),
    ("leavers", "server_leavers"),
    ("kills", "operations where killed_after_grace is not null"),
    ("unavailable games", "unavailable_games"),
    ("owed answers", "deferrals"),
];

/// What each migration that can be reverted takes along when it is, from the newest to the oldest.
/// docs/operations/rollback.md tells of it.
const LOST: [(&str, &[&str]); 24] = [
    ("deferrals", &["owed answers"]),
    ("unavailable_games", &["unavailable games"]),
    ("killed_after_grace", &["kills"]),
    ("ended_keys", &[]),
    ("makers_checked", &[]),
    ("makers", &["keys that came of keys"]),
    ("leavers", &["leavers"]),
    ("name_shapes", &["shapes of names"]),
    ("roles_seen", &[]),
    ("deleted_servers", &[]),
    ("live_servers", &[]),
    ("confirmed", &["confirmed runs"]),
    ("plans_index", &[]),
    ("plans", &[]),
    ("traces", &["ids of requests"]),
    ("ledger", &["ids of entries"]),
    ("credits", &["lines of the ledger"]),
    ("notices", &["notices"]),
    ("sharing", &["shares", "roles"]),
    ("firings_choose_operations", &[]),
    ("host_index", &[]),
    ("idempotency", &["idempotency keys"]),
    ("keys", &["narrowed keys"]),
    ("lift", &["operations", "runs", "deleted servers"]),
];

async fn counts(stack: &Stack) -> Vec<(&'static str, i64)> {
    let sql = stack.sql().await;
    let mut counts = vec![];
    for (what, from) in COUNTED {
        let row = sql.query_one(&format!("select count(*) from {from}"), &[]).await.expect("a count");
        counts.push((what, row.get(0)));
    }
    counts
}

#[tokio::test]
async fn every_migration_goes_down_and_up_again_with_rows_and_loses_no_more_than_it_says() {
    let stack = Stack::start().await;
    let sql = stack.sql().await;
    let revertible: Vec<_> = all().into_iter().skip(1).rev().collect();
    assert_eq!(revertible.len(), LOST.len(), "a migration whose losses are not told: {revertible:?}");
    let mut lost = vec![];
    for (steps, (name, loses)) in LOST.iter().enumerate() {
        sql.batch_execute(include_str!("migrations/rows.sql")).await.expect("rows");
        let mut expected = counts(&stack).await;
        assert!(expected.iter().all(|(_, count)| *count > 0), "nothing to lose: {expected:?}");
        lost.extend_from_slice(loses);
        expected.iter_mut().filter(|(what, _)| lost.contains(what)).for_each(|(_, count)| *count = 0);

        for reverted in &revertible[..=steps] {
            assert_eq!(migrate(&stack, "down"), format!("reverted {reverted}"));
        }
        assert!(revertible[steps].ends_with(name), "{name}");
        migrate(&stack, "up");
        assert_eq!(counts(&stack).await, expected, "after {name}");
    }
}

#[tokio::test]
async fn a_schema_that_is_newer_than_the_program_serves_it_and_is_not_reverted_by_it() {
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
