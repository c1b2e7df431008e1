//! Stores the facts that hosts tell about orders under way.

use std::{convert::Infallible, future::pending, time::Duration};

use agis_base::StoreError;
use agis_servers::{host::Told, store::Held};
use tokio::{sync::watch, time::sleep};

use super::shared::Shared;

/// Shortest time between two writes about one order: people read no faster.
const PACE: Duration = Duration::from_secs(1);

/// Stores the latest facts about an attempt again and again, until dropped. The end of the operation has the image too, so
/// a lost write loses nothing that lasts.
pub(super) async fn keep(shared: &Shared, held: Held, mut heard: watch::Receiver<Told>) -> Infallible {
    while heard.changed().await.is_ok() {
        // Never closed.
        let turn = shared.tells.acquire().await;
        let told = heard.borrow_and_update().clone();
        let stored = shared.store.tell(held, &told).await;
        drop(turn);
        // The leases tell the log that the database does not answer.
        if matches!(stored, Err(StoreError::Unavailable(_))) {
            heard.mark_changed();
        }
        sleep(PACE).await;
    }
    pending().await
}
