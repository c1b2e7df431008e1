//! View of the cluster through the watches: the GameServers and pods of this host as of a moment ago, and the ends of
//! those that are gone.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use agis_base::ServerId;
use agis_servers::host::{Generation, HostError};
use k8s_openapi::api::core::v1::Pod;
use kube::{
    ResourceExt,
    core::ApiResource,
    runtime::reflector::{self, ObjectRef, Store, store::Writer},
};
use tokio::sync::{Notify, watch};

use crate::{
    cluster::Cluster,
    config::{Config, Pace},
    fence::Chosen,
    follow::{self, Follow},
    gameserver::{self, End, GameServer, Phase},
    names,
    sight::Sight,
};

/// Time for which the end of a GameServer that is gone is remembered.
const REMEMBERED: Duration = Duration::from_secs(60 * 60);
const UNREADABLE: &str = "agis_bot_agones_unreadable_total";

/// GameServer, and its pod if there is one.
pub(crate) type Seen = (Arc<GameServer>, Option<Arc<Pod>>);

/// GameServers and pods as the watches last reported them.
pub(crate) struct View {
    namespace: String,
    resource: ApiResource,
    gameservers: Store<GameServer>,
    pods: Store<Pod>,
    sight_of_gameservers: Sight,
    sight_of_pods: Sight,
    shared: Arc<Shared>,
    /// GameServers of each server, as of the last use.
    index: Mutex<HashMap<ServerId, Vec<Arc<GameServer>>>>,
}

/// Source of a view. The view is in step for as long as this is polled.
pub(crate) struct Feed {
    gameservers: Writer<GameServer>,
    pods: Writer<Pod>,
    view: Arc<View>,
}

#[derive(Default)]
struct Shared {
    /// Bell that keeps one change for the next caller.
    news: Notify,
    /// Whether anything has changed since the index was built.
    is_changed: AtomicBool,
    /// Bell of an object, by its name, and the number of waiting tasks. A GameServer and its pod share a name.
    bells: Mutex<HashMap<String, (watch::Sender<()>, usize)>>,
    ends: Mutex<HashMap<Life, (End, Instant)>>,
    /// Names of the unreadable GameServers that have been logged.
    told: Mutex<BTreeSet<String>>,
}

/// GameServer while it belonged to a generation of a server. A GameServer of a Fleet may come to belong to another.
#[derive(PartialEq, Eq, Hash)]
struct Life {
    server: ServerId,
    generation: Generation,
    uid: String,
}

impl View {
    /// Creates an empty view, and its source.
    pub(crate) fn new(config: &Config) -> (Arc<Self>, Feed) {
        let good_for = follow::good_for(config.pace.watch);
        let resource = gameserver::resource();
        let gameservers = Writer::new(resource.clone());
        let (pods_view, pods) = reflector::store();
        let view = Arc::new(Self {
            namespace: config.namespace.clone(),
            resource,
            gameservers: gameservers.as_reader(),
            pods: pods_view,
            sight_of_gameservers: Sight::new("the watch of GameServers", good_for),
            sight_of_pods: Sight::new("the watch of pods", good_for),
            shared: Arc::default(),
            index: Mutex::default(),
        });
        (view.clone(), Feed { gameservers, pods, view })
    }

    /// Returns the GameServers of a server.
    pub(crate) fn of(&self, server: ServerId) -> Vec<Arc<GameServer>> {
        // Without an index, a look at all servers would look at all GameServers for each.
        let mut index = locked(&self.index);
        // The flag is cleared before the look, so a change meanwhile causes another look.
        if self.shared.is_changed.swap(false, Ordering::AcqRel) {
            index.clear();
            for gameserver in self.gameservers.state() {
                if let Some(server) = names::server(&*gameserver) {
                    index.entry(server).or_default().push(gameserver);
                }
            }
        }
        index.get(&server).cloned().unwrap_or_default()
    }

    /// Returns a GameServer if the watch has reported it.
    pub(crate) fn gameserver(&self, chosen: &Chosen) -> Option<Arc<GameServer>> {
        self.named(&chosen.name).filter(|it| chosen.is(it))
    }

    fn named(&self, name: &str) -> Option<Arc<GameServer>> {
        self.gameservers.get(&ObjectRef::new_with(name, self.resource.clone()).within(&self.namespace))
    }

    /// Fails if the reports of the watch of GameServers may be outdated.
    pub(crate) fn is_fresh(&self) -> Result<(), HostError> {
        self.sight_of_gameservers.is_fresh()
    }

    /// Fails if the phase depends on a pod, and the reports of the watch of pods may be outdated.
    pub(crate) fn vouch(&self, gameserver: &GameServer, phase: &Phase) -> Result<(), HostError> {
        match phase {
            Phase::Starting | Phase::Running(_) if gameserver::is_ready_by_pod(gameserver) => {
                self.sight_of_pods.is_fresh()
            }
            _ => Ok(()),
        }
    }

    /// Returns the trouble of the watches, for people.
    pub(crate) fn trouble(&self) -> Option<String> {
        self.sight_of_gameservers.trouble().or_else(|| self.sight_of_pods.trouble())
    }

    /// Returns a GameServer and its pod if the watch has reported it.
    pub(crate) fn seen(&self, chosen: &Chosen) -> Option<Seen> {
        let gameserver = self.gameserver(chosen)?;
        let pod = self.pod(&gameserver);
        Some((gameserver, pod))
    }

    /// Returns the pod of a GameServer, which has the same name.
    fn pod(&self, gameserver: &GameServer) -> Option<Arc<Pod>> {
        self.pods.get(&ObjectRef::new(&gameserver.name_any()).within(&self.namespace))
    }

