//! Moves the fences that an older version wrote into the games' namespace.
//!
//! The Role of this version lets nobody write a fence there, so from then on no older process changes or makes one. A
//! fence that is written there nevertheless counts until it is moved: the higher generation holds.

use agis_servers::host::HostError;
use futures_util::{StreamExt, TryStreamExt, stream};
use k8s_openapi::{api::core::v1::ConfigMap, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use kube::ResourceExt;

use crate::{
    cluster::{Cluster, FORBIDDEN, Trouble},
    fence::Fence,
    names,
};

/// Maximum number of fences that are moved at once.
const AT_ONCE: usize = 8;

impl Cluster {
    /// Returns once this process has moved the fences in the old place. Before that, nobody knows a server's
    /// generation.
    pub(crate) async fn moved(&self) -> Result<(), HostError> {
        self.moved.get_or_try_init(|| self.move_fences()).await.copied()
    }

    /// Moves the fences that stand in the old place now. Continues a move that was interrupted.
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

    /// Writes a fence in its new place first, then deletes it in the old one. Returns `false` if either has changed
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

/// Checks whether this is a fence among the objects with our labels.
fn is_fence(map: &ConfigMap) -> bool {
    names::server(map).is_some_and(|server| names::fence(server) == map.name_any())
}
