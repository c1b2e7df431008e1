//! At once or deferred, within Discord's three seconds.
//!
//! What is there soon is the answer. Otherwise a deferral goes out, and the answer takes its place when the work ends.
//! Nothing is edited unless our own answer or deferral was taken: Discord takes one for each interaction.

#[cfg(test)]
mod tests;

use std::{pin::pin, sync::Arc, time::Duration};

use chrono::{TimeDelta, Utc};
use futures_util::future::join;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use twilight_http::{Client, Error, api_error::ApiError, error::ErrorType};
use twilight_model::{
    application::command::CommandOptionChoice,
    channel::message::{AllowedMentions, Component, Embed, MessageFlags},
    http::interaction::{InteractionResponse, InteractionResponseData, InteractionResponseType},
    id::{Id, marker::ApplicationMarker},
};

use crate::{
    call::Call,
    follow::Follow,
    render,
    wording::{Refusal, Status},
};

/// What is not there by then is deferred. With the time that the deferral itself takes, it stays well within three
/// seconds.
const AT_ONCE: Duration = Duration::from_millis(1500);
/// What is older has been under way for long: it was kept for a connection that was lost.
const FRESH: TimeDelta = TimeDelta::milliseconds(2000);
/// How long the work may take. Every call that it makes has a deadline of its own, so this is met only where all of them
/// are.
const WORK: Duration = Duration::from_secs(30);
/// For a callback: later, nobody takes it any more.
const CALLBACK: Tries = Tries { each: Duration::from_millis(1000), all: Duration::from_millis(2500) };
/// For everything after it.
const EDIT: Tries = Tries { each: Duration::from_secs(5), all: Duration::from_secs(20) };
const PAUSE: Duration = Duration::from_millis(250);

/// Who sees an answer, and where it appears.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    /// A message for the channel.
    Public,
    /// A message for who asked.
    Private,
    /// In the place of the message whose button was pressed.
    Update,
}

/// What people read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) embed: Embed,
    pub(crate) rows: Vec<Component>,
}

/// The end of some work.
pub(crate) struct Answer {
    pub(crate) message: Message,
    /// The operation that the message is to follow.
    pub(crate) follow: Option<Follow>,
}

impl From<Message> for Answer {
    fn from(message: Message) -> Self {
        Self { message, follow: None }
    }
}

/// What became of an answer.
pub(crate) struct Delivered {
    /// None where another delivery of the interaction is the one that counts.
    pub(crate) status: Option<Status>,
    pub(crate) follow: Option<Follow>,
}

/// Why something was not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unsent {
    /// The interaction was answered already, and not by us.
    Taken,
    Failed,
}

#[derive(Clone, Copy)]
struct Tries {
    each: Duration,
    all: Duration,
}

/// Speaks to Discord about interactions.
pub(crate) struct Replies {
    client: Arc<Client>,
    application: Id<ApplicationMarker>,
}

impl Replies {
    pub(crate) fn new(client: Arc<Client>, application: Id<ApplicationMarker>) -> Self {
        Self { client, application }
    }

    /// Does the work and answers. `changes` where it may have changed something by the time that it fails.
    pub(crate) async fn deliver(
        &self,
        call: &Call,
        style: Style,
        changes: bool,
        work: impl Future<Output = Result<Answer, Refusal>>,
    ) -> Delivered {
        let work = async { timeout(WORK, work).await.unwrap_or(Err(Refusal::Unavailable { begun: true })) };
        let mut work = pin!(work);
        let age = Utc::now() - call.at();
        let left = AT_ONCE.saturating_sub(age.to_std().unwrap_or_default());
        let (outcome, deferred) = if age > FRESH {
            // It may be too late for any answer, and its asker may have given up: then nothing is done.
            match self.defer(call, style).await {
                Ok(()) => (work.await, Ok(())),
                Err(unsent) => return delivered(Err(Refusal::Repeated), Err(unsent)),
            }
        } else if let Ok(outcome) = timeout(left, &mut work).await {
            let sent = self.at_once(call, style, changes, &outcome).await;
            return delivered(outcome, sent);
        } else {
            let (deferred, outcome) = join(self.defer(call, style), work).await;
            (outcome, deferred)
        };
        let sent = match deferred {
            Ok(()) => self.late(call, style, changes, &outcome).await,
            Err(unsent) => Err(unsent),
        };
        delivered(outcome, sent)
    }

