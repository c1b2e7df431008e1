//! Lists in pieces: one's own first, and nothing is out of reach.

use agis_discord_stand_in::{Message, Person};

use crate::scene::Scene;

/// Servers of somebody else, shared with this person before they had any.
async fn shared_unasked(scene: &Scene, with: &Person, count: i32) {
    let sql = scene.stack.sql().await;
    let query = "with made as (
                     insert into game_servers (discord_id, name, game_type, status, host)
                     select $1, 'Spam ' || n, 'demo', 'stopped', 'nobody' from generate_series(1, $2) n returning id)
                 insert into server_shares (server_id, kind, grantee_id, permissions, granted_by)
                 select id, 'member', $3, array['read'], $1 from made";
    let owner = scene.ben().id().to_string();
    scene.look(&scene.ben(), "/server list").await;
    sql.execute(query, &[&owner, &count, &with.id().to_string()]).await.expect("shared servers");
}

fn lines(message: &Message) -> Vec<String> {
    message.text().lines().filter(|line| line.contains("**")).map(str::to_owned).collect()
}

#[tokio::test]
async fn own_servers_come_before_shared_ones() {
    let scene = Scene::open().await;
    let ann = scene.ann();
    shared_unasked(&scene, &ann, 30).await;
    for name in ["Sky", "Moon"] {
        scene.server(&ann, name, "demo").await;
    }
    let offered = scene.offered(&ann, "/server start server:").await;
    assert_eq!((offered.len(), offered[0].0.as_str(), offered[1].0.as_str()), (25, "Sky · stopped", "Moon · stopped"));
    let own = scene.offered(&ann, "/server delete server:").await;
    assert_eq!(own.len(), 2, "only an owner can delete: {own:?}");
    let others = scene.offered(&ann, "/server leave server:").await;
    assert!(others.iter().all(|(name, _)| name.starts_with("Spam")), "{others:?}");

    let list = scene.discord.command(&ann, "/server list").await;
    let mut page = list.answered().await;
    let mut seen = lines(&page);
    assert!(seen[0].contains("**Sky**") && seen[1].contains("**Moon**"), "{seen:?}");
    assert_eq!(page.buttons(), ["Next"]);
    while page.buttons().contains(&"Next".to_owned()) {
        let turned = list.press(&ann, "Next").await;
        assert!(!turned.late());
        let before = page.text();
        page = list.until("another page", |message| message.text() != before).await;
        seen.extend(lines(&page));
    }
    assert_eq!(page.buttons(), ["Previous"]);
    assert!(page.is_ephemeral());
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 32, "each is on one page");
    scene.assert_clean();
}

#[tokio::test]
async fn schedules_and_keys_have_pages_too() {
    let scene = Scene::open().await;
    let ann = scene.ann();
    scene.server(&ann, "Sky", "demo").await;
    scene.look(&ann, "/server create name:Other game:demo").await;
    for hour in 0..12 {
        scene.look(&ann, &format!("/schedule create server:Sky action:start cron:0 {hour} * * *")).await;
        scene.look(&ann, &format!("/apikey create name:key {hour}")).await;
    }
    for (line, count) in [("/schedule list", 12), ("/schedule list server:Sky", 12), ("/apikey list", 12)] {
        let list = scene.discord.command(&ann, line).await;
        let first = list.answered().await;
        assert_eq!((lines(&first).len(), first.buttons()), (10, vec!["Next".to_owned()]), "{line}");
        list.press(&ann, "Next").await;
        let second = list.until("the second page", |message| message.buttons() == ["Previous"]).await;
        assert_eq!(lines(&second).len(), count - 10, "{line}: {}", second.text());
        list.press(&ann, "Previous").await;
        list.until("the first page", |message| message.text() == first.text()).await;
    }
    let none = scene.look(&ann, "/schedule list server:Other").await;
    assert!(none.contains("There are none"), "{none}");
    scene.assert_clean();
}
