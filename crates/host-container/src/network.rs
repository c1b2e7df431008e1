//! A network for each run, so no game reaches the network of another one. A bridge of the engine, with translated ports.

use agis_base::ServerId;
use agis_servers::host::{Generation, HostError};
use bollard::{
    models::{Network as Found, NetworkCreateRequest},
    query_parameters::ListNetworksOptionsBuilder,
};
use uuid::Uuid;

use crate::{engine::Trouble, host::Setup, names};

/// Network of a run. No order of another generation uses it, so a late one takes away nobody else's.
#[derive(Debug, Clone)]
pub(crate) struct Network {
    pub(crate) server: ServerId,
    pub(crate) id: String,
    /// Generation of the run; `None` for a network that an earlier version made for all runs.
    pub(crate) generation: Option<Generation>,
}

/// Returns the id of a network of a run, which it creates if there is none. Two programs with one order may create one
/// each. The container has either, and the end of the run removes both.
pub(crate) async fn ensure(setup: &Setup, server: ServerId, generation: Generation) -> Result<String, HostError> {
    let is_its = |it: &Network| it.server == server && it.generation == Some(generation);
    if let Some(network) = all(setup).await?.into_iter().find(is_its) {
        return Ok(network.id);
    }
    // Docker lets two networks have one name, and then starts no container on either.
    let unique = &Uuid::now_v7().simple().to_string()[24..];
    let request = NetworkCreateRequest {
        name: format!("{}-{generation}-{unique}", setup.name_of(server)),
        driver: Some("bridge".to_owned()),
        labels: Some(names::of_run(setup.machine.id, server, generation)),
        ..NetworkCreateRequest::default()
    };
    match setup.engine.work(async |docker| docker.create_network(request).await).await {
        Ok(created) => Ok(created.id),
        Err(Trouble::Refused { why, .. }) => Err(HostError::Unavailable(format!(
            "the container engine has no network for this server: {why}; each running server needs one \
             (default-address-pools of the engine)"
        ))),
        // A network whose answer was lost is found by the next try.
        Err(trouble) => Err(trouble.into()),
    }
}

/// Removes a server's networks of this generation and of earlier ones. A network that is in use stays, and so does one that
/// an engine in trouble does not give up: the search for orphans tries again.
pub(crate) async fn remove(setup: &Setup, server: ServerId, up_to: Generation) {
    let Ok(all) = all(setup).await else { return };
    for network in all.into_iter().filter(|it| it.server == server && it.generation <= Some(up_to)) {
        network.remove(setup).await;
    }
}

impl Network {
    /// Removes the network, unless it is in use.
    pub(crate) async fn remove(&self, setup: &Setup) {
        let removed = setup.engine.work(async |docker| docker.remove_network(&self.id).await).await;
        if let Err(trouble) = removed.or_else(|it| if it.is_gone() { Ok(()) } else { Err(it) }) {
            tracing::debug!(server = %self.server, ?trouble, "network stays for now");
        }
    }
}

/// Returns the networks of all servers.
pub(crate) async fn all(setup: &Setup) -> Result<Vec<Network>, Trouble> {
    let directory = setup.machine.id;
    let options = ListNetworksOptionsBuilder::default().filters(&names::of_directory(directory)).build();
    let found = setup.engine.call(async |docker| docker.list_networks(Some(options)).await).await?;
    let ours = |found: Found| {
        let labels = found.labels?;
        let (server, generation) = (names::server(directory, &labels)?, names::generation(&labels));
        Some(Network { server, id: found.id?, generation })
    };
    Ok(found.into_iter().filter_map(ours).collect())
}
