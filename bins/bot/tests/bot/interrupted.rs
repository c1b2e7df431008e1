//! The bot dies between its promise of an answer and the answer: another gives it.

use std::time::Duration;

use agis_discord_stand_in::{Discord, Message, Person, Reply};
use agis_test_support::{proxy::Proxy, wait};

use crate::{
    common::SOON,
    outage::behind_a_proxy,
    scene::{Bot, Scene},
};

/// Longer than the lease of a promise.
const LONG: Duration = Duration::from_secs(13);
const DEFERRED: u64 = 5;
const DEFERRED_UPDATE: u64 = 6;
/// The bot asks for an answer of somebody else's.
const LOOKS: &str = "GET /webhooks/";

fn repaired(outcome: &str) -> String {
    format!("agis_bot_interrupted_interactions_total{{outcome=\"{outcome}\"}}")
}

impl Scene {
    async fn owed(&self) -> i64 {
        self.count("deferrals").await
    }

    /// Waits until nobody is owed an answer.
    async fn until_nothing_is_owed(&self) {
        wait::until(SOON, "every promise to be kept", async || (self.owed().await == 0).then_some(())).await;
    }

    /// Another bot takes the place of this one, which is killed.
    pub(crate) async fn killed(self) -> Self {
        let Self { bot, api, discord, stack } = self;
        bot.kill();
        let bot = Bot::start(&stack, &discord, &[]).await;
        Self { bot, api, discord, stack }
    }
}

/// Discord takes the first answer to an interaction, and no edit of it.
fn refuse_edits(discord: &Discord) {
    discord.fail_next("/webhooks/", u32::MAX, 503);
}

fn take_edits(discord: &Discord) {
    discord.fail_next("/webhooks/", 0, 503);
}

/// Asks for something that needs a table which somebody else holds, so that it is deferred; the bot is killed then.
async fn killed_at(scene: Scene, table: &str, ask: impl AsyncFnOnce(&Scene) -> Reply) -> (Scene, Reply) {
    let sql = scene.stack.sql().await;
    sql.batch_execute(&format!("begin; lock table {table} in access exclusive mode")).await.expect("a lock");
    refuse_edits(&scene.discord);
    let reply = ask(&scene).await;
    assert!(!reply.late());
    let scene = scene.killed().await;
    take_edits(&scene.discord);
    sql.batch_execute("rollback").await.expect("the lock's end");
    (scene, reply)
}

async fn type_line(scene: &Scene, line: &str) -> Reply {
    scene.discord.command(&scene.ann(), line).await
}

fn says_interrupted(message: &Message) -> bool {
    message.text().contains("was restarted while it worked on this")
}

/// The interaction's token, as the bot has used it.
fn token(discord: &Discord, reply: &Reply) -> String {
    let callback = discord.requests_to(&format!("POST /interactions/{}/", reply.interaction())).remove(0);
    callback.path.split('/').nth(3).expect("a token").to_owned()
}

#[tokio::test]
async fn promise_of_a_dead_bot_is_answered() {
    let scene = Scene::open().await;
    scene.server(&scene.ann(), "Sky", "demo").await;
    let (scene, reply) =
        killed_at(scene, "game_servers", async |scene| type_line(scene, "/server info server:Sky").await).await;
    assert_eq!(reply.kind(), Some(DEFERRED));

    let told = reply.until("the truth", says_interrupted).await;
    assert!(told.is_ephemeral() && !told.is_loading() && told.edits == 1, "{told:?}");
    assert!(told.text().contains("/server info"), "{}", told.text());
    scene.until_nothing_is_owed().await;
    assert_eq!(scene.bot.metric(&repaired("told")).await, 1.0);
    assert!(!format!("{:?}", scene.bot.log()).contains(&token(&scene.discord, &reply)), "the token is in the log");
    scene.assert_clean();
}

