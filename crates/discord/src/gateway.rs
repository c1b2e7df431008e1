//! Connects to Discord with as many shards as Discord recommends. Each shard resumes if it can.
//!
//! A new connection spends one of the bot's 1,000 IDENTIFYs per day; when they are spent, Discord resets the token. A
//! shard that has to identify again and again is therefore held back ([`Breaker`]).
//! <https://docs.discord.com/developers/events/gateway>

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    sync::oneshot,
    task::JoinSet,
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use twilight_gateway::{
    CloseFrame, ConfigBuilder, Event, EventTypeFlags, Intents, Shard, ShardId, StreamExt as _,
    error::ReceiveMessageError,
    queue::{InMemoryQueue, Queue},
};
use twilight_http::Client;
use twilight_model::{
    application::interaction::Interaction,
    gateway::{CloseCode, connection_info::BotConnectionInfo},
};

use crate::standing::{NOT_TAKEN, Standing};

/// Deadline of one call of Discord's REST API.
const PATIENCE: Duration = Duration::from_secs(10);
/// Longest pause between two tries to find the gateway.
const PAUSE_MAX: Duration = Duration::from_secs(60);
/// Number of lost connections in a row that cost no pause; one loss may come as several events.
const CALM: u32 = 3;
/// Time that a shard has to say goodbye.
const GOODBYE: Duration = Duration::from_secs(3);
/// Time in which IDENTIFYs are counted.
const WINDOW: Duration = Duration::from_secs(3600);
/// Number of IDENTIFYs of one shard within [`WINDOW`] that are not held back.
const FREE: u32 = 3;
/// Longest time that an IDENTIFY is held back.
const HELD_MAX: Duration = Duration::from_secs(1800);

/// Events that are parsed. Interactions need no intent, so the bot asks for none.
const WANTED: EventTypeFlags = EventTypeFlags::INTERACTION_CREATE
    .union(EventTypeFlags::READY)
    .union(EventTypeFlags::RESUMED)
    .union(EventTypeFlags::GATEWAY_INVALIDATE_SESSION)
    .union(EventTypeFlags::GATEWAY_RECONNECT);

/// Connection to Discord.
pub(crate) struct Gateway {
    /// Token of the bot.
    pub(crate) token: String,
    /// Client of Discord's REST API.
    pub(crate) http: Arc<Client>,
    /// State of the bot at Discord.
    pub(crate) standing: Standing,
    /// Receiver of interactions; it returns at once.
    pub(crate) taker: Taker,
}

/// Receiver of interactions.
pub(crate) type Taker = Arc<dyn Fn(Interaction) + Send + Sync>;

/// Reason why the shards ended.
enum Ended {
    Stopped,
    /// Discord refuses this token, these intents or this number of shards.
    Refused(String),
    /// Discord wants another number of shards.
    Anew,
}

