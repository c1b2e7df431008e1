//! Keeps a store of one kind of object in step with the cluster.
//!
//! A watch ends after some time and starts again from there. Its regular end is the sign that it was not broken. After
//! a broken watch, a short one reports the missed events, even the ends of objects that are gone. If the short one
//! breaks too, a list follows. A list shows the present objects, but not the ends of the others.

use std::{
    fmt,
    hash::Hash,
    pin::pin,
    time::{Duration, Instant},
};

use futures_util::StreamExt;
use kube::{
    Api, Resource, ResourceExt,
    api::{WatchEvent, WatchParams},
    runtime::{reflector::store::Writer, watcher::Event},
};
use serde::de::DeserializeOwned;

use crate::{
    cluster::{CALL, Cluster, EXPIRED, Trouble, ask},
    names,
    sight::Sight,
};

/// Duration of the watch that finds out whether watches work again.
const SHORT: Duration = Duration::from_secs(1);
/// Time by which a watch may be late to answer and to end.
const LATE: Duration = Duration::from_secs(5);
/// First and longest wait before the next try.
const WAIT: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(10));

/// Returns the time for which a sign of life is good if watches last `watch`. Within it, a watch that ended starts
/// again, and one that broke is made up for.
pub(crate) fn good_for(watch: Duration) -> Duration {
    watch + CALL * 3
}

/// Loop that keeps a store in step with the cluster's objects.
pub(crate) struct Follow<'a, K: Resource + Clone + 'static, F>
where
    K::DynamicType: Eq + Hash + Clone,
{
    pub(crate) cluster: &'a Cluster,
    pub(crate) api: &'a Api<K>,
    pub(crate) into: Writer<K>,
    pub(crate) sight: &'a Sight,
    /// Receives each change once the store has it: an object, or `None` if it is unknown which objects changed.
    pub(crate) tell: F,
}

impl<K, F> Follow<'_, K, F>
where
    K: Resource + Clone + DeserializeOwned + fmt::Debug + Send + Sync + 'static,
    K::DynamicType: Eq + Hash + Clone,
    F: Fn(Option<&K>),
{
    /// Keeps the store in step, and never returns.
    pub(crate) async fn run(mut self) {
        let (mut version, mut is_well, mut wait) = (None, true, WAIT.0);
        loop {
            if version.is_some() {
                let lasts = if is_well { self.cluster.pace.watch } else { SHORT };
                match self.watch(&mut version, lasts).await {
                    Ok(()) => {
                        (is_well, wait) = (true, WAIT.0);
                        self.sight.well();
                        continue;
                    }
                    Err(trouble) => {
                        tracing::warn!(%trouble, "watch of the cluster broke");
                        self.sight.broken(&trouble.to_string());
                        if std::mem::take(&mut is_well) && version.is_some() {
                            continue;
                        }
                    }
                }
            }
            match self.list().await {
                Ok(listed) => version = Some(listed),
                Err(trouble) => {
                    tracing::warn!(%trouble, "objects of the cluster could not be listed");
                    is_well = false;
                    self.sight.blind(&trouble.to_string());
                }
            }
            (self.tell)(None);
            if !is_well {
                tokio::time::sleep(wait).await;
                wait = (wait * 2).min(WAIT.1);
            }
        }
    }

    /// Replaces the store's content by a list of the cluster's objects. Returns the version of the list.
    async fn list(&mut self) -> Result<String, Trouble> {
        let asked = Instant::now();
        let (objects, version) = self.cluster.listed(self.api, &names::all(&self.cluster.name)).await?;
        let version = version.ok_or_else(|| Trouble::Unknown("a list came without its version".into()))?;
        self.into.apply_watcher_event(&Event::Init);
        for object in &objects {
            self.into.apply_watcher_event(&Event::InitApply(object.clone()));
        }
        self.into.apply_watcher_event(&Event::InitDone);
        self.sight.made_up_for(asked);
        objects.iter().for_each(|object| (self.tell)(Some(object)));
        Ok(version)
    }

    /// Applies the events after that version, and moves the version on, until the watch ends as requested. Clears the
    /// version if the cluster has forgotten it.
    async fn watch(&mut self, version: &mut Option<String>, lasts: Duration) -> Result<(), Trouble> {
        let seconds = u32::try_from(lasts.as_secs()).unwrap_or(u32::MAX);
        let params = WatchParams::default().labels(&names::all(&self.cluster.name)).timeout(seconds);
        let result = self.watch_with(&params, version, lasts).await;
        if let Err(Trouble::Refused { code: EXPIRED, .. }) = result {
            *version = None;
        }
        result
    }

    async fn watch_with(
        &mut self,
        params: &WatchParams,
        version: &mut Option<String>,
        lasts: Duration,
    ) -> Result<(), Trouble> {
        let begun = Instant::now();
        let answered = ask(self.api.watch(params, version.as_deref().unwrap_or_default()));
        let silent = |_| Trouble::Unknown(format!("it was not answered within {} s", LATE.as_secs()));
        let mut events = pin!(tokio::time::timeout(LATE, answered).await.map_err(silent)??);
        loop {
            let silent = |_| Trouble::Unknown(format!("it was silent for {} s", (lasts + LATE).as_secs()));
            let event = match tokio::time::timeout(lasts + LATE, events.next()).await.map_err(silent)? {
                Some(event) => event.map_err(Trouble::from)?,
                // A cut connection ends the stream as well.
                None if begun.elapsed() * 2 < lasts => return Err(Trouble::Unknown("it ended early".into())),
                None => return Ok(()),
            };
            let (event, told) = match event {
                WatchEvent::Added(object) | WatchEvent::Modified(object) => (Event::Apply(object.clone()), object),
                WatchEvent::Deleted(object) => (Event::Delete(object.clone()), object),
                WatchEvent::Bookmark(bookmark) => {
                    *version = Some(bookmark.metadata.resource_version);
                    self.sight.well();
                    continue;
                }
                WatchEvent::Error(status) => return Err(kube::Error::Api(status).into()),
            };
            *version = told.resource_version();
            self.into.apply_watcher_event(&event);
            self.sight.well();
            (self.tell)(Some(&told));
        }
    }
}
