//! Games that cannot be run on their host.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::Path,
};

use agis_test_support::wait;
use serde_json::{Value, json};

use crate::common::{Api, SOON, Stack};

fn entry(key: &str, program: &str) -> String {
    format!(
        "[{key}]\ntitle = '{key}'\nport = 30000\ncost_per_hour = 0\ncommand = ['{program}', '100000']\n\
         ready = {{ when = {{ delay = 0 }} }}\n"
    )
}

fn file(path: &Path, text: &str, mode: u32) {
    fs::write(path, text).expect("a file");
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("permissions");
}

async fn unavailable(api: &Api, key: &str) -> Value {
    let games = api.get("/api/v1/games?limit=100").await.expect(200);
    let games = games["items"].as_array().expect("a list").clone();
    games.into_iter().find(|game| game["game_type"] == key).expect("it is listed")["unavailable"].take()
}

async fn until(api: &Api, key: &str, what: &'static str, is: impl Fn(&Value) -> bool) -> Value {
    wait::until(SOON, what, async || Some(unavailable(api, key).await).filter(&is)).await
}

fn wanted(game: &str) -> Value {
    json!({ "name": format!("of {game}"), "game_type": game })
}

#[tokio::test]
async fn unrunnable_game_takes_no_server_until_fixed() {
    let stack = Stack::start().await;
    let programs = tempfile::tempdir().expect("a directory");
    let dir = programs.path();
    fs::set_permissions(dir, fs::Permissions::from_mode(0o755)).expect("permissions");
    file(&dir.join("fine"), "#!/bin/sh\nexec sleep \"$1\"\n", 0o755);
    file(&dir.join("locked"), "#!/bin/sh\n", 0o644);
    file(&dir.join("foreign"), "#!/no/such/shell\n", 0o755);
    fs::create_dir(dir.join("folder")).expect("a directory");
    symlink(dir.join("nowhere"), dir.join("dangling")).expect("a link");
    for key in ["fine", "locked", "foreign", "folder", "dangling", "missing"] {
        stack.add_game(&entry(key, &dir.join(key).display().to_string()));
    }
    stack.add_game(&entry("named", "agis-has-no-such-program"));
    // The server's own: nobody can know before there is one.
    stack.add_game(&entry("own", "./start.sh"));
    let mut api = stack.api(&[]).await;

    for (key, says) in [
        ("locked", "permission is missing"),
        ("foreign", "interpreter was not found"),
        ("folder", "is a directory"),
        ("dangling", "is a link to a missing file"),
        ("missing", "missing' was not found"),
        ("named", "'agis-has-no-such-program' was not found"),
    ] {
        let why = until(&api, key, "the reason", |why| why.is_string()).await;
        let why = why.as_str().expect("a reason");
        assert!(why.contains(says) && !why.contains("/no/such/shell"), "{key}: {why}");
        let refused = api.post("/api/v1/servers", wanted(key)).await.expect(409);
        assert_eq!(refused["code"], "game_unavailable", "{refused}");
        assert!(refused["detail"].as_str().is_some_and(|detail| detail.contains(why)), "{refused}");
    }
    for key in ["fine", "own", "demo", "sleeper"] {
        assert_eq!(unavailable(&api, key).await, Value::Null, "{key}");
    }
    let line = api.logged("the game", |line| line["game"] == "foreign").await;
    assert!(line["why"].as_str().is_some_and(|why| why.contains("/no/such/shell")), "the operator reads it: {line}");
    assert_eq!(api.exit(), None, "it serves on");

    // Installed while it runs.
    file(&dir.join("missing"), "#!/bin/sh\nexec sleep \"$1\"\n", 0o755);
    fs::set_permissions(dir.join("locked"), fs::Permissions::from_mode(0o755)).expect("permissions");
    for key in ["missing", "locked"] {
        until(&api, key, "the game to be available", Value::is_null).await;
        api.post("/api/v1/servers", wanted(key)).await.expect(201);
    }
    let id = api.server("installed", "missing").await;
    api.act(id, "start").await;
    // Removed again: the server is there, and its start says why it does not come.
    api.act(id, "stop").await;
    fs::remove_file(dir.join("missing")).expect("it is removed");
    let start = api.ask(id, "start").await;
    let failed = api.ended(&start).await;
    assert!(failed["error"].as_str().is_some_and(|why| why.contains("was not found")), "{failed}");
    until(&api, "missing", "the game to be missing again", Value::is_string).await;
}

