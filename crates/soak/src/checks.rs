//! Checks of the database when all is calm again.

use std::time::{Duration, Instant};

use tokio::time::sleep;
use tokio_postgres::{Client, NoTls};

use crate::{
    MEMBERS, PLAYERS,
    error::{Result, in_full},
    players::Promised,
    problems::{Problems, say},
};

/// How long what is under way may take to end, after the last storm.
const SETTLES: Duration = Duration::from_secs(180);

pub(crate) async fn connect(url: &str) -> Result<Client> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

/// Waits until no operation is open and no firing pending; what still is afterwards is lost.
pub(crate) async fn settle(sql: &Client, problems: &Problems) -> Result {
    let began = Instant::now();
    loop {
        let open = texts(sql, OPEN).await?;
        if open.is_empty() {
            return Ok(());
        }
        if began.elapsed() > SETTLES {
            open.into_iter().for_each(|open| problems.found("work that does not end", open));
            return Ok(());
        }
        sleep(Duration::from_secs(1)).await;
    }
}

/// Each query answers with what is wrong, a line for each.
pub(crate) async fn judge(sql: &Client, promised: &Promised, problems: &Problems) -> Result {
    for (what, query) in INVARIANTS {
        for line in texts(sql, query).await? {
            problems.found(what, line);
        }
    }
    accepted(sql, promised, problems).await?;
    fired(sql, promised, problems).await?;
    rows(sql, promised, problems).await
}

/// Every operation that REST has accepted is there, and there are no others that REST has made.
async fn accepted(sql: &Client, promised: &Promised, problems: &Problems) -> Result {
    let accepted = promised.accepted();
    let ids: Vec<String> = accepted.iter().map(|operation| operation.id.clone()).collect();
    let lost = "select u.id from unnest($1::text[]) as u(id)
                left join operations o on o.id::text = u.id where o.id is null";
    for row in sql.query(lost, &[&ids]).await? {
        problems.found("an operation that was accepted and is lost", row.get::<_, String>(0));
    }
    let doubled = "select o.id::text || ' ' || o.action || ' of server ' || o.server_id from operations o
                   where o.origin = 'rest' and o.action <> 'delete' and not (o.id::text = any($1))";
    for row in sql.query(doubled, &[&ids]).await? {
        problems.found("an operation that nobody was told of: a request was done twice", row.get::<_, String>(0));
    }
    let servers: std::collections::BTreeSet<i64> = accepted.iter().map(|operation| operation.server).collect();
    say(&format!("REST accepted {} operations of {} servers", accepted.len(), servers.len()));
    let states = "select origin || ' ' || action || ' ' || state || ': ' || count(*) from operations group by origin, action, state
                  order by origin, action, state";
    texts(sql, states).await?.iter().for_each(|line| say(&format!("operations: {line}")));
    Ok(())
}

/// Each slot of the schedules has a row, or is counted in one, from the first to the last.
async fn fired(sql: &Client, promised: &Promised, problems: &Problems) -> Result {
    let schedules = promised.schedules();
    for schedule in &schedules {
        let query = format!(
            "select format('schedule %s (%s): %s slots for %s', s.id, s.cron_expression, sum(r.slots),
                 extract(epoch from max(r.slot) - min(r.slot)) / 60 / (case s.cron_expression when '* * * * *' then 1 else 2 end) + 1)
             from server_schedules s join schedule_runs r on r.schedule_id = s.id where s.id = {schedule} group by s.id
             having sum(r.slots) <> extract(epoch from max(r.slot) - min(r.slot)) / 60
                 / (case s.cron_expression when '* * * * *' then 1 else 2 end) + 1"
        );
        for line in texts(sql, &query).await? {
            problems.found("firings that are lost or doubled", line);
        }
    }
    let states = "select state || coalesce(' (' || reason || ')', '') || ': ' || sum(slots) from schedule_runs
                  group by state, reason order by 1";
    texts(sql, states).await?.iter().for_each(|line| say(&format!("firings: {line}")));
    let never = format!("{} schedules were made and have never fired", schedules.len());
    match texts(sql, "select count(*)::text from schedule_runs").await?.first().map(String::as_str) {
        Some("0") if !schedules.is_empty() => Err(never.into()),
        _ => Ok(()),
    }
}

