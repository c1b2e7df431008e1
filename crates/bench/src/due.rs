//! Schedules that are due: many at once, and one alone.

use std::time::{Duration, Instant};

use tokio_postgres::Client;

use crate::{
    data::Size,
    error::{Error, Result},
    report::{Report, median, percentile, step},
};

const SWARM_S: f64 = 2.0;
const LONE_P99_MS: f64 = 50.0;
const PATIENCE: Duration = Duration::from_secs(120);
const ROUNDS: i32 = 3;

/// Many at once: from the moment that they are due until the last of them has its operation.
pub(crate) async fn swarm(sql: &Client, size: Size, report: &mut Report) -> Result {
    let mut seconds = vec![];
    for round in 0..ROUNDS {
        step(&format!("{} of {} schedules are due, round {} of {ROUNDS}", size.due, size.schedules, round + 1));
        forget(sql).await?;
        // Neighbours in the table have different servers, and every round has rows of its own.
        let from = round * size.servers + 1;
        let due = format!("between {from} and {}", from + size.due - 1);
        sql.batch_execute(&format!("begin; {}", become_due(&due))).await?;
        let began = Instant::now();
        sql.batch_execute("commit").await?;
        until(Duration::from_millis(20), &began, async || {
            let done: i64 = sql.query_one("select count(*) from operations", &[]).await?.get(0);
            Ok(done >= i64::from(size.due))
        })
        .await?;
        seconds.push(began.elapsed().as_secs_f64());
        let own =
            "select count(distinct r.operation_id) from schedule_runs r join operations o on o.id = r.operation_id";
        let own: i64 = sql.query_one(own, &[]).await?.get(0);
        if own != i64::from(size.due) {
            return Err(Error::new(format!("{} firings became {own} operations", size.due)));
        }
    }
    forget(sql).await?;
    report.value(
        format!("{} due of {}: slowest round", size.due, size.schedules),
        percentile(seconds.clone(), 100),
        "s",
    );
    report.at_most(format!("{} due of {}", size.due, size.schedules), median(seconds), SWARM_S, "s");
    Ok(())
}

/// One alone. A slot is the beginning of a minute, and nobody waits for so many minutes: so both halves of the way are
/// measured, each with the claim in it, and added. First a schedule comes due while the scheduler sleeps, at a time
/// that is no slot: it is claimed and moved on. Then one becomes due by a change that is told.
pub(crate) async fn lone(sql: &Client, size: Size, count: i32, report: &mut Report) -> Result {
    step(&format!("{count} schedules are due one by one"));
    let (mut slept, mut told) = (vec![], vec![]);
    for number in 0..count {
        let id = size.schedules - 2 * number;
        slept.push(wakes(sql, id).await?);
        told.push(fires(sql, id - 1).await?);
    }
    forget(sql).await?;
    let both: Vec<_> = slept.iter().zip(&told).map(|(slept, told)| slept + told).collect();
    report.value("lone firing, woken by the clock and claimed: p99", percentile(slept, 99), "ms");
    report.value("lone firing, from notice to operation: p99", percentile(told, 99), "ms");
    report.value("lone firing, both: p50", median(both.clone()), "ms");
    report.at_most("lone firing, both: p99", percentile(both, 99), LONE_P99_MS, "ms");
    Ok(())
}

/// Milliseconds after its time at which a schedule was moved on.
async fn wakes(sql: &Client, id: i32) -> Result<f64> {
    sql.batch_execute(&format!(
        "begin; update server_schedules set next_run = clock_timestamp() + interval '150 ms' where id = {id};
         notify agis_schedules; commit"
    ))
    .await?;
    let due = "select next_run <= clock_timestamp() + interval '1 day', extract(epoch from next_run)::float8,
        extract(epoch from clock_timestamp())::float8 from server_schedules where id = $1";
    let due = sql.prepare(due).await?;
    let at: f64 = sql.query_one(&due, &[&id]).await?.get(1);
    let mut now = 0.0;
    until(Duration::from_millis(1), &Instant::now(), async || {
        let row = sql.query_one(&due, &[&id]).await?;
        now = row.get(2);
        Ok(!row.get::<_, bool>(0))
    })
    .await?;
    Ok((now - at) * 1000.0)
}

/// Milliseconds from the commit that makes a schedule due until its operation is there.
async fn fires(sql: &Client, id: i32) -> Result<f64> {
    sql.batch_execute(&format!("begin; {}", become_due(&format!("= {id}")))).await?;
    let began = Instant::now();
    sql.batch_execute("commit").await?;
    let there = "select exists(select from schedule_runs r join operations o on o.id = r.operation_id
                 where r.schedule_id = $1)";
    let there = sql.prepare(there).await?;
    until(Duration::from_millis(1), &began, async || Ok(sql.query_one(&there, &[&id]).await?.get(0))).await?;
    Ok(began.elapsed().as_secs_f64() * 1000.0)
}

/// Makes schedules due at the beginning of this minute and then not before tomorrow, and rings.
fn become_due(ids: &str) -> String {
    format!(
        "update server_schedules set next_run = date_trunc('minute', now()),
                cron_expression = to_char(now() at time zone 'UTC', 'FMMI FMHH24') || ' * * *'
             where id {ids};
         notify agis_schedules;"
    )
}

/// Nothing of a round is there in the next.
async fn forget(sql: &Client) -> Result {
    // One by one: VACUUM takes no company.
    for statement in ["truncate schedule_runs, operations", "vacuum server_schedules", "vacuum game_servers"] {
        sql.batch_execute(statement).await?;
    }
    Ok(())
}

async fn until(pause: Duration, began: &Instant, mut done: impl AsyncFnMut() -> Result<bool>) -> Result {
    while !done().await? {
        if began.elapsed() > PATIENCE {
            return Err(Error::new("schedules that are due do not fire"));
        }
        tokio::time::sleep(pause).await;
    }
    Ok(())
}
