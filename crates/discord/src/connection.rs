//! Runs everything that speaks with Discord, from its start to its end.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use tokio::{
    task::JoinHandle,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use twilight_http::Client;
use twilight_model::{
    channel::message::AllowedMentions,
    id::{
        Id,
        marker::{ApplicationMarker, GuildMarker},
    },
};

use crate::{
    context::{Services, Settings},
    courier::Courier,
    definitions::definitions,
    gateway::Gateway,
    handler::Handler,
    members::Members,
    mender::Mender,
    register::register,
    standing::Standing,
    url::{ApiUrl, PATIENCE},
    voice::Voice,
};

const PAUSE_MAX: Duration = Duration::from_secs(60);

/// Id of a guild, as in `DISCORD_GUILD_ID`.
pub type Guild = Id<GuildMarker>;

/// Bot that is not connected yet.
pub struct Connection {
    token: String,
    http: Arc<Client>,
    guild: Option<Guild>,
    standing: Standing,
}

impl Connection {
    /// Creates a bot with this token, at Discord or at another address. Its commands are registered in the guild alone,
    /// if there is one.
    pub fn new(token: String, api: Option<ApiUrl>, guild: Option<Guild>) -> Self {
        // Messages mention nobody, unless a message names somebody.
        let http = Client::builder().token(token.clone()).timeout(PATIENCE);
        let http = http.default_allowed_mentions(AllowedMentions::default());
        let http = match api {
            Some(ApiUrl { authority, http: plain }) => http.proxy(authority, plain),
            None => http,
        };
        Self { token, http: Arc::new(http.build()), guild, standing: Standing::default() }
    }

    /// Returns the state of the bot at Discord.
    pub fn standing(&self) -> Standing {
        self.standing.clone()
    }

    /// Connects, and stays connected until `stop`. Also returns the loops that call Discord on their own; they idle
    /// until the bot is known.
    pub fn start(self, services: Services, settings: Settings, stop: CancellationToken) -> (Running, Loops) {
        let voice = Voice { handler: Arc::default(), standing: self.standing.clone() };
        let loops = Loops {
            courier: Courier {
                http: self.http.clone(),
                notices: services.notices.clone(),
                servers: services.servers.clone(),
                voice: voice.clone(),
            },
            members: Members { http: self.http.clone(), servers: services.servers.clone(), voice: voice.clone() },
            mender: Mender::new(services.deferrals.clone(), voice.clone()),
        };
        let handler = voice.handler.clone();
        let work = self.work(services, settings, handler.clone(), stop.clone());
        (Running { stop, handler, work: tokio::spawn(work) }, loops)
    }

    async fn work(
        self,
        services: Services,
        settings: Settings,
        handler: Arc<OnceLock<Handler>>,
        stop: CancellationToken,
    ) {
        let Some(application) = self.application(&stop).await else {
            return stop.cancelled().await;
        };
        let (http, standing) = (self.http, self.standing);
        let handler = handler.get_or_init(|| Handler::new(services, http.clone(), application, settings)).clone();
        let gateway = Gateway {
            token: self.token,
            http: http.clone(),
            standing: standing.clone(),
            // A bot that may not answer must not act: nobody would hear of it.
            taker: Arc::new({
                let standing = standing.clone();
                move |interaction| {
                    if !standing.is_refused() {
                        handler.spawn(interaction);
                    }
                }
            }),
        };
        let commands = definitions();
        tokio::join!(register(&http, application, self.guild, &commands, &standing, &stop), gateway.run(stop.clone()),);
    }

    /// Asks for the application of the token.
    async fn application(&self, stop: &CancellationToken) -> Option<Id<ApplicationMarker>> {
        let mut pause = Duration::from_secs(1);
        while !stop.is_cancelled() && !self.standing.is_refused() {
            let asked = async { self.http.current_user_application().await?.model().await.map_err(Failed::Unreadable) };
            let why = match timeout(PATIENCE, asked).await {
                Ok(Ok(application)) => return Some(application.id),
                Ok(Err(Failed::Call(error))) => {
                    self.standing.heed(&error);
                    error.to_string()
                }
                Ok(Err(Failed::Unreadable(error))) => error.to_string(),
                Err(_) => "Discord does not answer".to_owned(),
            };
            if !self.standing.is_refused() {
                self.standing.disconnected(&format!("Discord does not tell who the bot is: {why}"));
                stop.run_until_cancelled(sleep(pause)).await;
                pause = (pause * 2).min(PAUSE_MAX);
            }
        }
        None
    }
}

enum Failed {
    Call(twilight_http::Error),
    Unreadable(twilight_http::response::DeserializeBodyError),
}

impl From<twilight_http::Error> for Failed {
    fn from(error: twilight_http::Error) -> Self {
        Self::Call(error)
    }
}

/// Loops that call Discord on their own.
pub struct Loops {
    /// Delivers notices.
    pub courier: Courier,
    /// Asks for the roles of members.
    pub members: Members,
    /// Gives answers that a dead process owed.
    pub mender: Mender,
}

/// Connected bot.
pub struct Running {
    stop: CancellationToken,
    handler: Arc<OnceLock<Handler>>,
    work: JoinHandle<()>,
}

impl Running {
    /// Resolves when the connection ends by itself, which is a bug.
    pub async fn ended(&mut self) {
        let ended = (&mut self.work).await;
        tracing::error!(?ended, "connection to Discord ended");
    }

    /// Takes nothing new and lets open answers end. The caller sets a deadline.
    pub async fn end(self) {
        self.stop.cancel();
        let answered = async {
            if let Some(handler) = self.handler.get() {
                handler.end().await;
            }
        };
        // The gateway closes while answers are still given: they use REST.
        let work = async {
            if !self.work.is_finished() {
                let _ = self.work.await;
            }
        };
        tokio::join!(work, answered);
    }
}
