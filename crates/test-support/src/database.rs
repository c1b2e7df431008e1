use std::env;
use std::process;

use agis_local_services::{random, sql};

/// The server that tests make their databases on; `cargo xtask test` sets it.
const SERVER: &str = "AGIS_TEST_DATABASE_URL";

/// A fresh, empty database for one test, dropped with this value.
#[derive(Debug)]
pub struct Database {
    server: String,
    name: String,
    url: String,
}

impl Database {
    /// Creates the database.
    ///
    /// # Panics
    /// Panics if there is no server to create it on; the message says how tests are run.
    pub async fn create() -> Self {
        let Ok(server) = env::var(SERVER) else {
            panic!("{SERVER} is not set: run tests by `cargo xtask test [filter]`, which brings up a PostgreSQL");
        };
        Self::create_on(&server).await
    }

    /// Creates the database on the server of this URL.
    ///
    /// # Panics
    /// Panics if the server cannot be reached.
    pub async fn create_on(server: &str) -> Self {
        let unique = random::hex().unwrap_or_else(|error| panic!("{error}"));
        let name = format!("test_{}_{unique}", process::id());
        if let Err(error) = sql::execute_async(server, &format!("CREATE DATABASE {name}")).await {
            panic!("{error}. Run tests by `cargo xtask test [filter]`, which brings up a PostgreSQL");
        }
        let url = sql::with_database(server, &name);
        Self { server: server.to_owned(), name, url }
    }

    /// The URL to connect to.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The database's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        // Best effort: the server is thrown away after the tests anyway.
        let _ = sql::execute(&self.server, &format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name));
    }
}