#[tokio::test]
async fn restart_that_cannot_begin_stops_nothing() {
    let stack = Stack::start().await;
    let programs = tempfile::tempdir().expect("a directory");
    fs::set_permissions(programs.path(), fs::Permissions::from_mode(0o755)).expect("permissions");
    let program = programs.path().join("engine");
    let script = "#!/bin/sh\nexec sleep \"$1\"\n";
    file(&program, script, 0o755);
    stack.add_game(&entry("castles", &program.display().to_string()));
    stack.add_game(&entry("moving", "sleep"));
    let api = stack.api(&[]).await;
    let ids = [api.server("a", "castles").await, api.server("b", "moving").await];
    for id in ids {
        api.act(id, "start").await;
    }
    let games = ids.map(|id| stack.process_of(id).expect("a status")["shim"]["pid"].clone());

    // The program vanishes, and the catalogue of the next process has one game on another kind of host.
    fs::remove_file(&program).expect("it is removed");
    assert!(api.stop().await.success());
    stack.change_games(|catalogue| {
        catalogue.replace("command = ['sleep', '100000']", "container = { image = 'docker.io/x/y:1', world = '/data' }")
    });
    let api = stack.api(&[("AGIS_HOST", "process,container"), ("CONTAINER_HOST", "unix:///no/engine")]).await;
    for ((id, game), says) in
        ids.into_iter().zip(&games).zip(["engine' was not found", "is made for another kind of host"])
    {
        let refused = api.ended(&api.ask(id, "restart").await).await;
        let why = refused["error"].as_str().unwrap_or_default();
        assert!(refused["state"] == "failed" && why.starts_with("not restarted, and the game goes on: "), "{refused}");
        assert!(why.contains(says), "{why}");
        let server = api.get(&format!("/api/v1/servers/{id}")).await.expect(200);
        assert_eq!((&server["status"], &server["error"]), (&json!("running"), &Value::Null), "{server}");
        assert_eq!(&stack.process_of(id).expect("a status")["shim"]["pid"], game, "the same run goes on");
    }
    file(&program, script, 0o755);
    api.act(ids[0], "restart").await;
    assert_ne!(stack.process_of(ids[0]).expect("a status")["shim"]["pid"], games[0]);
    // A stop needs no program.
    for id in ids {
        api.act(id, "stop").await;
    }
}

#[tokio::test]
async fn stale_or_foreign_reports_block_no_game() {
    let stack = Stack::start().await;
    let sql = stack.sql().await;
    let api = stack.api(&[]).await;
    let id = api.server("sky", "demo").await;
    let insert = "insert into unavailable_games (host, game_type, reason, seen_at)
                  select case $1 when 'here' then host else 'elsewhere' end, $2, 'it is gone', now() - make_interval(secs => $3)
                  from game_servers where id = $4
                  on conflict (host, game_type) do update set seen_at = excluded.seen_at";
    let id = i32::try_from(id).expect("an id");
    // A game of another process's catalogue, on the same host.
    sql.execute(insert, &[&"here", &"chess", &0_f64, &id]).await.expect("a row");
    sql.execute(insert, &[&"elsewhere", &"demo", &0_f64, &id]).await.expect("a row");
    sql.execute(insert, &[&"elsewhere", &"go", &172_800_f64, &id]).await.expect("a row");
    sql.execute(insert, &[&"here", &"demo", &61_f64, &id]).await.expect("a row");
    assert_eq!(unavailable(&api, "demo").await, Value::Null);
    api.post("/api/v1/servers", wanted("demo")).await.expect(201);
    let rows =
        "select count(*) from unavailable_games where (game_type = 'demo' and host <> 'elsewhere') or game_type = 'go'";
    wait::until(SOON, "what is over to be forgotten", async || {
        (sql.query_one(rows, &[]).await.expect("a count").get::<_, i64>(0) == 0).then_some(())
    })
    .await;
    let kept: i64 = sql.query_one("select count(*) from unavailable_games", &[]).await.expect("a count").get(0);
    assert_eq!(kept, 2, "what others say is left alone");
}

