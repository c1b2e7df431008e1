//! Calls to the API server: their deadline, and the meaning of their failures.

use std::{fmt, sync::Arc, time::Duration};

use agis_servers::host::HostError;
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Pod, Secret};
use kube::{
    Api, Client, ResourceExt,
    api::{DeleteParams, ListParams, Preconditions},
};
use serde::de::DeserializeOwned;
use tokio::sync::OnceCell;

use crate::{
    config::{Config, Pace},
    fleet::{self, Fleet},
    gameserver::{self, GameServer},
    names,
};

/// Time within which the API server must answer.
pub(crate) const CALL: Duration = Duration::from_secs(10);
/// Maximum number of objects in a piece of a list.
const PIECE: u32 = 500;

/// Two namespaces of a cluster: one of the game servers, one of their fences.
#[derive(Clone)]
pub(crate) struct Cluster {
    /// Name of the host.
    pub(crate) name: String,
    pub(crate) namespace: String,
    fence_namespace: String,
    pub(crate) pace: Pace,
    pub(crate) client: Client,
    pub(crate) gameservers: Api<GameServer>,
    pub(crate) fleets: Api<Fleet>,
    pub(crate) fences: Api<ConfigMap>,
    /// Fences of older versions, in the games' namespace.
    pub(crate) former: Api<ConfigMap>,
    /// Set once this process has moved those fences.
    pub(crate) moved: Arc<OnceCell<()>>,
    pub(crate) worlds: Api<PersistentVolumeClaim>,
    pub(crate) pods: Api<Pod>,
    pub(crate) secrets: Api<Secret>,
}

impl Cluster {
    pub(crate) fn new(client: Client, config: Config) -> Self {
        let Config { name, namespace, fence_namespace, pace } = config;
        Self {
            gameservers: Api::namespaced_with(client.clone(), &namespace, &gameserver::resource()),
            fleets: Api::namespaced_with(client.clone(), &namespace, &fleet::resource()),
            fences: Api::namespaced(client.clone(), &fence_namespace),
            former: Api::namespaced(client.clone(), &namespace),
            moved: Arc::default(),
            worlds: Api::namespaced(client.clone(), &namespace),
            pods: Api::namespaced(client.clone(), &namespace),
            secrets: Api::namespaced(client.clone(), &namespace),
            name,
            namespace,
            fence_namespace,
            pace,
            client,
        }
    }

    /// Lists the objects that `selector` selects.
    pub(crate) async fn all<K>(&self, api: &Api<K>, selector: &str) -> Result<Vec<K>, Trouble>
    where
        K: Clone + DeserializeOwned + fmt::Debug,
    {
        Ok(self.listed(api, selector).await?.0)
    }

