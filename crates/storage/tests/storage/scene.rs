//! A database with the schema and one user.
#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::sync::Arc;

use agis_accounts::UserStore;
use agis_base::UserId;
use agis_servers::{Policy, Servers, console::Console, game::Catalogue, store::Billing};
use agis_storage::{DatabaseUrl, Db, DbConfig, migrations};
use agis_test_support::Database;
use tokio_postgres::{Client, NoTls};

/// The one user, who has a hundred credits.
pub(crate) const OWNER: &str = "100000000000000001";

pub(crate) struct Scene {
    pub(crate) db: Arc<Db>,
    /// A connection to look at, or change, what is stored.
    pub(crate) sql: Client,
    pub(crate) url: DatabaseUrl,
    _database: Database,
}

impl Scene {
    pub(crate) async fn start() -> Self {
        let database = Database::create().await;
        let url = DatabaseUrl::parse(database.url()).expect("a URL");
        migrations::up(&url, |_| {}).await.expect("the schema");
        let db = Arc::new(Db::new(&DbConfig { url: url.clone(), connections: 10 }).expect("a pool"));
        db.ensure(&UserId::from_stored(OWNER), 100).await.expect("a user");
        let (sql, connection) = tokio_postgres::connect(database.url(), NoTls).await.expect("a connection");
        tokio::spawn(connection);
        Self { db, sql, url, _database: database }
    }
}

/// Returns the rules about servers on this database, with a catalogue of no games.
pub(crate) fn servers(db: &Arc<Db>, billing: Billing) -> Servers {
    servers_of(db, billing, vec![])
}

/// The same in a process that reaches these consoles.
pub(crate) fn servers_of(db: &Arc<Db>, billing: Billing, consoles: Vec<Arc<dyn Console>>) -> Servers {
    let catalogue = Arc::new(Catalogue::parse("").expect("a catalogue"));
    let policy = Policy { homes: vec![], servers_per_user: 10, billing };
    Servers::new(db, catalogue, policy, consoles)
}

/// So many servers of each of so many owners, whose starts are queued: owner 1 has the oldest. Their ids go up.
pub(crate) async fn queue(sql: &Client, host: &str, owners: std::ops::RangeInclusive<i32>, each: i32) {
    let (first, last) = (owners.start(), owners.end());
    sql.batch_execute(&format!(
        "insert into users (discord_id) select n::text from generate_series({first}, {last}) n on conflict do nothing;
         with made as (
             insert into game_servers (discord_id, name, game_type, desired, generation, host)
             select o::text, '{host} ' || n, 'demo', 'running', 1, '{host}'
             from generate_series({first}, {last}) o, generate_series(1, {each}) n order by o, n returning id)
         insert into operations (id, server_id, action, origin, actor, generation, available_at)
         select gen_random_uuid(), id, 'start', 'rest', '1', 1, now() - interval '1 hour' + id * interval '1 ms' from made"
    ))
    .await
    .expect("servers and their starts");
}

pub(crate) async fn number(sql: &Client, query: &str) -> i64 {
    sql.query_one(query, &[]).await.expect("a number").get(0)
}
