//! Fences that an older version wrote into the games' namespace: they are moved to the others.
//!
//! The Role of this version lets nobody write a fence there, so from then on no older process changes one, or makes one anew.
//! A fence that one writes there all the same counts until it is moved: the higher generation holds.

use agis_servers::host::HostError;
use futures_util::{StreamExt, TryStreamExt, stream};
use k8s_openapi::{api::core::v1::ConfigMap, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use kube::ResourceExt;

use crate::{
    cluster::{Cluster, FORBIDDEN, Trouble},
    fence::Fence,
    names,
};

/// How many are moved at once.
const AT_ONCE: usize = 8;

impl Cluster {
    /// Returns once this process has moved what stood in the old place. Nobody knows a server's generation before that.
    pub(crate) async fn moved(&self) -> Result<(), HostError> {
        self.moved.get_or_try_init(|| self.move_fences()).await.copied()
    }

    /// Moves what stands in the old place now. A move that was broken off is gone on with.
    pub(crate) async fn move_fences(&self) -> Result<(), HostError> {
        loop {
            let left = match self.all(&self.former, &names::all(&self.name)).await {
                // The right to look there goes with the last of the older versions.
                Err(Trouble::Refused { code: FORBIDDEN, .. }) => return Ok(()),
                left => left?,
            };
            let moves: Vec<_> = left.into_iter().filter(is_fence).map(|map| self.move_fence(map)).collect();
            let moved: Vec<_> = stream::iter(moves).buffer_unordered(AT_ONCE).try_collect().await?;
            if moved.into_iter().all(|is_moved| is_moved) {
                return Ok(());
            }
        }
    }

    /// First it is in its new place, then no longer in the old one. Answers false where somebody has changed one of the two
    /// meanwhile.
    async fn move_fence(&self, former: ConfigMap) -> Result<bool, HostError> {
        let name = former.name_any();
        let found = self.ask_fences(self.fences.get_opt(&name)).await?;
        if let Some(found) = &found {
            self.is_ours(found)?;
        }
        let generation = |map: &ConfigMap| Fence::read(map).ok().map(|fence| fence.generation);
        if found.as_ref().is_none_or(|found| generation(&former) > generation(found)) {
            let metadata = ObjectMeta {
                name: Some(name.clone()),
                labels: former.metadata.labels.clone(),
                annotations: former.metadata.annotations.clone(),
                resource_version: found.and_then(|found| found.metadata.resource_version),
                ..ObjectMeta::default()
            };
            let moved = ConfigMap { metadata, data: former.data.clone(), ..ConfigMap::default() };
            if self.write(&moved).await?.is_none() {
                return Ok(false);
            }
            tracing::info!(fence = name, "fence is moved out of the games' namespace");
        }
        self.delete_unchanged(&self.former, &former).await
    }
}

/// Whether this is a fence, among what has our labels.
fn is_fence(map: &ConfigMap) -> bool {
    names::server(map).is_some_and(|server| names::fence(server) == map.name_any())
}
