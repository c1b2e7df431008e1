//! Names that were chosen to do harm.

use agis_discord_stand_in::{CHANNEL, Message, Person};
use agis_test_support::wait;

use crate::{common::SOON, scene::Scene};

/// No message mentions anybody but those whom we name, and none has a link of a name's making.
fn assert_harmless(message: &Message) {
    // The owner is named where an operation failed.
    assert!(["", "<@101>"].contains(&message.content.as_str()), "{}", message.content);
    let text = effective(&message.text());
    for effect in ["@everyone", "@here", "<@1>", "<@&1>", "](http", "https://evil", "**bold**", "||hidden||", "\n# big"]
    {
        assert!(!text.contains(effect), "{effect} in:\n{}", message.text());
    }
}

/// Returns the text as Discord looks for marks in it: a character after a backslash is no mark.
fn effective(text: &str) -> String {
    let mut letters = text.chars();
    let mut kept = String::new();
    while let Some(letter) = letters.next() {
        if letter == '\\' {
            letters.next();
        } else {
            kept.push(letter);
        }
    }
    kept
}

fn names() -> Vec<String> {
    let names = [
        "@everyone and @here",
        "<@1> <@&1> <#1>",
        "**bold** ||hidden|| `code`",
        "[free](https://evil.example)",
        "https://evil.example",
        "# big",
        "```\\",
    ];
    let long = ["🚂".repeat(100), "_".repeat(100), "\\".repeat(100)];
    names.into_iter().map(str::to_owned).chain(long).collect()
}

/// By its number, as it is chosen from the list.
async fn every_page(scene: &Scene, ann: &Person, ben: &Person, server: i32) {
    scene.look(ann, &format!("/server info server:{server}")).await;
    scene.look(ann, &format!("/server share server:{server} with:{} may:start", ben.name())).await;
    scene.look(ann, &format!("/schedule create server:{server} action:start cron:@daily")).await;
    let asked = scene.look(ann, &format!("/server delete server:{server}")).await;
    assert!(asked.contains("Delete this server?"), "{asked}");
}

#[tokio::test]
async fn no_name_mentions_or_breaks_a_message() {
    let scene = Scene::open().await;
    let (ann, ben) = (scene.ann(), scene.ben());
    for name in names() {
        let made = scene.say(&ann, &format!("/server create name:{name} game:demo description:{name}")).await;
        assert!(made.text().contains("is there"), "{name}: {}", made.text());
        let key = scene.say(&ann, &format!("/apikey create name:{name}")).await;
        assert!(key.text().contains("agis_"), "{name}: {}", key.text());
    }
    let rows = scene.stack.sql().await.query("SELECT id FROM game_servers ORDER BY id", &[]).await.expect("servers");
    for row in &rows {
        every_page(&scene, &ann, &ben, row.get(0)).await;
    }
    for line in ["/server list", "/schedule list", "/apikey list"] {
        scene.look(&ann, line).await;
    }
    for line in ["/server info server:", "/schedule run schedule:", "/apikey revoke key:"] {
        assert_eq!(scene.offered(&ann, line).await.len(), names().len(), "{line}");
    }
    for name in names() {
        scene.say(&ann, &format!("/server info server:{name} nowhere")).await;
        scene.say(&ann, &format!("/schedule delete schedule:{name}")).await;
        scene.say(&ann, &format!("/schedule preview cron:{name} timezone:{name}")).await;
        scene.say(&ann, &format!("/schedule preview cron:@daily timezone:{name}")).await;
    }
    let messages = scene.discord.messages(CHANNEL);
    messages.iter().for_each(assert_harmless);
    for request in scene.discord.requests_to("POST /interactions/") {
        let data = &request.body["data"];
        let mentions = &data["allowed_mentions"];
        let nobody = mentions["parse"].as_array().is_some_and(Vec::is_empty);
        assert!(nobody || data["choices"].is_array(), "{data}");
    }
    scene.assert_clean();
}

#[tokio::test]
async fn hostile_name_is_harmless_in_a_channel() {
    let scene = Scene::open().await;
    let ann = scene.ann();
    let made =
        scene.discord.command(&ann, "/server create name:@everyone [x](https://evil.example) game:unready").await;
    made.answered().await;
    let start = made.press(&ann, "Start").await;
    start.until("the failure", |message| message.text().contains("could not be started")).await;
    let started = scene.discord.command(&ann, "/server start server:@everyone").await;
    started.until("the failure", |message| message.text().contains("could not be started")).await;
    wait::until(SOON, "two operations", async || {
        (scene.count("operations WHERE state = 'failed'").await == 2).then_some(())
    })
    .await;
    scene.discord.messages(CHANNEL).iter().for_each(assert_harmless);
    scene.assert_clean();
}

#[tokio::test]
async fn empty_or_lookalike_name_is_refused() {
    let scene = Scene::open().await;
    let ann = scene.ann();
    scene.server(&ann, "MyServer", "demo").await;
    for name in ["\u{3164}", "a\u{202e}b", "Sky\u{200b}", "one\u{2028}two", "\u{2800}\u{2800}", "\u{301}"] {
        let server = scene.refused(&ann, &format!("/server create name:{name} game:demo")).await;
        let key = scene.refused(&ann, &format!("/apikey create name:{name}")).await;
        assert!(server.contains("`name` has") && key.contains("`name` has"), "{name:?}: {server} {key}");
    }
    for name in ["myserver", "МуSеrvеr", "𝐌𝐲𝐒𝐞𝐫𝐯𝐞𝐫"] {
        let refused = scene.refused(&ann, &format!("/server create name:{name} game:demo")).await;
        assert!(refused.contains("or of one that looks the same"), "{name}: {refused}");
    }
    // Somebody else may use the name.
    scene.server(&scene.ben(), "myserver", "demo").await;
    scene.assert_clean();
}

#[tokio::test]
async fn number_means_ones_own_server_first() {
    let scene = Scene::open().await;
    let (ann, ben) = (scene.ann(), scene.ben());
    scene.look(&ben, "/server create name:Plaza game:demo public:true").await;
    let number = scene.offered(&ben, "/server info server:").await.remove(0).1;
    let number = number.strip_prefix('#').expect("a number").to_owned();
    let plaza = scene.look(&ann, &format!("/server info server:{number}")).await;
    assert!(plaza.contains("Plaza"), "nothing else is meant: {plaza}");
    scene.server(&ann, &number, "demo").await;
    let own = scene.look(&ann, &format!("/server info server:{number}")).await;
    assert!(own.contains(&format!("⚪ {number}")), "{own}");
    let plaza = scene.look(&ann, &format!("/server info server:#{number}")).await;
    assert!(plaza.contains("Plaza"), "with its mark it is the number alone: {plaza}");
    scene.assert_clean();
}
