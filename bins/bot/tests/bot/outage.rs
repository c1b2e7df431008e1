//! The database goes away: everybody is still answered in time.

use std::net::SocketAddr;

use agis_discord_stand_in::Discord;
use agis_test_support::proxy::Proxy;

use crate::{
    common::Stack,
    scene::{Bot, Scene},
};

/// The bot behind a proxy that can be told to lose every packet to the database.
pub(crate) async fn behind_a_proxy() -> (Scene, Proxy) {
    let stack = Stack::start().await;
    let (before, rest) = stack.url.split_once('@').expect("a user");
    let (address, database) = rest.split_once('/').expect("a database");
    let target: SocketAddr = address.replace("localhost", "127.0.0.1").parse().expect("an address");
    let proxy = Proxy::start(target).await;
    let url = format!("{before}@{}/{database}", proxy.addr());
    let discord = Discord::start().await;
    let api = stack.api(&[]).await;
    let bot = Bot::start(&stack, &discord, &[("DATABASE_URL", &url)]).await;
    discord.wait_for_commands().await;
    bot.until_ready().await;
    (Scene { bot, api, discord, stack }, proxy)
}

#[tokio::test]
async fn black_hole_is_answered_in_time() {
    let (scene, proxy) = behind_a_proxy().await;
    let ann = scene.ann();
    scene.discord.command(&ann, "/server create name:Sky game:demo").await.answered().await;
    proxy.blackhole();
    for line in ["/server list", "/server start server:Sky", "/schedule list", "/apikey list", "/profile"] {
        let reply = scene.discord.command(&ann, line).await;
        assert!(!reply.late(), "{line}");
        let told =
            reply.until("what is wrong", |message| !message.is_loading() && message.text().contains("database")).await;
        assert!(told.is_ephemeral() || line.contains("start"), "{line}: {}", told.text());
    }
    let choices = scene.discord.autocomplete(&ann, "/server start server:S").await;
    assert!(choices.is_empty(), "no suggestions, but an answer: {choices:?}");
    assert!(!scene.discord.command(&ann, "/help").await.late());

    proxy.heal();
    scene.bot.until_ready().await;
    let reply = scene.discord.command(&ann, "/server list").await;
    reply.until("the list", |message| message.text().contains("Sky")).await;
    scene.assert_clean();
}
