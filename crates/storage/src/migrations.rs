//! Up, down and status of the schema, without libpq. How a migration gets its locks is in `steps`.

mod steps;

use std::time::{Duration, Instant};

use agis_base::StoreError;
use diesel::{
    dsl::sql,
    migration::MigrationSource,
    pg::Pg,
    sql_types::{Array, BigInt, Bool, Text},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

use self::steps::{MigrationResult, Steps};
use crate::{connect::DatabaseUrl, db::Db};

const MIGRATIONS: EmbeddedMigrations = embed_migrations!("../../migrations");

/// Any fixed number: two processes that migrate one database take turns by it.
const LOCK: i64 = 0x6167_6973;
/// How often it is asked whether the other process is done.
const TURN: Duration = Duration::from_millis(500);
/// How long locks are waited for, all in all: less than the Job in k8s/migrate may take.
const PATIENCE: Duration = Duration::from_secs(25 * 60);

/// A migration, and whether it has been applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MigrationStatus {
    /// Its name.
    pub name: String,
    /// Whether the database has the migration.
    pub applied: bool,
}

/// Applies what is pending; answers with the names of what was applied. `tell` hears what is waited for.
///
/// # Errors
/// Fails if the database cannot be reached or refuses a migration, or a lock cannot be had for long; that migration has
/// then changed nothing.
pub async fn up(url: &DatabaseUrl, tell: impl Fn(&str) + Send + 'static) -> Result<Vec<String>, StoreError> {
    with_lock(url, tell, |steps| {
        let pending = steps.conn().pending_migrations(MIGRATIONS)?;
        pending.iter().map(|migration| steps.apply(migration)).collect()
    })
    .await
}

/// Reverts the last one; answers with its name.
///
/// # Errors
/// As for [`up`], and where there is none to revert.
pub async fn down(url: &DatabaseUrl, tell: impl Fn(&str) + Send + 'static) -> Result<String, StoreError> {
    with_lock(url, tell, |steps| steps.revert_last(MIGRATIONS)).await
}

/// Every migration of this program, in order.
///
/// # Errors
/// Fails if the database cannot be reached.
pub async fn status(url: &DatabaseUrl) -> Result<Vec<MigrationStatus>, StoreError> {
    with_lock(
        url,
        |_| {},
        |steps| {
            let pending = steps.conn().pending_migrations(MIGRATIONS)?;
            let pending: Vec<_> = pending.iter().map(|migration| migration.name().to_string()).collect();
            let all = MigrationSource::<Pg>::migrations(&MIGRATIONS)?;
            let mut all: Vec<_> = all.iter().map(|migration| migration.name().to_string()).collect();
            all.sort();
            Ok(all.into_iter().map(|name| MigrationStatus { applied: !pending.contains(&name), name }).collect())
        },
    )
    .await
}

impl Db {
    /// Returns whether the database has every migration of this program.
    ///
    /// # Errors
    /// Fails if the database cannot be reached.
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

fn versions() -> Result<Vec<String>, StoreError> {
    let all = MigrationSource::<Pg>::migrations(&MIGRATIONS);
    let all = all.map_err(|error| StoreError::Internal(format!("migrations: {error}")))?;
    Ok(all.iter().map(|migration| migration.name().version().to_string()).collect())
}

async fn with_lock<T: Send + 'static>(
    url: &DatabaseUrl,
    tell: impl Fn(&str) + Send + 'static,
    work: impl FnOnce(&mut Steps) -> MigrationResult<T> + Send + 'static,
) -> Result<T, StoreError> {
    let mut conn = url.connect().await.map_err(|error| StoreError::Unavailable(error.to_string()))?;
    let until = Instant::now() + PATIENCE;
    take_turn(&mut conn, &tell, until).await?;
    // The harness blocks its thread; the lock goes with the connection.
    let done = tokio::task::spawn_blocking(move || work(&mut Steps::new(conn, until, Box::new(tell)))).await;
    done.map_err(|error| StoreError::Internal(error.to_string()))?
        .map_err(|error| StoreError::Internal(format!("migration: {error}")))
}

/// Waits for other processes that migrate this database, and keeps them waiting. In between it has no transaction open,
/// which an index that is built concurrently would wait for.
async fn take_turn(conn: &mut AsyncPgConnection, tell: &impl Fn(&str), until: Instant) -> Result<(), StoreError> {
    let failed = |error: diesel::result::Error| StoreError::Unavailable(error.to_string());
    // A migration of a large table takes its time.
    conn.batch_execute("set statement_timeout = 0").await.map_err(failed)?;
    let mut told = false;
    loop {
        let lock = sql::<Bool>("pg_try_advisory_lock(").bind::<BigInt, _>(LOCK).sql(")");
        if diesel::select(lock).get_result(conn).await.map_err(failed)? {
            return Ok(());
        }
        if Instant::now() > until {
            return Err(StoreError::Unavailable("another process has been migrating this database for long".into()));
        }
        if !told {
            tell("another process migrates this database; waiting for it");
            told = true;
        }
        tokio::time::sleep(TURN).await;
    }
}
