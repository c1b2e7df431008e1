//! People hear of what went wrong: once, where they asked for it or alone.

use std::time::Duration;

use agis_discord_stand_in::{CHANNEL, Person};
use agis_test_support::wait;

use crate::{
    common::{OWNER, SOON, signal},
    connection::one,
    scene::{Bot, Scene},
};

/// The person whose key the stack has.
fn owner(scene: &Scene) -> Person {
    scene.discord.person(OWNER.parse().expect("an id"), "Owner")
}

/// Fails to start a server over REST.
async fn fail_over_rest(scene: &Scene, name: &str) {
    // Discord knows them.
    owner(scene);
    let id = scene.api.server(name, "unready").await;
    let operation = scene.api.ask(id, "start").await;
    assert_eq!(scene.api.ended(&operation).await["state"], "failed");
}

async fn until_notices(scene: &Scene, state: &str, count: i64) {
    let query = format!("select count(*) from notices where state = '{state}'");
    let what = format!("{count} notices to be {state}");
    wait::until(SOON, &what, async || (one(&scene.stack, &query).await == count).then_some(())).await;
}

async fn until_running(scene: &Scene) {
    let running = "select count(*) from game_servers where status = 'running'";
    wait::until(SOON, "the server to run", async || (one(&scene.stack, running).await == 1).then_some(())).await;
}

#[tokio::test]
async fn rest_caller_is_told_alone_and_once() {
    let scene = Scene::open().await;
    let owner = owner(&scene);
    fail_over_rest(&scene, "doomed @everyone").await;
    let channel = scene.discord.dm_channel(&owner);
    let message =
        scene.discord.wait_for_message(channel, "the notice", |message| message.text().contains("doomed")).await;
    assert!(message.text().contains("failed"), "{}", message.text());
    until_notices(&scene, "sent", 1).await;
    assert_eq!(scene.discord.dms(owner.id()).len(), 1);
    scene.assert_clean();
}

#[tokio::test]
async fn channel_caller_is_told_there() {
    let scene = Scene::open().await;
    let ann = scene.ann();
    scene.discord.command(&ann, "/server create name:Doomed game:unready").await.answered().await;
    scene.discord.command(&ann, "/server start server:Doomed").await;
    let mention = format!("<@{}>", ann.id());
    scene.discord.wait_for_message(CHANNEL, "the notice", |message| message.content.contains(&mention)).await;
    until_notices(&scene, "sent", 1).await;
    assert!(scene.discord.dms(ann.id()).is_empty());
    scene.assert_clean();
}

#[tokio::test]
async fn forbidden_channel_becomes_a_direct_message() {
    let scene = Scene::open().await;
    let ann = scene.ann();
    scene.discord.set_forbidden(CHANNEL, true);
    scene.discord.command(&ann, "/server create name:Doomed game:unready").await.answered().await;
    scene.discord.command(&ann, "/server start server:Doomed").await;
    let channel = scene.discord.dm_channel(&ann);
    scene.discord.wait_for_message(channel, "the notice", |message| message.text().contains("Doomed")).await;
    until_notices(&scene, "sent", 1).await;
}

#[tokio::test]
async fn closed_direct_messages_are_given_up_on() {
    let scene = Scene::open().await;
    scene.discord.set_dms_closed(&owner(&scene), true);
    fail_over_rest(&scene, "doomed").await;
    until_notices(&scene, "given_up", 1).await;
    let why = one(&scene.stack, "select count(*) from notices where last_error is not null").await;
    assert_eq!(why, 1, "the row says why");
    assert_eq!(scene.bot.metric("agis_bot_notices_total{outcome=\"given_up\"}").await, 1.0);
}

#[tokio::test]
async fn rate_limits_are_waited_for() {
    let scene = Scene::open().await;
    scene.discord.limit_next("POST /channels/", Duration::from_secs(2));
    fail_over_rest(&scene, "doomed").await;
    until_notices(&scene, "sent", 1).await;
    assert_eq!(scene.discord.dms(OWNER.parse().expect("an id")).len(), 1);
    let refused = scene.discord.requests_to("POST /channels/").iter().filter(|request| request.status == 429).count();
    assert_eq!(refused, 1, "a limit is met once and then waited for");
}

#[tokio::test]
async fn dead_notifier_is_followed_without_doubles() {
    let scene = Scene::open().await;
    fail_over_rest(&scene, "doomed").await;
    until_notices(&scene, "sent", 1).await;
    let Scene { bot, api: _api, discord, stack } = scene;
    bot.kill();
    // As it was before the end was noted, and after the lease was over.
    let forget =
        "update notices set state = 'pending', finished_at = null, lease_until = null, next_attempt_at = now()";
    stack.sql().await.batch_execute(forget).await.expect("a notice that waits");
    let _next = Bot::start(&stack, &discord, &[]).await;
    wait::until(SOON, "the notice to be sent", async || {
        (one(&stack, "select count(*) from notices where state = 'sent'").await == 1).then_some(())
    })
    .await;
    assert_eq!(discord.requests_to("POST /channels/").len(), 2, "it was sent twice");
    assert_eq!(discord.dms(OWNER.parse().expect("an id")).len(), 1, "and shown once");
}

#[tokio::test]
async fn crash_that_stays_is_told_with_console_and_button() {
    let scene = Scene::open().await;
    let ann = scene.ann();
    scene.discord.command(&ann, "/server create name:Sky game:demo").await.answered().await;
    let said = scene.look(&ann, "/server settings server:Sky restarts:crash").await;
    assert!(said.contains("started again after a crash, at most 5 times within 10m"), "{said}");
    scene.discord.command(&ann, "/server start server:Sky").await.answered().await;
    let id = one(&scene.stack, "select max(id)::bigint from game_servers").await;
    until_running(&scene).await;
    let sql = scene.stack.sql().await;
    let often = "update game_servers set restarts = array_fill(now(), array[4]), restart_generation = generation";
    sql.batch_execute(often).await.expect("a streak");
    let game = scene.stack.process_of(id).expect("a process")["game"]["pid"].as_i64().expect("a pid");
    signal(game, "KILL");
    let waiting = "select count(*) from game_servers where restart_at is not null";
    wait::until(SOON, "the wait", async || (one(&scene.stack, waiting).await == 1).then_some(())).await;
    let info = scene.look(&ann, "/server info server:Sky").await;
    assert!(info.contains("Comes back") && info.contains("attempt 5 of 5"), "{info}");
    assert!(scene.discord.dms(ann.id()).is_empty(), "a server that comes back is no news");

    sql.batch_execute("update game_servers set restart_at = null").await.expect("no wait");
    scene.discord.command(&ann, "/server start server:Sky").await.answered().await;
    until_running(&scene).await;
    let said = scene.look(&ann, "/server settings server:Sky restarts:never").await;
    assert!(said.contains("stays down"), "{said}");
    let game = scene.stack.process_of(id).expect("a process")["game"]["pid"].as_i64().expect("a pid");
    signal(game, "KILL");
    let channel = scene.discord.dm_channel(&ann);
    let told = scene.discord.wait_for_message(channel, "the notice", |it| it.text().contains("has crashed")).await;
    assert!(told.text().contains("signal 9") && told.text().contains("ready for players"), "{}", told.text());
    scene.discord.press(&ann, &told, "Start").await.answered().await;
    until_running(&scene).await;
    scene.assert_clean();
}
