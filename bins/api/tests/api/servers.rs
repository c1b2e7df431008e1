use serde_json::json;

use crate::common::{Stack, query_game};

#[tokio::test]
async fn server_lives_from_creation_to_stop() {
    let stack = Stack::start().await;
    let api = stack.api(&[]).await;
    let id = api.server("my demo", "demo").await;
    api.act(id, "start").await;
    let server = api.get(&format!("/api/v1/servers/{id}")).await.expect(200);
    let port = server["port"].as_u64().and_then(|port| u16::try_from(port).ok()).expect("a port");
    assert_eq!(server["status"], "running");
    assert_eq!(query_game(port).await.expect("a status")["name"], "my demo");

    api.act(id, "restart").await;
    let again = api.get(&format!("/api/v1/servers/{id}")).await.expect(200);
    assert_eq!((&again["status"], &again["port"]), (&json!("running"), &json!(port)));

    api.act(id, "stop").await;
    assert_eq!(api.get(&format!("/api/v1/servers/{id}")).await.expect(200)["status"], "stopped");
    assert!(query_game(port).await.is_err(), "nobody listens any more");
}