    async fn at_once(
        &self,
        call: &Call,
        style: Style,
        changes: bool,
        outcome: &Result<Answer, Refusal>,
    ) -> Result<(), Unsent> {
        let (message, style) = match outcome {
            Ok(answer) => (answer.message.clone(), style),
            Err(refusal) => match refusal.sentence(changes) {
                Some(sentence) => (render::refusal(&sentence), Style::Private),
                None => return Ok(()),
            },
        };
        let kind = match style {
            Style::Update => InteractionResponseType::UpdateMessage,
            Style::Public | Style::Private => InteractionResponseType::ChannelMessageWithSource,
        };
        let data = InteractionResponseData {
            allowed_mentions: Some(AllowedMentions::default()),
            components: Some(message.rows),
            embeds: Some(vec![message.embed]),
            flags: ephemeral(style),
            ..InteractionResponseData::default()
        };
        self.callback(call, &InteractionResponse { kind, data: Some(data) }).await
    }

    async fn defer(&self, call: &Call, style: Style) -> Result<(), Unsent> {
        let kind = match style {
            Style::Update => InteractionResponseType::DeferredUpdateMessage,
            Style::Public | Style::Private => InteractionResponseType::DeferredChannelMessageWithSource,
        };
        let data = ephemeral(style)
            .map(|flags| InteractionResponseData { flags: Some(flags), ..InteractionResponseData::default() });
        self.callback(call, &InteractionResponse { kind, data }).await
    }

    /// After a deferral of ours. What went wrong in public is told in private, so the public promise is taken back.
    async fn late(
        &self,
        call: &Call,
        style: Style,
        changes: bool,
        outcome: &Result<Answer, Refusal>,
    ) -> Result<(), Unsent> {
        let refusal = match outcome {
            Ok(answer) => return self.edit(&call.token, &answer.message).await,
            // The other delivery cannot have answered: we did. It says nothing, so this one does.
            Err(Refusal::Repeated) => "This was done already.".to_owned(),
            Err(refusal) => refusal.sentence(changes).unwrap_or_default(),
        };
        let message = render::refusal(&refusal);
        match style {
            Style::Private => self.edit(&call.token, &message).await,
            Style::Public => {
                self.remove(&call.token).await?;
                self.follow_up(&call.token, &message).await
            }
            Style::Update => self.follow_up(&call.token, &message).await,
        }
    }

    /// What may be typed.
    pub(crate) async fn suggest(&self, call: &Call, choices: Vec<CommandOptionChoice>) {
        let kind = InteractionResponseType::ApplicationCommandAutocompleteResult;
        let data = InteractionResponseData { choices: Some(choices), ..InteractionResponseData::default() };
        // Nothing is lost: the next letter asks again.
        let _ = self.callback(call, &InteractionResponse { kind, data: Some(data) }).await;
    }

    /// Puts this in the place of the answer.
    pub(crate) async fn update(&self, token: &str, message: &Message) {
        // Said in the log; the next update may go through.
        let _ = self.edit(token, message).await;
    }

    /// Tells who asked, behind the answer; nobody else sees it.
    pub(crate) async fn tell_alone(&self, token: &str, message: &Message) {
        // Said in the log.
        let _ = self.follow_up(token, message).await;
    }

    async fn callback(&self, call: &Call, response: &InteractionResponse) -> Result<(), Unsent> {
        sent(CALLBACK, || async {
            let interactions = self.client.interaction(self.application);
            interactions.create_response(call.id, &call.token, response).await.map(drop)
        })
        .await
    }

