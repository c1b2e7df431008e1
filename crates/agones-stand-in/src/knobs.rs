//! Controls of the cluster for tests.

use std::time::Duration;

use crate::game_state::State;
use crate::kind::Kind;
use crate::{Cluster, agones, pods};

impl Cluster {
    /// GameServers that are in this state, or come into it, are left there by Agones and their game until
    /// [`release`](Self::release). Several states can be held at once.
    pub fn hold(&self, state: State) {
        self.hub.change(|world| world.knobs.held.insert(state));
    }

    /// No state is held any more.
    pub fn release(&self) {
        self.hub.change(|world| world.knobs.held.clear());
    }

    /// From now on no game gets ready, neither its pod nor by the SDK, until this is set back.
    pub fn never_ready(&self, never: bool) {
        self.hub.change(|world| world.knobs.never_ready = never);
    }

    /// A game tells the SDK that it is ready, whatever it was to do by itself.
    ///
    /// # Panics
    /// Panics if there is no such GameServer, as for all knobs that name one.
    pub fn ready(&self, name: &str) {
        self.set_state(name, State::RequestReady);
    }

    /// A game's health checks fail: it is `Unhealthy`. One of a Fleet is replaced; any other stays until it is deleted.
    pub fn crash(&self, name: &str) {
        self.set_state(name, State::Unhealthy);
    }

    /// A game tells the SDK to shut down: its state is `Shutdown`, then Agones deletes it.
    pub fn shutdown(&self, name: &str) {
        self.set_state(name, State::Shutdown);
    }

    /// Puts a GameServer into a state by hand, as somebody else's client may.
    pub fn set_state(&self, name: &str, state: State) {
        self.hub
            .change(|world| agones::set_state(world, name, state))
            .unwrap_or_else(|error| panic!("{name}: {error:?}"));
    }

    /// Somebody else deletes a GameServer's pod (a drained node, say): once it is gone, the GameServer is `Unhealthy`.
    pub fn evict(&self, name: &str) {
        self.hub.change(|world| pods::delete(world, name)).unwrap_or_else(|error| panic!("{name}: {error:?}"));
    }

    /// Pods that are deleted from now on take so long to end; until they have, their GameServer keeps its finalizer.
    pub fn slow_termination(&self, takes: Duration) {
        self.hub.change(|world| world.knobs.termination = Some(takes));
    }

    /// Pods that are deleted do not end until [`release_termination`](Self::release_termination).
    pub fn hold_termination(&self) {
        self.slow_termination(Duration::MAX);
    }

    /// Pods end at once again, also those that are ending.
    pub fn release_termination(&self) {
        self.hub.change(|world| world.knobs.termination = None);
    }

    /// The next allocations find that somebody was faster: `Contention`.
    pub fn contend_next(&self, times: u32) {
        self.hub.change(|world| world.knobs.contentions = times);
    }

    /// Allocation knows of no GameServer that is ready, whatever Fleets show, until this is set back: so it is after Agones'
    /// extensions have lost some from their cache, and until they are started anew.
    pub fn blind_allocation(&self, blind: bool) {
        self.hub.change(|world| world.knobs.is_blind = blind);
    }

    /// A quota: of a kind there may be so many objects and no more; creating one more is forbidden. `None` lifts it.
    pub fn quota(&self, kind: Kind, most: Option<usize>) {
        self.hub.change(|world| match most {
            Some(most) => world.knobs.quotas.insert(kind, most),
            None => world.knobs.quotas.remove(&kind),
        });
    }

    /// History is forgotten, as after some minutes: all older resource versions are gone. Open watches are told so by an
    /// `ERROR` event with code 410 and end, later ones from an older version and lists that continue are answered 410.
    pub fn compact(&self) {
        self.hub.change(|world| world.store.compact());
    }

    /// All open watches break off in the middle, as a lost connection does. Nothing else happens.
    pub fn drop_watches(&self) {
        self.hub.change(|world| world.watches.dropped += 1);
    }

    /// Open watches that want bookmarks get one now, as they do about once a minute.
    pub fn bookmark(&self) {
        self.hub.change(|world| world.watches.bookmarks += 1);
    }

    /// Requests may do this in a namespace and no more, as a `Role` says it: resources with their group and their verbs, such as
    /// `("gameservers.agones.dev", &["get", "list"])` and `("pods/log", &["get"])`. All else is forbidden.
    pub fn restrict(&self, namespace: &str, rules: &[(&str, &[&str])]) {
        let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        let rules = rules.iter().map(|(resource, verbs)| ((*resource).to_owned(), owned(verbs))).collect();
        self.hub.change(|world| world.knobs.roles.insert(namespace.to_owned(), rules));
    }

    /// A pod prints a line.
    pub fn print(&self, pod: &str, line: &str) {
        self.print_at_once(pod, &[line]);
    }

    /// A pod prints lines, all in one moment.
    pub fn print_at_once(&self, pod: &str, lines: &[&str]) {
        self.hub.change(|world| pods::print(world, pod, lines)).unwrap_or_else(|error| panic!("{pod}: {error:?}"));
    }

    /// All open watches end properly, as they do after some minutes anyway.
    pub fn end_watches(&self) {
        self.hub.change(|world| world.watches.ended += 1);
    }
}
