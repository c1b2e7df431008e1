//! Buttons: what they do is decided when they are pressed.

use agis_test_support::wait;

use crate::{common::SOON, scene::Scene, talk::refusal};

#[tokio::test]
async fn buttons_act_in_their_own_message() {
    let scene = Scene::open().await;
    let ann = scene.ann();
    let made = scene.discord.command(&ann, "/server create name:Sky game:demo").await;
    let card = made.answered().await;
    let start = made.press(&ann, "Start").await;
    let ready = start.until("the server to be ready", |message| message.text().contains("Sky is ready")).await;
    assert_eq!(ready.id, card.id, "the message itself tells how it goes");
    let restart = start.press(&ann, "Restart").await;
    restart
        .until("another beginning", |message| message.text().contains("Starting") || message.edits > ready.edits)
        .await;
    let again = |message: &agis_discord_stand_in::Message| message.text().contains("Sky is ready");
    restart.until("the server to be ready again", again).await;
    let stop = restart.press(&ann, "Stop").await;
    stop.until("the end", |message| message.text().contains("Sky has stopped")).await;
    let done = "operations WHERE state = 'succeeded' AND action IN ('start', 'restart', 'stop')";
    wait::until(SOON, "three operations", async || (scene.count(done).await == 3).then_some(())).await;
    scene.assert_clean();
}

#[tokio::test]
async fn pressing_stranger_is_refused_in_private() {
    let scene = Scene::open().await;
    let (ann, ben) = (scene.ann(), scene.ben());
    scene.server(&ann, "Sky", "demo").await;
    let shown = scene.running(&ann, "Sky").await;
    let before = shown.answered().await;
    for button in ["Stop", "Restart"] {
        let pressed = shown.press(&ben, button).await;
        let why = refusal(&pressed).await;
        assert!(why.contains("There is no such server"), "{why}");
    }
    assert_eq!(shown.answered().await, before);
    assert_eq!(scene.count("operations").await, 1);

    // A button of a message that is older than what they may do.
    scene.look(&ann, "/server share server:Sky with:Ben may:stop").await;
    let info = scene.discord.command(&ben, "/server info server:Sky").await;
    assert_eq!(info.answered().await.buttons(), ["Stop"], "only what they may do is offered");
    scene.look(&ann, "/server share server:Sky with:Ben may:read").await;
    let why = refusal(&info.press(&ben, "Stop").await).await;
    assert!(why.contains("You may see this server, but not do this"), "{why}");
    assert_eq!(scene.count("operations").await, 1);
    scene.assert_clean();
}

#[tokio::test]
async fn confirmed_deletion_happens_once() {
    let scene = Scene::open().await;
    let (ann, ben) = (scene.ann(), scene.ben());
    scene.server(&ann, "Sky", "demo").await;
    scene.look(&ann, "/server share server:Sky with:Ben may:everything").await;
    let refused = scene.refused(&ben, "/server delete server:Sky").await;
    assert!(refused.contains("You may see this server"), "{refused}");

    let asked = scene.discord.command(&ann, "/server delete server:Sky").await;
    let question = asked.answered().await;
    assert!(question.is_ephemeral());
    assert_eq!(question.buttons(), ["Delete it", "Keep it"]);
    let unseen = scene.discord.try_choose(&ben, question.id, "Delete it", &[]).await;
    assert!(unseen.is_err(), "nobody else sees the question");

    let pressed = tokio::join!(asked.press(&ann, "Delete it"), asked.press(&ann, "Delete it"));
    let gone = |message: &agis_discord_stand_in::Message| message.text().contains("Sky is deleted");
    // Whichever came first, it is told in the place of the question.
    asked.until("the end", gone).await;
    assert!(!pressed.0.late() && !pressed.1.late());
    assert_eq!(scene.count("operations").await, 1);
    assert!(asked.answered().await.buttons().is_empty(), "there is nothing left to press");
    let list = scene.look(&ann, "/server list").await;
    assert!(list.contains("You have none yet"), "{list}");
    scene.assert_clean();
}

#[tokio::test]
async fn kept_server_stays() {
    let scene = Scene::open().await;
    let ann = scene.ann();
    scene.server(&ann, "Sky", "demo").await;
    scene.look(&ann, "/schedule create server:Sky action:start cron:@daily").await;
    scene.look(&ann, "/apikey create name:mine").await;
    let schedule = scene.offered(&ann, "/schedule delete schedule:").await.remove(0).1;
    let key = scene.offered(&ann, "/apikey revoke key:").await.remove(0).1;
    for line in [
        "/server delete server:Sky".to_owned(),
        format!("/schedule delete schedule:{schedule}"),
        format!("/apikey revoke key:{key}"),
    ] {
        let asked = scene.discord.command(&ann, &line).await;
        assert!(asked.answered().await.is_ephemeral());
        let kept = asked.press(&ann, "Keep it").await;
        let kept = kept.until("that it is kept", |message| message.text().contains("Nothing was changed")).await;
        assert!(kept.buttons().is_empty() && kept.is_ephemeral(), "{line}");
    }
    let (servers, schedules) = (scene.count("game_servers").await, scene.count("server_schedules").await);
    assert_eq!((servers, schedules, scene.count("operations").await), (1, 1, 0));
    assert!(scene.look(&ann, "/apikey list").await.contains("mine"));
    scene.assert_clean();
}
