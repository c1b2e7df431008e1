//! Calls to the engine. Each has a deadline, since an engine that hangs must not hold up a worker, and each may be
//! repeated, since its answer may be lost.

use std::{os::unix::fs::MetadataExt, time::Duration};

use agis_servers::host::HostError;
use bollard::{API_DEFAULT_VERSION, Docker, errors::Error, models::SystemInfo};
use tokio::{sync::Mutex, time::timeout};

use crate::{
    address::{self, Address},
    config::Pace,
    pin::Pin,
};

/// Status codes of the engine's answers.
pub(crate) const GONE: u16 = 404;

/// Engine of this machine. It may be absent when this program starts, and may come and go.
#[derive(Debug)]
pub(crate) struct Engine {
    /// Addresses at which the engine may be; empty for the usual sockets.
    addresses: Vec<Address>,
    /// Engine of the data directory; `None` for any engine.
    pin: Option<Pin>,
    pub(crate) pace: Pace,
    connection: Mutex<Option<Connection>>,
}

/// Way to an engine that has answered.
#[derive(Debug, Clone)]
struct Connection {
    docker: Docker,
    brand: Brand,
    /// Whether the engine has no rights of root.
    is_rootless: bool,
}

/// Returns whether an engine has no rights of root. Docker says so. Podman does not in this API, and its socket belongs to its
/// account.
fn is_rootless(address: &Address, info: &SystemInfo) -> bool {
    let says_so = info.security_options.iter().flatten().any(|it| it.starts_with("name=rootless"));
    says_so || matches!(address, Address::Socket(path) if path.metadata().is_ok_and(|it| it.uid() != 0))
}

/// Make of an engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Brand {
    Docker,
    Podman,
}

/// Reason why a call did not succeed.
#[derive(Debug, Clone)]
pub(crate) enum Trouble {
    /// The engine has refused the call, with this status.
    Refused { code: u16, why: String },
    /// The engine has not answered. It may have done the work.
    Silent(String),
    /// The engine's answer has an unknown form. Podman has a state between two others for which its API has no word.
    Unreadable(String),
    /// The engine may not be used: it is not the one of the data directory.
    Foreign(String),
}

impl Trouble {
    /// Returns whether the engine says that the object of the call does not exist.
    pub(crate) fn is_gone(&self) -> bool {
        matches!(self, Self::Refused { code: GONE, .. })
    }
}

impl From<Trouble> for HostError {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Refused { why, .. } => Self::Unavailable(format!("the container engine refused: {why}")),
            Trouble::Foreign(why) => Self::Unavailable(why),
            Trouble::Silent(why) => Self::Unavailable(format!("the container engine does not answer: {why}")),
            Trouble::Unreadable(why) => {
                Self::Unavailable(format!("the container engine gives a strange answer: {why}"))
            }
        }
    }
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        match error {
            Error::DockerResponseServerError { status_code, message } => {
                Self::Refused { code: status_code, why: message }
            }
            Error::JsonDataError { message, .. } => Self::Unreadable(message),
            // The rest is about the way to the engine, or about an answer that is none.
            error => Self::Silent(chain(&error)),
        }
    }
}

/// Returns the texts of an error and of its causes. The cause says more than "client error (Connect)".
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let why = error.to_string();
        if !text.contains(&why) {
            text = format!("{text}: {why}");
        }
        cause = error.source();
    }
    text
}

impl Engine {
    pub(crate) fn new(addresses: Vec<Address>, pin: Option<Pin>, pace: Pace) -> Self {
        Self { addresses, pin, pace, connection: Mutex::default() }
    }

    /// Looks for the engine again at the next call, since another one may listen in its place.
    pub(crate) async fn forget(&self) {
        *self.connection.lock().await = None;
    }

    /// Returns what the engine says about itself.
    pub(crate) async fn info(&self) -> Result<SystemInfo, Trouble> {
        self.call(async |docker| docker.info().await).await
    }

    /// Returns the make of the engine.
    pub(crate) async fn brand(&self) -> Result<Brand, Trouble> {
        Ok(self.within(self.pace.call, self.connected()).await?.brand)
    }

