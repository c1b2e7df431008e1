//! Every call to the API server: its deadline, and what its failure means.

use std::{fmt, time::Duration};

use agis_servers::host::HostError;
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Pod};
use kube::{
    Api, Client, ResourceExt,
    api::{DeleteParams, ListParams, Preconditions},
};
use serde::de::DeserializeOwned;

use crate::{
    gameserver::{self, GameServer},
    names,
};

/// How long the API server may take for an answer.
const CALL: Duration = Duration::from_secs(10);
/// How many objects a piece of a list has.
const PIECE: u32 = 500;

/// The game servers' namespace of a cluster.
#[derive(Clone)]
pub(crate) struct Cluster {
    /// The host's name.
    pub(crate) name: String,
    pub(crate) namespace: String,
    pub(crate) client: Client,
    pub(crate) gameservers: Api<GameServer>,
    pub(crate) fences: Api<ConfigMap>,
    pub(crate) worlds: Api<PersistentVolumeClaim>,
    pub(crate) pods: Api<Pod>,
}

impl Cluster {
    pub(crate) fn new(client: Client, name: String, namespace: String) -> Self {
        Self {
            gameservers: Api::namespaced_with(client.clone(), &namespace, &gameserver::resource()),
            fences: Api::namespaced(client.clone(), &namespace),
            worlds: Api::namespaced(client.clone(), &namespace),
            pods: Api::namespaced(client.clone(), &namespace),
            name,
            namespace,
            client,
        }
    }

    /// Those that this selects, as they are now.
    pub(crate) async fn all<K>(&self, api: &Api<K>, selector: &str) -> Result<Vec<K>, HostError>
    where
        K: Clone + DeserializeOwned + fmt::Debug,
    {
        let mut found = vec![];
        let mut params = ListParams::default().labels(selector).limit(PIECE);
        loop {
            let piece = ask(api.list(&params)).await?;
            found.extend(piece.items);
            match piece.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => params.continue_token = Some(token),
                None => return Ok(found),
            }
        }
    }

    /// Whether the API server answers, and shows us GameServers.
    pub(crate) async fn ping(&self) -> Result<(), HostError> {
        let one = ListParams::default().labels(&names::all(&self.name)).limit(1);
        ask(self.gameservers.list(&one)).await?;
        Ok(())
    }

    /// The GameServers of a server, as they are now.
    pub(crate) async fn of(&self, server: agis_base::ServerId) -> Result<Vec<GameServer>, HostError> {
        self.all(&self.gameservers, &names::all_of(&self.name, server)).await
    }

    /// Refuses what another installation has in this namespace: its servers have numbers as ours have.
    pub(crate) fn is_ours(&self, object: &impl ResourceExt) -> Result<(), HostError> {
        match object.labels().get(names::HOST) {
            Some(host) if *host != self.name => Err(HostError::Unavailable(format!(
                "{} belongs to the host '{host}': two installations need namespaces of their own",
                object.name_any()
            ))),
            _ => Ok(()),
        }
    }

    /// Has this one deleted, and no other that came to have its name. It may take its time to go.
    pub(crate) async fn delete<K>(&self, api: &Api<K>, object: &K) -> Result<(), HostError>
    where
        K: kube::Resource + Clone + DeserializeOwned + fmt::Debug,
    {
        self.delete_if(api, object, Preconditions { uid: object.uid(), resource_version: None }).await
    }

    /// Has this one deleted unless somebody has changed it meanwhile.
    pub(crate) async fn delete_unchanged<K>(&self, api: &Api<K>, object: &K) -> Result<(), HostError>
    where
        K: kube::Resource + Clone + DeserializeOwned + fmt::Debug,
    {
        let only = Preconditions { uid: object.uid(), resource_version: object.resource_version() };
        self.delete_if(api, object, only).await
    }

    async fn delete_if<K>(&self, api: &Api<K>, object: &K, only: Preconditions) -> Result<(), HostError>
    where
        K: kube::Resource + Clone + DeserializeOwned + fmt::Debug,
    {
        let params = DeleteParams::default().preconditions(only);
        match ask(api.delete(&object.name_any(), &params)).await {
            Ok(_) => Ok(()),
            Err(Trouble::Refused { code: GONE | CONFLICT, .. }) => Ok(()),
            Err(trouble) => Err(trouble.into()),
        }
    }
}

pub(crate) const GONE: u16 = 404;
pub(crate) const CONFLICT: u16 = 409;

/// What went wrong with a call.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// It was refused: it had no effect.
    Refused {
        /// The status of HTTP.
        code: u16,
        /// The API server's words.
        why: String,
    },
    /// It was put off: it had no effect, and may be tried again.
    Busy(String),
    /// Nobody knows whether it had an effect.
    Unknown(String),
}

/// Makes a call.
pub(crate) async fn ask<T>(call: impl Future<Output = kube::Result<T>>) -> Result<T, Trouble> {
    match tokio::time::timeout(CALL, call).await {
        Ok(answer) => answer.map_err(Trouble::from),
        Err(_) => Err(Trouble::Unknown(format!("no answer within {} s", CALL.as_secs()))),
    }
}

impl From<kube::Error> for Trouble {
    fn from(error: kube::Error) -> Self {
        let kube::Error::Api(status) = &error else { return Self::Unknown(error.to_string()) };
        let why = if status.message.is_empty() { status.reason.clone() } else { status.message.clone() };
        match status.code {
            // A token that is being renewed; priority and fairness.
            401 | 429 => Self::Busy(why),
            code @ 400..500 => Self::Refused { code, why },
            _ => Self::Unknown(why),
        }
    }
}

impl From<Trouble> for HostError {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            // Somebody was quicker; the next try sees what they did.
            Trouble::Refused { code: CONFLICT, why } => {
                Self::Unavailable(format!("the cluster changed meanwhile: {why}"))
            }
            // A right or a quota that is missing, or Agones itself: somebody may be about to put it right, and what runs has
            // not ended by it.
            Trouble::Refused { code: 403 | GONE, why } => Self::Unavailable(format!("the cluster refuses it: {why}")),
            Trouble::Refused { why, .. } => Self::Failed(format!("the cluster refuses it: {why}")),
            Trouble::Busy(why) | Trouble::Unknown(why) => {
                Self::Unavailable(format!("the cluster cannot be reached for the moment: {why}"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use kube::core::Status;

    use super::*;

    #[test]
    fn what_a_failed_call_means() {
        let api = |code| kube::Error::Api(Box::new(Status::failure("why", "Reason").with_code(code)));
        for code in [400, 403, 404, 405, 413, 415, 422] {
            assert!(matches!(Trouble::from(api(code)), Trouble::Refused { code: c, .. } if c == code), "{code}");
        }
        for code in [400, 405, 413, 415, 422] {
            assert!(matches!(HostError::from(Trouble::from(api(code))), HostError::Failed(_)), "{code}");
        }
        for code in [401, 429] {
            assert!(matches!(Trouble::from(api(code)), Trouble::Busy(_)), "{code}");
        }
        for code in [500, 502, 503, 504] {
            assert!(matches!(Trouble::from(api(code)), Trouble::Unknown(_)), "{code}");
        }
        for code in [401, 403, 404, 409, 429, 500, 503, 504] {
            assert!(matches!(HostError::from(Trouble::from(api(code))), HostError::Unavailable(_)), "{code}");
        }
        let cut = kube::Error::Service("connection closed".into());
        assert!(matches!(Trouble::from(cut), Trouble::Unknown(_)));
    }
}
