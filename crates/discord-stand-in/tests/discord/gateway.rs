use std::time::Duration;

use agis_discord_stand_in::{Discord, GUILD};
use agis_test_support::wait;

use crate::bot::Bot;

const LONG: Duration = Duration::from_secs(20);

async fn entries(discord: &Discord, what: &str, fits: impl Fn(&[bool]) -> bool) {
    wait::until(LONG, what, async || {
        let resumed: Vec<_> = discord.sessions().iter().map(|entry| entry.resumed).collect();
        fits(&resumed).then_some(())
    })
    .await;
}

#[tokio::test]
async fn dropped_connection_gets_what_it_missed() {
    let discord = Discord::start().await;
    let bot = Bot::start(&discord).await;
    let ann = discord.person(101, "Ann");
    discord.refuse_connections();
    let missed = discord.command(&ann, "/echo the text text:missed");
    let back = async {
        wait::until(LONG, "nobody to be there", async || bot.heard().is_empty().then_some(())).await;
        discord.accept_connections();
    };
    let (reply, ()) = tokio::join!(missed, back);
    entries(&discord, "a resume", |resumed| resumed == [false, true]).await;
    wait::until(LONG, "the missed event", async || (bot.heard().len() == 1).then_some(())).await;
    drop(reply);
    assert_eq!(discord.complaints(), [""; 0]);
}

#[tokio::test]
async fn gateway_asks_to_reconnect_or_begin_anew() {
    let discord = Discord::start().await;
    let bot = Bot::start(&discord).await;
    discord.reconnect();
    entries(&discord, "a resume", |resumed| resumed == [false, true]).await;
    discord.drop_connections();
    entries(&discord, "another resume", |resumed| resumed == [false, true, true]).await;
    discord.invalid_session(true);
    entries(&discord, "a third resume", |resumed| resumed == [false, true, true, true]).await;
    discord.invalid_session(false);
    entries(&discord, "a new session", |resumed| resumed == [false, true, true, true, false]).await;
    assert!(!discord.command(&discord.person(101, "Ann"), "/echo the text text:a").await.late());
    bot.assert_well();
    assert_eq!(discord.complaints(), [""; 0]);
}

#[tokio::test]
async fn unacknowledging_gateway_is_left() {
    let discord = Discord::start().await;
    discord.heartbeat_every(Duration::from_millis(200));
    let _bot = Bot::start(&discord).await;
    discord.stop_heartbeat_acks();
    entries(&discord, "a resume", |resumed| resumed.contains(&true)).await;
    discord.resume_heartbeat_acks();
}

#[tokio::test]
async fn guild_has_one_shard_and_messages_the_first() {
    let discord = Discord::start().await;
    let bot = Bot::with_shards(&discord, 2).await;
    entries(&discord, "two sessions", |resumed| resumed.len() == 2).await;
    let ann = discord.person(101, "Ann");
    let other = GUILD ^ (1 << 22);
    discord.guild(other, "Other", 7);
    discord.join(&ann, other);
    for place in [ann.clone(), ann.in_channel(7), ann.in_dm()] {
        assert!(!discord.command(&place, "/echo the text text:a").await.late());
    }
    assert_eq!(bot.heard().len(), 3);
    bot.assert_well();
    assert_eq!(discord.complaints(), [""; 0]);
}

#[tokio::test]
async fn doubled_delivery_takes_one_answer() {
    let discord = Discord::start().await;
    let bot = Bot::start(&discord).await;
    let reply = discord.deliver_twice(&discord.person(101, "Ann"), "/echo the text text:a").await;
    wait::until(LONG, "both deliveries", async || (bot.heard().len() == 2).then_some(())).await;
    wait::until(LONG, "the refusal", async || (!bot.errors.lock().expect("lock").is_empty()).then_some(())).await;
    let errors = bot.errors.lock().expect("lock").clone();
    assert!(errors.len() == 1 && errors[0].contains("40060"), "{errors:?}");
    assert_eq!(reply.messages().len(), 1);
    assert_eq!(discord.complaints(), [""; 0]);
}

#[tokio::test]
async fn revoked_token_closes_the_gateway() {
    let discord = Discord::start().await;
    let bot = Bot::start(&discord).await;
    assert!(bot.http.current_user().await.is_ok());
    discord.revoke_token();
    let error = bot.http.current_user().await.expect_err("refused");
    assert!(format!("{error:?}").contains("401"), "{error:?}");
    let gone = discord.try_command(&discord.person(101, "Ann"), "/silent").await;
    assert!(gone.is_err_and(|refusal| refusal.to_string() == "no bot is connected"));
    assert_eq!(discord.complaints(), [""; 0]);
}
