//! `/server share` and `/server unshare`

use agis_discord_stand_in::{GUILD, Person};

use crate::scene::Scene;

const CREW: u64 = 777;

async fn starts(scene: &Scene, person: &Person) {
    let reply = scene.discord.command(person, "/server start server:Sky").await;
    reply.until("a server that is ready", |message| message.text().contains("Sky is ready")).await;
}

#[tokio::test]
async fn member_does_only_what_is_shared() {
    let scene = Scene::open().await;
    let (ann, ben) = (scene.ann(), scene.ben());
    scene.discord.person(103, "Cid");
    scene.server(&ann, "Sky", "demo").await;
    let own = scene.refused(&ann, "/server share server:Sky with:@Ann may:start").await;
    assert!(own.contains("`with` is somebody else"), "{own}");
    let unseen = scene.refused(&ben, "/server start server:Sky").await;
    assert!(unseen.contains("There is no such server"), "{unseen}");

    let shared = scene.look(&ann, "/server share server:Sky with:@Ben may:start").await;
    assert!(shared.contains("<@102> may now do this on **Sky**: start") && shared.contains("unshare"), "{shared}");
    let list = scene.look(&ben, "/server list").await;
    assert!(list.contains("**Sky**") && list.contains("of <@101>"), "{list}");
    starts(&scene, &ben).await;
    for line in [
        "/server stop server:Sky",
        "/server restart server:Sky",
        "/server delete server:Sky",
        "/server share server:Sky with:@Cid may:start",
        "/server unshare server:Sky with:@Ben",
        "/schedule create server:Sky action:stop cron:@daily",
    ] {
        let refused = scene.refused(&ben, line).await;
        assert!(refused.contains("You may see this server, but not do this") && refused.contains("share"), "{refused}");
    }
    let info = scene.look(&ann, "/server info server:Sky").await;
    assert!(info.contains("start · <@102>") && info.contains("<@102> · start"), "{info}");
    assert!(!scene.look(&ben, "/server info server:Sky").await.contains("Shared with"), "that is for the owner");

    let ended = scene.look(&ann, "/server unshare server:Sky with:@Ben").await;
    assert!(ended.contains("**Sky** is not shared with <@102> any more"), "{ended}");
    let again = scene.look(&ann, "/server unshare server:Sky with:@Ben").await;
    assert!(again.contains("was not shared") && again.contains("/server info"), "{again}");
    assert_eq!(scene.refused(&ben, "/server start server:Sky").await, unseen);
    assert_eq!(scene.count("operations").await, 1);
    scene.assert_clean();
}

#[tokio::test]
async fn role_holder_does_only_what_is_shared() {
    let scene = Scene::open().await;
    let (ann, ben) = (scene.ann(), scene.ben());
    scene.discord.role(CREW, "Crew");
    scene.discord.give_role(&ben, CREW);
    scene.server(&ann, "Sky", "demo").await;
    let shared = scene.look(&ann, "/server share server:Sky with:@Crew may:everything").await;
    assert!(shared.contains("<@&777> may now do this on **Sky**: everything but"), "{shared}");
    starts(&scene, &ben).await;
    let offered = scene.offered(&ben, "/server stop server:").await;
    assert_eq!(offered.len(), 1, "{offered:?}");
    let made = scene.look(&ben, "/schedule create server:Sky action:stop cron:@daily").await;
    assert!(made.contains("Schedule created"), "{made}");

    let cid = scene.discord.person(103, "Cid");
    let refused = scene.refused(&cid, "/server stop server:Sky").await;
    assert!(refused.contains("There is no such server"), "{refused}");

    scene.discord.take_role(&ben, CREW);
    let refused = scene.refused(&ben, "/server stop server:Sky").await;
    assert!(refused.contains("There is no such server"), "{refused}");
    scene.discord.give_role(&ben, CREW);
    scene.look(&ann, "/server unshare server:Sky with:@Crew").await;
    let refused = scene.refused(&ben, "/server stop server:Sky").await;
    assert!(refused.contains("There is no such server"), "{refused}");
    scene.assert_clean();
}

