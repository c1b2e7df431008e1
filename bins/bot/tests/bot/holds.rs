//! `/server hold` and `/server release`

use crate::scene::Scene;

#[tokio::test]
async fn hold_is_shown_to_those_who_run_the_server() {
    let scene = Scene::open().await;
    let (ann, ben) = (scene.ann(), scene.ben());
    scene.server(&ann, "Sky", "demo").await;
    let held = scene.say(&ann, "/server hold server:Sky for:4h reason:**Map** work, @everyone").await;
    let text = held.text();
    assert!(!held.is_ephemeral(), "the channel reads that it is held");
    assert!(text.contains("Sky is held") && text.contains("by <@101>") && text.contains("Map"), "{text}");
    assert!(!text.contains("**Map**") && !text.contains("@everyone"), "{text}");
    let info = scene.look(&ann, "/server info server:Sky").await;
    assert!(info.contains("Held") && info.contains("by <@101>: "), "{info}");

    // People start a held server.
    scene.running(&ann, "Sky").await;

    let unseen = scene.refused(&ben, "/server release server:Sky").await;
    assert!(unseen.contains("There is no such server"), "{unseen}");
    scene.look(&ann, "/server share server:Sky with:Ben may:start").await;
    let refused = scene.refused(&ben, "/server release server:Sky").await;
    assert!(refused.contains("but not do this with it"), "{refused}");
    scene.look(&ann, "/server share server:Sky with:Ben may:schedule").await;
    for line in ["/server release server:Sky", "/server hold server:Sky"] {
        let anothers = scene.refused(&ben, line).await;
        assert!(anothers.contains("but not do this with it"), "{anothers}");
    }
    let released = scene.say(&ann, "/server release server:Sky").await.text();
    assert!(released.contains("Sky is released"), "{released}");
    assert!(!scene.look(&ann, "/server info server:Sky").await.contains("Held"));

    let open = scene.say(&ben, "/server hold server:Sky").await.text();
    assert!(open.contains("until somebody releases it, by <@102>"), "{open}");
    assert_eq!(scene.count("server_holds where held_by = '102' and until is null").await, 1);
    let owner = scene.say(&ann, "/server release server:Sky").await.text();
    assert!(owner.contains("Sky is released"), "{owner}");
    scene.assert_clean();
}
