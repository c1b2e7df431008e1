//! Answers at once or deferred, within Discord's three seconds.
//!
//! A quick result is the answer. Otherwise the bot defers, and edits the deferral when the work ends. Discord accepts
//! one answer or deferral per interaction, and the bot edits only its own. A promise is stored (`agis_deferrals`), so
//! that another process can give the answer if this one dies.

#[cfg(test)]
mod tests;

use std::{pin::pin, sync::Arc, time::Duration};

use agis_deferrals::{Deferrals, Followed, Held, Place, Token, service::NOTING};
use chrono::{TimeDelta, Utc};
use futures_util::future::join;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use twilight_http::{Client, Error, api_error::ApiError, error::ErrorType};
use twilight_model::{
    application::command::CommandOptionChoice,
    channel::message::{AllowedMentions, Message as Shown, MessageFlags},
    http::interaction::{InteractionResponse, InteractionResponseData, InteractionResponseType},
    id::{Id, marker::ApplicationMarker},
};

use crate::{
    answer::{Answer, Follow, Message, Style},
    call::Call,
    once, render,
    wording::{Refusal, Status},
};

/// Time until an answer is deferred. With the time to store the promise and to defer, it stays well within three
/// seconds.
const AT_ONCE: Duration = Duration::from_millis(1500).saturating_sub(NOTING);
/// Age at which an interaction is old: Discord kept it for a connection that was lost.
const FRESH: TimeDelta = TimeDelta::milliseconds(2000);
/// Deadline of the work. Every call in it has its own deadline, so it counts only if all of them are slow.
const WORK: Duration = Duration::from_secs(30);
/// Deadlines of a callback: later, Discord does not accept it.
const CALLBACK: Tries = Tries { each: Duration::from_millis(1000), all: Duration::from_millis(2500) };
/// Deadlines of all later calls.
const EDIT: Tries = Tries { each: Duration::from_secs(5), all: Duration::from_secs(20) };
const PAUSE: Duration = Duration::from_millis(250);

/// Result of delivering an answer.
pub(crate) struct Delivered {
    /// Status to count; `None` if another delivery of the interaction counts.
    pub(crate) status: Option<Status>,
    /// Work that the message follows from now on, with the promise to do so.
    pub(crate) follow: Option<(Follow, Held)>,
}

/// Reason why a message was not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unsent {
    /// The interaction was answered already, by another delivery.
    Taken,
    Failed,
}

/// State of an answer at Discord.
pub(crate) enum Original {
    /// The answer, or its deferral, is there.
    There(Box<Shown>),
    /// Discord knows nothing of it, or no longer.
    Gone,
    /// Discord does not answer.
    Unknown,
}

#[derive(Clone, Copy)]
struct Tries {
    each: Duration,
    all: Duration,
}

/// Sends answers to Discord.
pub(crate) struct Replies {
    client: Arc<Client>,
    application: Id<ApplicationMarker>,
    deferrals: Deferrals,
}

impl Replies {
    pub(crate) fn new(client: Arc<Client>, application: Id<ApplicationMarker>, deferrals: Deferrals) -> Self {
        Self { client, application, deferrals }
    }

