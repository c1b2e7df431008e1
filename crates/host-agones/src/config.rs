use std::time::Duration;

use kube::Client;
use thiserror::Error;

/// How long a connection to the API server may take to be made, and a request to be sent.
const CONNECT: Duration = Duration::from_secs(5);

/// Which cluster, under which name. The program that composes the house fills it from its environment.
#[derive(Debug, Clone)]
pub struct Config {
    /// The host's name, as `game_servers.host` holds it: a label's value.
    pub name: String,
    /// The namespace of the game servers.
    pub namespace: String,
    /// The namespace of their fences. It is another one: whoever may write among the games may not write fences.
    pub fence_namespace: String,
    /// How often the host looks by itself.
    pub pace: Pace,
}

/// How often the host looks by itself at what no watch told it. A test suite is in more of a hurry than a cluster.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Whoever waits for an object of which the watch tells nothing asks for it after this time, then after twice that, up to
    /// [`Pace::LONGEST`] times as long.
    pub look: Duration,
    /// How long a watch lasts before it is begun again. Its end is the sign that it was not broken, which the cluster gives
    /// where nothing else happens. In whole seconds.
    pub watch: Duration,
    /// How often orphans are looked for. What two rounds find runs at most twice so much longer than it should.
    pub reap: Duration,
}

impl Pace {
    /// The longest time between two looks, in units of the first.
    pub const LONGEST: u32 = 8;
}

impl Default for Pace {
    fn default() -> Self {
        Self { look: Duration::from_secs(5), watch: Duration::from_secs(30), reap: Duration::from_secs(30) }
    }
}

/// The host cannot work with this configuration.
#[derive(Debug, Error)]
pub enum SetupError {
    /// There is no way to the cluster.
    #[error("no way to the cluster: {0}; set KUBECONFIG, or run in a pod with a service account")]
    Client(String),
    /// The name cannot stand in a label.
    #[error(
        "AGIS_HOST_NAME '{0}' cannot stand in a label of Kubernetes: 1 to 63 letters, digits, '-', '_' and '.', the first \
         and the last a letter or a digit"
    )]
    Name(String),
    /// The fences stand where the games do.
    #[error("AGONES_FENCES_NAMESPACE '{0}' is that of the game servers: the fences need one of their own")]
    FenceNamespace(String),
    /// GameServers of the catalogue cannot be used.
    #[error("{}", .0.iter().map(|(game, why)| format!("game '{game}': its gameserver {why}")).collect::<Vec<_>>().join("\n    "))]
    Templates(
        /// Each game's key, and what is wrong with its GameServer.
        Vec<(String, String)>,
    ),
}

/// A client for the cluster that `KUBECONFIG` names, else for the one that this process runs in. Nothing is asked yet.
///
/// # Errors
/// Where neither is there, or what is there cannot be read.
pub async fn connect() -> Result<Client, SetupError> {
    let failed = |error: &dyn std::fmt::Display| SetupError::Client(error.to_string());
    let mut config = kube::Config::infer().await.map_err(|error| failed(&error))?;
    config.connect_timeout = Some(CONNECT);
    config.write_timeout = Some(CONNECT);
    // It would try again for minutes; whoever gave the order decides that, and says so meanwhile.
    config.default_retry = false;
    Client::try_from(config).map_err(|error| failed(&error))
}
