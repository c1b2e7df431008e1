use std::env;
use std::fs::File;

use agis_local_services::postgres::{Cluster, Options};

use crate::dev_env::DevEnv;
use crate::failure::{Failure, Result};
use crate::run::step;
use crate::state::State;

const NAME: &str = "agis";

/// Beside `DATABASE_URL` in `.agis/dev.env` where that one names our private cluster.
pub(crate) const PRIVATE_URL: &str = "AGIS_PRIVATE_DATABASE_URL";

/// The dev database, running for as long as this value lives.
#[derive(Debug)]
pub(crate) struct DevDatabase {
    url: String,
    cluster: Option<Cluster>,
    /// After the cluster: nobody else may have the state before it is stopped.
    _lock: Option<File>,
}

impl DevDatabase {
    /// The database of `DATABASE_URL`; else that of the `cargo xtask dev` that runs; else a private one is started.
    pub(crate) fn open(state: &State) -> Result<Self> {
        if let Some(url) = given() {
            return Ok(Self { url, cluster: None, _lock: None });
        }
        match state.try_lock()? {
            None => Ok(Self { url: running_url(state)?, cluster: None, _lock: None }),
            Some(lock) => Self::start(state, lock),
        }
    }

    /// The database of `DATABASE_URL`, else a private one is started.
    pub(crate) fn start(state: &State, lock: File) -> Result<Self> {
        let (url, cluster) = match given() {
            Some(url) => (url, None),
            None => start(state).map(|(url, cluster)| (url, Some(cluster)))?,
        };
        Ok(Self { url, cluster, _lock: Some(lock) })
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn is_private(&self) -> bool {
        self.cluster.is_some()
    }
}

fn start(state: &State) -> Result<(String, Cluster)> {
    step("starting PostgreSQL");
    let cluster = Cluster::start(Options::durable(state.postgres()).fetch_into(state.downloads()))?;
    cluster.create_database(NAME)?;
    Ok((cluster.url(NAME), cluster))
}

/// Returns the caller's `DATABASE_URL`. A shell that sourced `.agis/dev.env` may have that of our private cluster, which is
/// for us to start.
pub(crate) fn given() -> Option<String> {
    let url = env::var("DATABASE_URL").ok().filter(|url| !url.is_empty())?;
    (env::var(PRIVATE_URL).as_ref() != Ok(&url)).then_some(url)
}

/// Returns the URL that the running `cargo xtask dev` wrote down.
pub(crate) fn running_url(state: &State) -> Result<String> {
    DevEnv::read(state, "DATABASE_URL").ok_or_else(|| {
        Failure::new("`cargo xtask dev` has not written its dev.env yet: wait until it is up, then try again")
    })
}