    /// Does the work and answers. `changes` says whether a failed work may have changed something.
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
            // An answer may be too late, and the user may have given up: then nothing is done.
            match self.defer(call, style).await {
                Ok(held) => (work.await, Ok(held)),
                Err(unsent) => return delivered(Err(Refusal::Repeated), Err(unsent), None),
            }
        } else if let Ok(outcome) = timeout(left, &mut work).await {
            let held = follows(&outcome).map(|work| self.hold(call, style, Some(work)));
            let sent = self.at_once(call, style, changes, &outcome).await;
            return delivered(outcome, sent, held);
        } else {
            let (deferred, outcome) = join(self.defer(call, style), work).await;
            (outcome, deferred)
        };
        let mut held = match deferred {
            Ok(held) => held,
            Err(unsent) => return delivered(outcome, Err(unsent), None),
        };
        if let Some(work) = follows(&outcome) {
            held.follow(work);
        }
        let sent = self.late(call, style, changes, &outcome).await;
        delivered(outcome, sent, Some(held))
    }

    /// Promises an answer.
    fn hold(&self, call: &Call, style: Style, follows: Option<Followed>) -> Held {
        let place = match style {
            Style::Update => Place::Component,
            Style::Public | Style::Private => Place::Message,
        };
        self.deferrals.hold(once::key(call), call.user.clone(), Token::new(call.token.clone()), place, follows)
    }

    async fn at_once(
        &self,
        call: &Call,
        style: Style,
        changes: bool,
        outcome: &Result<Answer, Refusal>,
    ) -> Result<(), Unsent> {
        if let Ok(Answer { modal: Some(modal), .. }) = outcome {
            let data = InteractionResponseData {
                components: Some(modal.components.clone()),
                custom_id: Some(modal.code.clone()),
                title: Some(modal.title.clone()),
                ..InteractionResponseData::default()
            };
            return self
                .callback(call, &InteractionResponse { kind: InteractionResponseType::Modal, data: Some(data) })
                .await;
        }
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

    /// Defers, and stores the promise of an answer.
    async fn defer(&self, call: &Call, style: Style) -> Result<Held, Unsent> {
        let kind = match style {
            Style::Update => InteractionResponseType::DeferredUpdateMessage,
            Style::Public | Style::Private => InteractionResponseType::DeferredChannelMessageWithSource,
        };
        let data = ephemeral(style)
            .map(|flags| InteractionResponseData { flags: Some(flags), ..InteractionResponseData::default() });
        let held = self.hold(call, style, None);
        held.noted().await;
        match self.callback(call, &InteractionResponse { kind, data }).await {
            Ok(()) => Ok(held),
            Err(unsent) => {
                unkept(held, unsent);
                Err(unsent)
            }
        }
    }

    /// Answers after our deferral. A failure in public is told in private, so the public deferral is deleted.
    async fn late(
        &self,
        call: &Call,
        style: Style,
        changes: bool,
        outcome: &Result<Answer, Refusal>,
    ) -> Result<(), Unsent> {
        let refusal = match outcome {
            Ok(answer) => return self.edit(&call.token, &answer.message).await,
            // The other delivery cannot have answered, since we did. So this one says it.
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

    /// Sends suggestions.
    pub(crate) async fn suggest(&self, call: &Call, choices: Vec<CommandOptionChoice>) {
        let kind = InteractionResponseType::ApplicationCommandAutocompleteResult;
        let data = InteractionResponseData { choices: Some(choices), ..InteractionResponseData::default() };
        // Nothing is lost: the next letter asks again.
        let _ = self.callback(call, &InteractionResponse { kind, data: Some(data) }).await;
    }

    /// Reads the answer or its deferral; for a button, its message.
    pub(crate) async fn original(&self, token: &Token) -> Original {
        let asked = async {
            let found = self.client.interaction(self.application).response(token.reveal()).await;
            Ok::<_, Error>(found?.model().await)
        };
        match timeout(EDIT.each, asked).await {
            Ok(Ok(Ok(message))) => Original::There(Box::new(message)),
            Ok(Err(error)) if is_gone(&error) => Original::Gone,
            Ok(Ok(Err(_))) | Ok(Err(_)) | Err(_) => Original::Unknown,
        }
    }

    async fn callback(&self, call: &Call, response: &InteractionResponse) -> Result<(), Unsent> {
        sent(CALLBACK, || async {
            let interactions = self.client.interaction(self.application);
            interactions.create_response(call.id, &call.token, response).await.map(drop)
        })
        .await
    }

    /// Edits the answer.
    pub(crate) async fn edit(&self, token: &str, message: &Message) -> Result<(), Unsent> {
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

    /// Sends a further message, to the caller alone.
    pub(crate) async fn follow_up(&self, token: &str, message: &Message) -> Result<(), Unsent> {
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

fn follows(outcome: &Result<Answer, Refusal>) -> Option<Followed> {
    Some(outcome.as_ref().ok()?.follow.as_ref()?.work())
}

/// Ends a promise that could not be kept. While Discord cannot be reached the promise stays: Discord may have accepted
/// the deferral all the same, and then the answer is still owed.
fn unkept(held: Held, unsent: Unsent) {
    match unsent {
        Unsent::Taken => held.end(),
        Unsent::Failed => drop(held),
    }
}

fn delivered(outcome: Result<Answer, Refusal>, sent: Result<(), Unsent>, held: Option<Held>) -> Delivered {
    if let Err(unsent) = sent {
        if let Some(held) = held {
            unkept(held, unsent);
        }
        let status = match unsent {
            Unsent::Taken => None,
            // The work is done, and nobody can be told: there is no message to follow it.
            Unsent::Failed => Some(Status::Failed),
        };
        return Delivered { status, follow: None };
    }
    let (status, follow) = match outcome {
        Ok(answer) => (Some(Status::Ok), answer.follow),
        Err(refusal) => (refusal.status(), None),
    };
    match (follow, held) {
        (Some(follow), Some(held)) => Delivered { status, follow: Some((follow, held)) },
        (_, held) => {
            held.into_iter().for_each(Held::end);
            Delivered { status, follow: None }
        }
    }
}

/// Sends, and sends again if that may help. The client waits for rate limits within the same time.
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
                    Ok(Err(error)) => tracing::warn!(%error, "Discord did not accept an answer"),
                    _ => tracing::warn!("Discord did not accept an answer in time"),
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

/// Returns whether Discord will never know of it again: the token is over (401) or was never answered, or the message
/// was deleted (404). This 401 says nothing of the bot's own token, which such calls do not carry.
fn is_gone(error: &Error) -> bool {
    matches!(error.kind(), ErrorType::Response { status, .. } if matches!(status.get(), 401 | 404))
}

/// The interaction was answered already.
const ACKNOWLEDGED: u64 = 40_060;

fn verdict(error: &Error, first: bool) -> Verdict {
    match error.kind() {
        ErrorType::Response { error: ApiError::General(general), .. } if general.code == ACKNOWLEDGED => {
            // The answer of an earlier try was lost on its way back.
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
