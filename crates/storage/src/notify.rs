//! What Postgres tells us: that schedules or operations have changed, also through other processes.
//!
//! A notice is a hint to look now. Whoever waits for one looks again after a while all the same, since notices are lost
//! while the connection is down.

use std::time::Duration;

use diesel_async::{AsyncPgConnection, SimpleAsyncConnection};
use futures_util::StreamExt;
use tokio::sync::watch;

use crate::db;

pub(crate) const SCHEDULES: &str = "agis_schedules";
pub(crate) const OPERATIONS: &str = "agis_operations";

const RECONNECT: Duration = Duration::from_secs(1);

/// Bells that ring when something may have changed.
#[derive(Debug, Default)]
pub struct Bells {
    /// A schedule's next run.
    pub schedules: watch::Sender<()>,
    /// An operation was queued or interrupted.
    pub operations: watch::Sender<()>,
}

/// Rings the bells as Postgres says, on a connection of its own, for as long as it is polled. After every reconnect it
/// rings all: what was said meanwhile is unknown.
pub async fn listen(url: String, bells: Bells) {
    loop {
        match subscribe(&url).await {
            Ok(mut conn) => {
                bells.schedules.send_replace(());
                bells.operations.send_replace(());
                let mut notices = std::pin::pin!(conn.notifications_stream());
                // An error is the end: the stream must not be polled after it.
                while let Some(Ok(notice)) = notices.next().await {
                    match notice.channel.as_str() {
                        SCHEDULES => bells.schedules.send_replace(()),
                        _ => bells.operations.send_replace(()),
                    }
                }
                tracing::warn!("the connection for notices was lost");
            }
            Err(error) => tracing::debug!(%error, "no connection for notices"),
        }
        tokio::time::sleep(RECONNECT).await;
    }
}

async fn subscribe(url: &str) -> diesel::ConnectionResult<AsyncPgConnection> {
    let mut conn = db::connect(url).await?;
    conn.batch_execute(&format!("listen {SCHEDULES}; listen {OPERATIONS}"))
        .await
        .map_err(|error| diesel::ConnectionError::BadConnection(error.to_string()))?;
    Ok(conn)
}