impl Gateway {
    /// Stays connected until `stop`, or until Discord refuses the bot.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let breaker = Breaker::default();
        let mut failures = 0_u32;
        while !stop.is_cancelled() && !self.standing.is_refused() {
            let Some(info) = self.find(&mut failures, &stop).await else { continue };
            match self.connected(&info, breaker.clone(), &stop).await {
                Ended::Stopped => return,
                Ended::Anew => tracing::warn!("Discord wants another number of shards"),
                Ended::Refused(why) => self.standing.refuse(&why),
            }
        }
        stop.cancelled().await;
    }

    /// Asks Discord for the gateway's address, the recommended number of shards, and the remaining starts.
    async fn find(&self, failures: &mut u32, stop: &CancellationToken) -> Option<BotConnectionInfo> {
        let asked = async { Ok::<_, twilight_http::Error>(self.http.gateway().authed().await?.model().await) };
        let why = match timeout(PATIENCE, asked).await {
            Ok(Ok(told)) => match told {
                Ok(info) if info.session_start_limit.remaining < info.shards => {
                    let wait = Duration::from_millis(info.session_start_limit.reset_after);
                    let wait = wait.clamp(Duration::from_secs(1), WINDOW);
                    self.standing
                        .disconnected(&format!("Discord lets no more sessions start for {} s", wait.as_secs()));
                    stop.run_until_cancelled(sleep(wait)).await;
                    return None;
                }
                Ok(info) => {
                    *failures = 0;
                    return Some(info);
                }
                Err(error) => error.to_string(),
            },
            Ok(Err(error)) => {
                self.standing.heed(&error);
                error.to_string()
            }
            Err(_) => "Discord does not answer".to_owned(),
        };
        if self.standing.is_refused() {
            return None;
        }
        self.standing.disconnected(&format!("the gateway cannot be found: {why}"));
        let pause = Duration::from_secs(1 << (*failures).min(6)).min(PAUSE_MAX);
        *failures += 1;
        stop.run_until_cancelled(sleep(pause)).await;
        None
    }

    /// Runs all shards until the first of them ends.
    async fn connected(&self, info: &BotConnectionInfo, breaker: Breaker, stop: &CancellationToken) -> Ended {
        let limit = &info.session_start_limit;
        let reset_after = Duration::from_millis(limit.reset_after);
        let queue = InMemoryQueue::new(limit.max_concurrency, limit.remaining, reset_after, limit.total);
        let config = ConfigBuilder::new(self.token.clone(), Intents::empty())
            .proxy_url(info.url.clone())
            .queue(breaker.over(queue, self.standing.clone()))
            .build();
        tracing::info!(shards = info.shards, remaining = limit.remaining, "connecting to Discord");
        self.standing.expect(info.shards);
        let mut shards = JoinSet::new();
        let stop_all = stop.child_token();
        for number in 0..info.shards {
            let shard = Shard::with_config(ShardId::new(number, info.shards), config.clone());
            shards.spawn(serve(shard, self.taker.clone(), self.standing.clone(), stop_all.clone()));
        }
        let mut first = Ended::Stopped;
        while let Some(ended) = shards.join_next().await {
            let ended = ended.unwrap_or_else(|error| {
                tracing::error!(%error, "shard ended unexpectedly");
                Ended::Anew
            });
            if matches!(first, Ended::Stopped) {
                first = ended;
            }
            stop_all.cancel();
        }
        first
    }
}

async fn serve<Q: Queue + Unpin>(
    mut shard: Shard<Q>,
    taker: Taker,
    standing: Standing,
    stop: CancellationToken,
) -> Ended {
    let id = shard.id().number();
    // Losses of the connection since it last worked.
    let mut losses = 0;
    loop {
        let event = tokio::select! {
            event = shard.next_event(WANTED) => event,
            () = standing.refused() => return Ended::Stopped,
            () = stop.cancelled() => {
                goodbye(&mut shard).await;
                return Ended::Stopped;
            }
        };
        match event {
            Some(Ok(event)) => {
                losses = match event {
                    Event::Ready(_) | Event::Resumed => 0,
                    Event::GatewayClose(_) | Event::GatewayReconnect | Event::GatewayInvalidateSession(_) => losses + 1,
                    _ => losses,
                };
                if let Some(ended) = heard(id, event, &taker, &standing) {
                    return ended;
                }
                // twilight waits between failing connections, but not between connections that Discord ends at once.
                if losses > CALM {
                    let pause = Duration::from_secs(1 << (losses - CALM).min(6)).min(PAUSE_MAX);
                    stop.run_until_cancelled(sleep(pause)).await;
                }
            }
            Some(Err(error)) => failed(id, &error, &standing),
            None => return Ended::Refused("Discord has closed the connection for good".to_owned()),
        }
    }
}

/// Handles an event; it may end the shard.
fn heard(id: u32, event: Event, taker: &Taker, standing: &Standing) -> Option<Ended> {
    match event {
        Event::InteractionCreate(interaction) => taker(interaction.0),
        Event::Ready(_) => {
            tracing::info!(shard = id, "Discord session ready");
            standing.connected(id);
        }
        Event::Resumed => {
            tracing::info!(shard = id, "Discord session resumed");
            standing.connected(id);
        }
        Event::GatewayClose(frame) => {
            let code = frame.as_ref().map(|frame| frame.code);
            tracing::warn!(shard = id, code, "connection to Discord was closed");
            standing.lost(id, "the connection was closed; a new one is being made");
            return refusal(CloseCode::try_from(code?).ok()?);
        }
        Event::GatewayInvalidateSession(resumable) => {
            tracing::warn!(shard = id, resumable, "Discord ended the session");
            standing.lost(id, "Discord ended the session");
        }
        _ => {}
    }
    None
}

/// Close codes after which Discord does not want the same connection again.
fn refusal(code: CloseCode) -> Option<Ended> {
    let why = match code {
        CloseCode::AuthenticationFailed => NOT_TAKEN,
        CloseCode::InvalidShard | CloseCode::ShardingRequired => return Some(Ended::Anew),
        CloseCode::InvalidApiVersion => "Discord does not speak this version of the gateway any more",
        CloseCode::InvalidIntents | CloseCode::DisallowedIntents => "Discord does not allow the bot's intents",
        _ => return None,
    };
    Some(Ended::Refused(why.to_owned()))
}

