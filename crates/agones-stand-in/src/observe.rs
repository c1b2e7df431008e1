//! Views of the cluster for tests.

use std::time::Duration;

use serde_json::Value;

use crate::game_state::State;
use crate::kind::Kind;
use crate::request::Request;
use crate::{Cluster, NAMESPACE, write};

/// How long a test waits for what is sure to come.
const PATIENCE: Duration = Duration::from_secs(20);

impl Cluster {
    /// An object, as it is stored.
    #[must_use]
    pub fn get(&self, kind: Kind, name: &str) -> Option<Value> {
        self.hub.look(|world| world.store.get(kind, name).cloned())
    }

    /// All objects of a kind, by name.
    #[must_use]
    pub fn list(&self, kind: Kind) -> Vec<Value> {
        self.hub.look(|world| world.store.list(kind).cloned().collect())
    }

    /// All objects of a kind in a namespace, by name.
    #[must_use]
    pub fn list_in(&self, namespace: &str, kind: Kind) -> Vec<Value> {
        self.hub.quietly(|world| world.within(namespace, |world| world.store.list(kind).cloned().collect()))
    }

    /// Creates or replaces an object (with its `apiVersion` and `kind`) as somebody else's client would, and gives it
    /// back as stored; it is in [`NAMESPACE`] where it does not say another one. Neither faults nor quotas meet it, and it is no [`Request`].
    ///
    /// # Panics
    /// Panics if the API server would refuse it.
    pub fn put(&self, object: Value) -> Value {
        let namespace = object["metadata"]["namespace"].as_str().unwrap_or(NAMESPACE).to_owned();
        self.hub
            .change(|world| world.within(&namespace, |world| write::put(world, self.hub.facts.schemas, object)))
            .unwrap_or_else(|status| panic!("{status:?}"))
    }

    /// Deletes an object as `kubectl delete` does; `true` where there was one. Finalizers hold it as ever.
    pub fn delete(&self, kind: Kind, name: &str) -> bool {
        self.hub.change(|world| world.store.delete(kind, name).is_ok())
    }

    /// Takes an object of a namespace away, as `kubectl delete` does.
    ///
    /// # Panics
    /// There is no such object.
    pub fn delete_in(&self, namespace: &str, kind: Kind, name: &str) {
        self.hub
            .change(|world| world.within(namespace, |world| world.store.delete(kind, name)))
            .unwrap_or_else(|status| panic!("{status:?}"));
    }

    /// The state of a GameServer.
    #[must_use]
    pub fn state(&self, name: &str) -> Option<State> {
        State::of(&self.get(Kind::GameServer, name)?)
    }

    /// Waits until a GameServer is in a state.
    ///
    /// # Panics
    /// Panics if that does not come in 20 seconds, as for all that waits here.
    pub async fn until_state(&self, name: &str, state: State) {
        let what = format!("{name} in the state {state}");
        self.until(&what, |cluster| (cluster.state(name) == Some(state)).then_some(())).await;
    }

    /// Waits until an object is gone.
    pub async fn until_gone(&self, kind: Kind, name: &str) {
        let what = format!("the end of {} {name}", kind.name());
        self.until(&what, |cluster| cluster.get(kind, name).is_none().then_some(())).await;
    }

    /// Waits until so many watches of a kind are open, at least.
    pub async fn until_watched(&self, kind: Kind, watches: usize) {
        let what = format!("{watches} watches of {}", kind.plural());
        self.until(&what, |cluster| (cluster.watches(kind) >= watches).then_some(())).await;
    }

    /// Waits until `probe` has an answer; it is asked again after each change.
    pub async fn until<T>(&self, what: &str, mut probe: impl FnMut(&Self) -> Option<T>) -> T {
        let answer = self.hub.wait(PATIENCE, |_| probe(self)).await;
        answer.unwrap_or_else(|| panic!("waited {PATIENCE:?} in vain for {what}; there are {}", self.summary()))
    }

    /// How many watches of a kind are open.
    #[must_use]
    pub fn watches(&self, kind: Kind) -> usize {
        self.hub.look(|world| world.watches.open.iter().filter(|open| **open == kind).count())
    }

    /// All requests so far, in the order in which they were answered.
    #[must_use]
    pub fn requests(&self) -> Vec<Request> {
        self.hub.look(|world| world.requests.clone())
    }

    /// Returns the requests whose method, path and query contain `route`, such as `PATCH /apis/agones.dev`.
    #[must_use]
    pub fn requests_to(&self, route: &str) -> Vec<Request> {
        let mut requests = self.requests();
        requests.retain(|request| request.line().contains(route));
        requests
    }

    /// Forgets the requests so far.
    pub fn forget_requests(&self) {
        self.hub.change(|world| world.requests.clear());
    }

    fn summary(&self) -> String {
        let of_kind = |kind: Kind| {
            let objects = self.list(kind);
            let line = |object: &Value| {
                format!("{} {} {}", kind.name(), object["metadata"]["name"], object["status"]["state"])
            };
            objects.iter().map(line).collect::<Vec<_>>()
        };
        let lines: Vec<_> = Kind::ALL.into_iter().flat_map(of_kind).collect();
        format!("in {NAMESPACE}: {}", lines.join(", "))
    }
}