#[tokio::test]
async fn stored_tokens_cannot_be_read() {
    let scene = Scene::open().await;
    let sql = scene.stack.sql().await;
    sql.batch_execute("begin; lock table users in access exclusive mode").await.expect("a lock");
    refuse_edits(&scene.discord);
    let reply = type_line(&scene, "/profile").await;
    assert_eq!(reply.kind(), Some(DEFERRED));
    let rows = "select key, token, (d.*)::text from deferrals d";
    let row = scene.stack.sql().await.query_one(rows, &[]).await.expect("a row");
    let (key, sealed, all): (String, Vec<u8>, String) = (row.get(0), row.get(1), row.get(2));
    assert_eq!(key, format!("discord:{}", reply.interaction()));
    let token = token(&scene.discord, &reply);
    assert!(!sealed.windows(8).any(|part| token.as_bytes().windows(8).any(|own| own == part)), "{sealed:?}");
    assert!(!all.contains(&token), "{all}");
    sql.batch_execute("rollback").await.expect("the lock's end");
    take_edits(&scene.discord);
    reply.answered().await;
    scene.until_nothing_is_owed().await;
    scene.assert_clean();
}

#[tokio::test]
async fn button_presser_is_told_alone() {
    let scene = Scene::open().await;
    let ann = scene.ann();
    scene.server(&ann, "Sky", "demo").await;
    let info = scene.discord.command(&ann, "/server info server:Sky").await;
    info.answered().await;
    let (scene, pressed) =
        killed_at(scene, "game_servers", async |scene| info.press(&scene.ann(), "Start").await).await;
    assert_eq!(pressed.kind(), Some(DEFERRED_UPDATE));
    let told = pressed.until("the truth", says_interrupted).await;
    assert!(told.is_ephemeral(), "{told:?}");
    let stays = info.message().expect("the message");
    assert!(stays.edits == 0 && stays.buttons().contains(&"Start".to_owned()), "{stays:?}");
    scene.until_nothing_is_owed().await;
    scene.assert_clean();
}

/// A start that was asked for and that nobody carries out.
async fn waiting_start(scene: &Scene, ann: &Person) -> Reply {
    scene.server(ann, "Sky", "demo").await;
    scene.api.freeze();
    let reply = scene.discord.command(ann, "/server start server:Sky").await;
    reply.until("the start to be followed", |message| message.text().contains("Starting Sky")).await;
    wait::until(SOON, "the promise to be noted", async || (scene.owed().await == 1).then_some(())).await;
    reply
}

#[tokio::test]
async fn progress_is_shown_until_the_end() {
    let scene = Scene::open().await;
    let reply = waiting_start(&scene, &scene.ann()).await;
    let sql = scene.stack.sql().await;
    sql.batch_execute(
        "update operations set state = 'running', attempt = 1, lease_until = now() + interval '1 hour',
                progress = 'pulling *image*: 120 of 480 MB'",
    )
    .await
    .expect("a pull");
    let shown = |message: &Message| message.text().contains("pulling \\*image\\*\\: 120 of 480 MB");
    let message = reply.until("the progress", shown).await;
    assert_eq!(message.edits, 1);
    sql.batch_execute(
        "update operations set state = 'failed', lease_until = null, finished_at = now(), error = 'no room'",
    )
    .await
    .expect("an end");
    let ended = reply.until("the end", |message| message.text().contains("could not be started")).await;
    assert!(!shown(&ended) && ended.edits == 2, "{}", ended.text());
    scene.api.thaw();
    scene.assert_clean();
}

#[tokio::test]
async fn start_is_followed_by_another_bot() {
    let scene = Scene::open().await;
    let reply = waiting_start(&scene, &scene.ann()).await;
    let other = Bot::start(&scene.stack, &scene.discord, &[]).await;
    let scene = scene.killed().await;
    let both = async || scene.bot.metric(&repaired("followed")).await + other.metric(&repaired("followed")).await;
    wait::until(SOON, "a bot to take it over", async || (both().await == 1.0).then_some(())).await;
    assert!(reply.message().is_some_and(|message| message.text().contains("Starting Sky") && message.edits == 0));

    scene.api.thaw();
    let ready = reply.until("the end", |message| message.text().contains("Sky is ready")).await;
    assert_eq!(ready.edits, 1);
    scene.until_nothing_is_owed().await;
    assert_eq!((both().await, scene.discord.requests_to(LOOKS).len()), (1.0, 1));
    scene.assert_clean();
}