#[tokio::test]
async fn everyone_is_a_role_and_is_not_pinged() {
    let scene = Scene::open().await;
    let (ann, ben) = (scene.ann(), scene.ben());
    let everybody = agis_discord_stand_in::GUILD;
    scene.discord.role(everybody, "@everyone");
    scene.server(&ann, "Sky", "demo").await;
    let shared = scene.look(&ann, &format!("/server share server:Sky with:<@&{everybody}> may:start")).await;
    assert!(shared.contains("everybody in this community") && !shared.contains(&everybody.to_string()), "{shared}");
    starts(&scene, &ben).await;
    scene.assert_clean();
}

#[tokio::test]
async fn leaver_is_rid_of_a_server_until_reshared() {
    let scene = Scene::open().await;
    let (ann, ben) = (scene.ann(), scene.ben());
    scene.discord.role(CREW, "Crew");
    scene.discord.give_role(&ben, CREW);
    scene.server(&ann, "Sky", "demo").await;
    for with in ["@Ben", "@Crew"] {
        scene.look(&ann, &format!("/server share server:Sky with:{with} may:start")).await;
    }
    let own = scene.refused(&ann, "/server leave server:Sky").await;
    assert!(own.contains("`server` is your own"), "{own}");
    let left = scene.look(&ben, "/server leave server:Sky").await;
    assert!(left.contains("**Sky** is not shared with you any more. <@101> can share"), "{left}");
    for line in ["/server start server:Sky", "/server leave server:Sky"] {
        let refused = scene.refused(&ben, line).await;
        assert!(refused.contains("There is no such server"), "{refused}");
    }
    assert!(scene.offered(&ben, "/server start server:").await.is_empty());
    assert!(scene.look(&ben, "/server list").await.contains("You have none yet"));
    // Others with the role keep it.
    let cid = scene.discord.person(103, "Cid");
    scene.discord.give_role(&cid, CREW);
    assert!(scene.look(&cid, "/server list").await.contains("**Sky**"));

    // The role is shared with anew, which is not about them; their name is.
    scene.look(&ann, "/server share server:Sky with:@Crew may:everything").await;
    assert!(scene.look(&ben, "/server list").await.contains("You have none yet"));
    scene.look(&ann, "/server share server:Sky with:@Ben may:start").await;
    assert!(scene.look(&ben, "/server list").await.contains("**Sky**"));
    scene.assert_clean();
}

#[tokio::test]
async fn shares_with_one_person_are_limited() {
    let scene = Scene::open().await;
    let (ann, ben) = (scene.ann(), scene.ben());
    scene.server(&ann, "Sky", "demo").await;
    let query = "with made as (
                     insert into game_servers (discord_id, name, game_type, status, host)
                     select '101', 'Spam ' || n, 'demo', 'stopped', 'nobody' from generate_series(1, 50) n returning id)
                 insert into server_shares (server_id, kind, grantee_id, permissions, granted_by)
                 select id, 'member', '102', array['read'], '101' from made";
    scene.stack.sql().await.batch_execute(query).await.expect("shared servers");
    let refused = scene.refused(&ann, "/server share server:Sky with:@Ben may:start").await;
    assert!(refused.contains("50 servers are shared with them") && refused.contains("/server leave"), "{refused}");
    scene.look(&ann, "/server share server:Spam 7 with:@Ben may:start").await;
    scene.look(&ben, "/server leave server:Spam 8").await;
    scene.look(&ann, "/server share server:Sky with:@Ben may:start").await;
    scene.assert_clean();
}

#[tokio::test]
async fn strangers_shares_close_a_role_to_nobody() {
    let scene = Scene::open().await;
    let (ann, ben) = (scene.ann(), scene.ben());
    scene.server(&ann, "Sea", "demo").await;
    scene.server(&ben, "Sky", "demo").await;
    scene.discord.role(CREW, "Crew");
    let query = format!(
        "with made as (
             insert into game_servers (discord_id, name, game_type, status, host)
             select '101', 'Spam ' || n, 'demo', 'stopped', 'nobody' from generate_series(1, 50) n returning id)
         insert into server_shares (server_id, kind, grantee_id, guild_id, permissions, granted_by)
         select id, 'role', '{CREW}', '{GUILD}', array['read'], '101' from made"
    );
    scene.stack.sql().await.batch_execute(&query).await.expect("shared servers");
    scene.look(&ben, "/server share server:Sky with:@Crew may:start").await;
    let refused = scene.refused(&ann, "/server share server:Sea with:@Crew may:start").await;
    assert!(refused.contains("50 servers are shared with them") && refused.contains("/server unshare"), "{refused}");
    scene.assert_clean();
}
