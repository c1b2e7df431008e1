//! Games while `agis-api`, their shims, or they themselves are killed.

use agis_test_support::wait;
use serde_json::Value;

use crate::{
    common::{Api, SOON, Stack, is_alive, query_game, signal},
    fleet::{self, SHORT_LEASE, games_file},
};

/// Does not end when it is asked to; it is killed after a while.
const STUBBORN: &str = r#"
    title = "Stubborn"
    command = ["{agis}", "demo-game", "--bind", "{bind}", "--port", "{port}", "--name", "{name}", "--ignore-sigterm"]
    cost_per_hour = 0
    ready = { when = { log = "ready for players" }, within_s = 30 }
    stop = { how = { signal = "SIGTERM" }, grace_s = 4 }
"#;

#[tokio::test]
async fn killed_api_leaves_games_running() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    let id = api.server("survivor", "demo").await;
    api.act(id, "start").await;
    let port = u16::try_from(api.until_status(id, "running").await["port"].as_u64().expect("a port")).expect("a port");
    let process = stack.process_of(id).expect("a process");
    api.kill();
    assert_eq!(query_game(port).await.expect("the game goes on")["name"], "survivor");

    let next = stack.api(&[]).await;
    assert_eq!(next.until_status(id, "running").await["port"], port);
    next.act(id, "start").await;
    assert_eq!(stack.process_of(id).expect("a process"), process, "no second copy was started");
    next.act(id, "stop").await;
    assert!(query_game(port).await.is_err(), "nobody listens any more");
}

#[tokio::test]
async fn wrongly_published_crash_is_taken_back() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    let (id, process) = running(&stack, &api).await;
    let port = api.until_status(id, "running").await["port"].clone();
    let wrong = "update game_servers set status = 'crashed', error_message = 'presumed', stopped_at = now()";
    assert_eq!(stack.sql().await.execute(wrong, &[]).await.expect("a row"), 1);
    let corrected = api.until_status(id, "running").await;
    assert_eq!((&corrected["port"], &corrected["error"]), (&port, &Value::Null));
    assert_eq!(stack.process_of(id).expect("a process"), process, "nothing was started");
    assert_eq!(api.metric("agis_bot_server_crashes_corrected_total").await, 1.0);
}

/// A running demo game: its server's id, and what the host has written of it.
async fn running(stack: &Stack, api: &Api) -> (i64, Value) {
    let id = api.server("victim", "demo").await;
    api.act(id, "start").await;
    (id, stack.process_of(id).expect("a process"))
}

fn pid(process: &Value, of: &str) -> i64 {
    process[of]["pid"].as_i64().expect("a pid")
}

/// Asserts that a server is published as crashed, and counted once however many processes watch; a start begins it
/// anew.
async fn assert_crashed_once(stack: &Stack, apis: &[&Api], id: i64, why: &str) {
    let crashed = apis[0].until_status(id, "crashed").await;
    assert!(crashed["error"].as_str().is_some_and(|error| error.contains(why)), "{crashed}");
    apis[0].act(id, "start").await;
    fleet::assert_one_copy_each(stack, &[id], 2).await;
    let mut crashes = 0.0;
    for api in apis {
        crashes += api.metric("agis_bot_server_crashes_total").await;
    }
    assert!((crashes - 1.0).abs() < 0.1, "{crashes} crashes were counted");
}

#[tokio::test]
async fn killed_game_is_recorded_once() {
    let stack = Stack::start().await;
    fleet::own_ids(&stack.sql().await).await;
    let (one, two) = (stack.api(&[]).await, stack.api(&[]).await);
    let (id, process) = running(&stack, &one).await;
    signal(pid(&process, "game"), "KILL");
    assert_crashed_once(&stack, &[&two, &one], id, "signal 9").await;
}

#[tokio::test]
async fn killed_shim_takes_its_game_along() {
    let stack = Stack::start().await;
    fleet::own_ids(&stack.sql().await).await;
    let (one, two) = (stack.api(&[]).await, stack.api(&[]).await);
    let (id, process) = running(&stack, &one).await;
    signal(pid(&process, "shim"), "KILL");
    wait::until(SOON, "the game to end", async || (!is_alive(pid(&process, "game"))).then_some(())).await;
    assert_crashed_once(&stack, &[&one, &two], id, "unobserved").await;
}

#[tokio::test]
async fn unseen_crash_is_found_by_the_next_api() {
    let stack = Stack::start().await;
    fleet::own_ids(&stack.sql().await).await;
    let api = stack.api(&[]).await;
    let (id, process) = running(&stack, &api).await;
    api.kill();
    signal(pid(&process, "game"), "KILL");
    wait::until(SOON, "the shim to end", async || (!is_alive(pid(&process, "shim"))).then_some(())).await;
    let next = stack.api(&[]).await;
    assert_crashed_once(&stack, &[&next], id, "signal 9").await;
}

