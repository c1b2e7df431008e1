//! Each migration, one by one.

mod short_locks;

use agis_storage::migrations;
use tokio_postgres::Client;

use crate::scene::Scene;

/// The names of all migrations, in order; the first is the schema of v1.7.0.
fn all() -> Vec<String> {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/../../migrations");
    let entries = std::fs::read_dir(directory).expect("the migrations").map(|entry| entry.expect("an entry"));
    let mut names: Vec<_> = entries.map(|entry| entry.file_name().into_string().expect("text")).collect();
    names.sort();
    names
}

#[tokio::test]
async fn the_names_that_operators_know_are_there() {
    let Scene { sql, .. } = &Scene::start().await;
    let names = "select indexname::text from pg_indexes where schemaname = 'public'";
    let names: Vec<String> = sql.query(names, &[]).await.expect("names").iter().map(|row| row.get(0)).collect();
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
    sql.execute("delete from user_stats", &[]).await.expect("no stats");
    sql.execute("insert into user_stats (discord_id, updated_at) values ('100000000000000001', '2020-01-01')", &[])
        .await
        .expect("stats");
    sql.execute("update user_stats set total_commands_used = 1", &[]).await.expect("a command");
    let fresh = sql.query_one("select updated_at = now() or updated_at > '2026-01-01' from user_stats", &[]).await;
    assert!(fresh.expect("a row").get::<_, bool>(0), "trigger_user_stats_updated_at touches what changes");
}

/// Counts of the rows in `migrations/rows.sql`.
const COUNTED: [(&str, &str); 50] = [
    ("ended actions", "notices where kind = 'actions_ended'"),
    ("called off actions", "notices where kind = 'power_called_off'"),
    ("announced actions", "notices where due_at is not null"),
    ("channels of announcements", "server_announcements"),
    ("longer waits", "schedule_run_steps where postponed_s > 0"),
    ("schedules of steps", "server_schedules where work is not null and server_id is not null"),
    ("schedules for labels", "server_schedules where label is not null"),
    ("runs on many servers", "schedule_runs where action = 'servers'"),
    ("steps of runs", "schedule_run_steps"),
    ("users", "users"),
    ("totals", "user_stats where total_commands_used = 5"),
    ("servers", "game_servers where deleted_at is null"),
    ("deleted servers", "game_servers where deleted_at is not null"),
    ("confirmed runs", "game_servers where confirmed_from is not null and confirmed_until is not null"),
    ("schedules", "server_schedules where enabled"),
    ("operations", "operations"),
    ("ids of requests", "operations where request_id is not null and trace_id is not null"),
    ("runs", "schedule_runs where action not in ('steps', 'servers')"),
    ("keys from everywhere", "api_keys where allowed_ips = '{}' and expires_at is null"),
    ("narrowed keys", "api_keys where allowed_ips <> '{}'"),
    ("keys that came of keys", "api_keys where maker_buckets = '{2}' and maker_limits = '{100}'"),
    ("idempotency keys", "idempotency_keys"),
    ("shares", "server_shares"),
    ("shared consoles", "server_shares where 'console' = any(permissions)"),
    ("roles", "member_roles"),
    ("notices", "notices where kind not in ('power_announced', 'power_called_off', 'actions_ended')"),
    ("lines of the ledger", "credit_ledger where kind <> 'opening'"),
    ("ids of entries", "credit_ledger where command_id is not null"),
    ("shapes of names", "game_servers where name_shape is not null"),
    ("ports", "game_servers where ports is not null"),
    ("leavers", "server_leavers"),
    ("kills", "operations where killed_after_grace is not null"),
    ("unavailable games", "unavailable_games"),
    ("owed answers", "deferrals"),
    ("hosts", "hosts"),
    ("players", "server_players"),
    ("settings", "game_servers where settings <> '{}'"),
    ("settings of runs", "game_servers where run_settings is not null"),
    ("requests to consoles", "console_requests"),
    ("commands", "server_commands"),
    ("RCON passwords", "game_servers where rcon_password = 'pw'"),
    ("progress and images", "operations where progress is not null and image is not null"),
    ("restart policies", "game_servers where restart_policy is not null"),
    ("restarts that wait", "game_servers where restart_at is not null"),
    ("holds", "server_holds"),
    ("labels", "server_labels"),
    ("batches", "server_batches"),
    ("rules for stops", "server_idle"),
    ("gates", "server_idle where rule ? 'wake_on_join'"),
    ("emptiness", "server_players where empty_until is not null"),
];

