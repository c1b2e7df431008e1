//! Schedules that are due: many at once, and one alone.

use std::time::{Duration, Instant};

use tokio_postgres::Client;

use crate::{
    data::Size,
    error::{Error, Result},
    report::{Report, median, percentile, step},
};

const SWARM_S: f64 = 2.0;
const CLAIMED_S: f64 = 1.0;
const BEGUN_S: f64 = 5.0;
/// The wait outlasts the measurement; until its end nothing is to do.
const STEPS: &str = r#"'{"steps": [{"deed": {"wait": "1h"}}, {"deed": {"wait": "1h"}}]}'"#;
const LONE_P99_MS: f64 = 50.0;
const PATIENCE: Duration = Duration::from_secs(120);
const ROUNDS: i32 = 3;

/// Many at once: from the moment that they are due until the last of them has its operation; and, in turns with that, the
/// same with steps, until the last of them has begun.
pub(crate) async fn swarm(sql: &Client, size: Size, report: &mut Report) -> Result {
    let (mut single, mut steps) = (vec![], vec![]);
    for round in 0..ROUNDS {
        for (work, rounds) in [(Runs::Single, &mut single), (Runs::Steps, &mut steps)] {
            step(&format!("{} of {} schedules are due, round {} of {ROUNDS}", size.due, size.schedules, round + 1));
            rounds.push(at_once(sql, size, round, work).await?);
        }
    }
    forget(sql).await?;
    let many = format!("{} due of {}", size.due, size.schedules);
    let done = |rounds: &[Swarm]| rounds.iter().map(|round| round.done_s).collect::<Vec<_>>();
    let claimed = |rounds: &[Swarm]| median(rounds.iter().map(|round| round.claimed_s));
    report.value(format!("{many}: slowest round"), percentile(done(&single), 100), "s");
    report.at_most(&many, median(done(&single)), SWARM_S, "s");
    report.at_most(format!("{many}, with steps: claimed"), claimed(&steps), CLAIMED_S, "s");
    report.value(format!("{many}, with steps : one action, claimed"), claimed(&steps) / claimed(&single), "");
    report.at_most(format!("{many}, with steps: all have begun"), median(done(&steps)), BEGUN_S, "s");
    Ok(())
}

/// Runs of the schedules that are due.
#[derive(Clone, Copy, PartialEq)]
enum Runs {
    /// Runs of one action, which becomes an operation.
    Single,
    /// Runs of steps, of which the first waits.
    Steps,
}

/// Seconds after which all runs of a swarm were claimed, and had their operations or had begun.
struct Swarm {
    claimed_s: f64,
    done_s: f64,
}

async fn at_once(sql: &Client, size: Size, round: i32, work: Runs) -> Result<Swarm> {
    forget(sql).await?;
    // Neighbours in the table have different servers, and every round has rows of its own.
    let from = round * size.servers + 1;
    let due = format!("between {from} and {}", from + size.due - 1);
    let (action, steps, done) = match work {
        Runs::Single => ("start", "null", "select count(*) from operations"),
        Runs::Steps => ("steps", STEPS, "select count(*) from schedule_run_steps where state = 'running'"),
    };
    let change = format!("update server_schedules set action = '{action}', work = {steps} where id {due}");
    sql.batch_execute(&change).await?;
    sql.batch_execute("vacuum server_schedules").await?;
    sql.batch_execute(&format!("begin; {}", become_due(&due))).await?;
    let began = Instant::now();
    sql.batch_execute("commit").await?;
    let counted = async |count: &str| {
        until(Duration::from_millis(20), &began, async || {
            Ok(sql.query_one(count, &[]).await?.get::<_, i64>(0) >= i64::from(size.due))
        })
        .await?;
        Ok::<_, Error>(began.elapsed().as_secs_f64())
    };
    let claimed_s = counted("select count(*) from schedule_runs").await?;
    let done_s = counted(done).await?;
    let own = "select count(distinct r.operation_id) from schedule_runs r join operations o on o.id = r.operation_id";
    let own: i64 = sql.query_one(own, &[]).await?.get(0);
    if work == Runs::Single && own != i64::from(size.due) {
        return Err(Error::new(format!("{} firings became {own} operations", size.due)));
    }
    Ok(Swarm { claimed_s, done_s })
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
    for statement in
        ["truncate schedule_runs, schedule_run_steps, operations", "vacuum server_schedules", "vacuum game_servers"]
    {
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
