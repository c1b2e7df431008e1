//! Suggestions while people type.

use agis_test_support::wait;

use crate::{
    common::{SOON, Stack},
    scene::Scene,
};

#[tokio::test]
async fn servers_are_offered_to_those_who_see_them() {
    let scene = Scene::open().await;
    let (ann, ben) = (scene.ann(), scene.ben());
    for name in ["Sky", "Skyline", "Moon"] {
        scene.server(&ann, name, "demo").await;
    }
    scene.look(&ann, "/server create name:Plaza game:demo public:true").await;
    for verb in ["info", "start", "stop", "restart", "delete", "logs"] {
        let offered = scene.offered(&ann, &format!("/server {verb} server:sky")).await;
        let names: Vec<_> = offered.iter().map(|(name, _)| name.as_str()).collect();
        assert!(names.contains(&"Sky · stopped") && names.contains(&"Skyline · stopped"), "{names:?}");
        assert_eq!(names.len(), 2, "{names:?}");
        assert!(scene.offered(&ben, &format!("/server {verb} server:sky")).await.is_empty());
    }
    assert!(scene.offered(&ann, &format!("/server info server:{}", "x".repeat(3000))).await.is_empty());
    assert_eq!(scene.offered(&ann, "/server info server:").await.len(), 4);

    // A choice is sent as a number, which means this one though another begins so.
    let info = scene.look(&ann, "/server info server:Moon · stopped").await;
    assert!(info.contains("⚪ Moon"), "{info}");

    scene.look(&ann, "/server share server:Moon with:Ben may:read").await;
    let offered = scene.offered(&ben, "/server info server:").await;
    assert!(offered.iter().any(|(name, _)| name == "Moon · stopped"), "{offered:?}");
    assert!(!offered.iter().any(|(name, _)| name.starts_with("Sky")), "{offered:?}");
    scene.assert_clean();
}

#[tokio::test]
async fn unplayable_game_is_offered_and_refused() {
    let stack = Stack::start().await;
    stack.add_game(
        "[deck]\ntitle = 'A deck'\nport = 30000\ncost_per_hour = 0\ncommand = ['agis-has-no-such-program']\n\
         ready = { when = { delay = 0 } }\n",
    );
    let scene = Scene::on(stack, &[]).await;
    let ann = scene.ann();
    let expected =
        [("Demo", "demo"), ("A deck · not available now", "deck")].map(|(a, b)| (a.to_owned(), b.to_owned()));
    // The bot has no host: it hears of this from the process that serves it.
    wait::until(SOON, "the offer to say so", async || {
        (scene.offered(&ann, "/server create name:Sky game:de").await == expected).then_some(())
    })
    .await;
    let refused = scene.refused(&ann, "/server create name:Sky game:deck").await;
    assert!(refused.contains("agis-has-no-such-program") && refused.contains("was not found"), "{refused}");
    assert_eq!(scene.count("game_servers").await, 0);
    scene.assert_clean();
}

#[tokio::test]
async fn games_zones_and_times_are_offered() {
    let scene = Scene::open().await;
    let ann = scene.ann();
    let games = scene.offered(&ann, "/server create name:Sky game:de").await;
    assert_eq!(games, [("Demo".to_owned(), "demo".to_owned())]);
    scene.look(&ann, "/server create name:Sky game:Demo").await;

    let zones = scene.offered(&ann, "/schedule create server:Sky timezone:new york").await;
    assert_eq!(zones[0].1, "America/New_York", "{zones:?}");
    assert!(zones[0].0.contains("(-0"), "with its offset: {zones:?}");
    let zones = scene.offered(&ann, "/schedule preview cron:@daily timezone:").await;
    assert_eq!((zones[0].1.as_str(), zones.len() <= 25), ("UTC", true));
    assert!(scene.offered(&ann, "/schedule preview timezone:nowhere at all").await.is_empty());

    let crons = scene.offered(&ann, "/schedule create server:Sky cron:").await;
    assert!(crons.len() > 5 && crons[0].0.starts_with("every day at 08:00"), "{crons:?}");
    let crons = scene.offered(&ann, "/schedule preview cron:15 9 * * 1").await;
    assert_eq!((crons[0].0.contains("Mondays at 09:15"), crons[0].1.as_str()), (true, "15 9 * * 1"), "{crons:?}");
    assert!(scene.offered(&ann, "/schedule preview cron:no such time").await.is_empty());

    let chosen = scene.offered(&ann, "/schedule preview cron:every day at 18").await;
    let said = scene.look(&ann, &format!("/schedule preview cron:{}", chosen[0].0)).await;
    assert!(said.contains("every day at 18:00") && said.contains("`0 18 * * *`"), "{said}");
    scene.assert_clean();
}

#[tokio::test]
async fn schedules_and_keys_are_offered_to_owners() {
    let scene = Scene::open().await;
    let (ann, ben) = (scene.ann(), scene.ben());
    scene.server(&ann, "Sky", "demo").await;
    scene.look(&ann, "/schedule create server:Sky action:start cron:0 8 * * *").await;
    scene.look(&ann, "/schedule create server:Sky action:stop cron:0 22 * * *").await;
    scene.look(&ann, "/apikey create name:backup job").await;

    let all = scene.offered(&ann, "/schedule run schedule:").await;
    assert_eq!(all.len(), 2, "{all:?}");
    let start = scene.offered(&ann, "/schedule disable schedule:start sky").await;
    assert!(start.len() == 1 && start[0].0.starts_with("Start Sky · every day at 08:00"), "{start:?}");
    assert!(scene.offered(&ann, "/schedule enable schedule:").await.is_empty(), "none is disabled");
    scene.look(&ann, &format!("/schedule disable schedule:{}", start[0].0)).await;
    assert_eq!(scene.offered(&ann, "/schedule enable schedule:").await, start);
    assert_eq!(scene.offered(&ann, "/schedule list server:sk").await.len(), 1);

    let keys = scene.offered(&ann, "/apikey revoke key:BACK").await;
    assert!(keys.len() == 1 && keys[0].0.starts_with("backup job · key "), "{keys:?}");
    for line in ["/schedule delete schedule:", "/schedule run schedule:sky", "/apikey revoke key:"] {
        assert!(scene.offered(&ben, line).await.is_empty(), "{line}");
    }
    scene.assert_clean();
}
