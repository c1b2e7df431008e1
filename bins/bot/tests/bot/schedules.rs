//! `/schedule`

use agis_discord_stand_in::{CHANNEL, Message};
use agis_test_support::wait;

use crate::{
    common::SOON,
    scene::Scene,
    talk::{moments, refusal},
};

const DAY: i64 = 24 * 3600;

/// 08:00 in New York, in winter or in summer.
fn is_eight_in_new_york(moment: i64) -> bool {
    [12, 13].contains(&(moment % DAY / 3600)) && moment % 3600 == 0
}

#[tokio::test]
async fn checklist_line_makes_a_schedule() {
    let scene = Scene::open().await;
    let ann = scene.ann();
    scene.server(&ann, "MyServer", "demo").await;
    // Discord's client passes quotes on; one pair of them is this stand-in's own.
    let crons = ["\"0 8 * * *\"", "0 8 * * *", "\"\"0 8 * * *\"\"", "“0 8 * * *”", "'0 8 * * *'"];
    for cron in crons {
        let line = format!("/schedule create server:MyServer action:start cron:{cron} timezone:America/New_York");
        let said = scene.look(&ann, &line).await;
        for part in ["Schedule created", "**Start** MyServer", "every day at 08:00", "New", "`0 8 * * *`"] {
            assert!(said.contains(part), "{part}: {said}");
        }
        let runs = moments(&said);
        assert_eq!(runs.len(), 5, "{said}");
        assert!(runs.iter().all(|run| is_eight_in_new_york(*run)), "{runs:?}");
        assert!(runs.windows(2).all(|pair| (DAY - 3600..=DAY + 3600).contains(&(pair[1] - pair[0]))), "{runs:?}");
    }
    let alike = "server_schedules WHERE cron_expression = '0 8 * * *' AND timezone = 'America/New_York'";
    assert_eq!(scene.count(alike).await, 5);
    scene.assert_clean();
}

#[tokio::test]
async fn schedule_is_listed_toggled_run_and_deleted() {
    let scene = Scene::open().await;
    let ann = scene.ann();
    let none = scene.look(&ann, "/schedule list").await;
    assert!(none.contains("`/schedule create` makes one"), "{none}");
    scene.server(&ann, "Sky", "demo").await;
    let made = scene.look(&ann, "/schedule create server:Sky action:start cron:0 18 * * 5 missed:skip").await;
    let id = made.split_once("Schedule created").and_then(|_| made.rsplit_once("Schedule ")).expect("its number").1;

    for line in ["/schedule list", "/schedule list server:Sky"] {
        let list = scene.look(&ann, line).await;
        assert!(list.contains(&format!("⏰ **{id}** · Start Sky · ")) && list.contains("next <t:"), "{list}");
    }
    let disabled = scene.look(&ann, &format!("/schedule disable schedule:{id}")).await;
    assert!(disabled.contains("Schedule disabled") && moments(&disabled).is_empty(), "{disabled}");
    assert!(scene.look(&ann, "/schedule list").await.contains("⏸️"));
    let enabled = scene.look(&ann, &format!("/schedule enable schedule:#{id}")).await;
    assert!(enabled.contains("Schedule enabled") && moments(&enabled).len() == 5, "{enabled}");

    let run = scene.discord.command(&ann, &format!("/schedule run schedule:{id}")).await;
    let ready = run.until("the server to be ready", |message| message.text().contains("Sky is ready")).await;
    assert!(!ready.is_ephemeral());

    let asked = scene.discord.command(&ann, &format!("/schedule delete schedule:{id}")).await;
    assert!(asked.answered().await.text().contains("Delete this schedule?"));
    let deleted = asked.press(&ann, "Delete it").await;
    deleted.until("the end", |message| message.text().contains("Schedule deleted")).await;
    wait::until(SOON, "no schedule", async || (scene.count("server_schedules").await == 0).then_some(())).await;
    scene.assert_clean();
}

#[tokio::test]
async fn a_preview_stores_nothing() {
    let scene = Scene::open().await;
    let said = scene.look(&scene.ann(), "/schedule preview cron:0 8 * * * timezone:America/New_York").await;
    assert!(said.contains("It would run") && said.contains("every day at 08:00"), "{said}");
    assert_eq!(moments(&said).len(), 5, "{said}");
    assert_eq!(scene.count("server_schedules").await, 0);
    scene.assert_clean();
}

