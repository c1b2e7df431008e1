//! The connection to Discord, and what becomes of it under faults.

use std::{process::Command, time::Duration};

use agis_discord_stand_in::{Discord, GUILD};
use agis_test_support::wait;
use serde_json::Value;

use crate::{
    common::{SOON, Stack, program},
    scene::{Bot, Scene},
};

/// A bot alone, whose Discord was prepared for it.
async fn bot_of(prepare: impl FnOnce(&Discord), settings: &[(&str, &str)]) -> (Bot, Discord, Stack) {
    let stack = Stack::start().await;
    let discord = Discord::start().await;
    prepare(&discord);
    let bot = Bot::start(&stack, &discord, settings).await;
    (bot, discord, stack)
}

/// Waits for so many sessions to have been entered, and answers with how each was: resumed or not.
async fn entries(discord: &Discord, count: usize) -> Vec<bool> {
    let what = format!("{count} sessions to be entered");
    wait::until(SOON, &what, async || {
        let sessions = discord.sessions();
        (sessions.len() >= count).then(|| sessions.iter().map(|entry| entry.resumed).collect())
    })
    .await
}

fn degraded(report: &Value) -> &str {
    report["components"]["discord"]["why"].as_str().unwrap_or_default()
}

#[tokio::test]
async fn unchanged_commands_are_written_once() {
    let scene = Scene::open().await;
    let writes = || scene.discord.requests_to("PUT /applications/").len();
    assert_eq!(writes(), 1);
    let again = Bot::start(&scene.stack, &scene.discord, &[]).await;
    let line = again.logged("the registration", |line| line["message"] == "slash commands registered").await;
    assert_eq!((writes(), &line["changed"]), (1, &Value::Bool(false)), "what Discord adds is no difference");
    scene.assert_clean();
}

#[tokio::test]
async fn guild_commands_are_registered_there_alone() {
    let guild = GUILD.to_string();
    let (bot, discord, _stack) = bot_of(|_| {}, &[("DISCORD_GUILD_ID", &guild)]).await;
    bot.until_ready().await;
    discord.wait_for_commands().await;
    let paths: Vec<_> = discord.requests_to("PUT /applications/").into_iter().map(|request| request.path).collect();
    assert!(matches!(&paths[..], [path] if path.contains(&format!("/guilds/{guild}/commands"))), "{paths:?}");
    assert_eq!(discord.complaints(), [""; 0]);
}

#[tokio::test]
async fn shards_are_as_recommended_without_intents() {
    let (bot, discord, _stack) = bot_of(|discord| discord.recommend_shards(2), &[]).await;
    bot.until_ready().await;
    let sessions = discord.sessions();
    let mut shards: Vec<_> = sessions.iter().map(|entry| entry.shard).collect();
    shards.sort_unstable();
    assert_eq!(shards, [(0, 2), (1, 2)]);
    assert!(sessions.iter().all(|entry| entry.intents == 0 && !entry.resumed), "{sessions:?}");
    assert_eq!(bot.metric("agis_bot_discord_shards_connected").await, 2.0);
}

#[tokio::test]
async fn dropped_connection_is_resumed() {
    let scene = Scene::open().await;
    scene.discord.drop_connections();
    assert_eq!(entries(&scene.discord, 2).await, [false, true]);
    scene.discord.reconnect();
    assert_eq!(entries(&scene.discord, 3).await, [false, true, true]);
    scene.discord.invalid_session(true);
    assert_eq!(entries(&scene.discord, 4).await, [false, true, true, true]);
    scene.bot.until_ready().await;
    let reply = scene.discord.command(&scene.ann(), "/profile").await;
    assert!(!reply.late());
    scene.assert_clean();
}

#[tokio::test]
async fn repeatedly_ended_session_is_held_back() {
    let scene = Scene::open().await;
    for times in 2..=3 {
        scene.discord.invalid_session(false);
        assert_eq!(entries(&scene.discord, times).await, vec![false; times]);
        scene.bot.until_ready().await;
    }
    scene.discord.invalid_session(false);
    let report = scene.bot.until("the next to be held back", |report| degraded(report).contains("held back")).await;
    assert_eq!(report["status"], "degraded", "{report}");
    assert_eq!(scene.discord.sessions().len(), 3);
}

