//! Settings of servers.

use agis_test_support::wait;
use serde_json::{Value, json};

use crate::common::{Api, SOON, STRANGER, Stack};

/// A game that prints the values that it gets.
const GAME: &str = r#"
[castles]
title = "Castles"
command = ["sh", "-c", 'echo "mode=$MODE slots=$SLOTS motd=$MOTD key=$KEY memory=$1"; echo up; exec sleep 100000', "castles", "{settings.memory}"]
env = { MODE = "{settings.mode}", SLOTS = "{settings.slots}", MOTD = "{settings.motd}", KEY = "{settings.key}" }
port = 31700
cost_per_hour = 0
ready = { when = { log = "up" }, within_s = 60 }
[castles.settings]
mode = { type = "choice", title = "Mode", choices = [{ value = "0", title = "Easy" }, { value = "1", title = "Hard" }], default = "0" }
slots = { type = "int", title = "Slots", min = 1, max = 64, default = 8 }
motd = { type = "text", title = "Message", help = "For those who join", max_length = 60, default = "Hi" }
key = { type = "secret", title = "Password", default = "" }
memory = { type = "int", title = "Memory", default = 1024, by = "operator" }
"#;
/// Text that no answer and no log may hold.
const SECRET: &str = "hunter2-do-not-tell";

fn path(server: i64) -> String {
    format!("/api/v1/servers/{server}/settings")
}

async fn change(api: &Api, server: i64, body: Value) -> Value {
    api.call("PATCH", &path(server), Some(body)).await.expect(200)
}

fn item<'a>(settings: &'a Value, name: &str) -> &'a Value {
    let items = settings["items"].as_array().expect("a list");
    items.iter().find(|item| item["name"] == name).unwrap_or_else(|| panic!("{name} is not in {settings}"))
}

async fn console(api: &Api, server: i64) -> String {
    let lines = api.get(&format!("/api/v1/servers/{server}/logs")).await.expect(200);
    lines.to_string()
}

#[tokio::test]
async fn settings_take_effect_at_the_next_start() {
    let stack = Stack::start().await;
    stack.add_game(GAME);
    let api = stack.api(&[]).await;
    let body =
        json!({ "name": "a", "game_type": "castles", "settings": { "mode": "1", "key": SECRET, "slots": null } });
    let server = api.post("/api/v1/servers", body).await.expect(201)["id"].as_i64().expect("an id");
    let settings = api.get(&path(server)).await.expect(200);
    let names: Vec<_> = settings["items"].as_array().expect("a list").iter().map(|item| &item["name"]).collect();
    assert_eq!(json!(names), json!(["mode", "slots", "motd", "key", "memory"]), "the order of the catalogue");
    let mode = item(&settings, "mode");
    assert_eq!(
        (&mode["value"], &mode["default"], &mode["is_set"], &mode["takes_effect"]),
        (&json!("1"), &json!("0"), &json!(true), &json!("next_start"))
    );
    assert_eq!(mode["choices"][1], json!({ "value": "1", "title": "Hard" }));
    let key = item(&settings, "key");
    assert_eq!((&key["value"], &key["default"], &key["is_set"]), (&Value::Null, &Value::Null, &json!(true)));

    api.act(server, "start").await;
    let said = console(&api, server).await;
    assert!(said.contains(&format!("mode=1 slots=8 motd=Hi key={SECRET} memory=1024")), "{said}");
    let motd = r#"a "b" $(c) 'd' {port} é"#;
    let settings = change(&api, server, json!({ "motd": motd, "slots": 9 })).await;
    assert_eq!(item(&settings, "motd")["takes_effect"], "next_start");
    assert_eq!(item(&settings, "mode")["takes_effect"], "now");
    // A start leaves a running server alone.
    api.act(server, "start").await;
    assert_eq!(item(&api.get(&path(server)).await.expect(200), "motd")["takes_effect"], "next_start");
    api.act(server, "restart").await;
    let said = console(&api, server).await;
    assert!(said.contains(json!(format!("mode=1 slots=9 motd={motd} key")).to_string().trim_matches('"')), "{said}");
    let settings = change(&api, server, json!({ "motd": null, "slots": 9 })).await;
    assert_eq!((&item(&settings, "motd")["value"], &item(&settings, "motd")["is_set"]), (&json!("Hi"), &json!(false)));
    assert_eq!(item(&settings, "slots")["takes_effect"], "now");
}