    /// Lists the same objects, with the version of the list. The cluster forgets the version of a list in pieces after
    /// some minutes, or at a compaction. Then one request fetches the whole list, whose version cannot expire.
    pub(crate) async fn listed<K>(&self, api: &Api<K>, selector: &str) -> Result<(Vec<K>, Option<String>), Trouble>
    where
        K: Clone + DeserializeOwned + fmt::Debug,
    {
        let mut found = vec![];
        let whole = ListParams::default().labels(selector);
        let mut params = whole.clone().limit(PIECE);
        loop {
            let piece = match ask(api.list(&params)).await {
                Err(Trouble::Refused { code: EXPIRED, .. }) if params.continue_token.is_some() => {
                    found.clear();
                    params = whole.clone();
                    continue;
                }
                piece => piece?,
            };
            found.extend(piece.items);
            match piece.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => params.continue_token = Some(token),
                None => return Ok((found, piece.metadata.resource_version.filter(|version| !version.is_empty()))),
            }
        }
    }

    /// Checks whether the API server answers, and lets us see GameServers and fences.
    pub(crate) async fn ping(&self) -> Result<(), HostError> {
        let one = ListParams::default().labels(&names::all(&self.name)).limit(1);
        ask(self.gameservers.list(&one)).await?;
        self.ask_fences(self.fences.list(&one)).await?;
        self.moved().await
    }

    /// Makes a call about fences.
    pub(crate) async fn ask_fences<T>(&self, call: impl Future<Output = kube::Result<T>>) -> Result<T, Trouble> {
        ask(call).await.map_err(|trouble| self.of_fences(trouble))
    }

    /// Adds a remedy if a right to the fences, or their namespace, is missing.
    pub(crate) fn of_fences(&self, trouble: Trouble) -> Trouble {
        match trouble {
            Trouble::Refused { code: code @ (FORBIDDEN | GONE), why } => {
                let namespace = &self.fence_namespace;
                let remedy = format!("create the namespace '{namespace}' for the fences and apply k8s/fences there");
                Trouble::Refused { code, why: format!("{why}; {remedy}") }
            }
            trouble => trouble,
        }
    }

    /// Returns the present GameServers of a server.
    pub(crate) async fn of(&self, server: agis_base::ServerId) -> Result<Vec<GameServer>, HostError> {
        Ok(self.all(&self.gameservers, &names::all_of(&self.name, server)).await?)
    }

    /// Refuses an object of another installation in this namespace, whose servers have the same numbers.
    pub(crate) fn is_ours(&self, object: &impl ResourceExt) -> Result<(), HostError> {
        match object.labels().get(names::HOST) {
            Some(host) if *host != self.name => Err(HostError::Unavailable(format!(
                "{} belongs to the host '{host}': two installations need namespaces of their own",
                object.name_any()
            ))),
            _ => Ok(()),
        }
    }

    /// Deletes this object, and no later one of the same name. Its end may take time.
    pub(crate) async fn delete<K>(&self, api: &Api<K>, object: &K) -> Result<(), HostError>
    where
        K: kube::Resource + Clone + DeserializeOwned + fmt::Debug,
    {
        self.delete_if(api, object, Preconditions { uid: object.uid(), resource_version: None }).await.map(drop)
    }

    /// Deletes this object unless it has changed meanwhile; then returns `false`.
    pub(crate) async fn delete_unchanged<K>(&self, api: &Api<K>, object: &K) -> Result<bool, HostError>
    where
        K: kube::Resource + Clone + DeserializeOwned + fmt::Debug,
    {
        let only = Preconditions { uid: object.uid(), resource_version: object.resource_version() };
        self.delete_if(api, object, only).await
    }

    async fn delete_if<K>(&self, api: &Api<K>, object: &K, only: Preconditions) -> Result<bool, HostError>
    where
        K: kube::Resource + Clone + DeserializeOwned + fmt::Debug,
    {
        let params = DeleteParams::default().preconditions(only);
        match ask(api.delete(&object.name_any(), &params)).await {
            Ok(_) | Err(Trouble::Refused { code: GONE, .. }) => Ok(true),
            Err(Trouble::Refused { code: CONFLICT, .. }) => Ok(false),
            Err(trouble) => Err(trouble.into()),
        }
    }
}

/// A right is missing, or a quota is used up.
pub(crate) const FORBIDDEN: u16 = 403;
pub(crate) const GONE: u16 = 404;
pub(crate) const CONFLICT: u16 = 409;
/// The cluster has forgotten the requested version.
pub(crate) const EXPIRED: u16 = 410;
/// The API server gave up waiting for the request.
const TIMEOUT: u16 = 408;

/// Failure of a call.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// The API server refused the call, which had no effect.
    Refused {
        /// HTTP status.
        code: u16,
        /// Reason in the API server's words.
        why: String,
    },
    /// The API server postponed the call, which had no effect and can be repeated.
    Busy(String),
    /// The call may or may not have had an effect.
    Unknown(String),
}

/// Makes a call.
pub(crate) async fn ask<T>(call: impl Future<Output = kube::Result<T>>) -> Result<T, Trouble> {
    match tokio::time::timeout(CALL, call).await {
        Ok(answer) => answer.map_err(Trouble::from),
        Err(_) => Err(Trouble::Unknown(format!("no answer within {} s", CALL.as_secs()))),
    }
}

impl Trouble {
    /// Interprets the refusal of an object from the catalogue. Either the catalogue is wrong, or the cluster's own
    /// rules forbid the object, and waiting changes neither. A missing right, quota or Agones itself may be about to
    /// come.
    pub(crate) fn of_making(self) -> HostError {
        match self {
            Self::Refused { code: CONFLICT | FORBIDDEN | GONE | EXPIRED, .. } | Self::Busy(_) | Self::Unknown(_) => {
                self.into()
            }
            Self::Refused { .. } => HostError::Failed(self.to_string()),
        }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused { why, .. } => write!(f, "the cluster refuses it: {why}"),
            Self::Busy(why) | Self::Unknown(why) => f.write_str(why),
        }
    }
}

