//! Notifications of Postgres: schedules, operations or keys have changed, also through other processes.
//!
//! A notice is a hint to look now. Whoever waits for one looks again after a while all the same, since notices are lost
//! while the connection is down. Only the cache of keys relies on them, and so asks for a proof that they come: this
//! sends itself one every second. Postgres delivers notices in the order of the commits, so what comes back shows that
//! everything committed before it was sent has been heard.

use std::{
    convert::Infallible,
    time::{Duration, Instant},
};

use agis_apikeys::KeyCache;
use agis_base::{KeyId, StoreError};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use futures_util::{StreamExt, stream};
use tokio::sync::watch;
use tokio_postgres::{AsyncMessage, Client, Notification};
use uuid::Uuid;

use crate::{connect::DatabaseUrl, error::Fault};

pub(crate) const SCHEDULES: &str = "agis_schedules";
pub(crate) const OPERATIONS: &str = "agis_operations";
pub(crate) const NOTICES: &str = "agis_notices";
pub(crate) const CONSOLES: &str = "agis_consoles";
/// Told by a trigger of the table; the payload is the key's id.
const KEYS: &str = "agis_keys";

/// Rings a bell in every process, when the transaction commits.
pub(crate) async fn ring<R>(conn: &mut AsyncPgConnection, channel: &str) -> Result<(), Fault<R>> {
    // diesel has no NOTIFY.
    diesel::sql_query(format!("notify {channel}")).execute(conn).await?;
    Ok(())
}

const RECONNECT: Duration = Duration::from_secs(1);
const PING: Duration = Duration::from_secs(1);
/// A connection on which nothing is answered for so long is given up.
const PATIENCE: Duration = Duration::from_secs(5);

/// Bells that ring when something may have changed.
#[derive(Debug, Default)]
pub struct Bells {
    /// A schedule's next run.
    pub schedules: watch::Sender<()>,
    /// An operation was queued or interrupted.
    pub operations: watch::Sender<()>,
    /// Somebody has to be told something.
    pub notices: watch::Sender<()>,
    /// A console was asked, or has answered.
    pub consoles: watch::Sender<()>,
    /// Forgets keys that have changed.
    pub keys: KeyCache,
}

/// Rings the bells as Postgres says, on a connection of its own, for as long as it is polled. After every reconnect it
/// rings all: what was said meanwhile is unknown. `beat` is called with every ping that came back, and with why none can.
pub async fn listen(url: DatabaseUrl, bells: Bells, beat: impl Fn(Result<(), &str>)) {
    // A channel of this process: the pings of many do not meet.
    let pings = format!("agis_ping_{}", Uuid::now_v7().simple());
    let ear = Ear { bells, pings, start: Instant::now(), beat };
    loop {
        match url.open().await {
            Ok((client, mut connection)) => {
                let mut messages = stream::poll_fn(move |cx| connection.poll_message(cx));
                let hear = async {
                    while let Some(Ok(message)) = messages.next().await {
                        if let AsyncMessage::Notification(notice) = message {
                            ear.hear(&notice);
                        }
                    }
                };
                tokio::select! {
                    () = hear => {
                        tracing::warn!("connection for notifications was lost");
                        (ear.beat)(Err("the connection was lost"));
                    }
                    Err(error) = ear.attend(&client) => {
                        tracing::warn!(%error, "connection for notifications failed");
                        (ear.beat)(Err(&error.to_string()));
                    }
                }
            }
            Err(error) => {
                tracing::debug!(%error, "no connection for notifications");
                (ear.beat)(Err(&error.to_string()));
            }
        }
        tokio::time::sleep(RECONNECT).await;
    }
}

struct Ear<B> {
    bells: Bells,
    pings: String,
    start: Instant,
    beat: B,
}

impl<B: Fn(Result<(), &str>)> Ear<B> {
    fn hear(&self, notice: &Notification) {
        match notice.channel() {
            SCHEDULES => self.bells.schedules.send_replace(()),
            OPERATIONS => self.bells.operations.send_replace(()),
            NOTICES => self.bells.notices.send_replace(()),
            CONSOLES => self.bells.consoles.send_replace(()),
            KEYS => match notice.payload().parse::<KeyId>() {
                Ok(id) => self.bells.keys.forget(id),
                Err(_) => self.bells.keys.forget_all(),
            },
            _ => {
                if let Ok(sent) = notice.payload().parse() {
                    self.bells.keys.vouch(self.start + Duration::from_nanos(sent));
                    (self.beat)(Ok(()));
                }
            }
        }
    }

    /// Listens, and pings until that fails.
    async fn attend(&self, client: &Client) -> Result<Infallible, StoreError> {
        for channel in [SCHEDULES, OPERATIONS, NOTICES, CONSOLES, KEYS, &self.pings] {
            run(client, &format!("listen {channel}")).await?;
        }
        // Only now: what changes from here on is heard.
        self.bells.keys.forget_all();
        self.bells.schedules.send_replace(());
        self.bells.operations.send_replace(());
        self.bells.notices.send_replace(());
        self.bells.consoles.send_replace(());
        loop {
            let sent = self.start.elapsed().as_nanos();
            run(client, &format!("notify {}, '{sent}'", self.pings)).await?;
            tokio::time::sleep(PING).await;
        }
    }
}

async fn run(client: &Client, sql: &str) -> Result<(), StoreError> {
    let done = tokio::time::timeout(PATIENCE, client.batch_execute(sql)).await;
    let done = done.map_err(|_| StoreError::Unavailable("no answer".to_owned()))?;
    done.map_err(|error| StoreError::Unavailable(error.to_string()))
}
