//! `/server settings`

use crate::{common::Stack, scene::Scene, talk::refusal};

/// A game whose settings need two pages.
const GAME: &str = r#"
[castles]
title = "Castles"
command = ["sh", "-c", 'echo "mode=$1 motd=$2"; echo up; exec sleep 100000', "castles", "{settings.mode}", "{settings.motd}"]
env = { A = "{settings.slots}{settings.pvp}{settings.key}{settings.doors}{settings.memory}" }
port = 31710
cost_per_hour = 0
ready = { when = { log = "up" }, within_s = 60 }
[castles.settings]
mode = { type = "choice", title = "Mode", choices = [{ value = "0", title = "Easy" }, { value = "1", title = "Hard" }], default = "0" }
motd = { type = "text", title = "Message", help = "For those who join", max_length = 60, default = "" }
slots = { type = "int", title = "Slots", min = 1, max = 64, default = 8 }
pvp = { type = "bool", title = "Fights", default = false }
key = { type = "secret", title = "Password", default = "" }
doors = { type = "ports", title = "Doors", default = [] }
memory = { type = "int", title = "Memory", default = 1024, by = "operator" }
"#;

async fn scene() -> Scene {
    let stack = Stack::start().await;
    stack.add_game(GAME);
    Scene::on(stack, &[]).await
}

#[tokio::test]
async fn settings_are_changed_in_a_modal() {
    let scene = scene().await;
    let ann = scene.ann();
    scene.server(&ann, "Sky", "castles").await;
    scene.running(&ann, "Sky").await;
    let list = scene.discord.command(&ann, "/server settings server:Sky").await;
    let said = list.answered().await;
    assert!(said.is_ephemeral() && said.text().contains("**Mode**: Easy"), "{}", said.text());
    assert_eq!(said.buttons(), ["Change 1–5", "Change 6–6"], "nothing waits for a restart");

    let form = list.press(&ann, "Change 1–5").await;
    assert_eq!(form.fields(), ["Mode", "Message", "Slots", "Fights", "Password"]);
    let motd = "**Hi** @everyone \"{port}\"";
    let filled = [("Mode", "Hard"), ("Message", motd), ("Fights", "On"), ("Password", "hunter2")];
    let done = form.try_submit(&ann, &filled).await.expect("it is sent").answered().await;
    let text = done.text();
    assert!(text.contains("4 settings were changed") && text.contains("**Mode**: Hard"), "{text}");
    assert!(text.contains("Changes take effect at the next start") && !text.contains("hunter2"), "{text}");
    assert!(!text.contains("**Hi**"), "no typed text has an effect: {text}");
    assert_eq!(done.id, said.id, "the list itself changes");
    assert!(done.buttons().contains(&"Restart".to_owned()), "{:?}", done.buttons());

    // A value that is left as it is stays, and so does a secret that is not typed again.
    let form = list.press(&ann, "Change 1–5").await;
    let modal = form.modal().expect("a modal").to_string();
    assert!(modal.contains("leave it empty to keep it") && !modal.contains("hunter2"), "{modal}");
    let text = form.try_submit(&ann, &[("Mode", "Easy")]).await.expect("it is sent").answered().await.text();
    assert!(text.contains("1 setting was changed"), "{text}");
    let row = "game_servers where settings = '{\"key\": \"hunter2\", \"pvp\": true, \"mode\": \"0\", \"motd\": \"**Hi** @everyone \\\"{port}\\\"\"}'";
    assert_eq!(scene.count(row).await, 1);
    assert!(scene.bot.log().iter().all(|line| !line.to_string().contains("hunter2")), "the log holds a secret");
    scene.assert_clean();
}

