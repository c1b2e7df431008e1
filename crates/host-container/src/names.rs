//! Names and labels by which the containers of a data directory are found again.
//!
//! A server has one name for its containers, and an engine gives a name to one container at a time. So the engine keeps
//! the promise that a server runs once at most.

use std::collections::HashMap;

use agis_base::{OperationId, ServerId};
use agis_servers::host::Generation;
use uuid::Uuid;

pub(crate) const DIRECTORY: &str = "agis.directory";
const SERVER: &str = "agis.server";
const GENERATION: &str = "agis.generation";
const OPERATION: &str = "agis.operation";

/// Labels, as the engine holds them.
pub(crate) type Labels = HashMap<String, String>;

/// Returns the name of a server's container.
pub(crate) fn name(directory: Uuid, server: ServerId) -> String {
    // The first digits of such an id are a time, which two directories may share.
    let id = directory.simple().to_string();
    format!("agis-{}-{server}", &id[24..])
}

/// Returns the labels of the container of a run.
pub(crate) fn labels(directory: Uuid, server: ServerId, generation: Generation, operation: OperationId) -> Labels {
    let mut labels = of_run(directory, server, generation);
    labels.insert(OPERATION.to_owned(), operation.to_string());
    labels
}

/// Returns the labels of the network of a run.
pub(crate) fn of_run(directory: Uuid, server: ServerId, generation: Generation) -> Labels {
    [(DIRECTORY, directory.to_string()), (SERVER, server.to_string()), (GENERATION, generation.to_string())]
        .map(|(label, value)| (label.to_owned(), value))
        .into()
}

/// Returns the filter that lists everything of a data directory.
pub(crate) fn of_directory(directory: Uuid) -> HashMap<String, Vec<String>> {
    HashMap::from([("label".to_owned(), vec![format!("{DIRECTORY}={directory}")])])
}

/// Returns the server of something with these labels; `None` if that is not of this data directory.
pub(crate) fn server(directory: Uuid, labels: &Labels) -> Option<ServerId> {
    labels.get(DIRECTORY).filter(|it| **it == directory.to_string())?;
    labels.get(SERVER)?.parse().ok()
}

/// Returns the generation that the labels name.
pub(crate) fn generation(labels: &Labels) -> Option<Generation> {
    labels.get(GENERATION)?.parse().ok()
}