    /// Returns whether the engine has no rights of root.
    pub(crate) async fn is_rootless(&self) -> Result<bool, Trouble> {
        Ok(self.within(self.pace.call, self.connected()).await?.is_rootless)
    }

    /// Makes a call that the engine answers at once.
    pub(crate) async fn call<T>(&self, call: impl AsyncFnOnce(Docker) -> Result<T, Error>) -> Result<T, Trouble> {
        self.calling(self.pace.call, call).await
    }

    /// Makes a call for which the engine works.
    pub(crate) async fn work<T>(&self, call: impl AsyncFnOnce(Docker) -> Result<T, Error>) -> Result<T, Trouble> {
        self.calling(self.pace.work, call).await
    }

    async fn calling<T>(
        &self,
        patience: Duration,
        call: impl AsyncFnOnce(Docker) -> Result<T, Error>,
    ) -> Result<T, Trouble> {
        let asking = async {
            let connection = self.connected().await?;
            Ok(call(connection.docker).await?)
        };
        self.within(patience, asking).await
    }

    async fn within<T>(
        &self,
        patience: Duration,
        work: impl Future<Output = Result<T, Trouble>>,
    ) -> Result<T, Trouble> {
        let late = |_| Err(Trouble::Silent(format!("no answer within {} s", patience.as_secs())));
        timeout(patience, work).await.unwrap_or_else(late)
    }

    /// Returns a client for streams, which have deadlines of their own.
    pub(crate) async fn docker(&self) -> Result<Docker, Trouble> {
        Ok(self.within(self.pace.call, self.connected()).await?.docker)
    }

    /// Returns the way to the engine, which is looked for at the first call.
    async fn connected(&self) -> Result<Connection, Trouble> {
        let mut connection = self.connection.lock().await;
        match &*connection {
            Some(known) => Ok(known.clone()),
            None => Ok(connection.insert(self.find().await?).clone()),
        }
    }

    /// Returns the first engine that answers and may be used.
    async fn find(&self) -> Result<Connection, Trouble> {
        let addresses = if self.addresses.is_empty() { address::usual() } else { self.addresses.clone() };
        // An engine that hangs leaves time for the others, and for the call.
        let patience = self.pace.call / u32::try_from(addresses.len() + 1).unwrap_or(u32::MAX);
        let mut troubles = vec![];
        for address in &addresses {
            match self.within(patience, self.connect(address)).await {
                Ok(connection) => return Ok(connection),
                Err(trouble) => troubles.push(trouble),
            }
        }
        // An engine that may not be used explains more than an absent one.
        let worst = troubles.iter().position(|it| matches!(it, Trouble::Foreign(_))).unwrap_or_default();
        let none = "there is no socket of Docker or Podman; set DOCKER_HOST or CONTAINER_HOST";
        Err(troubles.into_iter().nth(worst).unwrap_or_else(|| Trouble::Silent(none.to_owned())))
    }

    /// Agrees on a version with an engine, and checks that it may be used.
    async fn connect(&self, address: &Address) -> Result<Connection, Trouble> {
        // Streams of logs and events may be silent for long. The calls have shorter deadlines.
        let seconds = self.pace.pull.as_secs();
        let docker = match address {
            Address::Socket(path) => Docker::connect_with_unix(&path.to_string_lossy(), seconds, API_DEFAULT_VERSION),
            Address::Tcp(address) => Docker::connect_with_http(address, seconds, API_DEFAULT_VERSION),
        };
        let docker = docker?.negotiate_version().await?;
        let version = docker.version().await?;
        let is_podman = version.components.iter().flatten().any(|it| it.name.contains("Podman"));
        let brand = if is_podman { Brand::Podman } else { Brand::Docker };
        let info = docker.info().await?;
        let is_rootless = is_rootless(address, &info);
        if let Some(pin) = &self.pin {
            pin.check(address, brand, info).await?;
        }
        tracing::info!(?address, ?brand, version = version.version, "container engine found");
        Ok(Connection { docker, brand, is_rootless })
    }
}
