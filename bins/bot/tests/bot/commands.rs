//! `/server`, `/profile` and `/help`: their good way, and the mistakes that people make.

use crate::scene::Scene;

#[tokio::test]
async fn server_is_shown_to_its_owner_alone() {
    let scene = Scene::open().await;
    let ann = scene.ann();
    let nothing = scene.look(&ann, "/server list").await;
    assert!(nothing.contains("You have none yet. `/server create`"), "{nothing}");

    let made = scene.look(&ann, "/server create name:Sky game:Demo description:Trains and more public:false").await;
    assert!(made.contains("Sky is there") && made.contains("/server share"), "{made}");
    let list = scene.look(&ann, "/server list").await;
    assert!(list.contains("**Sky** · stopped · Demo · #"), "{list}");
    let info = scene.look(&ann, "/server info server:Sky").await;
    for part in ["⚪ Sky", "Trains and more", "stopped", "Demo", "<@101>", "Start"] {
        assert!(info.contains(part), "{part}: {info}");
    }
    let others = scene.look(&scene.ben(), "/server list").await;
    assert!(others.contains("You have none yet"), "{others}");
    scene.assert_clean();
}

#[tokio::test]
async fn start_and_stop_are_followed_to_the_end() {
    let scene = Scene::open().await;
    let ann = scene.ann();
    scene.server(&ann, "Sky", "demo").await;

    let started = scene.discord.command(&ann, "/server start server:Sky").await;
    let ready = started.until("the server to be ready", |message| message.text().contains("Sky is ready")).await;
    assert!(!ready.is_ephemeral(), "what a server does concerns the channel");
    assert!(ready.text().contains("Join at `127.0.0.1:"), "{}", ready.text());
    assert_eq!(ready.buttons(), ["Stop", "Restart"]);
    let list = scene.look(&ann, "/server list").await;
    assert!(list.contains("🟢 **Sky** · running · `127.0.0.1:"), "{list}");

    let restarted = scene.discord.command(&ann, "/server restart server:sky").await;
    restarted.until("the server to be ready again", |message| message.text().contains("Sky is ready")).await;
    let stopped = scene.discord.command(&ann, "/server stop server:SKY").await;
    let stopped = stopped.until("the end", |message| message.text().contains("Sky has stopped")).await;
    assert_eq!(stopped.buttons(), ["Start"]);

    let info = scene.look(&ann, "/server info server:Sky").await;
    for action in ["start", "restart", "stop"] {
        assert!(info.contains(&format!("{action} · <@101> · <t:")), "{info}");
    }
    assert!(!info.contains("⚠️"), "{info}");
    scene.assert_clean();
}

#[tokio::test]
async fn failed_start_says_why_and_offers_a_retry() {
    let scene = Scene::open().await;
    let ann = scene.ann();
    scene.server(&ann, "Late", "unready").await;
    let started = scene.discord.command(&ann, "/server start server:Late").await;
    let failed = started.until("the failure", |message| message.text().contains("could not be started")).await;
    assert!(failed.text().contains("Asked by <@101>"), "{}", failed.text());
    let why = started.until("the reason", |message| message.text().contains("not ready within 1 s")).await;
    assert!(why.is_ephemeral() && why.text().contains("/server logs"), "{}", why.text());
    assert_eq!(failed.buttons(), ["Start"]);
    let info = scene.look(&ann, "/server info server:Late").await;
    assert!(info.contains("⚠️ start · <@101>") && info.contains("🔴"), "{info}");
    scene.assert_clean();
}

#[tokio::test]
async fn last_console_lines_are_shown() {
    let scene = Scene::open().await;
    let ann = scene.ann();
    scene.server(&ann, "Sky", "demo").await;
    let empty = scene.look(&ann, "/server logs server:Sky").await;
    assert!(empty.contains("It is empty."), "{empty}");
    scene.running(&ann, "Sky").await;
    let logs = scene.look(&ann, "/server logs server:Sky lines:50").await;
    assert!(logs.contains("Console of Sky") && logs.contains("ready for players"), "{logs}");
    let last = scene.look(&ann, "/server logs server:Sky lines:1").await;
    assert!(last.contains("The last 1 line"), "{last}");
    let line = "/server logs server:Sky lines:51";
    assert!(scene.discord.try_command(&ann, line).await.is_err(), "more lines do not fit");
    scene.assert_clean();
}

#[tokio::test]
async fn console_of_another_machine_is_read_through_its_process() {
    let scene = Scene::with(&[("AGIS_DATA_DIR", "")]).await;
    let ann = scene.ann();
    scene.server(&ann, "Sky", "demo").await;
    scene.running(&ann, "Sky").await;
    let logs = scene.look(&ann, "/server logs server:Sky lines:50").await;
    assert!(logs.contains("Console of Sky") && logs.contains("ready for players"), "{logs}");
    assert_eq!(scene.count("console_requests").await, 0, "an answer that was read is forgotten");

    let sql = scene.stack.sql().await;
    sql.execute("update game_servers set host = 'elsewhere'", &[]).await.expect("a host that nobody serves");
    let refused = scene.refused(&ann, "/server logs server:Sky").await;
    assert!(refused.contains("No process serves the host of this server"), "{refused}");
    scene.assert_clean();
}

