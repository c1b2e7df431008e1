use agis_agones_stand_in::{FENCES, Kind, NAMESPACE};
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams, Preconditions, PropagationPolicy};
use serde_json::json;

use crate::scene::{Scene, claim, config_map, refusal, typed};

#[tokio::test]
async fn object_is_created_changed_and_deleted() {
    let scene = Scene::new().await;
    let maps = scene.config_maps();
    let made = maps.create(&PostParams::default(), &config_map("one", json!({"a": "1"}))).await.expect("created");
    let metadata = &made.metadata;
    assert!(metadata.uid.is_some() && metadata.creation_timestamp.is_some() && metadata.resource_version.is_some());
    let again = refusal(maps.create(&PostParams::default(), &made_anew("one")).await);
    assert_eq!((again.code, again.reason.as_str()), (409, "AlreadyExists"));
    assert_eq!(again.message, "configmaps \"one\" already exists");

    let mut changed = maps.get("one").await.expect("there");
    changed.data.get_or_insert_default().insert("b".to_owned(), "2".to_owned());
    let changed = maps.replace("one", &PostParams::default(), &changed).await.expect("replaced");
    assert_ne!(changed.metadata.resource_version, made.metadata.resource_version);
    assert_eq!(changed.metadata.uid, made.metadata.uid);
    let late = refusal(maps.replace("one", &PostParams::default(), &made).await);
    assert_eq!((late.code, late.reason.as_str()), (409, "Conflict"));

    let patch = json!({"data": {"a": null, "c": "3"}, "metadata": {"labels": {"l": "v"}}});
    let patched = maps.patch("one", &PatchParams::default(), &Patch::Merge(&patch)).await.expect("patched");
    let data = patched.data.expect("data");
    assert_eq!(data.keys().collect::<Vec<_>>(), ["b", "c"]);
    let stale = json!({"metadata": {"resourceVersion": made.metadata.resource_version}});
    assert_eq!(refusal(maps.patch("one", &PatchParams::default(), &Patch::Merge(&stale)).await).code, 409);

    assert!(maps.delete("one", &DeleteParams::default()).await.expect("deleted").is_right());
    let gone = refusal(maps.get("one").await);
    assert_eq!((gone.code, gone.reason.as_str()), (404, "NotFound"));
    assert_eq!(refusal(maps.delete("one", &DeleteParams::default()).await).code, 404);
}

fn made_anew(name: &str) -> k8s_openapi::api::core::v1::ConfigMap {
    config_map(name, json!({}))
}

#[tokio::test]
async fn a_change_of_nothing_is_no_change() {
    let scene = Scene::new().await;
    let maps = scene.config_maps();
    let made = maps.create(&PostParams::default(), &config_map("one", json!({"a": "1"}))).await.expect("created");
    let patch = json!({"data": {"a": "1"}});
    let patched = maps.patch("one", &PatchParams::default(), &Patch::Merge(&patch)).await.expect("patched");
    assert_eq!(patched, made);
}

#[tokio::test]
async fn a_deletion_may_know_whom_it_means() {
    let scene = Scene::new().await;
    let maps = scene.config_maps();
    let made = maps.create(&PostParams::default(), &config_map("one", json!({}))).await.expect("created");
    let meaning = |uid: Option<String>, resource_version: Option<String>| DeleteParams {
        preconditions: Some(Preconditions { uid, resource_version }),
        propagation_policy: Some(PropagationPolicy::Background),
        ..DeleteParams::default()
    };
    for wrong in [meaning(Some("another".to_owned()), None), meaning(None, Some("1".to_owned()))] {
        let refusal = refusal(maps.delete("one", &wrong).await);
        assert_eq!((refusal.code, refusal.reason.as_str()), (409, "Conflict"));
    }
    let right = meaning(made.metadata.uid, made.metadata.resource_version);
    maps.delete("one", &right).await.expect("deleted");
    assert_eq!(scene.cluster.list(Kind::ConfigMap), [json!(null); 0]);
}

