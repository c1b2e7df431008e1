//! The schema changes while it is in use, and nobody waits for long.

use std::{
    path::PathBuf,
    process::Output,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use agis_test_support::wait;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{all, lines, migrate};
use crate::{
    common::{SOON, Stack},
    takeover::left_by_go,
};

/// From this one on every migration keeps to the rules; what came before the first release need not.
const FIRST: &str = "2026-11-28";

/// Reads and writes, each again and again, as the service does.
const LOAD: [&str; 4] = [
    "select count(*) from game_servers",
    "select credits from users where discord_id = '200000000000000001'",
    "update users set credits = credits where discord_id = '200000000000000001'",
    "update game_servers set name = name where id = 5",
];

/// Statements that run beside each other until this is ended.
struct Load {
    done: Arc<[AtomicUsize; LOAD.len()]>,
    tasks: JoinSet<()>,
    stop: CancellationToken,
}

impl Load {
    async fn begin(stack: &Stack) -> Self {
        let (done, stop) = (Arc::<[AtomicUsize; LOAD.len()]>::default(), CancellationToken::new());
        let mut tasks = JoinSet::new();
        for (place, statement) in LOAD.iter().enumerate() {
            let (sql, done, stop) = (stack.sql().await, done.clone(), stop.clone());
            tasks.spawn(async move {
                while !stop.is_cancelled() {
                    sql.batch_execute(statement).await.expect(statement);
                    done[place].fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        Self { done, tasks, stop }
    }

    /// Waits until each has been done some more times.
    async fn goes_on(&self) {
        let counts = || self.done.iter().map(|count| count.load(Ordering::Relaxed)).collect::<Vec<_>>();
        let before = counts();
        wait::until(SOON, "the service to go on", async || {
            counts().iter().zip(&before).all(|(now, before)| *now >= before + 10).then_some(())
        })
        .await;
    }

    async fn end(mut self) {
        self.stop.cancel();
        while let Some(ended) = self.tasks.join_next().await {
            ended.expect("no statement has failed");
        }
    }
}

/// A dump that goes on until this is dropped: it has read something of a moment, and means to read every table.
async fn reader(stack: &Stack) -> tokio_postgres::Client {
    let sql = stack.sql().await;
    let lock = "do $$ declare name text; begin
                    for name in select tablename from pg_tables where schemaname = 'public' loop
                        execute format('lock table %I in access share mode', name);
                    end loop;
                end $$";
    sql.batch_execute("begin isolation level repeatable read; select count(*) from users").await.expect("a snapshot");
    sql.batch_execute(lock).await.expect("locks");
    sql
}

/// Migrates under load while a dump goes on, which then ends.
async fn migrate_beside_a_reader(stack: &Arc<Stack>) -> Output {
    let load = Load::begin(stack).await;
    let reader = reader(stack).await;
    let migration = {
        let stack = stack.clone();
        tokio::task::spawn_blocking(move || stack.output(&[], &["migrate", "up"]))
    };
    let sql = stack.sql().await;
    for _ in 0..2 {
        wait::until(SOON, "the migration to wait for the dump", async || {
            let waits = "select count(*) > 0 from pg_stat_activity where application_name = 'agis'
                         and datname = current_database() and wait_event_type = 'Lock'";
            sql.query_one(waits, &[]).await.expect("a row").get::<_, bool>(0).then_some(())
        })
        .await;
        load.goes_on().await;
    }
    assert!(!migration.is_finished(), "there was nothing to wait for");
    drop(reader);
    let output = migration.await.expect("a thread");
    load.goes_on().await;
    load.end().await;
    output
}

#[tokio::test(flavor = "multi_thread")]
async fn migration_beside_a_reader_blocks_nobody() {
    let stack = Arc::new(left_by_go().await);
    let output = migrate_beside_a_reader(&stack).await;
    let (said, remarks) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(said.trim(), lines("applied", &all()), "{remarks}");
    assert!(remarks.contains("will try again: the transaction of process"), "{remarks}");

    let new: Vec<_> = all().into_iter().filter(|name| name.as_str() >= FIRST).collect();
    for name in new.iter().rev() {
        assert_eq!(migrate(&stack, "down"), format!("reverted {name}"));
    }
    if !new.is_empty() {
        let output = migrate_beside_a_reader(&stack).await;
        assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), lines("applied", &new));
    }
}

#[tokio::test]
async fn interrupted_index_is_built_anew() {
    let stack = Stack::start().await;
    let sql = stack.sql().await;
    let reader = reader(&stack).await;
    sql.batch_execute("set statement_timeout = 300").await.expect("set");
    let build = "create index concurrently broken on users (tier)";
    sql.batch_execute(build).await.expect_err("it waits for the reader");
    drop(reader);
    let broken = "select count(*) from pg_index where not indisvalid";
    assert_eq!(sql.query_one(broken, &[]).await.expect("a row").get::<_, i64>(0), 1);
    let concurrent = all().iter().rev().position(|name| directory(name).join("metadata.toml").exists());
    let Some(steps) = concurrent else { return };
    for _ in 0..=steps {
        migrate(&stack, "down");
    }
    migrate(&stack, "up");
    assert_eq!(sql.query_one(broken, &[]).await.expect("a row").get::<_, i64>(0), 0);
}

fn directory(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../migrations")).join(name)
}