#[tokio::test]
async fn schedule_mistake_is_told_in_private() {
    let scene = Scene::open().await;
    let (ann, ben) = (scene.ann(), scene.ben());
    scene.server(&ann, "Sky", "demo").await;
    scene.look(&ann, "/schedule create server:Sky action:stop cron:@daily").await;
    let mistakes = [
        ("/schedule create server:Sky action:start cron:every morning", "five"),
        ("/schedule create server:Sky action:start cron:0 25 * * *", "hour"),
        ("/schedule create server:Sky action:start cron:0 8 30 2 *", "never"),
        ("/schedule create server:Sky action:start cron:@daily timezone:New Jork", "Europe/Berlin or America/New"),
        ("/schedule create server:Nowhere action:start cron:@daily", "/server list"),
        ("/schedule list server:Nowhere", "/server list"),
        ("/schedule preview cron:0 8 * *", "five"),
        ("/schedule delete schedule:tomorrow", "/schedule list"),
        ("/schedule enable schedule:999999", "/schedule list"),
    ];
    for (line, part) in mistakes {
        let refused = scene.refused(&ann, line).await;
        assert!(refused.contains(part), "{line}: {refused}");
    }
    let zone = scene.refused(&ann, "/schedule preview cron:@daily timezone:@everyone").await;
    assert!(zone.contains(". Choose one from the list") && !zone.contains("@everyone"), "{zone}");
    let unknown = "/schedule create server:Sky action:explode cron:@daily";
    assert!(scene.discord.try_command(&ann, unknown).await.is_err(), "an action is one of the choices");

    let id: i32 = {
        let row = scene.stack.sql().await.query_one("SELECT id FROM server_schedules", &[]).await;
        row.expect("one schedule").get(0)
    };
    for verb in ["delete", "enable", "disable", "run"] {
        let refused = scene.refused(&ben, &format!("/schedule {verb} schedule:{id}")).await;
        assert!(refused.contains("There is no such schedule"), "{refused}");
    }
    scene.assert_clean();
}

#[tokio::test]
async fn steps_are_made_run_followed_and_cancelled() {
    let scene = Scene::open().await;
    let ann = scene.ann();
    scene.server(&ann, "Sky", "demo").await;
    let made = scene.look(&ann, "/schedule create server:Sky steps:wait 1h; start cron:0 4 * * *").await;
    for part in ["Schedule created", "**Steps on** Sky", "1. wait 1h", "2. start", "at any time"] {
        assert!(made.contains(part), "{part}: {made}");
    }
    let id = made.rsplit_once("Schedule ").expect("its number").1.to_owned();
    let none = scene.look(&ann, &format!("/schedule history schedule:{id}")).await;
    assert!(none.contains("None yet"), "{none}");
    let run = scene.discord.command(&ann, &format!("/schedule run schedule:{id}")).await;
    run.until("the run to begin", |message| message.text().contains("Run begun")).await;
    let history = async |part: &str| {
        wait::until(SOON, "the history", async || {
            let history = scene.look(&ann, &format!("/schedule history schedule:{id}")).await;
            history.contains(part).then_some(history)
        })
        .await
    };
    let goes_on = history("⏳ 1. wait 1h").await;
    assert!(goes_on.contains("▫️ 2. start"), "{goes_on}");
    let cancelled = scene.discord.command(&ann, &format!("/schedule cancel schedule:{id}")).await;
    cancelled.until("its end", |message| message.text().contains("Called off")).await;
    assert!(history("skipped: somebody cancelled it").await.contains("⏭️ 2. start"));
    let again = scene.refused(&ann, &format!("/schedule cancel schedule:{id}")).await;
    assert!(again.contains("No run of this schedule"), "{again}");

    let nightly =
        scene.look(&ann, "/schedule create server:Sky action:restart players:wait cron:0 4 * * * warn:5m 1m").await;
    for part in ["1. restart warn 5m 1m", "the server should be running, and nobody plays; it waits up to 2h"] {
        assert!(nightly.contains(part), "{part}: {nightly}");
    }
    let id = nightly.rsplit_once("Schedule ").expect("its number").1;
    let stopped = scene.refused(&ann, &format!("/schedule run schedule:{id}")).await;
    assert!(stopped.contains("its server was stopped"), "{stopped}");
    for (line, part) in [
        ("/schedule create server:Sky steps:dance cron:0 4 * * *", "'dance' is no step"),
        ("/schedule create server:Sky action:restart warn:5m 15m cron:0 4 * * *", "`warn` names the longest"),
        ("/schedule create server:Sky action:start at_most:2 cron:0 4 * * *", "`at_most` is for a `label`"),
        ("/schedule create server:Sky steps:start warn:5m cron:0 4 * * *", "for a stop or a restart"),
        ("/schedule create server:Sky steps:start action:start cron:0 4 * * *", "either"),
        ("/schedule create server:Sky action:start", "`cron`, or `at`"),
        ("/schedule create server:Sky action:start at:2020-01-01 20:00", "from now on"),
        ("/schedule create server:Sky action:start at:tonight", "2026-12-24 20:00"),
    ] {
        let refused = scene.refused(&ann, line).await;
        assert!(refused.contains(part), "{line}: {refused}");
    }
    scene.assert_clean();
}