#[tokio::test]
async fn refused_settings_are_named_and_change_nothing() {
    let stack = Stack::start().await;
    stack.add_game(GAME);
    let api = stack.api(&[]).await;
    let server = api.server("a", "castles").await;
    let before = api.get(&path(server)).await.expect(200);
    let patch = async |body: Value| api.call("PATCH", &path(server), Some(body)).await;
    let refused = patch(json!({ "slots": 65, "motd": "fine", "mode": "Hard", "nothing": 1, "gone": null })).await;
    let body = refused.expect(422);
    assert_eq!(body["code"], "invalid_settings");
    let named: Vec<_> = body["errors"].as_array().expect("a list").iter().map(|error| &error["setting"]).collect();
    assert_eq!(json!(named), json!(["gone", "mode", "nothing", "slots"]), "{body}");
    assert!(
        body["detail"].as_str().is_some_and(|it| it.contains("settings.slots: must be a whole number from 1 to 64"))
    );
    for value in [json!("a\nb"), json!("a\u{0}"), json!("x".repeat(61)), json!(7), json!({}), json!([["a"]])] {
        assert_eq!(patch(json!({ "motd": value })).await.expect(422)["errors"][0]["setting"], "motd");
    }
    let answer = patch(json!({ "memory": 4096 })).await.expect(403);
    assert!(answer["detail"].as_str().is_some_and(|it| it.contains("'memory' belongs to the operator")), "{answer}");
    patch(json!([])).await.expect(400);
    let new = json!({ "name": "b", "game_type": "castles", "settings": { "slots": 0 } });
    assert_eq!(api.post("/api/v1/servers", new).await.expect(422)["errors"][0]["setting"], "slots");
    let new = json!({ "name": "b", "game_type": "castles", "settings": { "memory": 1 } });
    api.post("/api/v1/servers", new).await.expect(403);
    assert_eq!(api.get(&path(server)).await.expect(200), before);
    assert_eq!(api.get("/api/v1/servers").await.expect(200)["items"].as_array().map(Vec::len), Some(1));

    let stranger = stack.make_key(STRANGER, &[]);
    for (method, body) in [("GET", None), ("PATCH", Some(json!({ "slots": 2 })))] {
        api.call_as(Some(&stranger), method, &path(server), body.clone()).await.expect(404);
    }
    api.call("PATCH", &format!("/api/v1/servers/{server}"), Some(json!({ "is_public": true }))).await.expect(200);
    for (method, body) in [("GET", None), ("PATCH", Some(json!({ "slots": 2 })))] {
        api.call_as(Some(&stranger), method, &path(server), body.clone()).await.expect(403);
    }
}

#[tokio::test]
async fn changes_of_different_settings_both_last() {
    let stack = Stack::start().await;
    stack.add_game(GAME);
    let api = stack.api(&[]).await;
    let server = api.server("a", "castles").await;
    for round in 1..=8 {
        tokio::join!(
            change(&api, server, json!({ "slots": round })),
            change(&api, server, json!({ "motd": format!("m{round}") })),
            change(&api, server, json!({ "key": "k" })),
        );
        let settings = api.get(&path(server)).await.expect(200);
        assert_eq!(item(&settings, "slots")["value"], round);
        assert_eq!(item(&settings, "motd")["value"], format!("m{round}"));
    }
}

#[tokio::test]
async fn settings_outlive_a_change_of_the_catalogue() {
    let stack = Stack::start().await;
    stack.add_game(GAME);
    let file = tempfile::NamedTempFile::new().expect("a file");
    let with = async |game: &str| {
        std::fs::write(&file, game).expect("a catalogue");
        stack.api(&[("GAMES_FILE", file.path().to_str().expect("a path"))]).await
    };
    let api = with(GAME).await;
    let server = api.server("a", "castles").await;
    change(&api, server, json!({ "slots": 60, "mode": "1" })).await;
    api.stop().await;

    let narrow = GAME.replace("max = 64", "max = 32").replace("MODE = \"{settings.mode}\", ", "");
    let narrow: Vec<_> = narrow.lines().filter(|line| !line.starts_with("mode")).collect();
    let api = with(&narrow.join("\n")).await;
    let settings = api.get(&path(server)).await.expect(200);
    assert_eq!((&item(&settings, "slots")["value"], &item(&settings, "slots")["fits"]), (&json!(60), &json!(false)));
    let ended = api.ended(&api.ask(server, "start").await).await;
    let error = ended["error"].as_str().unwrap_or_default();
    assert!(
        ended["state"] == "failed" && error.contains("'slots' (Slots)") && error.contains("from 1 to 32"),
        "{ended}"
    );
    change(&api, server, json!({ "slots": 32 })).await;
    api.act(server, "start").await;
    api.act(server, "stop").await;
    api.stop().await;

    let api = with(GAME).await;
    let settings = api.get(&path(server)).await.expect(200);
    assert_eq!((&item(&settings, "mode")["value"], &item(&settings, "slots")["value"]), (&json!("1"), &json!(32)));
}