/// No table has more rows than what happened accounts for.
async fn rows(sql: &Client, promised: &Promised, problems: &Problems) -> Result {
    let slots =
        "select coalesce(sum(extract(epoch from now() - created_at) / 60 + 2), 0)::bigint from server_schedules";
    let bounds = bounds(promised.wishes(), sql.query_one(slots, &[]).await?.get(0));
    let tables = "select relname::text from pg_class c join pg_namespace n on n.oid = c.relnamespace
                  where c.relkind = 'r' and n.nspname = 'public' and relname not like '\\_\\_%' order by 1";
    for table in texts(sql, tables).await? {
        let Some((_, bound)) = bounds.iter().find(|(bounded, _)| *bounded == table) else {
            problems.found("a table for whose rows the soak has no bound", table);
            continue;
        };
        let rows: i64 = sql.query_one(&format!("select count(*) from {table}"), &[]).await?.get(0);
        say(&format!("rows: {table} {rows} of at most {bound}"));
        if rows > *bound {
            problems.found("rows beyond what happened", format!("{table}: {rows}, at most {bound}"));
        }
    }
    Ok(())
}

/// The rows of a query of one text column.
async fn texts(sql: &Client, query: &str) -> Result<Vec<String>> {
    let rows = sql.query(query, &[]).await.map_err(|error| format!("{query}: {}", in_full(&error)))?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

const OPEN: &str = "
    select 'operation ' || id::text || ' ' || action || ' is ' || state from operations where finished_at is null
    union all
    select 'firing ' || schedule_id || ' ' || slot from schedule_runs where state = 'pending'
    union all
    select 'notice ' || id || ' is ' || state from notices where finished_at is null";

const INVARIANTS: [(&str, &str); 8] = [
    (
        "a balance that its ledger does not add up to",
        "select format('%s has %s, and lines of %s', u.discord_id, u.credits, coalesce(sum(l.amount), 0))
         from users u left join credit_ledger l on l.discord_id = u.discord_id
         group by u.discord_id having u.credits <> coalesce(sum(l.amount), 0)",
    ),
    (
        "an hour that was charged twice",
        "select format('server %s, %s: %s', server_id, hour, count(*)) from credit_ledger where kind = 'charge'
         group by server_id, hour having count(*) > 1",
    ),
    (
        "charges that overlap",
        "select format('server %s: %s and %s', a.server_id, a.hour, b.hour) from credit_ledger a join credit_ledger b
         on a.server_id = b.server_id and a.id < b.id and a.hour < b.hour + interval '59 minutes'
             and b.hour < a.hour + interval '59 minutes'
         where a.kind = 'charge' and b.kind = 'charge'",
    ),
    (
        "an operation that failed",
        "select format('%s %s of server %s (%s): %s', id, action, server_id, origin, error) from operations where state = 'failed'",
    ),
    (
        "a firing that failed",
        "select format('schedule %s at %s: %s', schedule_id, slot, reason) from schedule_runs where state = 'failed'",
    ),
    (
        "a firing whose operation is not there",
        "select format('schedule %s at %s', r.schedule_id, r.slot) from schedule_runs r
         left join operations o on o.id = r.operation_id
         where r.state = 'succeeded' and o.id is null",
    ),
    (
        "a server that is not what it should be",
        "select format('server %s is %s and should be %s', id, status, desired) from game_servers
         where deleted_at is null and status <> desired",
    ),
    (
        "a server that crashed",
        "select format('server %s: %s', id, error_message) from game_servers where status in ('crashed', 'failed')",
    ),
];

/// The most rows that each table may have, by what was asked for and the time that passed. Everything is younger than what is
/// forgotten, but for idempotency keys and notices.
fn bounds(wishes: i64, slots: i64) -> [(&'static str, i64); 20] {
    let users = i64::try_from(MEMBERS.len()).unwrap_or_default() + PLAYERS;
    let operations = wishes + slots;
    [
        ("users", users),
        ("user_stats", users),
        ("api_keys", PLAYERS),
        ("game_servers", wishes),
        ("server_schedules", 3 * PLAYERS),
        ("server_shares", 0),
        ("server_leavers", 0),
        // The one game of the catalogue is part of agis-api.
        ("unavailable_games", 0),
        ("member_roles", users),
        ("operations", operations),
        ("schedule_runs", slots),
        // The credits that everybody begins with, the grant, and an hour of each run.
        ("credit_ledger", 2 * users + operations),
        ("billing", 1),
        ("notices", operations),
        ("idempotency_keys", wishes),
        ("deferrals", wishes),
        ("server_commands", wishes),
        ("hosts", 1),
        ("console_requests", 100),
        ("server_players", 0),
    ]
}
