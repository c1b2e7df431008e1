//! Everything between "an interaction came" and "it is answered".

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use agis_accounts::Accounts;
use agis_apikeys::ApiKeys;
use agis_base::{StoreError, UserId};
use agis_deferrals::{Deferrals, Orphan};
use agis_idempotency::Idempotency;
use agis_notices::Notices;
use agis_ratelimit::{Bucket, Limiter, MemoryLimiter, Quota};
use agis_scheduler::Schedules;
use agis_servers::Servers;
use chrono::Utc;
use futures_util::future::join;
use tokio::{sync::Semaphore, time::timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::Instrument;
use twilight_http::Client;
use twilight_model::{
    application::interaction::{
        Interaction, InteractionData, InteractionType, application_command::CommandData,
        message_component::MessageComponentInteractionData,
    },
    id::{
        Id,
        marker::{ApplicationMarker, InteractionMarker, MessageMarker},
    },
};

use crate::{
    autocomplete, buttons,
    call::{Args, Call},
    commands::{self, Verb},
    follow::{FOLLOWED_MAX, LONGEST},
    repair,
    reply::{Answer, Delivered, Replies, Style},
    roles::Noted,
    seen::Seen,
    wording::{Refusal, Status},
};

/// How many interactions are remembered, so that one that is delivered twice is answered once.
const SEEN_MAX: usize = 20_000;
/// How many users are known to exist without asking for it.
const WELCOMED_MAX: usize = 20_000;
/// How many confirmations are remembered.
const CONFIRMED_MAX: usize = 1_000;
/// How many commands are worked on at once. More than the database takes at a time, and few enough to end in time.
const ROOM: usize = 256;
/// How many suggestions are looked for at once.
const TYPING_ROOM: usize = 32;
/// How often somebody may type a letter, an hour.
const LETTERS: u32 = 7200;
const TYPISTS_MAX: usize = 20_000;
/// A suggestion cannot be deferred: later, there is none.
const SUGGEST: Duration = Duration::from_secs(2);

/// What the commands speak to.
#[derive(Clone)]
pub struct Services {
    /// Servers and operations.
    pub servers: Servers,
    /// Schedules.
    pub schedules: Schedules,
    /// Keys.
    pub keys: ApiKeys,
    /// Users.
    pub accounts: Accounts,
    /// What was asked before.
    pub idempotency: Idempotency,
    /// Limits.
    pub limiter: Arc<dyn Limiter>,
    /// Whom to tell what.
    pub notices: Notices,
    /// Answers that are owed.
    pub deferrals: Deferrals,
}

/// What an operator decides about commands.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How many commands and buttons a user has an hour.
    pub requests_per_hour: u32,
    /// Where people reach the REST API, without a slash at the end; `/help` names its reference.
    pub api_url: Option<String>,
}

/// Answers interactions. Cheap to clone.
#[derive(Clone)]
pub struct Handler(Arc<Inner>);

/// What the commands work with.
pub(crate) struct Inner {
    pub(crate) services: Services,
    pub(crate) settings: Settings,
    pub(crate) replies: Replies,
    /// Room for messages that follow an operation.
    pub(crate) followed: Arc<Semaphore>,
    pub(crate) ending: CancellationToken,
    /// The messages whose confirmation was given.
    pub(crate) confirmed: Seen<Id<MessageMarker>>,
    pub(crate) tasks: TaskTracker,
    seen: Seen<Id<InteractionMarker>>,
    welcomed: Seen<UserId>,
    noted: Noted,
    room: Semaphore,
    typing_room: Semaphore,
    typing: MemoryLimiter,
}

impl Handler {
    /// Answers by these services, through this client.
    pub fn new(
        services: Services,
        client: Arc<Client>,
        application: Id<ApplicationMarker>,
        settings: Settings,
    ) -> Self {
        let replies = Replies::new(client, application, services.deferrals.clone());
        Self(Arc::new(Inner {
            services,
            settings,
            replies,
            followed: Arc::new(Semaphore::new(FOLLOWED_MAX)),
            ending: CancellationToken::new(),
            confirmed: Seen::new(CONFIRMED_MAX),
            tasks: TaskTracker::new(),
            seen: Seen::new(SEEN_MAX),
            welcomed: Seen::new(WELCOMED_MAX),
            noted: Noted::default(),
            room: Semaphore::new(ROOM),
            typing_room: Semaphore::new(TYPING_ROOM),
            typing: MemoryLimiter::new(TYPISTS_MAX),
        }))
    }

    /// Answers in a task of its own. Once [`Self::end`] was called, nothing is taken any more.
    pub fn spawn(&self, interaction: Interaction) {
        if !self.0.ending.is_cancelled() {
            let handler = self.clone();
            self.0.tasks.spawn(async move { handler.handle(interaction).await });
        }
    }

    /// Takes nothing more, and resolves when what runs has ended. Messages that follow an operation say that they do no
    /// longer.
    pub async fn end(&self) {
        self.0.ending.cancel();
        self.0.tasks.close();
        self.0.tasks.wait().await;
    }

    /// Answers. What is not known, or was delivered before, is passed over.
    pub async fn handle(&self, interaction: Interaction) {
        let id = interaction.id;
        let Some(call) = Call::of(&interaction) else { return };
        if !self.0.seen.is_new(id) {
            tracing::debug!(request_id = %id, "interaction came twice");
            return;
        }
        let span = tracing::error_span!("interaction", request_id = %id);
        self.dispatch(call, interaction).instrument(span).await;
    }

