//! The volume of a server's world, which outlives its GameServers.

use agis_base::ServerId;
use agis_servers::{game::World, host::HostError};
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::api::PostParams;
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
        match ask(self.worlds.create(&PostParams::default(), &claim)).await {
            Ok(_) => Ok(()),
            Err(Trouble::Refused { code: CONFLICT, .. }) => {
                let found = ask(self.worlds.get_opt(&names::world(server))).await?;
                found.map_or(Ok(()), |found| self.is_ours(&found))
            }
            Err(trouble) => Err(trouble.into()),
        }
    }

    /// Deletes the volume, where there is one.
    pub(crate) async fn drop_world(&self, server: ServerId) -> Result<(), HostError> {
        match ask(self.worlds.get_opt(&names::world(server))).await? {
            Some(claim) => self.delete(&self.worlds, &claim).await,
            None => Ok(()),
        }
    }
}