impl From<kube::Error> for Trouble {
    fn from(error: kube::Error) -> Self {
        let kube::Error::Api(status) = &error else { return Self::Unknown(error.to_string()) };
        let why = if status.message.is_empty() { status.reason.clone() } else { status.message.clone() };
        match status.code {
            // These mean a token that is being renewed, a request that came too slowly, and priority and fairness.
            401 | TIMEOUT | 429 => Self::Busy(why),
            code @ 400..500 => Self::Refused { code, why },
            _ => Self::Unknown(why),
        }
    }
}

impl From<Trouble> for HostError {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            // Another process was quicker. The next try sees its change.
            Trouble::Refused { code: CONFLICT, why } => {
                Self::Unavailable(format!("the cluster changed meanwhile: {why}"))
            }
            // Reads, deletions and changes of a fence do not depend on the catalogue. An admission webhook, a policy or
            // a proxy may refuse them. The server still runs, so the order waits until an operator has repaired this.
            refused @ Trouble::Refused { .. } => Self::Unavailable(refused.to_string()),
            Trouble::Busy(why) | Trouble::Unknown(why) => {
                Self::Unavailable(format!("the cluster cannot be reached for the moment: {why}"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use http::Request;
    use kube::core::Status;
    use serde_json::json;

    use super::*;

    #[test]
    fn failed_calls_are_classified() {
        let api = |code| kube::Error::Api(Box::new(Status::failure("why", "Reason").with_code(code)));
        for code in [400, 403, 404, 405, 410, 413, 415, 422] {
            assert!(matches!(Trouble::from(api(code)), Trouble::Refused { code: c, .. } if c == code), "{code}");
        }
        for code in [400, 405, 413, 415, 422] {
            assert!(matches!(HostError::from(Trouble::from(api(code))), HostError::Unavailable(_)), "{code}");
            assert!(matches!(Trouble::from(api(code)).of_making(), HostError::Failed(_)), "{code}");
        }
        for code in [401, 408, 429] {
            assert!(matches!(Trouble::from(api(code)), Trouble::Busy(_)), "{code}");
        }
        for code in [500, 502, 503, 504] {
            assert!(matches!(Trouble::from(api(code)), Trouble::Unknown(_)), "{code}");
        }
        for code in [401, 403, 404, 408, 409, 410, 429, 500, 503, 504] {
            assert!(matches!(HostError::from(Trouble::from(api(code))), HostError::Unavailable(_)), "{code}");
            assert!(matches!(Trouble::from(api(code)).of_making(), HostError::Unavailable(_)), "{code}");
        }
        let cut = kube::Error::Service("connection closed".into());
        assert!(matches!(Trouble::from(cut), Trouble::Unknown(_)));
    }

    /// Creates a client for a cluster that forgets the version of every list in pieces.
    fn forgetful() -> Client {
        let answer = |request: Request<kube::client::Body>| {
            let (query, item) =
                (request.uri().query().unwrap_or_default(), |name| json!({ "metadata": { "name": name } }));
            let (code, body) = if query.contains("continue=") {
                (
                    410,
                    json!({ "kind": "Status", "status": "Failure", "reason": "Expired", "code": 410, "message": "too old" }),
                )
            } else if query.contains("limit=") {
                (200, json!({ "metadata": { "continue": "more" }, "items": [item("a")] }))
            } else {
                (200, json!({ "metadata": {}, "items": [item("a"), item("b")] }))
            };
            let body = kube::client::Body::from(body.to_string().into_bytes());
            let answer = http::Response::builder().status(code).body(body);
            async move { answer }
        };
        Client::new(tower::service_fn(answer), "games")
    }

    #[tokio::test]
    async fn list_whose_version_expired_is_taken_anew() {
        let (namespace, fence_namespace) = ("games".into(), "fences".into());
        let config = Config { name: "agones".into(), namespace, fence_namespace, pace: Pace::default() };
        let cluster = Cluster::new(forgetful(), config);
        let all = cluster.all(&cluster.fences, "a=b").await.expect("a list");
        assert_eq!(all.iter().map(ResourceExt::name_any).collect::<Vec<_>>(), ["a", "b"]);
    }
}
