//! An interaction that is delivered twice is done once, also by two processes.

use agis_discord_stand_in::Person;
use agis_test_support::wait;

use crate::{
    common::SOON,
    scene::{Bot, Scene},
};

/// Every line that makes something, each delivered twice.
async fn each_line_twice(scene: &Scene, ann: &Person) {
    let twice = async |line: &str, says: &str| {
        let reply = scene.discord.deliver_twice(ann, line).await;
        assert!(!reply.late(), "{line}");
        reply.until(says, |message| message.text().contains(says)).await
    };
    twice("/server create name:Sky game:demo", "Sky is there").await;
    twice("/server start server:Sky", "Sky is ready").await;
    twice("/server command server:Sky command:hi", "Sent to Sky").await;
    twice("/schedule create server:Sky action:stop cron:@daily", "Schedule created").await;
    let made = twice("/apikey create name:mine", "Your key mine").await;
    assert!(made.is_ephemeral() && made.text().contains("agis_"), "{}", made.text());
}

async fn assert_once(scene: &Scene, ann: &Person) {
    let counts = [
        ("game_servers", 1),
        ("operations", 1),
        ("server_commands", 1),
        ("server_schedules", 1),
        ("api_keys WHERE discord_id = '101'", 1),
        ("idempotency_keys WHERE key LIKE 'discord:%'", 4),
    ];
    for (rows, expected) in counts {
        assert_eq!(scene.count(rows).await, expected, "{rows}");
    }
    let list = scene.look(ann, "/server list").await;
    assert_eq!(list.matches("**Sky**").count(), 1, "{list}");
    let public = scene.discord.messages(agis_discord_stand_in::CHANNEL);
    let public: Vec<_> = public.iter().filter(|message| !message.is_ephemeral()).map(|it| it.text()).collect();
    assert_eq!(public.len(), 1, "{public:?}");
}

#[tokio::test]
async fn repeat_to_one_process_is_done_once() {
    let scene = Scene::open().await;
    let ann = scene.ann();
    each_line_twice(&scene, &ann).await;
    assert_once(&scene, &ann).await;
    scene.assert_clean();
}

#[tokio::test]
async fn repeat_to_two_processes_is_done_once() {
    let scene = Scene::open().await;
    let ann = scene.ann();
    let other = Bot::start(&scene.stack, &scene.discord, &[]).await;
    other.until_ready().await;
    wait::until(SOON, "two sessions", async || (scene.discord.sessions().len() == 2).then_some(())).await;
    each_line_twice(&scene, &ann).await;
    assert_once(&scene, &ann).await;

    let schedule = scene.offered(&ann, "/schedule delete schedule:").await.remove(0).1;
    let key = scene.offered(&ann, "/apikey revoke key:").await.remove(0).1;
    scene.look(&ann, &format!("/server share server:Sky with:{} may:start", scene.ben().name())).await;
    let unshared = scene.look(&ann, "/server unshare server:Sky with:Ben").await;
    assert!(unshared.contains("is not shared with <@102> any more"), "{unshared}");
    for (line, button, says) in [
        (format!("/schedule delete schedule:{schedule}"), "Delete it", "Schedule deleted"),
        (format!("/apikey revoke key:{key}"), "Revoke it", "Key revoked"),
        ("/server delete server:Sky".to_owned(), "Delete it", "Sky is deleted"),
    ] {
        let asked = scene.discord.command(&ann, &line).await;
        asked.answered().await;
        let pressed = asked.press(&ann, button).await;
        pressed.until(says, |message| message.text().contains(says)).await;
        assert!(pressed.follow_ups().is_empty(), "{line}: {}", pressed.text());
    }
    assert_eq!(scene.count("operations").await, 2);
    let panicked = other.log().iter().any(|line| line.to_string().contains("panicked"));
    assert!(!panicked, "{:?}", other.log());
    scene.assert_clean();
}