    /// Returns the phase of a GameServer. Its first end counts, since later ones only show how it is taken away.
    pub(crate) fn phase(&self, gameserver: &GameServer) -> Phase {
        let ended = life(gameserver).and_then(|life| self.ended(&life)).map(Phase::Ended);
        ended.unwrap_or_else(|| gameserver::phase(gameserver, self.pod(gameserver).as_deref()))
    }

    /// Returns the end of a generation's GameServer that is gone, if a watch has reported it.
    pub(crate) fn end(&self, server: ServerId, generation: Generation, chosen: &Chosen) -> Option<End> {
        self.ended(&Life { server, generation, uid: chosen.uid.clone() })
    }

    fn ended(&self, life: &Life) -> Option<End> {
        locked(&self.shared.ends).get(life).map(|(end, _)| end.clone())
    }

    /// Resolves when something has changed since the last time that it did.
    pub(crate) async fn changed(&self) {
        self.shared.news.notified().await;
    }

    /// Subscribes to the changes of one GameServer and its pod.
    pub(crate) fn follow(&self, name: &str) -> Changes {
        let mut bells = locked(&self.shared.bells);
        let (bell, waiting) = bells.entry(name.to_owned()).or_insert_with(|| (watch::Sender::new(()), 0));
        *waiting += 1;
        Changes { name: name.to_owned(), bell: bell.subscribe(), shared: self.shared.clone() }
    }

    fn note(&self, gameserver: &GameServer) {
        match gameserver::phase(gameserver, self.pod(gameserver).as_deref()) {
            Phase::Ended(end) => {
                let Some(life) = life(gameserver) else { return };
                let mut ends = locked(&self.shared.ends);
                ends.retain(|_, (_, noted)| noted.elapsed() < REMEMBERED);
                ends.entry(life).or_insert_with(|| (end, Instant::now()));
            }
            Phase::Unreadable(why) => self.tell_of(gameserver, &why),
            Phase::Starting | Phase::Running(_) => {}
        }
    }

    /// Logs an unreadable GameServer once. A change of it does not make it readable.
    fn tell_of(&self, gameserver: &GameServer, why: &str) {
        let mut told = locked(&self.shared.told);
        told.retain(|name| self.named(name).is_some());
        if told.insert(gameserver.name_any()) {
            tracing::warn!(gameserver = gameserver.name_any(), why, "game server has an unreadable status");
            metrics::counter!(UNREADABLE).increment(1);
        }
    }

    /// Wakes the tasks that wait for an object of this name; all tasks if it is unknown which objects changed.
    fn ring(&self, name: Option<&str>) {
        self.shared.is_changed.store(true, Ordering::Release);
        let bells = locked(&self.shared.bells);
        match name {
            Some(name) => bells.get(name).into_iter().for_each(|(bell, _)| bell.send_replace(())),
            None => bells.values().for_each(|(bell, _)| bell.send_replace(())),
        }
        drop(bells);
        self.shared.news.notify_one();
    }
}

fn life(gameserver: &GameServer) -> Option<Life> {
    let (server, generation) = (names::server(gameserver)?, names::generation(gameserver)?);
    Some(Life { server, generation, uid: gameserver.uid()? })
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Changes of one object.
pub(crate) struct Changes {
    name: String,
    bell: watch::Receiver<()>,
    shared: Arc<Shared>,
}

impl Changes {
    /// Marks all changes so far as seen.
    pub(crate) fn mark_seen(&mut self) {
        self.bell.mark_unchanged();
    }

    /// Waits for a change, the next look, or `until`. Returns whether a look is due.
    pub(crate) async fn or_look(&mut self, looks: &mut Looks, until: Instant) -> bool {
        let left = until.saturating_duration_since(Instant::now());
        let is_due = tokio::time::timeout(looks.after.min(left), self.bell.changed()).await.is_err();
        if is_due {
            looks.after = (looks.after * 2).min(looks.longest);
        }
        is_due
    }
}

impl Drop for Changes {
    fn drop(&mut self) {
        let mut bells = locked(&self.shared.bells);
        if let Some((_, waiting)) = bells.get_mut(&self.name) {
            *waiting -= 1;
            if *waiting == 0 {
                bells.remove(&self.name);
            }
        }
    }
}

/// Times of looks at an object about which the watch reports nothing: the watch may be broken without a sign.
pub(crate) struct Looks {
    after: Duration,
    longest: Duration,
}

impl Looks {
    pub(crate) fn new(pace: Pace) -> Self {
        Self { after: pace.look, longest: pace.look * Pace::LONGEST }
    }
}

impl Feed {
    /// Follows the cluster, and never returns.
    pub(crate) async fn run(self, cluster: &Cluster) {
        // The counter starts at 0, so monitoring sees the first increment.
        metrics::counter!(UNREADABLE).increment(0);
        let Self { gameservers, pods, view } = self;
        let gameservers = Follow {
            cluster,
            api: &cluster.gameservers,
            into: gameservers,
            sight: &view.sight_of_gameservers,
            tell: |gameserver: Option<&GameServer>| {
                gameserver.into_iter().for_each(|it| view.note(it));
                view.ring(gameserver.map(ResourceExt::name_any).as_deref());
            },
        };
        let pods = Follow {
            cluster,
            api: &cluster.pods,
            into: pods,
            sight: &view.sight_of_pods,
            tell: |pod: Option<&Pod>| {
                pod.and_then(|pod| view.named(&pod.name_any())).iter().for_each(|it| view.note(it));
                view.ring(pod.map(ResourceExt::name_any).as_deref());
            },
        };
        tokio::join!(gameservers.run(), pods.run());
    }
}