#[tokio::test]
async fn checked_catalogue_is_told_by_file_and_line() {
    let stack = Stack::start().await;
    let folder = tempfile::tempdir().expect("a directory");
    let path = |name: &str| folder.path().join(name).to_str().expect("text").to_owned();
    let check = || {
        let output = stack.output(&[], &["games", "check", &path("games.toml")]);
        (
            output.status.code(),
            String::from_utf8(output.stdout).expect("text"),
            String::from_utf8(output.stderr).expect("text"),
        )
    };
    let (status, _, error) = check();
    assert!(status == Some(1) && error.contains("cannot be read: No such file"), "{error}");

    fs::write(path("games.toml"), "include = ['more.toml']\n[one]\ntitle = 1\n").expect("a file");
    fs::write(path("more.toml"), "[two]\ntitle = 'Two'\nfleet = 'two'\ncost_per_hour = -1\n").expect("a file");
    let (status, told, error) = check();
    let lines: Vec<_> = told.lines().collect();
    assert!(lines[0].starts_with(&format!("{}:2: one.cost_per_hour: is missing", path("games.toml"))), "{told}");
    assert_eq!(lines.last(), Some(&&*format!("{}:4: two.cost_per_hour: must not be negative", path("more.toml"))));
    assert_eq!((status, error), (Some(1), format!("agis-api: {} has {} mistakes\n", path("games.toml"), lines.len())));

    let gameserver = |yaml: &str| format!("[pod]\ntitle = 'Pod'\ncost_per_hour = 1\ngameserver = '''\n{yaml}'''\n");
    for (yaml, says) in [("spec: [\n", "cannot be read: "), ("kind: Pod\nspec: {}\n", "is of another kind")] {
        fs::write(path("games.toml"), gameserver(yaml)).expect("a file");
        let (status, told, _) = check();
        let [line] = told.lines().collect::<Vec<_>>()[..] else { panic!("{told}") };
        let begins = format!("{}:4: pod.gameserver: {says}", path("games.toml"));
        assert!(status == Some(1) && line.starts_with(&begins), "{told}");
    }

    fs::write(
        path("games.toml"),
        "extend = 'built-in'\ninclude = ['more.toml']\n[demo]\nports = [{ name = 'game', port = 27600 }]\n",
    )
    .expect("a file");
    fs::write(path("more.toml"), "[two]\ntitle = 'Two'\nfleet = 'two'\ncost_per_hour = 1\n").expect("a file");
    let (status, told, error) = check();
    assert_eq!((status, &*error), (Some(0), ""), "{told}");
    let line = |key: &str| told.lines().find(|line| line.starts_with(key)).expect("the game").to_owned();
    assert!(line("demo ").contains("process") && line("demo ").contains("27600/tcp"), "{told}");
    assert!(line("two ").contains("agones"), "{told}");
    let listed = stack.command(&["games"]);
    assert!(listed.lines().any(|line| line.starts_with("sleeper ")), "{listed}");
}

#[tokio::test]
async fn no_server_starts_before_its_licence_is_accepted() {
    let stack = Stack::start().await;
    stack.add_game(
        r#"
        [licensed]
        title = "Licensed"
        command = ["sleep", "100000"]
        env = { EULA = "{settings.eula}" }
        port = 31900
        cost_per_hour = 0
        ready = { when = { delay = 0 } }
        about = { eula = "https://example.org/licence" }
        [licensed.settings.eula]
        type = "choice"
        title = "Licence"
        help = "Accept https://example.org/licence"
        choices = [{ value = "true", title = "I accept the licence" }]
        "#,
    );
    let api = stack.api(&[]).await;
    let games = api.get("/api/v1/games?limit=100").await.expect(200);
    let licensed = games["items"].as_array().expect("a list").iter().find(|game| game["game_type"] == "licensed");
    assert_eq!(licensed.expect("the game")["eula"], "https://example.org/licence");
    let id = api.server("strict", "licensed").await;
    let failed = api.ended(&api.ask(id, "start").await).await;
    let error = failed["error"].as_str().unwrap_or_default();
    assert!(failed["state"] == "failed" && error.contains("https://example.org/licence"), "{failed}");
    let accept = json!({ "eula": "true" });
    api.call("PATCH", &format!("/api/v1/servers/{id}/settings"), Some(accept)).await.expect(200);
    api.act(id, "start").await;
}
