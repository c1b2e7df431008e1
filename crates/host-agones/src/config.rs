use std::time::Duration;

use kube::Client;
use thiserror::Error;

/// Time within which a connection to the API server must be made, and a request be sent.
const CONNECT: Duration = Duration::from_secs(5);

/// Configuration of the host. The composing program fills it from its environment.
#[derive(Debug, Clone)]
pub struct Config {
    /// Name of the host, as in `game_servers.host`, and as the value of a label.
    pub name: String,
    /// Namespace of the game servers.
    pub namespace: String,
    /// Namespace of the fences. It differs from the games' one: an account that may write among the games may not write
    /// fences.
    pub fence_namespace: String,
    /// Times between looks of the host.
    pub pace: Pace,
}

/// Times between looks at objects about which no watch reports. A test suite looks more often than a cluster needs.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Time until the first look at an object about which the watch reports nothing. Each further wait is twice as
    /// long, up to [`Pace::LONGEST`] times this.
    pub look: Duration,
    /// Duration of a watch, in whole seconds. Its regular end shows that it was not broken, even if nothing else
    /// happens.
    pub watch: Duration,
    /// Time between two searches for orphans. An orphan takes at most two of them longer to end than it should.
    pub reap: Duration,
}

impl Pace {
    /// Longest time between two looks, in units of the first.
    pub const LONGEST: u32 = 8;
}

impl Default for Pace {
    fn default() -> Self {
        Self { look: Duration::from_secs(5), watch: Duration::from_secs(30), reap: Duration::from_secs(30) }
    }
}

/// Reason why the host cannot work with this configuration.
#[derive(Debug, Error)]
pub enum SetupError {
    /// No cluster is configured.
    #[error("no way to the cluster: {0}; set KUBECONFIG, or run in a pod with a service account")]
    Client(String),
    /// The name is not valid in a label.
    #[error(
        "AGIS_HOST_NAME '{0}' cannot stand in a label of Kubernetes: 1 to 63 letters, digits, '-', '_' and '.', the first \
         and the last a letter or a digit"
    )]
    Name(String),
    /// The fences and the games have the same namespace.
    #[error("AGONES_FENCES_NAMESPACE '{0}' is that of the game servers: the fences need one of their own")]
    FenceNamespace(String),
    /// GameServers of the catalogue cannot be used.
    #[error("{}", .0.iter().map(|(game, why)| format!("game '{game}': its gameserver {why}")).collect::<Vec<_>>().join("\n    "))]
    Templates(
        /// Key of each game, and the mistake in its GameServer.
        Vec<(String, String)>,
    ),
}

/// Returns a client for the cluster that `KUBECONFIG` names, or else for the cluster in which this process runs. Makes
/// no call.
///
/// # Errors
/// Fails if there is neither, or it cannot be read.
pub async fn connect() -> Result<Client, SetupError> {
    let failed = |error: &dyn std::fmt::Display| SetupError::Client(error.to_string());
    let mut config = kube::Config::infer().await.map_err(|error| failed(&error))?;
    config.connect_timeout = Some(CONNECT);
    config.write_timeout = Some(CONNECT);
    // The client would retry for minutes. The caller of an order decides about that, and reports it meanwhile.
    config.default_retry = false;
    Client::try_from(config).map_err(|error| failed(&error))
}