/// Losses of each migration that can be reverted, from the newest to the oldest. docs/operations/rollback.md tells of
/// them.
const LOST: [(&str, &[&str]); 61] = [
    ("actions_ended_checked", &[]),
    ("actions_ended", &["ended actions"]),
    ("open_parts", &[]),
    ("called_off_checked", &[]),
    ("called_off", &["called off actions"]),
    ("label_schedules_parts", &[]),
    ("label_schedules_checked", &[]),
    ("label_schedules", &["schedules for labels", "runs on many servers"]),
    ("batches", &["batches"]),
    ("join_checked", &[]),
    ("join", &["gates"]),
    ("idle_checked", &[]),
    ("idle", &["rules for stops", "emptiness"]),
    ("steps_acting", &[]),
    ("announcements_checked", &[]),
    ("announcements", &["announced actions", "channels of announcements", "longer waits"]),
    ("steps_once", &[]),
    ("steps_due", &[]),
    ("steps_checked", &[]),
    ("steps", &["schedules of steps", "steps of runs"]),
    ("run_settings", &["settings of runs"]),
    ("console_shares_checked", &[]),
    ("console_shares", &["shared consoles"]),
    ("commands_not_queued", &[]),
    ("labels", &["labels"]),
    ("holds", &["holds"]),
    ("commands", &["commands", "RCON passwords"]),
    ("players", &["players"]),
    ("restarts_due", &[]),
    ("restarts_checked", &[]),
    ("restarts", &["restart policies", "restarts that wait"]),
    ("console_requests", &["requests to consoles"]),
    ("progress", &["progress and images"]),
    ("settings_checked", &[]),
    ("settings", &["settings"]),
    ("ports", &["ports"]),
    ("hosts", &["hosts"]),
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

async fn counts(sql: &Client) -> Vec<(&'static str, i64)> {
    let mut counts = vec![];
    for (what, from) in COUNTED {
        let row = sql.query_one(&format!("select count(*) from {from}"), &[]).await.expect("a count");
        counts.push((what, row.get(0)));
    }
    counts
}

#[tokio::test]
async fn every_migration_reverts_with_known_losses() {
    let Scene { sql, url, .. } = &Scene::start().await;
    let revertible: Vec<_> = all().into_iter().skip(1).rev().collect();
    assert_eq!(revertible.len(), LOST.len(), "a migration whose losses are not told: {revertible:?}");
    let mut lost = vec![];
    for (steps, (name, loses)) in LOST.iter().enumerate() {
        sql.batch_execute(include_str!("migrations/rows.sql")).await.expect("rows");
        let mut expected = counts(sql).await;
        assert!(expected.iter().all(|(_, count)| *count > 0), "nothing to lose: {expected:?}");
        lost.extend_from_slice(loses);
        expected.iter_mut().filter(|(what, _)| lost.contains(what)).for_each(|(_, count)| *count = 0);

        for reverted in &revertible[..=steps] {
            assert_eq!(migrations::down(url, |_| {}).await.expect("one to revert"), *reverted);
        }
        assert!(revertible[steps].ends_with(name), "{name}");
        migrations::up(url, |_| {}).await.expect("up again");
        assert_eq!(counts(sql).await, expected, "after {name}");
    }
}
