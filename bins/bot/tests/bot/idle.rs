//! `/server idle`, and the notice of a server that sleeps

use crate::{common::Stack, scene::Scene};

/// The demo game, as if it told who plays.
const TELLING: &str = "[telling]\ntitle = 'Telling'\ncommand = ['{agis}', 'demo-game', '--bind', '{bind}', '--port', '{port}', \
                       '--name', '{name}']\ncost_per_hour = 0\nquery = 'a2s'\nport = 27015\n\
                       ready = { when = { log = 'ready for players' }, within_s = 30 }\n";

#[tokio::test]
async fn rule_is_set_and_shown() {
    let stack = Stack::start().await;
    stack.add_game(TELLING);
    let scene = Scene::on(stack, &[]).await;
    let (ann, ben) = (scene.ann(), scene.ben());
    scene.server(&ann, "Sky", "telling").await;
    let none = scene.look(&ann, "/server idle server:Sky").await;
    assert!(none.contains("It runs on when nobody plays"), "{none}");
    let line = "/server idle server:Sky after:30m from:18:00 to:23:00 timezone:Europe/Berlin";
    let set = scene.look(&ann, line).await;
    assert!(set.contains("It is stopped after 30m, but not from 18:00 to 23:00 (Europe/Berlin)"), "{set}");
    let longer = scene.look(&ann, "/server idle server:Sky after:2h").await;
    assert!(longer.contains("after 2h, but not from 18:00"), "{longer}");
    let info = scene.look(&ann, "/server info server:Sky").await;
    assert!(info.contains("When nobody plays") && info.contains("after 2h"), "{info}");

    for (line, told) in [
        ("/server idle server:Sky from:18:00", "both `from` and `to`"),
        ("/server idle server:Sky from:18:00 to:18:00", "`to` must differ"),
        ("/server idle server:Sky from:18:00 to:soon", "`to` must be a time of the day"),
        ("/server idle server:Sky from:18:00 to:19:00 timezone:Mars", "`timezone` must be"),
    ] {
        let refused = scene.refused(&ann, line).await;
        assert!(refused.contains(told), "{line}: {refused}");
    }
    scene.look(&ann, "/server share server:Sky with:Ben may:everything").await;
    let refused = scene.refused(&ben, "/server idle server:Sky after:1h").await;
    assert!(refused.contains("but not do this with it"), "{refused}");
    let never = scene.look(&ann, "/server idle server:Sky after:never").await;
    assert!(never.contains("It runs on when nobody plays"), "{never}");

    scene.server(&ann, "Deaf", "demo").await;
    let refused = scene.refused(&ann, "/server idle server:Deaf after:1h").await;
    assert!(refused.contains("its game tells nobody who plays"), "{refused}");
    scene.assert_clean();
}

#[tokio::test]
async fn sleeping_server_wakes_by_the_button_of_its_notice() {
    let scene = Scene::open().await;
    let ann = scene.ann();
    scene.server(&ann, "Sky", "demo").await;
    let slept = "insert into notices (recipient, kind, server_id, server_name, reason, generation)
                 select discord_id, 'server_idle', id, name, 'nobody has played for 30m', 1 from game_servers;
                 notify agis_notices";
    scene.stack.sql().await.batch_execute(slept).await.expect("a notice");
    let channel = scene.discord.dm_channel(&ann);
    let told = scene.discord.wait_for_message(channel, "the notice", |it| it.text().contains("Sky sleeps")).await;
    assert!(told.text().contains("nobody has played for 30m"), "{}", told.text());
    let woken = scene.discord.press(&ann, &told, "Wake").await;
    woken.until("a server that is ready", |message| message.text().contains("is ready")).await;
    scene.assert_clean();
}
