//! Two processes on one database: whatever becomes of one of them, every firing is one operation.

use agis_test_support::wait;
use tokio_postgres::Client;

use crate::{
    common::{Api, SOON, Stack},
    fleet::{self, Lot, ON_HOST, SHORT_LEASE},
};

/// 1,000 schedules due in one minute: most of them do nothing, some begin a process.
const LOTS: [Lot; 2] = [Lot(960, "sleeper", "stop"), Lot(40, "sleeper", "start")];
const FIRINGS: i64 = 1000;

/// Two processes, and an hour's worth of work for them.
async fn two(settings: &[(&str, &str)]) -> (Stack, Client, [Api; 2]) {
    let stack = Stack::start().await;
    let sql = stack.sql().await;
    fleet::own_ids(&sql).await;
    let settings = [&[ON_HOST], settings].concat();
    let apis = [stack.api(&settings).await, stack.api(&settings).await];
    fleet::due(&sql, &LOTS).await;
    (stack, sql, apis)
}

#[tokio::test(flavor = "multi_thread")]
async fn thousand_schedules_are_thousand_operations() {
    let (stack, sql, [one, two]) = two(&[]).await;
    fleet::until_ended(&sql, FIRINGS).await;
    fleet::assert_exactly_once(&sql, FIRINGS).await;
    fleet::assert_counted(&[&one, &two], "stop", 960.0).await;
    fleet::assert_counted(&[&one, &two], "start", 40.0).await;
    fleet::assert_one_copy_each(&stack, &fleet::servers_of(&sql, "start").await, 1).await;
    let retried: i64 = fleet::one(&sql, "select count(*) from operations where attempt > 1").await;
    assert_eq!(retried, 0, "operations that needed a second attempt, although nothing happened to the first");
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_process_is_replaced_without_doubles() {
    let (stack, sql, [one, two]) = two(&[SHORT_LEASE]).await;
    let held = freeze_in_the_middle(&one, &sql).await;
    // SIGKILL reaches a stopped process too.
    one.kill();
    fleet::until_ended(&sql, FIRINGS).await;
    fleet::assert_exactly_once(&sql, FIRINGS).await;
    fleet::assert_one_copy_each(&stack, &fleet::servers_of(&sql, "start").await, 1).await;
    assert_eq!(taken_over(&sql, &held).await, held.len(), "every operation that it held had a second attempt");
    assert!(fleet::executions(&[&two], "stop", "success").await <= 960.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn overslept_process_changes_nothing() {
    let (stack, sql, [one, two]) = two(&[SHORT_LEASE]).await;
    let held = freeze_in_the_middle(&one, &sql).await;
    wait::until(fleet::LONG, "the other process to end what the sleeper held", async || {
        (taken_over(&sql, &held).await > 0).then_some(())
    })
    .await;
    let before = ended(&sql).await;
    one.thaw();
    fleet::until_ended(&sql, FIRINGS).await;
    fleet::assert_exactly_once(&sql, FIRINGS).await;
    fleet::assert_counted(&[&one, &two], "stop", 960.0).await;
    fleet::assert_counted(&[&one, &two], "start", 40.0).await;
    let all = ended(&sql).await;
    // The process ends when each of its attempts has ended.
    assert!(one.stop().await.success());
    assert_eq!(ended(&sql).await, all, "no operation changes after its end");
    assert!(before.iter().all(|operation| all.contains(operation)), "nor did those that ended while it slept");
    fleet::assert_one_copy_each(&stack, &fleet::servers_of(&sql, "start").await, 1).await;
}

/// Freezes a process when it holds some operations, and answers with those. What it had told Postgres before it froze may
/// still be done by it: an operation counts as held if it is not over by the time that another is taken over.
async fn freeze_in_the_middle(api: &Api, sql: &Client) -> Vec<String> {
    wait::until(SOON, "a process to hold operations in the middle of the work", async || {
        if fleet::ended_operations(sql).await < 50 {
            return None;
        }
        api.freeze();
        let held = held_by(api, sql).await;
        let held = wait::until(fleet::LONG, "one of them to be taken over, or all to end", async || {
            let ended = ended_at_once(sql).await;
            let open: Vec<_> = held.iter().filter(|id| !ended.contains(id)).cloned().collect();
            (open.len() < 3 || begun_anew(sql, &open).await).then_some(open)
        })
        .await;
        if held.len() < 3 {
            api.thaw();
            return None;
        }
        Some(held)
    })
    .await
}

/// The operations that ended with their first attempt.
async fn ended_at_once(sql: &Client) -> Vec<String> {
    let ended = fleet::rows(sql, "select id::text from operations where attempt = 1 and finished_at is not null").await;
    ended.into_iter().flatten().flatten().collect()
}

/// Whether any of these has a second attempt.
async fn begun_anew(sql: &Client, ids: &[String]) -> bool {
    let again = fleet::rows(sql, "select id::text from operations where attempt > 1").await;
    again.into_iter().flatten().flatten().any(|id| ids.contains(&id))
}

/// The operations that run and were begun by this process.
async fn held_by(api: &Api, sql: &Client) -> Vec<String> {
    let log = api.log();
    let begun: Vec<_> = log
        .iter()
        .filter(|line| line["message"].as_str().is_some_and(|text| text.ends_with(" begins")))
        .filter_map(|line| line["span"]["operation_id"].as_str())
        .collect();
    let running = fleet::rows(sql, "select id::text from operations where state = 'running'").await;
    running.into_iter().flatten().flatten().filter(|id| begun.contains(&id.as_str())).collect()
}

/// How many of these have ended with a later attempt than the first.
async fn taken_over(sql: &Client, held: &[String]) -> usize {
    let later = fleet::rows(sql, "select id::text from operations where attempt > 1 and finished_at is not null").await;
    later.into_iter().flatten().flatten().filter(|id| held.contains(id)).count()
}

/// Every operation that has ended: how, and when.
async fn ended(sql: &Client) -> Vec<Vec<Option<String>>> {
    let query = "select id::text, state, finished_at::text, attempt::text from operations
                 where finished_at is not null order by id";
    fleet::rows(sql, query).await
}
