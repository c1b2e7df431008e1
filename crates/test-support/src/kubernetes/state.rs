//! All that the stand-in knows.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::{Duration, Instant};

use super::FENCES;
use super::agones::State;
use super::faults::Faults;
use super::kind::Kind;
use super::observe::Request;
use super::store::Store;

/// How many requests are kept; a stand-in that runs for days forgets the oldest.
const KEPT: usize = 10_000;

#[derive(Debug, Default)]
pub(super) struct World {
    pub(super) store: Store,
    fences: Fences,
    pub(super) knobs: Knobs,
    pub(super) faults: Faults,
    pub(super) watches: Watches,
    pub(super) requests: Vec<Request>,
    /// Fleets own their GameServers through a set, which nobody else sees: name and uid, by the fleet's uid.
    pub(super) sets: BTreeMap<String, (String, String)>,
    /// Since when pods are ending, by uid.
    pub(super) ending: HashMap<String, Instant>,
    /// Since when claims are deleted that nobody uses, by uid.
    pub(super) leaving: HashMap<String, Instant>,
    /// What pods have printed, by their uid.
    pub(super) logs: HashMap<String, Vec<String>>,
}

#[derive(Debug, Default)]
pub(super) struct Knobs {
    pub(super) held: HashSet<State>,
    pub(super) never_ready: bool,
    /// How long pods take to end; `None` is no time at all.
    pub(super) termination: Option<Duration>,
    pub(super) contentions: u32,
    /// Whether allocation knows of no GameServer that is ready.
    pub(super) is_blind: bool,
    pub(super) quotas: BTreeMap<Kind, usize>,
    /// The resources and verbs that requests may use in a namespace, where that is restricted.
    pub(super) roles: BTreeMap<String, Vec<(String, Vec<String>)>>,
}

/// The open watches, and what they are told: a watch looks whether a count is another than when it began.
#[derive(Debug, Default)]
pub(super) struct Watches {
    pub(super) open: Vec<Kind>,
    pub(super) dropped: u64,
    pub(super) ended: u64,
    pub(super) bookmarks: u64,
}

/// The objects of the other namespace.
#[derive(Debug)]
struct Fences(Store);

impl Default for Fences {
    fn default() -> Self {
        Self(Store::of_namespace(FENCES))
    }
}

impl World {
    /// Does something to the objects of a namespace, which are the store meanwhile.
    pub(super) fn within<T>(&mut self, namespace: &str, work: impl FnOnce(&mut Self) -> T) -> T {
        if namespace != FENCES {
            return work(self);
        }
        std::mem::swap(&mut self.store, &mut self.fences.0);
        let done = work(self);
        std::mem::swap(&mut self.store, &mut self.fences.0);
        done
    }

    pub(super) fn record(&mut self, request: Request) {
        if self.requests.len() >= KEPT {
            self.requests.drain(..KEPT / 10);
        }
        self.requests.push(request);
    }

    /// Whether a quota allows one more object of a kind, and if not, how it says so.
    pub(super) fn exceeds_quota(&self, kind: Kind) -> Option<String> {
        let (most, used) = (*self.knobs.quotas.get(&kind)?, self.store.list(kind).count());
        let what = format!("count/{}", kind.resource());
        let words =
            || format!("exceeded quota: stand-in, requested: {what}=1, used: {what}={used}, limited: {what}={most}");
        (used >= most).then(words)
    }
}
