//! Labels of servers.

use crate::scene::Scene;

#[tokio::test]
async fn labels_are_typed_completed_and_listed() {
    let scene = Scene::open().await;
    let (ann, ben) = (scene.ann(), scene.ben());
    scene.look(&ann, "/server create name:Sky game:demo labels:Friday, pvp").await;
    scene.server(&ann, "Sea", "demo").await;
    let text = scene.look(&ann, "/server settings server:Sea labels:FRIDAY").await;
    assert!(text.contains("Labels of Sea") && text.contains("friday"), "{text}");
    let info = scene.look(&ann, "/server info server:Sky").await;
    assert!(info.contains("friday, pvp"), "{info}");

    let list = scene.look(&ann, "/server list label:friday").await;
    assert!(list.contains("with the label friday") && list.contains("Sky") && list.contains("Sea"), "{list}");
    let list = scene.look(&ann, "/server list label:pvp").await;
    assert!(list.contains("Sky") && !list.contains("Sea"), "{list}");
    assert!(scene.look(&ann, "/server list label:sunday").await.contains("None of your servers has it"));
    assert!(scene.look(&ben, "/server list label:friday").await.contains("None of your servers has it"));

    let values = async |person, line: &str| {
        scene.offered(person, line).await.into_iter().map(|(_, value)| value).collect::<Vec<_>>()
    };
    assert_eq!(values(&ann, "/server list label:").await, ["friday", "pvp"]);
    assert_eq!(values(&ann, "/server settings server:Sea labels:friday, p").await, ["friday, pvp"]);
    assert_eq!(values(&ben, "/server list label:").await, [""; 0]);

    let why = scene.refused(&ann, "/server settings server:Sea labels:a b").await;
    assert!(why.contains("`labels` each has 1 to 32 letters"), "{why}");
    let text = scene.look(&ann, "/server settings server:Sea labels:-").await;
    assert!(text.contains("It has none"), "{text}");
    assert_eq!(scene.count("server_labels").await, 2);
    scene.assert_clean();
}