#[tokio::test]
async fn running_server_keeps_the_defaults_of_its_start() {
    let stack = Stack::start().await;
    let file = tempfile::NamedTempFile::new().expect("a file");
    let with = async |game: &str| {
        std::fs::write(&file, game).expect("a catalogue");
        stack.api(&[("GAMES_FILE", file.path().to_str().expect("a path"))]).await
    };
    let api = with(GAME).await;
    let server = api.server("a", "castles").await;
    api.act(server, "start").await;
    assert_eq!(item(&api.get(&path(server)).await.expect(200), "motd")["takes_effect"], "now");
    api.stop().await;

    let api = with(
        &GAME
            .replace("\"Hi\"", "\"Ho\"")
            .replace("key = {", "new = { type = \"bool\", title = \"New\", default = true }\nkey = {")
            .replace("KEY =", "NEW = \"{settings.new}\", KEY ="),
    )
    .await;
    let settings = api.get(&path(server)).await.expect(200);
    let effects = ["slots", "motd", "new"].map(|name| item(&settings, name)["takes_effect"].clone());
    assert_eq!(effects, ["now", "next_start", "next_start"], "{settings}");
    // Another process takes the running server over, and a start leaves it alone.
    api.act(server, "start").await;
    assert_eq!(item(&api.get(&path(server)).await.expect(200), "motd")["takes_effect"], "next_start");
    api.act(server, "restart").await;
    let settings = api.get(&path(server)).await.expect(200);
    assert_eq!(
        (&item(&settings, "motd")["takes_effect"], &item(&settings, "new")["takes_effect"]),
        (&json!("now"), &json!("now"))
    );
    let said = console(&api, server).await;
    assert!(said.contains("motd=Ho"), "{said}");
}

#[tokio::test]
async fn restart_with_an_unfit_setting_leaves_the_game_running() {
    let stack = Stack::start().await;
    stack.add_game(GAME);
    let api = stack.api(&[]).await;
    let server = api.server("a", "castles").await;
    api.act(server, "start").await;
    let values = r#"update game_servers set settings = '{"slots": 65}'"#;
    stack.sql().await.batch_execute(values).await.expect("a value of an earlier catalogue");
    let body = json!({ "server_id": server, "action": "restart", "cron_expression": "* * * * *" });
    let schedule = api.post("/api/v1/schedules", body).await.expect(201)["id"].as_i64().expect("an id");
    for path in [format!("/api/v1/servers/{server}/restart"), format!("/api/v1/schedules/{schedule}/run")] {
        let refused = api.post(&path, json!({})).await.expect(409);
        let detail = refused["detail"].as_str().unwrap_or_default();
        assert!(refused["code"] == "unfit_settings" && detail.contains("'slots' (Slots)"), "{refused}");
    }
    let due = "update server_schedules set next_run = date_trunc('minute', now()); notify agis_schedules";
    stack.sql().await.batch_execute(due).await.expect("a run that is due");
    let run = wait::until(SOON, "the run to end", async || {
        let runs = api.get(&format!("/api/v1/schedules/{schedule}/runs")).await.expect(200);
        runs["items"].as_array()?.iter().find(|run| run["state"] != "pending").cloned()
    });
    let run = run.await;
    assert_eq!((&run["state"], &run["reason"]), (&json!("skipped"), &json!("unfit_settings")));
    let shown = api.get(&format!("/api/v1/servers/{server}")).await.expect(200);
    assert_eq!(shown["status"], "running", "{shown}");
    api.call("DELETE", &format!("/api/v1/schedules/{schedule}"), None).await.expect(204);
    // A stranger learns nothing of the settings.
    let stranger = stack.make_key(STRANGER, &[]);
    api.call_as(Some(&stranger), "POST", &format!("/api/v1/servers/{server}/restart"), None).await.expect(404);
    change(&api, server, json!({ "slots": 64 })).await;
    api.act(server, "restart").await;
}