#[tokio::test]
async fn restart_is_announced_and_called_off() {
    let scene = Scene::open().await;
    let ann = scene.ann();
    scene.server(&ann, "Sky", "demo").await;
    let start = scene.discord.command(&ann, "/server start server:Sky").await;
    start.until("the server to be ready", |message| message.text().contains("Sky is ready")).await;
    let reply = scene.discord.command(&ann, "/server restart server:Sky warn:1h 5m").await;
    let announced = reply.until("the announcement", |message| message.text().contains("Announced")).await;
    let text = announced.text();
    for part in ["The server restarts in 1 hour.", "The server restarts in 5 minutes.", "restart"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let id = text.rsplit_once("Schedule ").and_then(|(_, rest)| rest.split_whitespace().next()).expect("its number");
    let list = scene.look(&ann, "/schedule list").await;
    assert!(list.contains("once, <t:"), "{list}");
    wait::until(SOON, "the run", async || {
        (scene.count("schedule_run_steps WHERE state = 'running'").await == 1).then_some(())
    })
    .await;
    let info = scene.look(&ann, "/server info server:Sky").await;
    assert!(info.contains("restarts <t:") && info.contains(&format!("`/schedule cancel schedule:{id}`")), "{info}");
    let later = scene.discord.command(&ann, &format!("/schedule postpone schedule:#{id} by:1h")).await;
    later.until("the new time", |message| message.text().contains("put it off by 1h")).await;
    let cancelled = scene.discord.command(&ann, &format!("/schedule cancel schedule:#{id}")).await;
    cancelled.until("its end", |message| message.text().contains("called off the run")).await;
    assert_eq!(scene.count("operations WHERE action = 'restart'").await, 0);
    // The schedule does nothing more, and takes no place on a phone.
    wait::until(SOON, "the end of the run", async || {
        (scene.count("schedule_runs WHERE state = 'pending'").await == 0).then_some(())
    })
    .await;
    let list = scene.look(&ann, "/schedule list").await;
    assert!(!list.contains("once, <t:"), "{list}");
    scene.assert_clean();
}

#[tokio::test]
async fn channel_hears_of_a_restart_and_may_change_it() {
    let scene = Scene::open().await;
    let (ann, ben) = (scene.ann(), scene.ben());
    scene.server(&ann, "Sky", "demo").await;
    let start = scene.discord.command(&ann, "/server start server:Sky").await;
    start.until("the server to be ready", |message| message.text().contains("Sky is ready")).await;
    let set = scene.discord.command(&ann, "/server announce server:Sky where:here").await;
    set.until("the place", |message| message.text().contains("Sky is announced")).await;
    let made = scene.look(&ann, "/schedule create server:Sky action:restart warn:60 5 cron:0 4 * * *").await;
    assert!(made.contains("The warnings begin at these times"), "{made}");
    let id = made.rsplit_once("Schedule ").expect("its number").1.to_owned();
    scene.discord.command(&ann, &format!("/schedule run schedule:{id}")).await;
    let ahead = |message: &Message| message.text().contains("restart ahead") && message.content.is_empty();
    let told = scene.discord.wait_for_message(CHANNEL, "the announcement", ahead).await;
    assert!(told.text().contains("restarts <t:") && scene.discord.dms(ann.id()).is_empty(), "{}", told.text());
    let refused = refusal(&scene.discord.press(&ben, &told, "15 minutes later").await).await;
    assert!(refused.contains("no such server"), "{refused}");
    // A phone sends a press twice, or two people press at once.
    let press = async || scene.discord.press(&ann, &told, "15 minutes later").await;
    let (one, two) = tokio::join!(press(), press());
    for said in ["put it off by 15m", "put it off already"] {
        wait::until(SOON, said, async || (one.text() + &two.text()).contains(said).then_some(())).await;
    }
    assert_eq!(scene.count("schedule_run_steps WHERE postponed_s = 900").await, 1);
    let skipped = scene.discord.press(&ann, &told, "Skip the next one").await;
    let still =
        skipped.until("the next run to be skipped", |message| message.text().contains("skipped the run of")).await;
    assert!(still.text().contains("restart ahead"), "the announcement stays: {}", still.text());
    // The skipped run of next year is the newest, and another goes on.
    let history = scene.look(&ann, &format!("/schedule history schedule:{id}")).await;
    assert!(history.contains("⏳ 2. wait") && !history.contains("It has not begun"), "{history}");
    let list = scene.look(&ann, "/schedule list").await;
    assert!(list.contains("⏳") && list.contains("a run goes on since"), "{list}");
    let again = refusal(&scene.discord.press(&ann, &told, "Skip the next one").await).await;
    assert!(again.contains("skipped already"), "{again}");
    assert_eq!(scene.count("schedule_runs WHERE state = 'skipped' AND reason = 'cancelled'").await, 1);
    let off = scene.discord.press(&ann, &told, "Call it off").await;
    let end = off.until("the end", |message| message.text().contains("called off the run")).await;
    assert!(end.components.is_empty(), "nothing is left to press");
    scene.assert_clean();
}