fn failed(id: u32, error: &ReceiveMessageError, standing: &Standing) {
    use twilight_gateway::error::ReceiveMessageErrorType as Kind;
    match error.kind() {
        Kind::Reconnect => {
            standing.lost(id, "Discord's gateway cannot be reached");
            tracing::warn!(shard = id, %error, "Discord's gateway cannot be reached");
        }
        // An unknown event loses that event alone. Its text may hold a token.
        _ => tracing::warn!(shard = id, "event from Discord could not be read"),
    }
}

/// Makes Discord end the session, so that the bot does not look present for long.
async fn goodbye<Q: Queue + Unpin>(shard: &mut Shard<Q>) {
    if !shard.state().is_identified() {
        return;
    }
    shard.close(CloseFrame::NORMAL);
    let closed = async {
        while let Some(event) = shard.next_event(EventTypeFlags::empty()).await {
            if matches!(event, Ok(Event::GatewayClose(_)) | Err(_)) {
                return;
            }
        }
    };
    let _ = timeout(GOODBYE, closed).await;
}

/// Holds back IDENTIFYs that come again and again.
#[derive(Clone, Default)]
struct Breaker(Arc<Mutex<VecDeque<(u32, Instant)>>>);

impl Breaker {
    fn over(self, inner: InMemoryQueue, standing: Standing) -> Held {
        Held { breaker: self, inner: Arc::new(inner), standing }
    }

    /// Returns the time that the next IDENTIFY of this shard has to wait.
    fn wait(&self, shard: u32, now: Instant) -> Duration {
        let mut past = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while past.front().is_some_and(|(_, at)| now.duration_since(*at) > WINDOW) {
            past.pop_front();
        }
        let earlier = past.iter().filter(|(one, _)| *one == shard).count();
        held(u32::try_from(earlier).unwrap_or(u32::MAX))
    }

    /// Records an IDENTIFY of this shard.
    fn note(&self, shard: u32, now: Instant) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push_back((shard, now));
    }
}

/// Returns the wait after so many earlier IDENTIFYs: none at first, then 15 s, and twice as long each time.
fn held(earlier: u32) -> Duration {
    match earlier.checked_sub(FREE) {
        None => Duration::ZERO,
        Some(more) => Duration::from_secs(15 << more.min(7)).min(HELD_MAX),
    }
}

#[derive(Clone)]
struct Held {
    breaker: Breaker,
    inner: Arc<InMemoryQueue>,
    standing: Standing,
}

impl std::fmt::Debug for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Held")
    }
}

impl Queue for Held {
    fn enqueue(&self, shard: u32) -> oneshot::Receiver<()> {
        let wait = self.breaker.wait(shard, Instant::now());
        if !wait.is_zero() {
            let why = format!("sessions begin again and again; the next is held back for {} s", wait.as_secs());
            tracing::warn!(shard, wait_s = wait.as_secs(), "Discord sessions end too soon");
            self.standing.lost(shard, &why);
        }
        let (mut granted, receiver) = oneshot::channel();
        let Self { breaker, inner, .. } = self.clone();
        tokio::spawn(async move {
            let turn = async {
                sleep(wait).await;
                inner.enqueue(shard).await
            };
            tokio::select! {
                // The connection went while its IDENTIFY waited.
                () = granted.closed() => return,
                turn = turn => if turn.is_err() { return },
            }
            // Counts at the sending, so that an abandoned IDENTIFY delays no other.
            if granted.send(()).is_ok() {
                breaker.note(shard, Instant::now());
            }
        });
        receiver
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeated_sessions_are_held_back_longer() {
        let waits: Vec<_> = (0..12).map(|earlier| held(earlier).as_secs()).collect();
        assert_eq!(waits, [0, 0, 0, 15, 30, 60, 120, 240, 480, 960, 1800, 1800]);
    }

    #[test]
    fn each_shard_is_held_back_for_its_own() {
        let breaker = Breaker::default();
        let now = Instant::now();
        for _ in 0..3 {
            assert_eq!(breaker.wait(0, now), Duration::ZERO);
            breaker.note(0, now);
        }
        assert_eq!((breaker.wait(1, now), breaker.wait(0, now)), (Duration::ZERO, Duration::from_secs(15)));
        assert_eq!(breaker.wait(0, now + WINDOW + Duration::from_secs(1)), Duration::ZERO);
    }
}
