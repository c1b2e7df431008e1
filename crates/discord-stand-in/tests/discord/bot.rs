//! A small bot on the libraries that the real one is built on.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use agis_discord_stand_in::Discord;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use twilight_gateway::{CloseFrame, Config, ConfigBuilder, Event, EventTypeFlags, Intents, Shard, ShardId, StreamExt};
use twilight_http::Client;
use twilight_http::client::InteractionClient;
use twilight_http::request::Request;
use twilight_http::response::marker::EmptyBody;
use twilight_http::routing::Route;
use twilight_model::application::command::Command;
use twilight_model::application::interaction::{Interaction, InteractionData};
use twilight_model::channel::message::MessageFlags;
use twilight_model::http::interaction::{InteractionResponse, InteractionResponseType};
use twilight_model::id::Id;

/// The bot; it ends with this value.
pub(crate) struct Bot {
    pub(crate) http: Arc<Client>,
    /// Errors, among them gateway events that the library could not read.
    pub(crate) errors: Arc<Mutex<Vec<String>>>,
    /// All interactions, in the order in which they came.
    pub(crate) heard: Arc<Mutex<Vec<Interaction>>>,
    _tasks: JoinSet<()>,
}

impl Bot {
    /// One session.
    pub(crate) async fn start(discord: &Discord) -> Self {
        Self::with_shards(discord, 1).await
    }

    /// As many sessions as there are shards.
    pub(crate) async fn with_shards(discord: &Discord, shards: u32) -> Self {
        // The libraries make a TLS client even where nothing is encrypted. Another test may have been first.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let host = discord.url().trim_start_matches("http://").to_owned();
        let http = Client::builder().token(format!("Bot {}", discord.token())).proxy(host, true).build();
        let http = Arc::new(http);
        let gateway = http.gateway().authed().await.expect("gateway").model().await.expect("gateway");
        let mut bot = Self { http, errors: Arc::default(), heard: Arc::default(), _tasks: JoinSet::new() };
        for number in 0..shards {
            let config = ConfigBuilder::from(Config::new(discord.token().to_owned(), Intents::empty()));
            let shard = Shard::with_config(ShardId::new(number, shards), config.proxy_url(gateway.url.clone()).build());
            bot._tasks.spawn(run(shard, Arc::clone(&bot.http), Arc::clone(&bot.errors), Arc::clone(&bot.heard)));
        }
        let commands: Vec<Command> = serde_json::from_value(commands()).expect("commands");
        bot.interactions().set_global_commands(&commands).await.expect("registered");
        discord.wait_for_commands().await;
        bot
    }

    pub(crate) fn interactions(&self) -> InteractionClient<'_> {
        self.http.interaction(Id::new(agis_discord_stand_in::APPLICATION))
    }

    /// Sends a message as it is: the library's own methods would not send a wrong one.
    pub(crate) async fn send(&self, channel: u64, body: &Value) -> Result<(), twilight_http::Error> {
        let route = Route::CreateMessage { channel_id: channel };
        let request = Request::builder(&route).json(body).build()?;
        self.http.request::<EmptyBody>(request).await.map(drop)
    }

    pub(crate) fn heard(&self) -> Vec<Interaction> {
        self.heard.lock().expect("lock").clone()
    }

    pub(crate) fn assert_well(&self) {
        assert_eq!(*self.errors.lock().expect("lock"), [""; 0]);
    }
}

pub(crate) fn commands() -> Value {
    let option = |kind: u8, name: &str| json!({"type": kind, "name": name, "description": name});
    let text = json!({"type": 3, "name": "text", "description": "t", "required": true, "autocomplete": true});
    let command = |name: &str, options: Value| {
        json!({"type": 1, "name": name, "description": name, "version": "1", "default_member_permissions": null,
            "options": options})
    };
    let everything = json!([
        text,
        option(4, "whole"),
        option(5, "yes"),
        option(6, "user"),
        option(7, "place"),
        option(8, "role"),
        option(9, "who"),
        option(10, "number"),
    ]);
    let mut admins = command("admins", json!([]));
    admins["default_member_permissions"] = json!("8");
    json!([
        command(
            "echo",
            json!([{"type": 2, "name": "the", "description": "g", "options": [
                {"type": 1, "name": "text", "description": "s", "options": everything},
            ]}])
        ),
        command("slow", json!([])),
        command("silent", json!([])),
        admins,
    ])
}

async fn run(
    mut shard: Shard,
    http: Arc<Client>,
    errors: Arc<Mutex<Vec<String>>>,
    heard: Arc<Mutex<Vec<Interaction>>>,
) {
    while let Some(event) = shard.next_event(EventTypeFlags::all()).await {
        match event {
            Ok(Event::InteractionCreate(interaction)) => {
                heard.lock().expect("lock").push(interaction.0.clone());
                let (http, errors) = (Arc::clone(&http), Arc::clone(&errors));
                tokio::spawn(async move {
                    if let Err(error) = answer(&http, &interaction.0).await {
                        errors.lock().expect("lock").push(format!("{error:?}"));
                    }
                });
            }
            Ok(_) => {}
            Err(error) if matches!(error.kind(), twilight_gateway::error::ReceiveMessageErrorType::Reconnect) => {}
            Err(error) => errors.lock().expect("lock").push(format!("{error:?}")),
        }
    }
    shard.close(CloseFrame::NORMAL);
}

async fn answer(http: &Client, interaction: &Interaction) -> Result<(), twilight_http::Error> {
    let client = http.interaction(interaction.application_id);
    let respond = async |kind: u64, data: Value| {
        let data = serde_json::from_value(data).expect("data");
        let response = InteractionResponse { kind: response_kind(kind), data };
        client.create_response(interaction.id, &interaction.token, &response).await.map(drop)
    };
    match &interaction.data {
        Some(InteractionData::ApplicationCommand(data)) if is_focused(interaction) => {
            let choices =
                (0..25).map(|number| json!({"name": format!("Choice {number}"), "value": number.to_string()}));
            assert_eq!(data.name, "echo");
            respond(8, json!({"choices": choices.collect::<Vec<_>>()})).await
        }
        Some(InteractionData::ApplicationCommand(data)) => match data.name.as_str() {
            "slow" => {
                respond(5, json!({"flags": MessageFlags::EPHEMERAL.bits()})).await?;
                tokio::time::sleep(Duration::from_millis(50)).await;
                client.update_response(&interaction.token).content(Some("done")).await?;
                client.create_followup(&interaction.token).content("and more").await?;
                Ok(())
            }
            "silent" => Ok(()),
            _ => respond(4, message(&format!("{:?}", data.options), false)).await,
        },
        Some(InteractionData::MessageComponent(_)) => respond(7, message("pressed", true)).await,
        _ => Ok(()),
    }
}

fn is_focused(interaction: &Interaction) -> bool {
    interaction.kind == twilight_model::application::interaction::InteractionType::ApplicationCommandAutocomplete
}

fn response_kind(kind: u64) -> InteractionResponseType {
    serde_json::from_value(json!(kind)).expect("a kind")
}

fn message(text: &str, disabled: bool) -> Value {
    json!({
        "flags": 64,
        "embeds": [{"type": "rich", "title": "You said", "description": text, "color": 255, "fields": [
            {"name": "when", "value": "<t:0:R>", "inline": true},
        ]}],
        "components": [{"type": 1, "components": [
            {"type": 2, "style": 4, "label": "Press me", "custom_id": "press:1", "disabled": disabled},
        ]}],
    })
}
