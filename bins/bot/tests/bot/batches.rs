//! Actions on every server with a label.

use agis_discord_stand_in::{CHANNEL, Message};

use crate::scene::Scene;

#[tokio::test]
async fn one_message_follows_all_servers() {
    let scene = Scene::open().await;
    let (ann, ben) = (scene.ann(), scene.ben());
    for name in ["Sky", "Sea"] {
        scene.look(&ann, &format!("/server create name:{name} game:demo labels:friday")).await;
    }
    let reply = scene.discord.command(&ann, "/server start label:friday").await;
    let text = reply.until("all servers", |message| message.text().contains("Started the servers")).await.text();
    assert!(text.contains("2 of 2 servers done with") && text.contains("**Sky** · done"), "{text}");
    assert_eq!(scene.count("game_servers where status = 'running'").await, 2);

    // Others are told which servers are left alone.
    scene.look(&ann, "/server share server:Sky with:Ben may:read").await;
    let reply = scene.discord.command(&ben, "/server stop label:friday").await;
    let text = reply.until("the end", |message| message.text().contains("1 of 1 server")).await.text();
    assert!(text.contains("**Sky** · left alone: you may not"), "{text}");
    assert_eq!(scene.count("operations").await, 2);

    let neither = scene.refused(&ann, "/server stop").await;
    assert!(neither.contains("Say which `server`"), "{neither}");
    let warned = scene.refused(&ann, "/server stop label:friday warn:5m").await;
    assert!(warned.contains("`warn` is for one `server`"), "{warned}");
    let typo = scene.refused(&ann, "/server stop label:fryday").await;
    assert!(typo.contains("No server of yours carries this label"), "{typo}");
    let paced = scene.refused(&ann, "/server stop server:Sky at_most:2").await;
    assert!(paced.contains("`at_most` is for a `label`"), "{paced}");
    let both = scene.refused(&ann, "/server stop server:Sky label:friday").await;
    assert!(both.contains("not both"), "{both}");
    scene.assert_clean();
}

#[tokio::test]
async fn rest_is_left_alone_by_a_button() {
    let scene = Scene::open().await;
    let ann = scene.ann();
    for name in ["Sky", "Sea"] {
        scene.look(&ann, &format!("/server create name:{name} game:demo labels:friday")).await;
    }
    let reply = scene.discord.command(&ann, "/server start label:friday stagger:10m").await;
    reply.until("a turn that is to come", |message| message.text().contains("waits for its turn")).await;
    let ben = scene.ben();
    let refused = crate::talk::refusal(&reply.press(&ben, "Leave the rest alone").await).await;
    assert!(refused.contains("Only who asked"), "{refused}");
    reply.press(&ann, "Leave the rest alone").await;
    let text = reply.until("the end", |message| message.text().contains("2 of 2 servers")).await.text();
    assert!(text.contains("left alone: cancelled"), "{text}");
    assert_eq!(scene.count("operations").await, 1);
    scene.assert_clean();
}

#[tokio::test]
async fn long_action_tells_its_end_in_the_channel() {
    let scene = Scene::open().await;
    let ann = scene.ann();
    for name in ["Sky", "Sea"] {
        scene.look(&ann, &format!("/server create name:{name} game:demo labels:friday")).await;
    }
    let reply = scene.discord.command(&ann, "/server start label:friday stagger:10m").await;
    reply.until("a turn that is to come", |message| message.text().contains("waits for its turn")).await;
    let old = "update server_batches set created_at = now() - interval '20 min', next_at = now()";
    scene.stack.sql().await.batch_execute(old).await.expect("twenty minutes");
    let through = |message: &Message| message.text().contains("is through");
    let told = scene.discord.wait_for_message(CHANNEL, "the summary", through).await;
    let text = told.text();
    assert!(
        text.contains("start of the servers with the label friday") && text.contains("Done on 2 of 2 servers"),
        "{text}"
    );
    assert_eq!(scene.count("notices WHERE kind = 'actions_ended'").await, 1);
    scene.assert_clean();
}

#[tokio::test]
async fn schedule_for_a_label_shows_each_server() {
    let scene = Scene::open().await;
    let ann = scene.ann();
    for name in ["Sky", "Sea"] {
        scene.look(&ann, &format!("/server create name:{name} game:demo labels:friday")).await;
    }
    let made =
        scene.look(&ann, "/schedule create label:friday action:start cron:0 4 * * * at_most:1 stagger:30s").await;
    for part in ["**Start** all servers with the label friday (2 now)", "At a time", "30s"] {
        assert!(made.contains(part), "{part}: {made}");
    }
    let id = made.rsplit_once("Schedule ").expect("its number").1.to_owned();
    assert!(scene.look(&ann, "/schedule list").await.contains("all servers with the label friday"));
    let run = scene.discord.command(&ann, &format!("/schedule run schedule:{id}")).await;
    run.until("the run to begin", |message| message.text().contains("Run begun")).await;
    let shown = agis_test_support::wait::until(crate::common::SOON, "the first server", async || {
        let history = scene.look(&ann, &format!("/schedule history schedule:{id}")).await;
        history.contains("✅ **Sky**").then_some(history)
    })
    .await;
    assert!(shown.contains("**Sea** · waits for its turn"), "{shown}");
    let cancelled = scene.discord.command(&ann, &format!("/schedule cancel schedule:{id}")).await;
    cancelled.until("its end", |message| message.text().contains("Called off")).await;
    let both = scene.refused(&ann, "/schedule create server:Sky label:friday action:start cron:0 4 * * *").await;
    assert!(both.contains("not both"), "{both}");
    scene.assert_clean();
}

#[tokio::test]
async fn template_makes_its_schedules() {
    let scene = Scene::open().await;
    let ann = scene.ann();
    scene.server(&ann, "Sky", "demo").await;
    let made = scene.look(&ann, "/schedule create server:Sky template:evenings timezone:Europe/Berlin").await;
    for part in ["Schedules created", "Start Sky", "18:00", "23:00", "stop warn 10m 5m 1m"] {
        assert!(made.contains(part), "{part}: {made}");
    }
    assert_eq!(scene.count("server_schedules where timezone = 'Europe/Berlin' and enabled").await, 2);
    let refused = scene.refused(&ann, "/schedule create server:Sky template:evenings cron:0 4 * * *").await;
    assert!(refused.contains("its own times"), "{refused}");
    scene.assert_clean();
}
