//! Whatever comes from outside can be stored, or ends what it is about.

use crate::common::Stack;

/// Games that end with words that no database takes.
const GAMES: &str = r#"
    [nul]
    title = "Ends with a NUL"
    command = ["sh", "-c", "printf 'bad\\000 config\\n'; exit 1"]
    port = 31800
    cost_per_hour = 0
    ready = { when = { log = "never" }, within_s = 30 }

    [latin]
    title = "Ends with what is no UTF-8"
    command = ["sh", "-c", "printf 'caf\\351 \\355\\240\\200\\n'; exit 1"]
    port = 31800
    cost_per_hour = 0
    ready = { when = { log = "never" }, within_s = 30 }

    [long]
    title = "Ends with a long line"
    command = ["sh", "-c", "head -c 1000000 /dev/zero | tr '\\0' x; exit 1"]
    port = 31800
    cost_per_hour = 0
    ready = { when = { log = "never" }, within_s = 30 }

    [poison]
    title = "Ends with what a rule of the database forbids"
    command = ["sh", "-c", "echo poison; exit 1"]
    port = 31800
    cost_per_hour = 0
    ready = { when = { log = "never" }, within_s = 30 }
"#;

#[tokio::test]
async fn any_words_end_a_start_and_are_told() {
    let stack = Stack::start().await;
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(&file, GAMES).expect("a catalogue");
    let api = stack.api(&[("GAMES_FILE", file.path().to_str().expect("a path"))]).await;
    for (game, words) in [("nul", "bad config"), ("latin", "caf\u{fffd} \u{fffd}"), ("long", "xxx")] {
        let id = api.server(game, game).await;
        let ended = api.ended(&api.ask(id, "start").await).await;
        let error = ended["error"].as_str().unwrap_or_default();
        assert!(ended["state"] == "failed" && error.contains(words), "{game}: {ended}");
        assert!(error.chars().count() <= agis_base::REASON_MAX, "{game}: {} characters", error.chars().count());
        let server = api.get(&format!("/api/v1/servers/{id}")).await.expect(200);
        assert_eq!((&server["status"], &server["error"]), (&"failed".into(), &ended["error"]), "{game}");
    }
}

#[tokio::test]
async fn refused_end_is_a_counted_failure() {
    let stack = Stack::start().await;
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(&file, GAMES).expect("a catalogue");
    let refusal = "alter table operations add constraint no_poison check (error not like '%poison%')";
    stack.sql().await.batch_execute(refusal).await.expect("a rule");
    let api = stack.api(&[("GAMES_FILE", file.path().to_str().expect("a path"))]).await;
    let id = api.server("poison", "poison").await;
    let ended = api.ended(&api.ask(id, "start").await).await;
    let error = ended["error"].as_str().unwrap_or_default();
    assert!(ended["state"] == "failed" && error.contains("cannot be stored"), "{ended}");
    api.until_status(id, "failed").await;
    assert_eq!(api.metric("agis_bot_db_writes_refused_total").await, 1.0, "and not tried again");
}
