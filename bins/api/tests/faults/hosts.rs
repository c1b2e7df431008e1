//! Tests of hosts: a host belongs to one data directory, and operators see the state of each host.

use agis_test_support::wait;
use serde_json::json;

use crate::common::{Api, OWNER, SOON, Stack};

async fn degraded(api: &Api) -> String {
    wait::until(SOON, "the host to be refused", async || {
        let ready = api.ready().await;
        let why = ready.body["components"]["host"]["why"].as_str().unwrap_or_default().to_owned();
        (ready.status == 503 && why.contains("agis-api hosts adopt")).then_some(why)
    })
    .await
}

#[tokio::test]
async fn another_directory_takes_no_host() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    let server = api.server("sky", "demo").await;
    api.act(server, "start").await;

    // As after a mount that failed: the same name, and an empty directory.
    let empty = tempfile::tempdir().expect("a directory");
    let settings = [("AGIS_DATA_DIR", empty.path().to_str().expect("a path"))];
    let wrong = stack.api(&settings).await;
    degraded(&wrong).await;
    let stop = wrong.ask(server, "restart").await;
    assert_eq!(wrong.ended(&stop).await["state"], "succeeded", "the right process takes the order");
    assert_eq!(stack.process_of(server).expect("a process")["generation"], 2);
    let status = wrong.get(&format!("/api/v1/servers/{server}")).await.expect(200)["status"].clone();
    assert_eq!(status, "running");
    wrong.kill();
}

#[tokio::test]
async fn lost_directory_is_replaced_by_an_operator() {
    let stack = Stack::start().await;
    let name = stack.settings().into_iter().find(|it| it.0 == "AGIS_HOST_NAME").expect("a name").1;
    let name = name.to_str().expect("text");
    let adopt = || stack.output(&[], &["hosts", "adopt", name]);
    assert!(!adopt().status.success(), "nobody has reported it");

    let api = stack.api(&[]).await;
    let server = api.server("sky", "demo").await;
    let comes_back = json!({ "restart_policy": { "on": "always" } });
    api.call("PATCH", &format!("/api/v1/servers/{server}"), Some(comes_back)).await.expect(200);
    api.act(server, "start").await;
    let output = adopt();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && told.contains("stop that process"), "{told}");
    api.kill();

    let empty = tempfile::tempdir().expect("a directory");
    let settings = [("AGIS_DATA_DIR", empty.path().to_str().expect("a path"))];
    let new = stack.api(&settings).await;
    degraded(&new).await;
    let sql = stack.sql().await;
    sql.execute("update hosts set seen_at = now() - interval '1 minute'", &[]).await.expect("a while later");
    assert!(adopt().status.success());
    let lost = new.until_status(server, "crashed").await;
    assert_eq!(lost["restart"], json!(null), "a new world is no restart: {lost}");
    wait::until(SOON, "readiness", async || (new.ready().await.status == 200).then_some(())).await;
}

#[tokio::test]
async fn ordinary_account_contains_runs() {
    let stack = Stack::start().await;
    let api = stack.api_of_ordinary_account().await;
    let server = api.server("sky", "demo").await;
    api.act(server, "start").await;
    let game = stack.process_of(server).expect("a process")["game"]["pid"].as_i64().expect("a pid");
    let status = std::fs::read_to_string(format!("/proc/{game}/status")).expect("the game runs");
    let numbers =
        status.lines().find_map(|line| line.strip_prefix("NSpid:")).map_or(0, |it| it.split_whitespace().count());
    assert!(numbers > 1, "it is in no PID namespace of its own: {status}");
    api.act(server, "stop").await;
}

#[tokio::test]
async fn operators_see_every_host() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    let server = api.server("sky", "demo").await;
    api.act(server, "start").await;
    let sql = stack.sql().await;
    let insert = "insert into game_servers (discord_id, name, game_type, status, desired, host)
                  values ($1, 'old', 'demo', 'stopped', 'stopped', 'elsewhere')";
    sql.execute(insert, &[&OWNER]).await.expect("a server of a host that nobody serves");

    let key = stack.make_key(OWNER, &["--scope", "read:hosts"]);
    let hosts = api.call_as(Some(&key), "GET", "/api/v1/hosts", None).await.expect(200);
    let [elsewhere, here] = hosts["items"].as_array().expect("items").as_slice() else { panic!("{hosts}") };
    assert_eq!((&elsewhere["name"], &elsewhere["served"]), (&json!("elsewhere"), &json!(false)), "{elsewhere}");
    assert_eq!(elsewhere["servers"], json!({ "running": 0, "total": 1 }));
    assert_eq!((&here["kind"], &here["served"]), (&json!("process"), &json!(true)), "{here}");
    assert_eq!(here["servers"], json!({ "running": 1, "total": 1 }));
    let abilities = json!(["console", "past_console", "commands", "files"]);
    assert_eq!((&here["abilities"], &here["inabilities"]), (&abilities, &json!([])));
    assert_eq!(elsewhere["abilities"], json!([]), "nobody has told");
    for room in ["disk", "memory"] {
        assert!(here[room]["free"].as_u64() <= here[room]["size"].as_u64(), "{here}");
        assert!(here[room]["size"].as_u64() > Some(0), "{here}");
    }
    let first = api.call_as(Some(&key), "GET", "/api/v1/hosts?limit=1", None).await.expect(200);
    let next = format!("/api/v1/hosts?cursor={}", first["next_cursor"].as_str().expect("a cursor"));
    let rest = api.call_as(Some(&key), "GET", &next, None).await.expect(200);
    assert_eq!((&first["items"][0]["name"], &rest["items"][0]["name"]), (&elsewhere["name"], &here["name"]));

    let told = stack.command(&["hosts"]);
    assert!(told.contains("elsewhere (unknown kind): NOT SERVED, never reported"), "{told}");
    assert!(told.contains("  can       console, past_console, commands, files\n"), "{told}");
    assert!(told.contains("(process): served\n  servers   1 running of 1\n  disk "), "{told}");
}
