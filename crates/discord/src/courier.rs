//! Delivers notices, in the channel of the request, or to the person alone.
//!
//! A notice is leased, sent, and recorded as sent. If a process dies between the last two, another sends it again;
//! Discord recognises it by its nonce and shows it once.

use std::{sync::Arc, time::Duration};

use agis_base::{Reason, StoreError};
use agis_notices::{Kind, Notice, Notices};
use agis_servers::{
    Servers,
    console::{Begin, Line},
};
use chrono::Utc;
use futures_util::future::join_all;
use serde_json::json;
use tokio::time::{sleep, timeout};
use twilight_http::{Client, Error, error::ErrorType};
use twilight_model::id::{
    Id,
    marker::{ChannelMarker, UserMarker},
};

use crate::{
    answer::Message,
    render::{self, notice::Readers},
    url::PATIENCE,
    voice::Voice,
};

const BATCH: u32 = 10;
/// Number of lines of a console that a notice quotes.
const LINES: u32 = 10;
/// Longest wait for a console.
const CONSOLE: Duration = Duration::from_secs(3);
/// Number of tries to record the result of a notice; with the delivery, within its lease.
const NOTING: u32 = 5;
const NOTING_PAUSE: Duration = Duration::from_secs(1);
/// Longest pause between two rounds: the safety net under lost notifications, and for notices whose time comes again.
pub const PERIOD: Duration = Duration::from_secs(5);

/// Delivers notices, round by round.
pub struct Courier {
    pub(crate) http: Arc<Client>,
    pub(crate) notices: Notices,
    pub(crate) servers: Servers,
    pub(crate) voice: Voice,
}

/// Reason why a notice was not delivered.
struct Undelivered {
    why: Reason,
    /// Nobody there will ever read it.
    permanent: bool,
}

impl Courier {
    /// Delivers the next notices. Returns no pause if more may wait.
    ///
    /// # Errors
    /// Fails if the notices cannot be claimed.
    pub async fn round(&self) -> Result<Option<Duration>, StoreError> {
        if self.voice.handler().is_none() {
            return Ok(self.voice.pause());
        }
        let notices = self.notices.claim(BATCH).await?;
        // All at once: each takes three calls at most, so all of them take less than their lease.
        join_all(notices.iter().map(|notice| self.handle(notice))).await;
        Ok((notices.len() >= BATCH as usize).then_some(Duration::ZERO))
    }

    async fn handle(&self, notice: &Notice) {
        let delivered = self.deliver(notice).await;
        if let Err(Undelivered { why, permanent }) = &delivered {
            tracing::warn!(notice = notice.id.0, %why, permanent, "notice could not be delivered");
        }
        // Discord forgets a nonce after some minutes, so the record must be written before.
        for _ in 0..NOTING {
            let noted = match &delivered {
                Ok(()) => self.notices.sent(notice).await,
                Err(Undelivered { why, permanent }) => self.notices.failed(notice, why, *permanent).await,
            };
            let Err(error) = noted else { return };
            // A refused write is not repeated: the lease ends, and the attempts are counted.
            if let StoreError::Refused(why) = &error {
                tracing::error!(notice = notice.id.0, why, "result of a notice was refused by the database");
                return;
            }
            tracing::warn!(notice = notice.id.0, %error, "result of a notice could not be stored");
            sleep(NOTING_PAUSE).await;
        }
    }

    /// Tries the channel first, if the bot may write there; a missing channel is no reason to stay silent.
    async fn deliver(&self, notice: &Notice) -> Result<(), Undelivered> {
        let user = id::<UserMarker>(notice.recipient.as_str())?;
        if notice.announced.is_some_and(|announced| announced.at <= Utc::now()) {
            return Err(Undelivered { why: "its time has passed".to_owned().into(), permanent: true });
        }
        if let Some(channel) = &notice.channel {
            match self
                .send(id(channel.as_str())?, user, notice, &render::notice::notice(notice, Readers::Channel, &[]))
                .await
            {
                // An announcement is for those who read the channel.
                Err(Undelivered { permanent: true, .. }) if !notice.kind.is_public() => {}
                other => return other,
            }
        }
        let call = async { Ok(self.http.create_private_channel(user).await?.model().await) };
        let channel = self.called(call).await?.map_err(|error| later(error.to_string()))?;
        let console = self.console(notice).await;
        self.send(channel.id, user, notice, &render::notice::notice(notice, Readers::Owner, &console)).await
    }

    /// Returns the last lines of the console of a server that has crashed; none if they cannot be had at once.
    async fn console(&self, notice: &Notice) -> Vec<Line> {
        if notice.kind != Kind::ServerCrashed {
            return vec![];
        }
        let begin = Begin::Recent { tail: Some(LINES), since: None };
        let read = async {
            let console = self.servers.console(&notice.recipient, notice.server).await.ok()?;
            Some(console.lines(&begin, LINES).await.ok()?.lines)
        };
        timeout(CONSOLE, read).await.ok().flatten().unwrap_or_default()
    }

    async fn send(
        &self,
        channel: Id<ChannelMarker>,
        user: Id<UserMarker>,
        notice: &Notice,
        message: &Message,
    ) -> Result<(), Undelivered> {
        // twilight has no word for `enforce_nonce`, by which Discord shows a repeated message once.
        let body = json!({
            "content": if notice.kind.is_public() { String::new() } else { format!("<@{user}>") },
            "embeds": [message.embed],
            "components": message.rows,
            "allowed_mentions": { "parse": [], "users": [user] },
            "nonce": notice.id.0.to_string(),
            "enforce_nonce": true,
        });
        let body = body.to_string();
        let call = self.http.create_message(channel).payload_json(body.as_bytes());
        self.called(async { call.await.map(drop) }).await
    }

    async fn called<T>(&self, call: impl Future<Output = Result<T, Error>>) -> Result<T, Undelivered> {
        match timeout(PATIENCE, call).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => {
                self.voice.standing.heed(&error);
                Err(Undelivered { why: error.to_string().into(), permanent: is_permanent(&error) })
            }
            Err(_) => Err(later("Discord does not answer".to_owned())),
        }
    }
}

fn later(why: String) -> Undelivered {
    Undelivered { why: why.into(), permanent: false }
}

fn id<T>(text: &str) -> Result<Id<T>, Undelivered> {
    let number = text.parse().ok().and_then(Id::new_checked);
    number.ok_or_else(|| Undelivered { why: format!("'{text}' is no id of Discord").into(), permanent: true })
}

/// Returns whether Discord will refuse it again: the channel or the person is gone, or nobody may write there.
fn is_permanent(error: &Error) -> bool {
    match error.kind() {
        ErrorType::Response { status, .. } => {
            (400..500).contains(&status.get()) && !matches!(status.get(), 401 | 408 | 429)
        }
        _ => false,
    }
}
