//! The volume of a server's world, which outlives its GameServers.

use agis_base::ServerId;
use agis_servers::{game::World, host::HostError};
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim};
use kube::{ResourceExt, api::PostParams};
use serde_json::json;

use crate::{
    cluster::{CONFLICT, Cluster, Trouble, ask},
    names,
};

impl Cluster {
    /// Makes sure that a server has its volume. One that is there stays as it is, whatever the catalogue says by now.
    pub(crate) async fn keep_world(&self, server: ServerId, world: &World) -> Result<(), HostError> {
        let claim = json!({
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": { "name": names::world(server), "labels": names::of_server(&self.name, server) },
            "spec": {
                "accessModes": ["ReadWriteOnce"],
                "resources": { "requests": { "storage": world.size } },
                "storageClassName": world.storage_class,
            },
        });
        let claim: PersistentVolumeClaim =
            serde_json::from_value(claim).map_err(|error| HostError::Failed(format!("no volume: {error}")))?;
        if let Some(found) = ask(self.worlds.get_opt(&names::world(server))).await? {
            return self.is_usable(&found);
        }
        match ask(self.worlds.create(&PostParams::default(), &claim)).await {
            Ok(_) => Ok(()),
            Err(Trouble::Refused { code: CONFLICT, .. }) => {
                let found = ask(self.worlds.get_opt(&names::world(server))).await?;
                found.as_ref().map_or_else(|| Err(still_going()), |found| self.is_usable(found))
            }
            Err(trouble) => Err(trouble.of_making()),
        }
    }

    /// One that goes is not to be had any more, and nobody gets ready on it.
    fn is_usable(&self, world: &PersistentVolumeClaim) -> Result<(), HostError> {
        match world.metadata.deletion_timestamp {
            None => self.is_ours(world),
            Some(_) => Err(still_going()),
        }
    }

    /// Has the world of a deleted server go, unless its fence was changed meanwhile. From the mark on that the fence gets, this
    /// world is nobody's, also for who raises the fence: they have it go first, and begin with another. Answers with
    /// the fence as it is then.
    ///
    /// The volume is looked for ahead of the mark, so it is never one that was made after it.
    pub(crate) async fn forget_world(&self, mut fence: ConfigMap) -> Result<Option<ConfigMap>, HostError> {
        let Some(server) = names::server(&fence) else { return Ok(None) };
        let world = ask(self.worlds.get_opt(&names::world(server))).await?;
        fence.annotations_mut().insert(names::FORGOTTEN.to_owned(), "true".to_owned());
        let Some(marked) = self.write(&fence).await? else { return Ok(None) };
        if let Some(world) = world {
            self.delete(&self.worlds, &world).await?;
        }
        Ok(Some(marked))
    }
}

fn still_going() -> HostError {
    HostError::Unavailable("the volume of an earlier world is still being taken away".into())
}
