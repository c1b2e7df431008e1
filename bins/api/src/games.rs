//! Stops the games at a shutdown, by ordinary operations.

use std::time::{Duration, Instant};

use agis_base::{OperationId, UserId};
use agis_http_api::Services;
use agis_servers::{Action, Request, store::ObservationStore};
use agis_storage::Db;

/// A shutdown polls: the workers listen to the bell of the operations, and a shutdown lasts only seconds.
const LOOK: Duration = Duration::from_millis(200);

/// Asks every server of these hosts to stop, and waits until they have stopped or `within` is over.
pub(crate) async fn stop(db: &Db, services: &Services, hosts: &[String], within: Duration) {
    let until = Instant::now() + within;
    let operations = loop {
        match ask(db, services, hosts).await {
            Ok(operations) => break operations,
            Err(error) if Instant::now() >= until => {
                return tracing::warn!(%error, "games could not be stopped and run on");
            }
            // A lock or the database may be free again in a moment, and to ask twice does no harm.
            Err(_) => tokio::time::sleep(LOOK).await,
        }
    };
    tracing::info!(games = operations.len(), "stopping games");
    while Instant::now() < until {
        let open = services.servers.operations(&operations).await;
        if open.is_ok_and(|operations| operations.iter().all(|operation| operation.state.is_final())) {
            return;
        }
        tokio::time::sleep(LOOK).await;
    }
    tracing::warn!("games did not stop in time and run on");
}

async fn ask(db: &Db, services: &Services, hosts: &[String]) -> Result<Vec<OperationId>, agis_base::StoreError> {
    let servers = db.wanted(hosts).await?;
    let stop = |server| Request::of_operator(server, Action::Stop, UserId::from_stored("operator"));
    let requests: Vec<_> = servers.into_iter().map(stop).collect();
    let answers = services.servers.request_all(&requests).await?;
    Ok(answers.into_iter().flatten().map(|operation| operation.id).collect())
}