#[tokio::test]
async fn finalizers_hold_an_object() {
    let scene = Scene::new().await;
    let maps = scene.config_maps();
    let held = json!({"metadata": {"name": "one", "finalizers": ["agis.example/held"]}});
    maps.create(&PostParams::default(), &typed(held)).await.expect("created");
    let ending = maps.delete("one", &DeleteParams::default()).await.expect("accepted");
    assert!(ending.left().is_some_and(|object| object.metadata.deletion_timestamp.is_some()));
    let more = json!({"metadata": {"finalizers": ["agis.example/held", "agis.example/more"]}});
    assert_eq!(refusal(maps.patch("one", &PatchParams::default(), &Patch::Merge(&more)).await).code, 422);
    let none = json!({"metadata": {"finalizers": null}});
    maps.patch("one", &PatchParams::default(), &Patch::Merge(&none)).await.expect("patched");
    assert!(maps.get_opt("one").await.expect("answered").is_none());
}

#[tokio::test]
async fn malformed_objects_are_refused() {
    let scene = Scene::new().await;
    let maps: Api<kube::api::DynamicObject> = Api::default_namespaced_with(
        scene.client.clone(),
        &kube::api::ApiResource::erase::<k8s_openapi::api::core::v1::ConfigMap>(&()),
    );
    let cases = [
        (json!({"metadata": {"name": "Upper"}}), 422, "lowercase RFC 1123 subdomain"),
        (json!({"metadata": {"name": "a", "labels": {"l": "no spaces"}}}), 422, "a valid label"),
        (json!({"metadata": {"name": "a", "labels": {"l": "x".repeat(64)}}}), 422, "a valid label"),
        (json!({"metadata": {"name": "a", "labels": {"-l": "v"}}}), 422, "metadata.labels"),
        (json!({"metadata": {"name": "a"}, "data": {"key with space": "v"}}), 422, "valid config key"),
        (json!({"metadata": {"name": "a"}, "data": {"number": 1}}), 400, "cannot be handled as a ConfigMap"),
        (json!({"metadata": {"name": "a", "namespace": "other"}}), 400, "does not match the namespace"),
        (json!({"metadata": {"name": "a", "resourceVersion": "7"}}), 500, "should not be set"),
        (json!({"metadata": {}}), 422, "name or generateName is required"),
    ];
    for (mut object, code, words) in cases {
        object["apiVersion"] = "v1".into();
        object["kind"] = "ConfigMap".into();
        let refusal = refusal(maps.create(&PostParams::default(), &typed(object.clone())).await);
        assert!(refusal.code == code && refusal.message.contains(words), "{object}: {refusal:?}");
    }
    let generated = json!({"metadata": {"generateName": "gen-"}});
    let made = scene.config_maps().create(&PostParams::default(), &typed(generated)).await.expect("created");
    assert!(made.metadata.name.is_some_and(|name| name.starts_with("gen-") && name.len() == 9));
}

#[tokio::test]
async fn immutable_fields_stay() {
    let scene = Scene::new().await;
    let maps = scene.config_maps();
    maps.create(&PostParams::default(), &config_map("one", json!({}))).await.expect("created");
    let time = json!({"metadata": {"creationTimestamp": "2001-01-01T00:00:00Z"}});
    assert_eq!(refusal(maps.patch("one", &PatchParams::default(), &Patch::Merge(&time)).await).code, 422);
    let uid = json!({"metadata": {"uid": "another"}});
    assert_eq!(refusal(maps.patch("one", &PatchParams::default(), &Patch::Merge(&uid)).await).code, 409);
    let claims = scene.claims();
    claims.create(&PostParams::default(), &typed(claim("world"))).await.expect("created");
    let mode = json!({"spec": {"accessModes": ["ReadWriteMany"]}});
    assert_eq!(refusal(claims.patch("world", &PatchParams::default(), &Patch::Merge(&mode)).await).code, 422);
    let size = json!({"spec": {"resources": {"requests": {"storage": "6Gi"}}}});
    claims.patch("world", &PatchParams::default(), &Patch::Merge(&size)).await.expect("grown");
}