    async fn edit(&self, token: &str, message: &Message) -> Result<(), Unsent> {
        sent(EDIT, || async {
            let interactions = self.client.interaction(self.application);
            let mentions = AllowedMentions::default();
            let update = interactions.update_response(token).allowed_mentions(Some(&mentions));
            let embeds = std::slice::from_ref(&message.embed);
            update.embeds(Some(embeds)).components(Some(&message.rows)).await.map(drop)
        })
        .await
    }

    async fn remove(&self, token: &str) -> Result<(), Unsent> {
        sent(EDIT, || async { self.client.interaction(self.application).delete_response(token).await.map(drop) }).await
    }

    async fn follow_up(&self, token: &str, message: &Message) -> Result<(), Unsent> {
        sent(EDIT, || async {
            let interactions = self.client.interaction(self.application);
            let mentions = AllowedMentions::default();
            let embeds = std::slice::from_ref(&message.embed);
            let follow_up = interactions.create_followup(token).allowed_mentions(Some(&mentions)).embeds(embeds);
            follow_up.components(&message.rows).flags(MessageFlags::EPHEMERAL).await.map(drop)
        })
        .await
    }
}

fn ephemeral(style: Style) -> Option<MessageFlags> {
    (style == Style::Private).then_some(MessageFlags::EPHEMERAL)
}

fn delivered(outcome: Result<Answer, Refusal>, sent: Result<(), Unsent>) -> Delivered {
    match (outcome, sent) {
        (_, Err(Unsent::Taken)) => Delivered { status: None, follow: None },
        // Done, and nobody can be told: the message that would follow it is not there.
        (_, Err(Unsent::Failed)) => Delivered { status: Some(Status::Failed), follow: None },
        (Ok(answer), Ok(())) => Delivered { status: Some(Status::Ok), follow: answer.follow },
        (Err(refusal), Ok(())) => Delivered { status: refusal.status(), follow: None },
    }
}

/// Sends, and sends again where that may help. Rate limits are waited for by the client, within the same time.
async fn sent<F: Future<Output = Result<(), Error>>>(tries: Tries, mut send: impl FnMut() -> F) -> Result<(), Unsent> {
    let end = Instant::now() + tries.all;
    let mut first = true;
    loop {
        let attempt = timeout(tries.each.min(end - Instant::now()), send()).await;
        let verdict = match &attempt {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(error)) => verdict(error, first),
            Err(_) => Verdict::Again,
        };
        match verdict {
            Verdict::Sent => return Ok(()),
            Verdict::Taken => return Err(Unsent::Taken),
            Verdict::Again if Instant::now() + PAUSE < end => {}
            Verdict::Again | Verdict::Never => {
                match attempt {
                    Ok(Err(error)) => tracing::warn!(%error, "Discord did not take an answer"),
                    _ => tracing::warn!("Discord did not take an answer in time"),
                }
                return Err(Unsent::Failed);
            }
        }
        first = false;
        if timeout_at(end, sleep(PAUSE)).await.is_err() {
            return Err(Unsent::Failed);
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Sent,
    Taken,
    Again,
    Never,
}

/// The interaction was answered already.
const ACKNOWLEDGED: u64 = 40_060;

fn verdict(error: &Error, first: bool) -> Verdict {
    match error.kind() {
        ErrorType::Response { error: ApiError::General(general), .. } if general.code == ACKNOWLEDGED => {
            // Where an earlier try was lost on its way back, it was ours.
            if first { Verdict::Taken } else { Verdict::Sent }
        }
        ErrorType::Response { status, .. } if status.get() < 500 => Verdict::Never,
        ErrorType::Response { .. }
        | ErrorType::Parsing { .. }
        | ErrorType::RequestError
        | ErrorType::RequestTimedOut => Verdict::Again,
        _ => Verdict::Never,
    }
}