    async fn dispatch(&self, call: Call, interaction: Interaction) {
        let message = interaction.message.as_ref().map(|message| message.id);
        match (interaction.kind, interaction.data) {
            (InteractionType::ApplicationCommand, Some(InteractionData::ApplicationCommand(data))) => {
                self.command(&call, *data).await;
            }
            (InteractionType::ApplicationCommandAutocomplete, Some(InteractionData::ApplicationCommand(data))) => {
                self.suggest(&call, *data).await;
            }
            (InteractionType::MessageComponent, Some(InteractionData::MessageComponent(data))) => {
                self.button(&call, &data, message).await;
            }
            (kind, _) => tracing::debug!(kind = kind.kind(), "unknown kind of interaction"),
        }
    }

    async fn command(&self, call: &Call, data: CommandData) {
        let inner = &*self.0;
        let began = Instant::now();
        let (word, args) = Args::of(data);
        let Some(verb) = Verb::from_word(&word) else {
            let unknown = Refusal::refused("This command is of another version. Reload Discord, and type it anew.");
            let delivered = inner.replies.deliver(call, Style::Private, false, async { Err(unknown) }).await;
            self.ended("unknown", began, delivered);
            return;
        };
        let work = inner.admitted(call, commands::run(inner, call, verb, &args));
        let delivered = inner.replies.deliver(call, verb.style(), verb.changes(), work).await;
        self.ended(verb.as_str(), began, delivered);
    }

    async fn button(&self, call: &Call, data: &MessageComponentInteractionData, message: Option<Id<MessageMarker>>) {
        let inner = &*self.0;
        let began = Instant::now();
        let work = inner.admitted(call, buttons::press(inner, call, &data.custom_id, message));
        let delivered = inner.replies.deliver(call, Style::Update, true, work).await;
        self.ended("button", began, delivered);
    }

    async fn suggest(&self, call: &Call, data: CommandData) {
        let inner = &*self.0;
        let began = Instant::now();
        let (word, args) = Args::of(data);
        let looked = timeout(SUGGEST, inner.suggestions(call, &word, &args)).await;
        let (status, choices) = match looked.unwrap_or(Err(Refusal::Unavailable { begun: false })) {
            Ok(choices) => (Some(Status::Ok), choices),
            Err(refusal) => (refusal.status(), vec![]),
        };
        inner.replies.suggest(call, choices).await;
        self.ended("autocomplete", began, Delivered { status, follow: None });
    }

    /// Counts a command, and goes on with what follows it.
    fn ended(&self, command: &'static str, began: Instant, delivered: Delivered) {
        if let Some(status) = delivered.status {
            let (took, status) = (began.elapsed(), status.as_str());
            metrics::counter!("agis_bot_commands_total", "command" => command, "status" => status).increment(1);
            metrics::histogram!("agis_bot_command_duration_seconds", "command" => command).record(took);
            let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
            if command == "autocomplete" {
                tracing::debug!(command, status, took_ms, "interaction");
            } else {
                tracing::info!(command, status, took_ms, "interaction");
            }
        }
        if let Some((follow, held)) = delivered.follow {
            self.0.tasks.spawn(follow.run(self.0.clone(), held, LONGEST).in_current_span());
        }
    }

    /// Gives an answer that another process owed.
    pub(crate) async fn give(&self, orphan: Orphan) {
        let span = tracing::error_span!("interaction", request_id = orphan.held.key());
        let longest = LONGEST.saturating_sub(orphan.age);
        let given = repair::give(&self.0, orphan.held).instrument(span.clone()).await;
        if let Some((follow, held)) = given {
            self.0.tasks.spawn(follow.run(self.0.clone(), held, longest).instrument(span));
        }
    }
}

impl Inner {
    /// Does the work of somebody who may have it done now, and who exists from now on.
    async fn admitted(
        &self,
        call: &Call,
        work: impl Future<Output = Result<Answer, Refusal>>,
    ) -> Result<Answer, Refusal> {
        let _room = self.room.try_acquire().map_err(|_| Refusal::Busy)?;
        let quota = Quota::per_hour(self.settings.requests_per_hour);
        let decision = self.services.limiter.take(bucket(&call.user), quota).await;
        if !decision.allowed {
            return Err(Refusal::Limited(Utc::now() + decision.retry_in));
        }
        let noted = self.noted.note(&self.services.servers, call);
        let (welcomed, noted) = join(self.welcome(&call.user), noted).await;
        welcomed.and(noted).map_err(|error| match Refusal::from(error) {
            Refusal::Unavailable { .. } => Refusal::Unavailable { begun: false },
            other => other,
        })?;
        work.await
    }

    async fn welcome(&self, user: &UserId) -> Result<(), StoreError> {
        if !self.welcomed.contains(user) {
            self.services.accounts.welcome(user).await?;
            self.welcomed.is_new(user.clone());
        }
        Ok(())
    }

    async fn suggestions(&self, call: &Call, word: &str, args: &Args) -> Result<autocomplete::Choices, Refusal> {
        let _room = self.typing_room.try_acquire().map_err(|_| Refusal::Busy)?;
        let decision = self.typing.take(bucket(&call.user), Quota::per_hour(LETTERS)).await;
        if !decision.allowed {
            return Err(Refusal::Limited(Utc::now() + decision.retry_in));
        }
        autocomplete::choices(&self.services, call, word, args).await
    }
}

/// The same as that of a user over REST, where they come without a key.
fn bucket(user: &UserId) -> Bucket {
    Bucket { kind: "user", id: user.as_str().parse::<u64>().unwrap_or(0).cast_signed() }
}