#[tokio::test]
async fn unannounced_operation_is_followed() {
    let (scene, proxy) = behind_a_proxy().await;
    scene.server(&scene.ann(), "Sky", "demo").await;
    // Deferred, accepted, and then Discord takes no edit.
    refuse_edits(&scene.discord);
    proxy.blackhole();
    let reply = type_line(&scene, "/server start server:Sky").await;
    assert_eq!(reply.kind(), Some(DEFERRED));
    proxy.heal();
    let is_accepted = async || scene.count("operations").await == 1 && scene.owed().await == 1;
    wait::until(SOON, "a start", async || is_accepted().await.then_some(())).await;
    let Scene { bot, api, discord, stack } = scene;
    bot.kill();
    // As if it had died a moment earlier.
    stack.sql().await.execute("update deferrals set operation_id = null", &[]).await.expect("an update");
    take_edits(&discord);
    let bot = Bot::start(&stack, &discord, &[]).await;
    let scene = Scene { bot, api, discord, stack };
    reply.until("the end", |message| message.text().contains("Sky is ready")).await;
    scene.until_nothing_is_owed().await;
    assert_eq!(scene.count("operations").await, 1);
    scene.assert_clean();
}

#[tokio::test]
async fn long_follow_is_left_to_its_living_bot() {
    let scene = Scene::open().await;
    let reply = waiting_start(&scene, &scene.ann()).await;
    let other = Bot::start(&scene.stack, &scene.discord, &[]).await;
    other.until_ready().await;
    tokio::time::sleep(LONG).await;
    assert_eq!(scene.discord.requests_to(LOOKS).len(), 0);
    scene.api.thaw();
    let ready = reply.until("the end", |message| message.text().contains("Sky is ready")).await;
    assert_eq!(ready.edits, 1);
    scene.until_nothing_is_owed().await;
    scene.assert_clean();
}

#[tokio::test]
async fn forgotten_interaction_ends_its_promise() {
    let scene = Scene::open().await;
    waiting_start(&scene, &scene.ann()).await;
    scene.discord.expire_interactions();
    let scene = scene.killed().await;
    scene.until_nothing_is_owed().await;
    assert_eq!(scene.bot.metric(&repaired("gone")).await, 1.0);
    assert_eq!(scene.discord.requests_to("PATCH /webhooks/").len(), 0);
    // A token of an interaction that is over says nothing of the bot's.
    scene.bot.until_ready().await;
    scene.assert_clean();
}

#[tokio::test]
async fn promise_is_noted_when_the_database_is_back() {
    let (scene, proxy): (Scene, Proxy) = behind_a_proxy().await;
    let ann = scene.ann();
    scene.server(&ann, "Sky", "demo").await;
    proxy.blackhole();
    let reply = scene.discord.command(&ann, "/server info server:Sky").await;
    assert!(!reply.late());
    assert_eq!((reply.kind(), scene.owed().await), (Some(DEFERRED), 0));
    reply.until("what is wrong", |message| message.text().contains("database")).await;
    proxy.heal();
    scene.bot.until_ready().await;
    scene.until_nothing_is_owed().await;

    // A promise that is made while it is away is noted then, if the bot lives on.
    refuse_edits(&scene.discord);
    proxy.blackhole();
    let reply = type_line(&scene, "/profile").await;
    assert!(!reply.late());
    tokio::time::sleep(Duration::from_secs(1)).await;
    proxy.heal();
    wait::until(SOON, "the promise to be noted", async || (scene.owed().await == 1).then_some(())).await;
    let scene = scene.killed().await;
    take_edits(&scene.discord);
    reply.until("the truth", says_interrupted).await;
    scene.until_nothing_is_owed().await;
}
