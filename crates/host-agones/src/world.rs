//! Volume of a server's world, which outlives its GameServers.

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
    /// Makes sure that a server has its volume. An existing volume stays as it is, whatever the catalogue says by now.
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

    /// Checks that the volume is not being deleted: no pod gets ready on such a volume.
    fn is_usable(&self, world: &PersistentVolumeClaim) -> Result<(), HostError> {
        match world.metadata.deletion_timestamp {
            None => self.is_ours(world),
            Some(_) => Err(still_going()),
        }
    }

    /// Deletes the world of a deleted server, unless its fence has changed meanwhile. The fence gets a mark first. From
    /// then on the world belongs to no server. Whoever raises the fence deletes the world and begins with another.
    /// Returns the marked fence.
    ///
    /// The look for the volume comes before the mark, so a volume that is made after the mark stays.
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