#[tokio::test]
async fn no_session_begins_where_none_is_allowed() {
    let (bot, discord, _stack) = bot_of(|discord| discord.limit_identifies(0), &[]).await;
    bot.until("readiness to say why", |report| degraded(report).contains("no more sessions")).await;
    assert_eq!(discord.sessions(), []);
}

#[tokio::test]
async fn revoked_token_ends_calls_and_is_told() {
    let scene = Scene::open().await;
    scene.discord.revoke_token();
    let report = scene.bot.until("readiness to say why", |report| degraded(report).contains("token")).await;
    assert!(degraded(&report).contains("DISCORD_TOKEN"), "{report}");
    let (calls, sessions) = (scene.discord.requests().len(), scene.discord.sessions().len());

    // Something to be told: nobody is, and nothing is lost.
    let id = scene.api.server("doomed", "unready").await;
    let operation = scene.api.ask(id, "start").await;
    assert_eq!(scene.api.ended(&operation).await["state"], "failed");
    let again = scene.bot.until("another look", |report| degraded(report).contains("token")).await;
    assert_eq!(again["status"], "degraded");
    assert_eq!((scene.discord.requests().len(), scene.discord.sessions().len()), (calls, sessions));
    let waits: i64 = one(&scene.stack, "select count(*) from notices where state = 'pending' and attempts = 0").await;
    assert_eq!(waits, 1);
    assert!(!format!("{:?}", scene.bot.log()).contains(scene.discord.token()), "the token is not in the log");
    assert!(scene.bot.stop().await.0);
}

#[tokio::test]
async fn a_token_that_never_worked_is_tried_once() {
    let stack = Stack::start().await;
    let discord = Discord::start().await;
    let bot = Bot::start(&stack, &discord, &[("DISCORD_TOKEN", "wrong")]).await;
    bot.until("readiness to say why", |report| degraded(report).contains("DISCORD_TOKEN")).await;
    let refused = discord.requests().iter().filter(|request| request.status == 401).count();
    assert_eq!((refused, discord.sessions().len()), (1, 0));
}

#[tokio::test]
async fn discord_out_of_reach_is_waited_for() {
    let scene = Scene::open().await;
    scene.discord.refuse_connections();
    scene.discord.drop_connections();
    scene.bot.until("readiness to say so", |report| !degraded(report).is_empty()).await;
    scene.discord.accept_connections();
    scene.bot.until_ready().await;
    assert!(!scene.discord.command(&scene.ann(), "/help").await.late());
}

#[tokio::test]
async fn shutdown_finishes_running_answers() {
    let scene = Scene::open().await;
    let ann = scene.ann();
    scene.discord.command(&ann, "/profile").await;
    let sql = scene.stack.sql().await;
    sql.batch_execute("begin; lock table users in access exclusive mode").await.expect("a lock");
    let reply = scene.discord.command(&ann, "/server create name:Sky game:demo").await;
    assert!(!reply.late());
    let Scene { bot, api: _api, discord, stack: _stack } = scene;
    let answered = async {
        wait::until(SOON, "the bot to leave the gateway", async || (!discord.is_connected()).then_some(())).await;
        sql.batch_execute("commit").await.expect("the lock's end");
        reply.until("the answer", |message| message.text().contains("Sky")).await;
    };
    let ((well, took), ()) = tokio::join!(bot.stop(), answered);
    assert!(well && took < Duration::from_secs(30), "{took:?}");
    assert_eq!(discord.complaints(), [""; 0]);
}

#[tokio::test]
async fn all_configuration_errors_are_told_at_once() {
    let mut command = Command::new(program::path("agis-bot"));
    let output = command.env_clear().env("DISCORD_GUILD_ID", "here").output().expect("agis-bot runs");
    let error = String::from_utf8(output.stderr).expect("text");
    assert_eq!(output.status.code(), Some(1), "{error}");
    for setting in ["DISCORD_TOKEN", "DATABASE_URL", "DISCORD_GUILD_ID"] {
        assert!(error.contains(setting), "{setting} is not in: {error}");
    }
}

pub(crate) async fn one(stack: &Stack, query: &str) -> i64 {
    stack.sql().await.query_one(query, &[]).await.expect("a row").get(0)
}
