//! All that the stand-in knows.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::{Duration, Instant};

use crate::FENCES;
use crate::faults::Faults;
use crate::game_state::State;
use crate::kind::Kind;
use crate::request::Request;
use crate::store::Store;

/// How many requests are kept; a stand-in that runs for days forgets the oldest.
const KEPT: usize = 10_000;

#[derive(Debug, Default)]
pub(crate) struct World {
    pub(crate) store: Store,
    fences: Fences,
    pub(crate) knobs: Knobs,
    pub(crate) faults: Faults,
    pub(crate) watches: Watches,
    pub(crate) requests: Vec<Request>,
    /// Fleets own their GameServers through a set, which nobody else sees: name and uid, by the fleet's uid.
    pub(crate) sets: BTreeMap<String, (String, String)>,
    /// Since when pods are ending, by uid.
    pub(crate) ending: HashMap<String, Instant>,
    /// Since when claims are deleted that nobody uses, by uid.
    pub(crate) leaving: HashMap<String, Instant>,
    /// Printed lines of pods, by their uid.
    pub(crate) logs: HashMap<String, Vec<String>>,
}

#[derive(Debug, Default)]
pub(crate) struct Knobs {
    pub(crate) held: HashSet<State>,
    pub(crate) never_ready: bool,
    /// How long pods take to end; `None` is no time at all.
    pub(crate) termination: Option<Duration>,
    pub(crate) contentions: u32,
    /// Whether allocation knows of no GameServer that is ready.
    pub(crate) is_blind: bool,
    pub(crate) quotas: BTreeMap<Kind, usize>,
    /// The resources and verbs that requests may use in a namespace, where that is restricted.
    pub(crate) roles: BTreeMap<String, Vec<(String, Vec<String>)>>,
}

/// The open watches, and what they are told: a watch looks whether a count is another than when it began.
#[derive(Debug, Default)]
pub(crate) struct Watches {
    pub(crate) open: Vec<Kind>,
    pub(crate) dropped: u64,
    pub(crate) ended: u64,
    pub(crate) bookmarks: u64,
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
    pub(crate) fn within<T>(&mut self, namespace: &str, work: impl FnOnce(&mut Self) -> T) -> T {
        if namespace != FENCES {
            return work(self);
        }
        std::mem::swap(&mut self.store, &mut self.fences.0);
        let done = work(self);
        std::mem::swap(&mut self.store, &mut self.fences.0);
        done
    }

    pub(crate) fn record(&mut self, request: Request) {
        if self.requests.len() >= KEPT {
            self.requests.drain(..KEPT / 10);
        }
        self.requests.push(request);
    }

    /// Whether a quota allows one more object of a kind, and if not, how it says so.
    pub(crate) fn exceeds_quota(&self, kind: Kind) -> Option<String> {
        let (most, used) = (*self.knobs.quotas.get(&kind)?, self.store.list(kind).count());
        let what = format!("count/{}", kind.resource());
        let words =
            || format!("exceeded quota: stand-in, requested: {what}=1, used: {what}={used}, limited: {what}={most}");
        (used >= most).then(words)
    }
}
