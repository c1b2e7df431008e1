//! What the watches have told: the GameServers and pods of this host, as they were a moment ago.

use std::{
    collections::HashMap,
    fmt,
    hash::Hash,
    sync::{Arc, Mutex, PoisonError},
};

use agis_base::ServerId;
use futures_util::{Stream, StreamExt};
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, Resource, ResourceExt,
    runtime::{
        WatchStreamExt,
        reflector::{self, ObjectRef, Store, store::Writer},
        watcher,
    },
};
use serde::de::DeserializeOwned;
use tokio::sync::{Notify, watch};

use crate::{
    cluster::Cluster,
    gameserver::{self, GameServer},
    names,
};

/// GameServers and pods as the watches last told.
pub(crate) struct View {
    gameservers: Store<GameServer>,
    pods: Store<Pod>,
    changes: watch::Sender<()>,
    /// Keeps one change for whoever comes to ask.
    news: Arc<Notify>,
    /// Which are whose, as of the last time that somebody asked.
    index: Mutex<Index>,
}

#[derive(Default)]
struct Index {
    of: HashMap<ServerId, Vec<Arc<GameServer>>>,
    changes: Option<watch::Receiver<()>>,
}

/// What fills a view; polled for as long as the view is to follow.
pub(crate) struct Feed {
    gameservers: Writer<GameServer>,
    pods: Writer<Pod>,
    changes: watch::Sender<()>,
    news: Arc<Notify>,
}

impl View {
    /// A view that knows nothing yet, and what fills it.
    pub(crate) fn new() -> (Self, Feed) {
        let (changes, _) = watch::channel(());
        let resource = gameserver::resource();
        let gameservers = Writer::new(resource);
        let (pods_view, pods) = reflector::store();
        let news = Arc::new(Notify::new());
        let view = Self {
            gameservers: gameservers.as_reader(),
            pods: pods_view,
            changes: changes.clone(),
            news: news.clone(),
            index: Mutex::default(),
        };
        (view, Feed { gameservers, pods, changes, news })
    }

    /// The GameServers of a server.
    pub(crate) fn of(&self, server: ServerId) -> Vec<Arc<GameServer>> {
        // Whoever looks at all servers would look at all GameServers for each.
        let mut index = self.index.lock().unwrap_or_else(PoisonError::into_inner);
        if index.changes.as_ref().is_none_or(|changes| changes.has_changed().unwrap_or(true)) {
            let changes = index.changes.get_or_insert_with(|| self.changes.subscribe());
            // Ahead of the look: what changes meanwhile is looked at again.
            changes.mark_unchanged();
            index.of.clear();
            for gameserver in self.gameservers.state() {
                if let Some(server) = names::server(&*gameserver) {
                    index.of.entry(server).or_default().push(gameserver);
                }
            }
        }
        index.of.get(&server).cloned().unwrap_or_default()
    }

    /// The pod of a GameServer, which has its name.
    pub(crate) fn pod(&self, gameserver: &GameServer) -> Option<Arc<Pod>> {
        let namespace = gameserver.namespace().unwrap_or_default();
        self.pods.get(&ObjectRef::new(&gameserver.name_any()).within(&namespace))
    }

    /// Resolves when something has changed since the last time that it did.
    pub(crate) async fn changed(&self) {
        self.news.notified().await;
    }

    /// Tells of changes from now on.
    pub(crate) fn changes(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
    }
}

impl Feed {
    /// Follows the cluster; ends never. What a watch missed (410 Gone, a connection that broke) is listed anew.
    pub(crate) async fn run(self, cluster: &Cluster) {
        let Self { gameservers, pods, changes, news } = self;
        let selected = watcher::Config::default().labels(&names::all(&cluster.name));
        let gameservers = follow(&cluster.gameservers, selected.clone(), gameservers);
        let pods = follow(&cluster.pods, selected, pods);
        let mut events = futures_util::stream::select(Box::pin(gameservers), Box::pin(pods));
        while events.next().await.is_some() {
            changes.send_replace(());
            news.notify_one();
        }
    }
}

fn follow<K>(api: &Api<K>, config: watcher::Config, into: Writer<K>) -> impl Stream<Item = ()> + use<K>
where
    K: Resource + Clone + DeserializeOwned + fmt::Debug + Send + Sync + 'static,
    K::DynamicType: Eq + Hash + Clone,
{
    watcher(api.clone(), config).default_backoff().reflect(into).map(|event| {
        if let Err(error) = event {
            tracing::warn!(%error, "a watch of the cluster broke; it is begun anew");
        }
    })
}