#[tokio::test]
async fn no_answer_and_no_log_holds_a_secret() {
    let stack = Stack::start().await;
    stack.add_game(&GAME.replace(" key=$KEY", ""));
    let api = stack.api(&[("RUST_LOG", "trace")]).await;
    let server = api.server("a", "castles").await;
    let mut answers = vec![change(&api, server, json!({ "key": SECRET })).await];
    // A mistake beside it does not bring it out.
    let mixed = json!({ "key": SECRET, "slots": SECRET, "nothing": SECRET });
    answers.push(api.call("PATCH", &path(server), Some(mixed)).await.expect(422));
    api.act(server, "start").await;
    answers.push(api.get(&path(server)).await.expect(200));
    answers.push(api.get(&format!("/api/v1/servers/{server}")).await.expect(200));
    answers.push(api.get(&format!("/api/v1/servers/{server}/operations")).await.expect(200));
    for answer in &answers {
        assert!(!answer.to_string().contains(SECRET), "{answer}");
    }
    api.until_status(server, "running").await;
    let log = api.log();
    assert!(!log.is_empty() && log.iter().all(|line| !line.to_string().contains(SECRET)), "the log holds the secret");
}

#[tokio::test]
async fn the_operator_changes_any_setting_of_any_server() {
    let stack = Stack::start().await;
    stack.add_game(GAME);
    let api = stack.api(&[]).await;
    let server = api.server("a", "castles").await;
    change(&api, server, json!({ "key": SECRET })).await;
    let id = server.to_string();
    let shown = stack.command(&["settings", &id, "memory=4096", "motd=a=b", "slots=9"]);
    assert!(shown.contains("memory=4096\toperator\tnext_start") && shown.contains("motd=a=b\towner"), "{shown}");
    assert!(shown.contains("key=\towner") && !shown.contains(SECRET), "{shown}");
    assert_eq!(item(&api.get(&path(server)).await.expect(200), "memory")["value"], 4096);
    let shown = stack.command(&["settings", &id, "--reset", "memory"]);
    assert!(shown.contains("memory=1024") && shown.contains("slots=9"), "{shown}");
    for (arguments, says) in [
        (vec!["settings", &id, "slots=65"], "settings.slots: must be a whole number from 1 to 64"),
        (vec!["settings", &id, "nothing=1"], "has no setting 'nothing'"),
        (vec!["settings", &id, "slots"], "'slots' is not NAME=VALUE"),
        (vec!["settings", "999999", "slots=1"], "no such server"),
    ] {
        let output = stack.output(&[], &arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains(says), "{arguments:?}: {said}");
    }
}

/// A game whose files are INI, which has no escapes.
const INI: &str = r#"
[ponds]
title = "Ponds"
command = ["sh", "-c", "echo up; exec sleep 100000"]
port = 31700
cost_per_hour = 0
ready = { when = { log = "up" }, within_s = 60 }
[ponds.settings]
motd = { type = "text", title = "Message", default = "Hi" }
depth = { type = "int", title = "Depth", default = 3 }
[ponds.files]
"ponds.ini" = "name = {name}\nmotd = {settings.motd}\ndepth = {settings.depth}\n"
"#;

#[tokio::test]
async fn text_that_a_file_cannot_hold_is_refused_at_once() {
    let stack = Stack::start().await;
    stack.add_game(INI);
    let api = stack.api(&[]).await;
    let new = |name: &str, motd: &str| json!({ "name": name, "game_type": "ponds", "settings": { "motd": motd } });
    let says = "settings.motd: cannot be written into ponds.ini, since it ";
    let answer = api.post("/api/v1/servers", new("a", "'''x")).await.expect(422);
    assert_eq!(answer["errors"][0]["setting"], "motd", "{answer}");
    assert!(answer["detail"].as_str().is_some_and(|it| it.starts_with(says)), "{answer}");
    let answer = api.post("/api/v1/servers", new("[a", "Hi")).await.expect(422);
    assert!(answer["detail"].as_str().is_some_and(|it| it.contains("cannot be written into ponds.ini")), "{answer}");

    let server = api.post("/api/v1/servers", new("a", "x \"y\" z")).await.expect(201)["id"].as_i64().expect("an id");
    let refused = api.call("PATCH", &path(server), Some(json!({ "motd": "x ;y", "depth": 4 }))).await.expect(422);
    assert_eq!(refused["errors"].as_array().map(Vec::len), Some(1), "{refused}");
    let rename = Some(json!({ "name": "a ;b" }));
    api.call("PATCH", &format!("/api/v1/servers/{server}"), rename).await.expect(422);
    change(&api, server, json!({ "depth": 4 })).await;

    // A value of an earlier version stays, says that it does not fit, and hinders no other change.
    let value = r#"update game_servers set settings = '{"motd": "{x"}'"#;
    stack.sql().await.batch_execute(value).await.expect("a value of before");
    assert_eq!(item(&change(&api, server, json!({ "depth": 5 })).await, "motd")["fits"], false);
    assert_eq!(item(&change(&api, server, json!({ "motd": null })).await, "motd")["fits"], true);
}