#[tokio::test]
async fn stop_of_a_killed_process_is_finished() {
    let (stack, games) = (Stack::start().await, games_file("stubborn", STUBBORN));
    let settings = [SHORT_LEASE, games.setting()];
    let sql = stack.sql().await;
    fleet::own_ids(&sql).await;
    let api = stack.api(&settings).await;
    let id = api.server("stubborn", "stubborn").await;
    api.act(id, "start").await;
    let operation = api.ask(id, "stop").await;
    wait::until(SOON, "the host to know of the stop", async || {
        let seen = std::fs::read_to_string(stack.server_dir(id).join("generation"));
        seen.is_ok_and(|seen| seen.trim() == "2").then_some(())
    })
    .await;
    api.kill();
    let game = pid(&stack.process_of(id).expect("a process"), "game");
    assert!(is_alive(game), "the stop takes a while");

    let next = stack.api(&settings).await;
    let ended = next.ended(&operation).await;
    assert_eq!(ended["state"], "succeeded", "{ended}");
    assert_eq!(ended["killed_after_grace"], true, "{ended}");
    next.until_status(id, "stopped").await;
    assert!(!is_alive(game));
    fleet::assert_no_copy(&stack, id);
    let attempt: i32 = fleet::one(&sql, &format!("select attempt from operations where id = '{operation}'")).await;
    assert_eq!(attempt, 2);
}

#[tokio::test]
async fn killed_game_is_told_for_every_action() {
    let (stack, games) = (Stack::start().await, games_file("stubborn", STUBBORN));
    let settings = [SHORT_LEASE, games.setting()];
    let api = stack.api(&settings).await;
    let id = api.server("stubborn", "stubborn").await;
    // The second stop finds nothing that runs.
    for (action, killed) in [("start", false), ("restart", true), ("stop", true), ("stop", false), ("start", false)] {
        let operation = api.ask(id, action).await;
        assert_eq!(
            api.get(&format!("/api/v1/operations/{operation}")).await.expect(200)["killed_after_grace"],
            Value::Null
        );
        let ended = api.ended(&operation).await;
        assert_eq!((&ended["state"], &ended["killed_after_grace"]), (&"succeeded".into(), &killed.into()), "{ended}");
    }
    let delete = api.call("DELETE", &format!("/api/v1/servers/{id}"), None).await.expect(202);
    let delete = delete["id"].as_str().expect("an id").to_owned();
    let until = "the host to know of the deletion";
    wait::until(SOON, until, async || stack.server_dir(id).join("asked").exists().then_some(())).await;
    api.kill();
    let next = stack.api(&settings).await;
    assert_eq!(next.ended(&delete).await["killed_after_grace"], true);
    let line = next.logged("the kill", |line| line["killed_after_grace"] == true).await;
    assert_eq!((&line["level"], &line["game"]), (&"WARN".into(), &"stubborn".into()), "{line}");
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_starts_give_one_game() {
    const ROUNDS: usize = 10;
    let stack = Stack::start().await;
    fleet::own_ids(&stack.sql().await).await;
    let (one, two) = (stack.api(&[]).await, stack.api(&[]).await);
    let id = one.server("wanted", "sleeper").await;
    let mut asked = vec![];
    for _ in 0..ROUNDS {
        let (left, right) = tokio::join!(one.ask(id, "start"), two.ask(id, "start"));
        asked.extend([left, right]);
    }
    let mut succeeded = 0;
    for operation in asked {
        let ended = one.ended(&operation).await;
        assert!(["succeeded", "superseded"].map(Value::from).contains(&ended["state"]), "{ended}");
        succeeded += usize::from(ended["state"] == "succeeded");
    }
    assert!(succeeded > 0);
    let early = "select count(*) from operations where finished_at < created_at";
    assert_eq!(fleet::one::<i64>(&stack.sql().await, early).await, 0, "operations that ended before they were made");
    two.until_status(id, "running").await;
    fleet::assert_one_copy_each(&stack, &[id], 1).await;
}

#[tokio::test]
async fn catalogue_game_runs_is_adopted_and_stops() {
    let installed = ["/usr/games/bzfs", "/usr/bin/bzfs"].iter().any(|path| std::path::Path::new(path).exists());
    if !installed {
        return untried("bzfs is not installed (Debian: apt-get install bzflag-server)");
    }
    let stack = Stack::start().await;
    fleet::own_ids(&stack.sql().await).await;
    let built_in = [("GAMES_FILE", "")];
    let api = stack.api(&built_in).await;
    let id = api.server("A \"real\" game; $(true)", "bzflag").await;
    api.act(id, "start").await;
    let port = api.until_status(id, "running").await["port"].as_u64().expect("a port");
    assert_eq!(greeting(port).await, "BZFS", "a client is welcomed");
    let process = stack.process_of(id).expect("a process");
    api.kill();

    let next = stack.api(&built_in).await;
    assert_eq!(greeting(port).await, "BZFS");
    assert_eq!(stack.process_of(id).expect("a process"), process);
    next.act(id, "restart").await;
    fleet::assert_one_copy_each(&stack, &[id], 2).await;
    assert_eq!(greeting(port).await, "BZFS", "on the same port as before");
    next.act(id, "stop").await;
    fleet::assert_no_copy(&stack, id);
}

/// Returns the greeting of BZFlag's server, up to its version.
async fn greeting(port: u64) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let address = ("127.0.0.1", u16::try_from(port).expect("a port"));
    let asked = async {
        let mut stream = tokio::net::TcpStream::connect(address).await?;
        stream.write_all(b"BZFLAG\r\n\r\n").await?;
        let mut answer = [0; 4];
        stream.read_exact(&mut answer).await?;
        Ok::<_, std::io::Error>(String::from_utf8_lossy(&answer).into_owned())
    };
    tokio::time::timeout(SOON, asked).await.expect("an answer in time").expect("an answer")
}

#[expect(clippy::print_stderr, reason = "whoever runs the tests shall know what was not tried")]
fn untried(why: &str) {
    eprintln!("not tried: {why}");
}