#[tokio::test]
async fn missing_abilities_are_told_before_and_after() {
    let scene = Scene::open().await;
    let ann = scene.ann();
    scene.server(&ann, "Sky", "demo").await;
    let info = scene.look(&ann, "/server info server:Sky").await;
    assert!(!info.contains("Not possible here"), "{info}");
    let report = r#"{"containment": {"contained": [], "missing": []}, "disk": null, "memory": null, "abilities": {
        "able": [], "unable": [{"what": "console", "why": "use **the** cluster's own logs"}]}}"#;
    let sql = scene.stack.sql().await;
    let insert = "insert into hosts (name, kind, report) values ('elsewhere', 'agones', $1::text::jsonb)";
    sql.execute(insert, &[&report]).await.expect("a host");
    sql.execute("update game_servers set host = 'elsewhere'", &[]).await.expect("a server there");
    let told = "the console of this server cannot be read: use \\*\\*the\\*\\* cluster's own logs";
    let info = scene.look(&ann, "/server info server:Sky").await;
    assert!(info.contains("Not possible here") && info.contains(told), "{info}");
    let insert =
        "insert into unavailable_games (host, game_type, reason) values ('elsewhere', 'demo', 'it is missing')";
    sql.execute(insert, &[]).await.expect("a game that cannot run");
    let info = scene.say(&ann, "/server info server:Sky").await;
    assert!(info.text().contains("no start at the moment: it is missing"), "{}", info.text());
    assert_eq!(info.buttons(), [""; 0], "a button that cannot work is grey");
    let refused = scene.refused(&ann, "/server logs server:Sky").await;
    assert!(refused.contains(&format!("This is not possible here, since {told}.")), "{refused}");
    scene.assert_clean();
}

#[tokio::test]
async fn server_mistake_is_told_in_private() {
    let scene = Scene::open().await;
    let (ann, ben) = (scene.ann(), scene.ben());
    for name in ["Sky", "Team one", "Team two"] {
        scene.server(&ann, name, "demo").await;
    }
    for verb in ["info", "start", "stop", "restart", "delete", "logs"] {
        let refused = scene.refused(&ann, &format!("/server {verb} server:Nowhere")).await;
        assert!(refused.contains("There is no such server") && refused.contains("/server list"), "{refused}");
        let foreign = scene.refused(&ben, &format!("/server {verb} server:Sky")).await;
        assert_eq!(foreign, refused, "who may not see a server does not learn that there is one");
    }
    let mistakes = [
        ("/server start server:team", vec!["Team one (#", "Team two (#", "Choose one from the list"]),
        ("/server create name:sky game:demo", vec!["already have a server of that name", "Choose another"]),
        ("/server create name:Moon game:Chess", vec!["Chess", "Demo", "Choose one from the list"]),
        ("/server create name:\"   \" game:demo", vec!["`name`"]),
    ];
    for (line, parts) in mistakes {
        let refused = scene.refused(&ann, line).await;
        for part in parts {
            assert!(refused.contains(part), "{line}: {refused}");
        }
    }
    let long = "x".repeat(101);
    let line = format!("/server create name:{long} game:demo");
    assert!(scene.discord.try_command(&ann, &line).await.is_err(), "Discord's client takes no longer name");
    let refused = scene.refused(&ann, &format!("/server info server:{}", "x".repeat(6000))).await;
    assert!(refused.contains("There is no such server"), "{refused}");
    assert_eq!((scene.count("game_servers").await, scene.count("operations").await), (3, 0));
    scene.assert_clean();
}

#[tokio::test]
async fn profile_and_help_tell_credits_and_api() {
    let scene = Scene::with(&[("PUBLIC_API_URL", "https://agis.example.org")]).await;
    let ann = scene.ann();
    scene.server(&ann, "Sky", "demo").await;
    let profile = scene.look(&ann, "/profile").await;
    for part in ["Credits", "Here since", "1 server, 0 running", "0 keys"] {
        assert!(profile.contains(part), "{part}: {profile}");
    }
    let help = scene.look(&ann, "/help").await;
    for part in ["/server create", "/schedule create", "/apikey create", "https://agis.example.org/api/docs"] {
        assert!(help.contains(part), "{part}: {help}");
    }
    let direct = scene.say(&ann.in_dm(), "/server list").await;
    assert!(direct.text().contains("**Sky**"), "a direct message does as well: {}", direct.text());
    scene.assert_clean();
}

#[tokio::test]
async fn excess_is_told_when_to_return() {
    let scene = Scene::with(&[("DISCORD_REQUESTS_PER_HOUR", "3")]).await;
    let ann = scene.ann();
    for _ in 0..3 {
        scene.look(&ann, "/help").await;
    }
    let refused = scene.refused(&ann, "/server create name:Sky game:demo").await;
    assert!(refused.contains("That was a lot of commands. Try again <t:"), "{refused}");
    assert_eq!(scene.count("game_servers").await, 0);
    scene.look(&scene.ben(), "/help").await;
    scene.assert_clean();
}
