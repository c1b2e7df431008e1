//! Migrations of a database that is in use.
//!
//! A statement that waits for a lock on a table keeps all later ones waiting, readers too: behind one long dump the whole
//! service would stand still. So a migration waits for a lock as long as callers can bear, gives way, and tries
//! again after a while. One that is not in a transaction (`metadata.toml`) builds an index concurrently or validates a
//! constraint: it keeps nobody waiting, and waits itself.

use std::{
    thread,
    time::{Duration, Instant},
};

use diesel::{
    RunQueryDsl,
    connection::SimpleConnection,
    migration::{Migration, MigrationSource},
    pg::Pg,
    sql_types::Text,
};
use diesel_async::{AsyncPgConnection, async_connection_wrapper::AsyncConnectionWrapper};
use diesel_migrations::{MigrationError, MigrationHarness};

/// How long a lock is waited for at once: less than the service's own calls wait (`lock_timeout` in `db`), and longer than a
/// vacuum takes to notice that it is in the way.
const LOCK_TIMEOUT: Duration = Duration::from_millis(1500);
/// The first pause between two tries, which is doubled each time up to the longest.
const PAUSE: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(30);

pub(super) type MigrationResult<T> = diesel::migration::Result<T>;
type Conn = AsyncConnectionWrapper<AsyncPgConnection>;

/// A connection that applies migrations, one after the other.
pub(super) struct Steps {
    conn: Conn,
    until: Instant,
    tell: Box<dyn Fn(&str)>,
}

#[derive(diesel::QueryableByName)]
struct Line {
    #[diesel(sql_type = Text)]
    line: String,
}

impl Steps {
    /// Locks are waited for until then; `tell` hears of it.
    pub(super) fn new(conn: AsyncPgConnection, until: Instant, tell: Box<dyn Fn(&str)>) -> Self {
        Self { conn: conn.into(), until, tell }
    }

    pub(super) fn conn(&mut self) -> &mut Conn {
        &mut self.conn
    }

    /// Answers with its name.
    pub(super) fn apply(&mut self, migration: &dyn Migration<Pg>) -> MigrationResult<String> {
        self.step(migration, Conn::run_migration)
    }

    /// Answers with its name.
    pub(super) fn revert_last(&mut self, source: impl MigrationSource<Pg>) -> MigrationResult<String> {
        let applied = self.conn.applied_migrations()?;
        let last = applied.first().ok_or(MigrationError::NoMigrationRun)?;
        let all = source.migrations()?;
        let known = all.iter().find(|migration| migration.name().version() == *last);
        let migration = known.ok_or_else(|| MigrationError::UnknownMigrationVersion(last.as_owned()))?;
        self.step(migration, Conn::revert_migration)
    }

    fn step<T>(
        &mut self,
        migration: &dyn Migration<Pg>,
        step: impl Fn(&mut Conn, &dyn Migration<Pg>) -> MigrationResult<T>,
    ) -> MigrationResult<String> {
        let name = migration.name().to_string();
        let mut pause = PAUSE;
        loop {
            self.prepare(migration)?;
            match step(&mut self.conn, migration) {
                Ok(_) => return Ok(name),
                Err(error) if !passes(&error.to_string()) => return Err(error),
                Err(error) if Instant::now() + pause > self.until => {
                    return Err(format!("{error}; {}, and still is", self.in_the_way()).into());
                }
                Err(_) => {
                    let why = self.in_the_way();
                    (self.tell)(&format!("{name} will try again: {why}"));
                    thread::sleep(pause);
                    pause = (pause * 2).min(PAUSE_MAX);
                }
            }
        }
    }

    fn prepare(&mut self, migration: &dyn Migration<Pg>) -> MigrationResult<()> {
        let timeout = if migration.metadata().run_in_transaction() {
            LOCK_TIMEOUT
        } else {
            self.drop_invalid_indexes()?;
            self.until.saturating_duration_since(Instant::now()).max(LOCK_TIMEOUT)
        };
        Ok(self.conn.batch_execute(&format!("set lock_timeout = {}", timeout.as_millis()))?)
    }

    /// Drops what a broken concurrent build left: an index that serves nobody and has its name.
    fn drop_invalid_indexes(&mut self) -> MigrationResult<()> {
        // diesel knows no catalog tables.
        let drops: Vec<Line> = diesel::sql_query(
            "select format('drop index concurrently if exists %I.%I', n.nspname, c.relname) as line
             from pg_index i join pg_class c on c.oid = i.indexrelid join pg_namespace n on n.oid = c.relnamespace
             where not i.indisvalid and n.nspname = current_schema()
               and not exists (select from pg_stat_progress_create_index p where p.index_relid = i.indexrelid)",
        )
        .load(&mut self.conn)?;
        for drop in drops {
            self.conn.batch_execute(&drop.line)?;
        }
        Ok(())
    }

    /// Describes the oldest transaction of another, as far as this user may see it.
    fn in_the_way(&mut self) -> String {
        // diesel knows no catalog tables.
        let oldest = diesel::sql_query(
            "select format('the transaction of process %s (%s) has been open since %s', pid,
                           coalesce(nullif(application_name, ''), usename), xact_start::timestamptz(0)) as line
             from pg_stat_activity
             where datname = current_database() and pid <> pg_backend_pid() and xact_start is not null
             order by xact_start limit 1",
        );
        let oldest: Vec<Line> = oldest.load(&mut self.conn).unwrap_or_default();
        let unseen = || "another transaction has a lock that it needs".to_owned();
        oldest.into_iter().next().map_or_else(unseen, |row| row.line)
    }
}

/// Returns whether only the lock of another was in the way. The driver hands over no more than these words.
fn passes(message: &str) -> bool {
    message.contains("lock timeout") || message.contains("deadlock detected")
}