#[tokio::test]
async fn other_patches_are_refused_with_a_word() {
    let scene = Scene::new().await;
    let maps = scene.config_maps();
    maps.create(&PostParams::default(), &config_map("one", json!({"a": "1"}))).await.expect("created");
    let params = PatchParams::apply("test").force();
    let apply = config_map("one", json!({}));
    assert_eq!(refusal(maps.patch("one", &params, &Patch::Apply(&apply)).await).code, 415);
    let strategic = Patch::Strategic(json!({"data": {"a": "2"}}));
    assert_eq!(refusal(maps.patch("one", &PatchParams::default(), &strategic).await).code, 415);
}

#[tokio::test]
async fn lists_are_selected_and_come_in_pages() {
    let scene = Scene::new().await;
    let maps = scene.config_maps();
    for (name, labels) in [("a", json!({"l": "1"})), ("b", json!({"l": "2", "m": ""})), ("c", json!({}))] {
        let object = json!({"metadata": {"name": name, "labels": labels}});
        maps.create(&PostParams::default(), &typed(object)).await.expect("created");
    }
    let cases = [
        ("l=1", "a"),
        ("l==2,m", "b"),
        ("l!=1", "bc"),
        ("l in (1, 2)", "ab"),
        ("l notin (1)", "bc"),
        ("!l", "c"),
        ("l,!m", "a"),
    ];
    for (selector, names) in cases {
        let list = maps.list(&ListParams::default().labels(selector)).await.expect("listed");
        let found: String = list.into_iter().filter_map(|object| object.metadata.name).collect();
        assert_eq!(found, names, "{selector}");
    }
    assert_eq!(refusal(maps.list(&ListParams::default().labels("l in 1")).await).code, 400);
    let by_name = maps.list(&ListParams::default().fields("metadata.name=b")).await.expect("listed");
    assert_eq!(by_name.items.len(), 1);

    let page = maps.list(&ListParams::default().limit(2)).await.expect("listed");
    let token = page.metadata.continue_.expect("more");
    maps.delete("c", &DeleteParams::default()).await.expect("deleted");
    let rest = ListParams::default().limit(2).continue_token(&token);
    let rest_of_it = maps.list(&rest).await.expect("as it was");
    assert_eq!((page.items.len(), rest_of_it.items.len(), rest_of_it.metadata.continue_), (2, 1, None));
    scene.cluster.compact();
    let expired = refusal(maps.list(&rest).await);
    assert_eq!((expired.code, expired.reason.as_str()), (410, "Expired"));
}

#[tokio::test]
async fn two_namespaces_and_narrow_roles() {
    let scene = Scene::new().await;
    let elsewhere: Api<k8s_openapi::api::core::v1::Pod> = Api::namespaced(scene.client.clone(), "kube-system");
    assert_eq!(refusal(elsewhere.list(&ListParams::default()).await).code, 403);
    let everywhere: Api<k8s_openapi::api::core::v1::Pod> = Api::all(scene.client.clone());
    assert_eq!(refusal(everywhere.list(&ListParams::default()).await).code, 403);
    let (here, there) = (scene.config_maps(), Api::namespaced(scene.client.clone(), FENCES));
    let map = config_map("two", json!({ "a": "b" }));
    there.create(&PostParams::default(), &map).await.expect("another of the name");
    let both = here.create(&PostParams::default(), &map).await.expect("one of the name");
    assert_eq!(both.metadata.namespace.as_deref(), Some(NAMESPACE));
    there.delete("two", &DeleteParams::default()).await.expect("deleted");
    assert!(
        here.get_opt("two").await.expect("an answer").is_some()
            && scene.cluster.list_in(FENCES, Kind::ConfigMap).is_empty()
    );
    scene.cluster.restrict(FENCES, &[]);
    assert_eq!(refusal(there.list(&ListParams::default()).await).code, 403);
    scene.cluster.restrict(NAMESPACE, &[("configmaps", &["list"]), ("gameservers.agones.dev", &["get"])]);
    scene.config_maps().list(&ListParams::default()).await.expect("allowed");
    let refusal = refusal(scene.config_maps().get("one").await);
    assert!(refusal.code == 403 && refusal.message.contains("cannot get resource \"configmaps\""), "{refusal:?}");
    assert!(scene.game_servers().get_opt("one").await.expect("allowed").is_none());
}
