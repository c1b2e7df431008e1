//! The data, made by the database itself.

use std::{fs, path::Path};

use tokio_postgres::{Client, NoTls};

use crate::error::Result;

/// How much of everything.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Size {
    pub(crate) users: i32,
    pub(crate) servers: i32,
    pub(crate) schedules: i32,
    /// How many schedules are due at once.
    pub(crate) due: i32,
}

/// Keys that have one request an hour, to be refused from the second on.
const POOR: i32 = 64;

/// A host that nobody serves: operations on it wait.
const HOST: &str = "bench-nobody";

/// The key of a number, in SQL: `agis_` and the padded URL-safe base64 of 32 bytes.
fn key(number: &str) -> String {
    format!("'agis_' || translate(encode(sha256(convert_to('bench ' || {number}, 'UTF8')), 'base64'), '+/', '-_')")
}

pub(crate) async fn connect(url: &str) -> Result<Client> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

/// Fills an empty, migrated database.
pub(crate) async fn fill(sql: &Client, size: Size) -> Result {
    let Size { users, servers, schedules, .. } = size;
    let (user, key) = ("(100000000000000000 + n)::text", key("n"));
    sql.batch_execute(&format!(
        "insert into users (discord_id) select {user} from generate_series(1, {users}) n;
         insert into user_stats (discord_id) select {user} from generate_series(1, {users}) n on conflict do nothing;
         insert into game_servers (discord_id, name, game_type, host)
             select (100000000000000001 + n % {users})::text, 'server ' || n, 'demo', '{HOST}'
             from generate_series(1, {servers}) n;
         insert into api_keys (key_hash, discord_id, name, scopes, rate_limit)
             select encode(sha256(convert_to({key}, 'UTF8')), 'hex'), {user}, 'bench', '{{*}}', 1000000000
             from generate_series(1, {users}) n;
         insert into api_keys (key_hash, discord_id, name, scopes, rate_limit)
             select encode(sha256(convert_to({key}, 'UTF8')), 'hex'), '100000000000000001', 'poor', '{{*}}', 1
             from generate_series({users} + 1, {users} + {POOR}) n;
         -- As planned by newer time zone data, so that nobody plans them again meanwhile.
         insert into server_schedules (server_id, discord_id, action, cron_expression, next_run, zone_version)
             select s.id, s.discord_id, 'start', '0 4 1 1 *',
                    date_trunc('year', now()) + interval '1 year 4 hours' + (n % 1000) * interval '1 year', '~'
             from generate_series(1, {schedules}) n join game_servers s on s.id = 1 + n % {servers};
         analyze;
         checkpoint"
    ))
    .await?;
    Ok(())
}

/// Writes the texts of keys, one a line, for the load generator: those of users, those that are spent, and those that
/// nobody has.
pub(crate) async fn write_keys(sql: &Client, size: Size, dir: &Path) -> Result {
    let users = size.users;
    for (file, from, to) in
        [("keys", 1, users), ("poor", users + 1, users + POOR), ("unknown", 2 * users + POOR, 3 * users + POOR)]
    {
        let keys = sql.query(&format!("select {} from generate_series({from}, {to}) n", key("n")), &[]).await?;
        let keys: String = keys.iter().map(|row| row.get::<_, String>(0) + "\n").collect();
        fs::write(dir.join(file), keys)?;
    }
    fs::write(dir.join("malformed"), "agis_this-is-not-the-form-of-a-key\n")?;
    Ok(())
}