#[tokio::test]
async fn settings_are_reset_to_their_defaults() {
    let scene = scene().await;
    let (ann, ben) = (scene.ann(), scene.ben());
    scene.server(&ann, "Sky", "castles").await;
    let list = scene.discord.command(&ann, "/server settings server:Sky").await;
    list.answered().await;
    let form = list.press(&ann, "Change 1–5").await;
    let filled = [("Mode", "Hard"), ("Message", "  Hi  you "), ("Slots", " 9 "), ("Password", "hunter2")];
    let text = form.try_submit(&ann, &filled).await.expect("it is sent").answered().await.text();
    assert!(text.contains("with `reset` sets a setting back"), "{text}");
    let kept = r#"'{"key": "hunter2", "mode": "1", "motd": "  Hi  you ", "slots": 9}'"#;
    assert_eq!(scene.count(&format!("game_servers where settings = {kept}")).await, 1, "spaces are kept");

    let offered = scene.offered(&ann, "/server settings server:Sky reset:").await;
    let titles: Vec<_> = offered.iter().map(|(title, _)| title.as_str()).collect();
    assert_eq!(titles, ["Mode", "Message", "Slots", "Password"], "those that have a value");
    let text = scene.look(&ann, "/server settings server:Sky reset:Password").await;
    assert!(text.contains("**Password** is back at its default") && text.contains("**Password**: none"), "{text}");
    let text = scene.look(&ann, "/server settings server:Sky reset:motd").await;
    assert!(text.contains("**Message**: empty"), "{text}");
    let row = r#"game_servers where settings = '{"mode": "1", "slots": 9}'"#;
    assert_eq!(scene.count(row).await, 1);

    let why = scene.refused(&ann, "/server settings server:Sky reset:doom").await;
    assert!(why.contains("no setting “doom”"), "{why}");
    scene.look(&ann, "/server share server:Sky with:Ben may:read").await;
    scene.refused(&ben, "/server settings server:Sky reset:slots").await;
    assert!(scene.offered(&ben, "/server settings server:Sky reset:").await.is_empty());
    assert_eq!(scene.count(row).await, 1);
    scene.assert_clean();
}

#[tokio::test]
async fn refused_settings_are_explained() {
    let scene = scene().await;
    let (ann, ben) = (scene.ann(), scene.ben());
    scene.server(&ann, "Sky", "castles").await;
    let list = scene.discord.command(&ann, "/server settings server:Sky").await;
    list.answered().await;
    let form = list.press(&ann, "Change 1–5").await;
    let why = refusal(&form.try_submit(&ann, &[("Slots", "65"), ("Mode", "Hard")]).await.expect("it is sent")).await;
    assert!(why.contains("slots") && why.contains("must be a whole number from 1 to 64"), "{why}");
    let form = list.press(&ann, "Change 6–6").await;
    let why = refusal(&form.try_submit(&ann, &[("Doors", "80;81")]).await.expect("it is sent")).await;
    assert!(why.contains("port numbers"), "{why}");
    assert_eq!(scene.count("game_servers where settings = '{}'").await, 1);

    // Others read, and change nothing.
    scene.look(&ann, "/server share server:Sky with:Ben may:read").await;
    let seen = scene.discord.command(&ben, "/server settings server:Sky").await.answered().await;
    assert!(seen.buttons().is_empty() && seen.text().contains("**Slots**: 8"), "{}", seen.text());
    scene.assert_clean();
}

#[tokio::test]
async fn few_settings_open_a_modal_at_once() {
    let scene = Scene::open().await;
    let (ann, ben) = (scene.ann(), scene.ben());
    scene.server(&ann, "Sky", "demo").await;
    let form = scene.discord.command(&ann, "/server settings server:Sky").await;
    assert_eq!(form.fields(), ["Greeting"]);
    let done = form.try_submit(&ann, &[("Greeting", "Welcome")]).await.expect("it is sent").answered().await;
    assert!(done.is_ephemeral() && done.text().contains("**Greeting**: Welcome"), "{}", done.text());
    assert_eq!(done.buttons(), ["Change"]);
    // The sender of the form is checked anew.
    let why = refusal(&form.try_submit(&ben, &[("Greeting", "Mine")]).await.expect("it is sent")).await;
    assert!(why.contains("There is no such server"), "{why}");
    scene.assert_clean();
}
