use crate::common::{Stack, query_game};

#[tokio::test]
async fn a_killed_api_leaves_its_games_running_and_the_next_one_adopts_them() {
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
