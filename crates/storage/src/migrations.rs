//! Up, down and status of the schema, without libpq.

use agis_base::StoreError;
use diesel::{
    dsl::sql,
    migration::{MigrationSource, MigrationVersion},
    pg::Pg,
    sql_types::{Array, BigInt, Bool, Text},
};
use diesel_async::{AsyncMigrationHarness, AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

use crate::db::{self, Db};

const MIGRATIONS: EmbeddedMigrations = embed_migrations!("../../migrations");

/// Any fixed number: two processes that migrate one database take turns by it.
const LOCK: i64 = 0x6167_6973;

/// A migration, and whether it has been applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MigrationStatus {
    /// Its name.
    pub name: String,
    /// Whether the database has it.
    pub applied: bool,
}

/// Applies what is pending; answers with the names of what was applied.
///
/// # Errors
/// Where the database cannot be reached or refuses a migration; that migration has then changed nothing.
pub async fn up(url: &str) -> Result<Vec<String>, StoreError> {
    with_lock(url, |harness| {
        let applied = harness.run_pending_migrations(MIGRATIONS)?;
        applied.iter().map(name).collect()
    })
    .await
}

/// Reverts the last one; answers with its name.
///
/// # Errors
/// As for [`up`], and where there is none to revert.
pub async fn down(url: &str) -> Result<String, StoreError> {
    with_lock(url, |harness| name(&harness.revert_last_migration(MIGRATIONS)?)).await
}

/// Every migration of this program, in order.
///
/// # Errors
/// Where the database cannot be reached.
pub async fn status(url: &str) -> Result<Vec<MigrationStatus>, StoreError> {
    with_lock(url, |harness| {
        let pending: Vec<_> =
            harness.pending_migrations(MIGRATIONS)?.iter().map(|migration| migration.name().to_string()).collect();
        let all = MigrationSource::<Pg>::migrations(&MIGRATIONS)?;
        let mut all: Vec<_> = all.iter().map(|migration| migration.name().to_string()).collect();
        all.sort();
        Ok(all.into_iter().map(|name| MigrationStatus { applied: !pending.contains(&name), name }).collect())
    })
    .await
}

impl Db {
    /// Whether the database has every migration of this program.
    ///
    /// # Errors
    /// Where the database cannot be reached.
    pub async fn is_migrated(&self) -> Result<bool, StoreError> {
        let all = versions()?;
        self.run(async |conn| {
            // A database that was never migrated has no such table.
            let exists: bool = diesel::select(sql::<Bool>("to_regclass('__diesel_schema_migrations') is not null"))
                .get_result(conn)
                .await?;
            if !exists {
                return Ok(false);
            }
            let applied: i64 = diesel::select(
                sql::<BigInt>("(select count(*) from __diesel_schema_migrations where version = any(")
                    .bind::<Array<Text>, _>(&all)
                    .sql("))"),
            )
            .get_result(conn)
            .await?;
            Ok(usize::try_from(applied).is_ok_and(|applied| applied == all.len()))
        })
        .await
    }
}

/// The name that a version has: the harness speaks of versions, people know the names.
fn name(version: &MigrationVersion<'_>) -> MigrationResult<String> {
    let all = MigrationSource::<Pg>::migrations(&MIGRATIONS)?;
    let known = all.iter().map(|migration| migration.name()).find(|name| name.version() == *version);
    Ok(known.map_or_else(|| version.to_string(), ToString::to_string))
}

fn versions() -> Result<Vec<String>, StoreError> {
    let all = MigrationSource::<Pg>::migrations(&MIGRATIONS);
    let all = all.map_err(|error| StoreError::Internal(format!("migrations: {error}")))?;
    Ok(all.iter().map(|migration| migration.name().version().to_string()).collect())
}

type Harness = AsyncMigrationHarness<AsyncPgConnection>;
type MigrationResult<T> = diesel::migration::Result<T>;

async fn with_lock<T: Send + 'static>(
    url: &str,
    work: impl FnOnce(&mut Harness) -> MigrationResult<T> + Send + 'static,
) -> Result<T, StoreError> {
    let mut conn = db::connect(url).await.map_err(|error| StoreError::Unavailable(error.to_string()))?;
    // A migration of a large table takes its time, and so does the one before us.
    conn.batch_execute(&format!("set statement_timeout = 0; set lock_timeout = 0; select pg_advisory_lock({LOCK})"))
        .await
        .map_err(|error| StoreError::Unavailable(error.to_string()))?;
    // The harness blocks its thread; the lock goes with the connection.
    let done = tokio::task::spawn_blocking(move || work(&mut AsyncMigrationHarness::new(conn))).await;
    done.map_err(|error| StoreError::Internal(error.to_string()))?
        .map_err(|error| StoreError::Internal(format!("migration: {error}")))
}
