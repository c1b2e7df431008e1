//! A network for each server, so no game reaches the network of another one. A bridge of the engine, with translated
//! ports.

use agis_base::ServerId;
use agis_servers::host::HostError;
use bollard::{
    models::{Network, NetworkCreateRequest},
    query_parameters::ListNetworksOptionsBuilder,
};

use crate::{engine::Trouble, host::Setup, names};

/// Returns the id of a server's network, which it creates if there is none.
pub(crate) async fn ensure(setup: &Setup, server: ServerId) -> Result<String, HostError> {
    if let Some(id) = find(setup, server).await?.into_iter().next() {
        return Ok(id);
    }
    let request = NetworkCreateRequest {
        name: names::name(setup.machine.id, server),
        driver: Some("bridge".to_owned()),
        labels: Some(names::of_server(setup.machine.id, server)),
        ..NetworkCreateRequest::default()
    };
    let created = setup.engine.work(async |docker| docker.create_network(request).await).await;
    // Another program may have created one of the same name meanwhile, which Docker allows. All keep the same one: a
    // container does not start with a name that two networks have.
    let mut found = find(setup, server).await?.into_iter();
    let first = found.next();
    for other in found {
        let _ = setup.engine.work(async |docker| docker.remove_network(&other).await).await;
    }
    match (first, created) {
        (Some(id), _) => Ok(id),
        (None, Err(Trouble::Refused { why, .. })) => Err(HostError::Unavailable(format!(
            "the container engine has no network for this server: {why}; each running server needs one \
             (default-address-pools of the engine)"
        ))),
        (None, Err(trouble)) => Err(trouble.into()),
        (None, Ok(_)) => Err(HostError::Unavailable("the network of this server has vanished".to_owned())),
    }
}

/// Removes a server's networks. A network that is in use stays, and so does one that an engine in trouble does not give
/// up: the search for orphans tries again.
pub(crate) async fn remove(setup: &Setup, server: ServerId) {
    let Ok(all) = find(setup, server).await else { return };
    for id in all {
        let removed = setup.engine.work(async |docker| docker.remove_network(&id).await).await;
        if let Err(trouble) = removed.or_else(|it| if it.is_gone() { Ok(()) } else { Err(it) }) {
            tracing::debug!(%server, ?trouble, "network stays for now");
        }
    }
}

/// Returns the ids of a server's networks.
async fn find(setup: &Setup, server: ServerId) -> Result<Vec<String>, Trouble> {
    let ids = all(setup).await?.into_iter().filter(|(of, _)| *of == server).map(|(_, id)| id);
    let mut ids: Vec<_> = ids.collect();
    ids.sort_unstable();
    Ok(ids)
}

/// Returns the networks of all servers, and their ids.
pub(crate) async fn all(setup: &Setup) -> Result<Vec<(ServerId, String)>, Trouble> {
    let directory = setup.machine.id;
    let options = ListNetworksOptionsBuilder::default().filters(&names::of_directory(directory)).build();
    let found = setup.engine.call(async |docker| docker.list_networks(Some(options)).await).await?;
    let ours = |network: Network| Some((names::server(directory, &network.labels?)?, network.id?));
    Ok(found.into_iter().filter_map(ours).collect())
}
