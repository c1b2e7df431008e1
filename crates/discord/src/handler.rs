//! Takes interactions and sees to it that each is answered.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use agis_deferrals::Orphan;
use tokio::time::timeout;
use tracing::Instrument;
use twilight_http::Client;
use twilight_model::{
    application::interaction::{
        Interaction, InteractionData, InteractionType, application_command::CommandData,
        message_component::MessageComponentInteractionData, modal::ModalInteractionData,
    },
    id::{
        Id,
        marker::{ApplicationMarker, InteractionMarker, MessageMarker},
    },
};

use crate::{
    admission::Admission,
    answer::Style,
    autocomplete, buttons,
    call::{Args, Call, typed},
    commands,
    context::{Context, Services, Settings},
    follow::LONGEST,
    repair,
    reply::{Delivered, Replies},
    seen::Seen,
    verb::Verb,
    wording::{Refusal, Status},
};

/// Maximum number of interactions that are remembered, so that one that is delivered twice is answered once.
const SEEN_MAX: usize = 20_000;
/// Deadline of a suggestion. It cannot be deferred: later, there is none.
const SUGGEST: Duration = Duration::from_secs(2);

/// Answers interactions. Cheap to clone.
#[derive(Clone)]
pub struct Handler(Arc<Inner>);

struct Inner {
    context: Arc<Context>,
    admission: Admission,
    seen: Seen<Id<InteractionMarker>>,
}

impl Handler {
    /// Creates a handler over these services, which answers through this client.
    pub fn new(
        services: Services,
        client: Arc<Client>,
        application: Id<ApplicationMarker>,
        settings: Settings,
    ) -> Self {
        let replies = Replies::new(client, application, services.deferrals.clone());
        Self(Arc::new(Inner {
            context: Arc::new(Context::new(services, settings, replies)),
            admission: Admission::default(),
            seen: Seen::new(SEEN_MAX),
        }))
    }

    /// Answers in a separate task. Takes nothing any more after [`Self::end`].
    pub fn spawn(&self, interaction: Interaction) {
        if !self.0.context.ending.is_cancelled() {
            let handler = self.clone();
            self.0.context.tasks.spawn(async move { handler.handle(interaction).await });
        }
    }

    /// Takes nothing more, and resolves when all tasks have ended. Messages that follow an operation say that they stop.
    pub async fn end(&self) {
        self.0.context.ending.cancel();
        self.0.context.tasks.close();
        self.0.context.tasks.wait().await;
    }

    /// Answers an interaction. Drops one that was delivered before, or is of an unknown kind.
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
            (InteractionType::ModalSubmit, Some(InteractionData::ModalSubmit(data))) => {
                self.modal(&call, *data, message.is_some()).await;
            }
            (kind, _) => tracing::debug!(kind = kind.kind(), "unknown kind of interaction"),
        }
    }

    async fn command(&self, call: &Call, data: CommandData) {
        let context = &*self.0.context;
        let began = Instant::now();
        let (word, args) = Args::of(data);
        let Some(verb) = Verb::from_word(&word) else {
            let unknown = Refusal::refused("This command is of another version. Reload Discord, and type it anew.");
            let delivered = context.replies.deliver(call, Style::Private, false, async { Err(unknown) }).await;
            self.ended("unknown", began, delivered);
            return;
        };
        let work = async {
            let _room = self.0.admission.command(context, call).await?;
            commands::run(context, call, verb, &args).await
        };
        let delivered = context.replies.deliver(call, verb.style(), verb.changes(), work).await;
        self.ended(verb.as_str(), began, delivered);
    }

    async fn button(&self, call: &Call, data: &MessageComponentInteractionData, message: Option<Id<MessageMarker>>) {
        let context = &*self.0.context;
        let began = Instant::now();
        let work = async {
            let _room = self.0.admission.command(context, call).await?;
            buttons::press(context, call, &data.custom_id, message).await
        };
        let delivered = context.replies.deliver(call, Style::Update, true, work).await;
        self.ended("button", began, delivered);
    }

    /// `has_message` says whether a button of a message opened the modal.
    async fn modal(&self, call: &Call, data: ModalInteractionData, has_message: bool) {
        let context = &*self.0.context;
        let began = Instant::now();
        let style = if has_message { Style::Update } else { Style::Private };
        let work = async {
            let _room = self.0.admission.command(context, call).await?;
            buttons::submit(context, call, &data.custom_id, typed(data.components)).await
        };
        let delivered = context.replies.deliver(call, style, true, work).await;
        self.ended("modal", began, delivered);
    }

    async fn suggest(&self, call: &Call, data: CommandData) {
        let context = &*self.0.context;
        let began = Instant::now();
        let (word, args) = Args::of(data);
        let looked = timeout(SUGGEST, async {
            let _room = self.0.admission.typing(call).await?;
            autocomplete::choices(&context.services, call, &word, &args).await
        });
        let (status, choices) = match looked.await.unwrap_or(Err(Refusal::Unavailable { begun: false })) {
            Ok(choices) => (Some(Status::Ok), choices),
            Err(refusal) => (refusal.status(), vec![]),
        };
        context.replies.suggest(call, choices).await;
        self.ended("autocomplete", began, Delivered { status, follow: None });
    }

    /// Counts a command, and starts the message that follows it.
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
            self.0.context.tasks.spawn(follow.run(self.0.context.clone(), held, LONGEST).in_current_span());
        }
    }

    /// Gives an answer that another process owed.
    pub(crate) async fn give(&self, orphan: Orphan) {
        let span = tracing::error_span!("interaction", request_id = orphan.held.key());
        let longest = LONGEST.saturating_sub(orphan.age);
        let given = repair::give(&self.0.context, orphan.held).instrument(span.clone()).await;
        if let Some((follow, held)) = given {
            self.0.context.tasks.spawn(follow.run(self.0.context.clone(), held, longest).instrument(span));
        }
    }
}
