//! The console of a server is for those who may read it: a channel hears that it failed, not what it said.

use agis_discord_stand_in::{CHANNEL, Person};

use crate::{common::Stack, scene::Scene};

const SECRET: &str = "password hunter2";

/// Whose last words are a secret.
const TELLTALE: &str = r#"
    [telltale]
    title = "Telltale"
    command = ["/bin/sh", "-c", "echo 'rcon password hunter2'; exit 1"]
    port = 9
    cost_per_hour = 0
    ready = { when = { log = "ready for players" }, within_s = 30 }
"#;

async fn scene() -> Scene {
    let stack = Stack::start().await;
    stack.add_game(TELLTALE);
    Scene::on(stack, &[]).await
}

/// Starts it, and waits until the channel has heard that it failed.
async fn fails(scene: &Scene, person: &Person) -> agis_discord_stand_in::Reply {
    let started = scene.discord.command(person, "/server start server:Sky").await;
    let failed = started.until("the failure", |message| message.text().contains("could not be started")).await;
    assert!(!failed.is_ephemeral() && failed.text().contains("/server info"), "{}", failed.text());
    started
}

fn assert_untold(scene: &Scene) {
    for message in scene.discord.messages(CHANNEL).iter().filter(|message| !message.is_ephemeral()) {
        assert!(!message.text().contains("hunter2"), "{}", message.text());
    }
}

#[tokio::test]
async fn only_console_readers_hear_why() {
    let scene = scene().await;
    let ann = scene.ann();
    scene.server(&ann, "Sky", "telltale").await;
    let started = fails(&scene, &ann).await;
    let why = started.until("the reason", |message| message.text().contains(SECRET)).await;
    assert!(why.is_ephemeral(), "{}", why.text());
    // The notice, which names the owner.
    let mention = format!("<@{}>", ann.id());
    let notice =
        scene.discord.wait_for_message(CHANNEL, "the notice", |message| message.content.contains(&mention)).await;
    assert!(notice.text().contains("start failed"), "{}", notice.text());
    assert!(scene.look(&ann, "/server info server:Sky").await.contains(SECRET));
    assert_untold(&scene);
    scene.assert_clean();
}

#[tokio::test]
async fn former_reader_hears_nothing_of_the_console() {
    let scene = scene().await;
    let (ann, ben) = (scene.ann(), scene.ben());
    scene.server(&ann, "Sky", "telltale").await;
    scene.look(&ann, "/server share server:Sky with:@Ben may:start").await;
    let started = fails(&scene, &ben).await;
    started.until("the reason", |message| message.is_ephemeral() && message.text().contains(SECRET)).await;
    // The owner hears of what somebody else asked for alone, and why.
    let alone = scene.discord.dm_channel(&ann);
    let notice = scene.discord.wait_for_message(alone, "the notice", |message| message.text().contains("Sky")).await;
    assert!(notice.text().contains(SECRET), "{}", notice.text());

    // A button on the public message, pressed by somebody whose share is taken back in the meantime.
    scene.look(&ann, "/server unshare server:Sky with:@Ben").await;
    let refused = crate::talk::refusal(&started.press(&ben, "Start").await).await;
    assert!(refused.contains("There is no such server"), "{refused}");
    assert_untold(&scene);
    scene.assert_clean();
}
