//! Secret with what the game of one GameServer must not tell everybody who may read GameServers: secret settings, and the
//! password of RCON. It belongs to the GameServer, so the cluster deletes it together with that.

use std::collections::BTreeMap;

use agis_servers::host::HostError;
use k8s_openapi::api::core::v1::Secret;
use kube::api::PostParams;
use serde_json::json;

use crate::{
    cluster::{CONFLICT, Cluster, FORBIDDEN, Trouble, ask},
    fence::Chosen,
    gameserver,
    names::Words,
};

impl Cluster {
    /// Makes sure that a GameServer has its Secret, which has its name. Its pod waits for the Secret.
    pub(crate) async fn keep_secret(
        &self,
        of: &Chosen,
        labels: Words,
        values: &BTreeMap<String, String>,
    ) -> Result<(), HostError> {
        if values.is_empty() {
            return Ok(());
        }
        let resource = gameserver::resource();
        let secret = json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {
                "name": of.name,
                "labels": labels,
                "ownerReferences": [{
                    "apiVersion": resource.api_version, "kind": resource.kind, "name": of.name, "uid": of.uid,
                }],
            },
            "immutable": true,
            "stringData": values,
        });
        let secret: Secret =
            serde_json::from_value(secret).map_err(|error| HostError::Failed(format!("no secret: {error}")))?;
        match ask(self.secrets.create(&PostParams::default(), &secret)).await {
            // An earlier try made it.
            Ok(_) | Err(Trouble::Refused { code: CONFLICT, .. }) => Ok(()),
            Err(Trouble::Refused { code: code @ FORBIDDEN, why }) => {
                let remedy = "apply k8s/games, whose Role lets AGIS make the Secrets of game servers";
                Err(Trouble::Refused { code, why: format!("{why}; {remedy}") }.into())
            }
            Err(trouble) => Err(trouble.of_making()),
        }
    }
}
