//! A stand-in for Discord: a gateway and the REST API that a bot needs, on localhost, without an account.
//!
//! ```no_run
//! # async fn example() {
//! use agis_discord_stand_in::Discord;
//!
//! let discord = Discord::start().await;
//! // Run the bot with DISCORD_API_URL = discord.url() and DISCORD_TOKEN = discord.token(), then:
//! discord.wait_for_commands().await;
//! let ann = discord.person(101, "Ann");
//! let reply = discord.command(&ann, "/server create name:My Server game:demo").await;
//! let message = reply.until("the server", |message| message.text().contains("My Server")).await;
//! assert!(message.is_ephemeral());
//! let done = reply.press(&ann, "Start").await;
//! assert!(!done.late());
//! assert_eq!(discord.complaints(), [""; 0]);
//! # }
//! ```
//!
//! **People** type lines ([`Discord::command`]), look at suggestions ([`Discord::autocomplete`]) and press buttons
//! ([`Reply::press`]). A line is read by the commands that the bot has registered, as Discord's client does it: a
//! value runs until the next known `option:`, or stands in quotes; what the client would not send is refused here.
//!
//! **Requests** are recorded ([`Discord::requests`]), held against Discord's OpenAPI document and against the rules
//! that only its text states. What is wrong is refused as Discord refuses it, and is a line of
//! [`Discord::complaints`], as is an interaction that nobody answered within three seconds. The document is the file
//! that `DISCORD_OPENAPI` names, else `shared/data/discord/openapi.json` beside one of the folders above this
//! checkout; where there is none, [`Discord::schema`] is `None` and requests are held against the rules alone.
//!
//! **Faults** come on demand: limits ([`Discord::limit_next`]), a revoked token, connections that drop, heartbeats
//! that stay unacknowledged, events that come twice, channels that are gone and people who take no messages.
//!
//! The stand-in speaks JSON without compression only. Alone (`cargo xtask dev --discord`), it has a page
//! at `/` on which a person can do all this by hand.

mod act;
mod clock;
mod faults;
mod gateway;
mod hub;
mod interaction;
mod line;
mod message;
mod observe;
mod page;
mod record;
mod reply;
mod rest;
mod rules;
mod schema;
mod state;
mod world;

use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::Arc;

use actix_web::dev::ServerHandle;
use tokio::task::AbortHandle;

pub use act::{Choice, Refusal};
pub use message::Message;
pub use record::{Entry, Request};
pub use reply::Reply;
pub use schema::Schema;
pub use world::Person;

use hub::{Facts, Hub};

/// The guild that is there from the start.
pub const GUILD: u64 = 200_000_000_000_000_001;
/// Its channel.
pub const CHANNEL: u64 = 300_000_000_000_000_001;
/// The bot's application, and its user.
pub const APPLICATION: u64 = 400_000_000_000_000_001;

/// The stand-in; it ends with the last clone.
#[derive(Debug, Clone)]
pub struct Discord {
    hub: Arc<Hub>,
    /// `None` for the handles that the servers themselves hold.
    _running: Option<Arc<Running>>,
}

#[derive(Debug)]
struct Running {
    rest: ServerHandle,
    gateway: AbortHandle,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.gateway.abort();
        // The order to stop is given by the call; nobody waits for the end.
        drop(self.rest.stop(false));
    }
}

impl Discord {
    /// Starts on free ports of localhost.
    ///
    /// # Panics
    /// Panics if localhost has no free port.
    pub async fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
        let started = async { Self::start_on(listener?).await };
        started.await.unwrap_or_else(|error| panic!("no stand-in for Discord: {error}"))
    }

    /// Starts with its REST API and its page on `listener`; the gateway takes a free port of localhost.
    ///
    /// # Errors
    /// Fails if a port cannot be used.
    pub async fn start_on(listener: TcpListener) -> io::Result<Self> {
        let gateway = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let hub = Arc::new(Hub::new(Facts::load(listener.local_addr()?, gateway.local_addr()?)));
        let server = rest::serve(listener, Self { hub: Arc::clone(&hub), _running: None })?;
        let rest = server.handle();
        tokio::spawn(server);
        let gateway = tokio::spawn(gateway::serve(gateway, Arc::clone(&hub))).abort_handle();
        Ok(Self { hub, _running: Some(Arc::new(Running { rest, gateway })) })
    }

    /// `DISCORD_API_URL` for the bot.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.hub.facts.url
    }

    /// `DISCORD_TOKEN` for the bot.
    #[must_use]
    pub fn token(&self) -> &'static str {
        hub::TOKEN
    }

    /// Discord's OpenAPI document, where it is there.
    #[must_use]
    pub fn schema(&self) -> Option<&Schema> {
        self.hub.facts.schema.as_ref()
    }
}
