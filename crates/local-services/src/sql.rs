//! One statement on a connection of its own.

use std::thread;
use std::time::Duration;

use tokio::runtime::Builder;
use tokio_postgres::{Config, NoTls, error::SqlState};

use crate::error::{Error, Result};

/// Runs one statement on a connection of its own, from anywhere: its thread has a runtime of its own, so that a
/// `Drop` inside another runtime may call it.
///
/// # Errors
/// As [`execute_async`].
pub fn execute(url: &str, statement: &str) -> Result<()> {
    let outcome = thread::scope(|scope| {
        scope
            .spawn(|| {
                let runtime = Builder::new_current_thread().enable_all().build();
                runtime.map_err(|error| Error::new(error.to_string()))?.block_on(execute_async(url, statement))
            })
            .join()
    });
    outcome.unwrap_or_else(|_| Err(Error::new(format!("`{statement}` panicked"))))
}

/// Runs one statement on a connection of its own. A database that exists already is no error.
///
/// # Errors
/// If the server cannot be reached, or refuses the statement.
pub async fn execute_async(url: &str, statement: &str) -> Result<()> {
    let explain = |error: tokio_postgres::Error| Error::new(format!("`{statement}` failed: {}", describe(&error)));
    let mut config: Config = url.parse().map_err(explain)?;
    config.connect_timeout(Duration::from_secs(10));
    let (client, connection) = config.connect(NoTls).await.map_err(explain)?;
    let connection = tokio::spawn(connection);
    let outcome = client.batch_execute(statement).await;
    connection.abort();
    match outcome {
        Err(error) if error.code() == Some(&SqlState::DUPLICATE_DATABASE) => Ok(()),
        other => other.map_err(explain),
    }
}

/// The error with its cause: the driver's own text is only "db error".
fn describe(error: &tokio_postgres::Error) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

/// Returns `url` with another database in its path.
pub fn with_database(url: &str, database: &str) -> String {
    let (server, query) = url.split_once('?').map_or((url, String::new()), |(url, query)| (url, format!("?{query}")));
    let server = match server.rsplit_once('/') {
        Some((server, _)) if !server.ends_with('/') => server,
        _ => server,
    };
    format!("{server}/{database}{query}")
}

#[cfg(test)]
mod tests {
    use super::with_database;

    #[test]
    fn replaces_only_the_database() {
        assert_eq!(with_database("postgres://u:p@h:1/postgres", "x"), "postgres://u:p@h:1/x");
        assert_eq!(
            with_database("postgres://u:p@h:1/a?connect_timeout=2", "x"),
            "postgres://u:p@h:1/x?connect_timeout=2"
        );
        assert_eq!(with_database("postgres://u:p@h:1", "x"), "postgres://u:p@h:1/x");
    }
}
