//! Objects that break the rules: a rule that finds nothing wrong with its own is no rule.

use std::collections::BTreeSet;
use std::env;

use serde_json::{Value, json};

use super::form::Forms;
use super::object::plain;
use super::{kubectl, objects, overlay, rules, validate};
use crate::signals::Interrupts;
use crate::state::checkout;

const API: &str = "Deployment/agis-api";
const BOT: &str = "Deployment/agis-bot";
const MIGRATION: &str = "Job/agis-migrate";
const FLEET: &str = "Fleet/arena";
const FLEET_SCALER: &str = "FleetAutoscaler/arena";
const GAME: &str = "GameServer/simple.games.toml";
const ROLE: &str = "Role/agis-api";
const FENCES: &str = "Role/agis-api-fences";
const MOVE: &str = "Role/agis-api-move";
const BINDING: &str = "RoleBinding/agis-api";
const ALERTS: &str = "PrometheusRule/agis";
const MONITOR: &str = "ServiceMonitor/agis";
const SETTINGS: &str = "ConfigMap/agis-settings";
const CATALOGUE: &str = "ConfigMap/agis-games";
const SCALER: &str = "HorizontalPodAutoscaler/agis-api";
const GAMES: &str = "NetworkPolicy/games";
const DENIAL: &str = "NetworkPolicy/default-deny";
const QUOTA: &str = "ResourceQuota/games";
const LIMITS: &str = "LimitRange/games";

/// A change that breaks an object.
type Edit = fn(&mut Value);
/// The rule, the object that it is tried on, and the change that breaks it.
type Broken = (&'static str, &'static str, Edit);

const FORMS: &[(&str, Edit)] = &[
    (API, |it| it["spec"]["replica"] = json!(3)),
    (API, |it| it["metadata"]["label"] = json!({})),
    (API, |it| container(it)["ports"] = json!([{"containerPort": "http"}])),
    (API, |it| it["apiVersion"] = json!("apps/v1beta9")),
    (FLEET, |it| it["spec"]["replica"] = json!(3)),
    (FLEET, |it| it["spec"]["replicas"] = json!("two")),
    (FLEET, |it| it["metadata"]["label"] = json!({})),
    (FLEET, |it| it["apiVersion"] = json!("agones.dev/v2")),
    (FLEET, |it| container(it)["imagePolicy"] = json!("Always")),
    (FLEET_SCALER, |it| it["spec"]["policy"]["type"] = json!("Bufer")),
    (FLEET_SCALER, |it| it["spec"]["policy"]["buffer"]["maxReplicas"] = json!("many")),
    (GAME, |it| container(it)["imagePolicy"] = json!("Always")),
    (GAME, |it| it["spec"]["ports"][0]["protocol"] = json!("SCTP")),
    (GAME, |it| remove(&mut it["spec"], "template")),
    (MONITOR, |it| it["specs"] = json!({})),
    (MONITOR, |it| remove(&mut it["spec"], "selector")),
    (MONITOR, |it| it["spec"]["endpoints"][0]["ports"] = json!("metrics")),
    (MONITOR, |it| it["spec"]["endpoints"] = json!([])),
    (ALERTS, |it| remove(alert(it), "expr")),
    (ALERTS, |it| alert(it)["expr"] = json!("")),
    (ALERTS, |it| alert(it)["for"] = json!("soon")),
];

const ALONE: &[Broken] = &[
    ("kind_is_known", API, |it| it["kind"] = json!("StatefulSet")),
    ("image_has_a_version", API, |it| container(it)["image"] = json!("agis:latest")),
    ("image_has_a_version", FLEET, |it| container(it)["image"] = json!("host:5000/game")),
    ("resources_are_stated", API, |it| remove(&mut container(it)["resources"], "limits")),
    ("resources_are_stated", GAME, |it| remove(&mut container(it)["resources"]["requests"], "cpu")),
    ("probes_are_there", API, |it| remove(container(it), "readinessProbe")),
    ("probes_are_there", API, |it| container(it)["livenessProbe"]["httpGet"]["path"] = json!("/readyz")),
    ("probes_are_there", BOT, |it| container(it)["startupProbe"]["httpGet"]["port"] = json!("http")),
    ("nothing_is_privileged", API, |it| remove(pod(it), "securityContext")),
    ("nothing_is_privileged", API, |it| pod(it)["securityContext"] = json!({"runAsNonRoot": true, "runAsUser": 65532})),
    ("nothing_is_privileged", API, |it| security(it)["runAsUser"] = json!(0)),
    ("nothing_is_privileged", API, |it| security(it)["runAsNonRoot"] = json!(false)),
    ("nothing_is_privileged", API, |it| security(it)["seccompProfile"] = json!({"type": "Unconfined"})),
    ("nothing_is_privileged", API, |it| security(it)["privileged"] = json!(true)),
    ("nothing_is_privileged", API, |it| security(it)["allowPrivilegeEscalation"] = json!(true)),
    ("nothing_is_privileged", API, |it| security(it)["readOnlyRootFilesystem"] = json!(false)),
    ("nothing_is_privileged", API, |it| security(it)["capabilities"] = json!({"drop": ["ALL"], "add": ["NET_RAW"]})),
    ("nothing_is_privileged", FLEET, |it| security(it)["runAsUser"] = json!(0)),
    ("nothing_is_privileged", GAME, |it| remove(container(it), "securityContext")),
    ("nothing_is_privileged", MIGRATION, |it| remove(container(it), "securityContext")),
    ("nothing_reaches_into_the_node", FLEET, |it| pod(it)["hostNetwork"] = json!(true)),
    ("nothing_reaches_into_the_node", API, |it| {
        pod(it)["volumes"] = json!([{"name": "node", "hostPath": {"path": "/"}}]);
    }),
    ("only_the_api_has_a_token", BOT, |it| pod(it)["automountServiceAccountToken"] = json!(true)),
    ("only_the_api_has_a_token", MIGRATION, |it| remove(pod(it), "automountServiceAccountToken")),
    ("only_the_api_has_a_token", "ServiceAccount/agis-bot", |it| remove(it, "automountServiceAccountToken")),
    ("only_the_api_has_a_token", GAME, |it| pod(it)["automountServiceAccountToken"] = json!(false)),
    ("nobody_may_do_more", ROLE, |it| push(&mut it["rules"][0]["verbs"], json!("*"))),
    ("nobody_may_do_more", ROLE, |it| list(&mut it["rules"][0]["verbs"]).retain(|verb| verb != "create")),
    ("nobody_may_do_more", ROLE, |it| it["rules"][0]["resources"] = json!(["fleets"])),
    ("nobody_may_do_more", ROLE, |it| it["rules"][0]["apiGroups"] = json!(["*"])),
    ("nobody_may_do_more", ROLE, |it| it["kind"] = json!("ClusterRole")),
    ("nobody_may_do_more", MOVE, |it| push(&mut it["rules"][0]["verbs"], json!("update"))),
    ("nobody_may_do_more", FENCES, |it| push(&mut it["rules"][0]["resources"], json!("secrets"))),
    ("nobody_may_do_more", FENCES, |it| it["metadata"]["name"] = json!("agis-api")),
    ("nobody_may_do_more", BINDING, |it| it["roleRef"] = json!({"kind": "ClusterRole", "name": "admin"})),
    ("nobody_may_do_more", BINDING, |it| it["subjects"][0]["name"] = json!("agis-bot")),
    ("nobody_may_do_more", BINDING, |it| push(&mut it["subjects"], json!({"kind": "User", "name": "somebody"}))),
    ("no_secret_is_here", SETTINGS, |it| it["kind"] = json!("Secret")),
    ("no_secret_is_here", SETTINGS, |it| it["data"]["DISCORD_TOKEN"] = json!("…")),
    ("no_secret_is_here", API, |it| env(it, "DATABASE_URL", json!({"value": "postgres://…"}))),
    ("no_secret_is_here", API, |it| env(it, "DATABASE_URL", key("other-secrets", "database-url"))),
    ("no_secret_is_here", BOT, |it| env(it, "DISCORD_TOKEN", key("agis-secrets", "discord"))),
    ("no_secret_is_here", API, |it| env(it, "REDIS_URL", json!({"value": "redis://:secret@redis"}))),
    ("namespace_is_given", API, |it| remove(&mut it["metadata"], "namespace")),
    ("settings_are_documented", API, |it| env(it, "AGIS_MAGIC", json!({"value": "1"}))),
    ("settings_are_documented", BOT, |it| env(it, "SHUTDOWN_DELAY_SECONDS", json!({"value": "1"}))),
    ("settings_are_documented", SETTINGS, |it| it["data"]["NOPE"] = json!("1")),
    ("metrics_exist", ALERTS, |it| alert(it)["expr"] = json!("agis_bot_no_such_total > 1")),
    ("metrics_exist", ALERTS, |it| alert(it)["expr"] = json!("agis_bot_servers_active_count > 1")),
];

const TOGETHER: &[Broken] = &[
    ("names_are_there", API, |it| pod(it)["serviceAccountName"] = json!("agis")),
    ("names_are_there", API, |it| container(it)["envFrom"][0]["configMapRef"]["name"] = json!("agis")),
    ("names_are_there", BOT, |it| pod(it)["volumes"][0]["configMap"]["name"] = json!("agis")),
    ("names_are_there", BINDING, |it| it["subjects"][0]["namespace"] = json!("elsewhere")),
    ("names_are_there", "Service/agis-api", |it| it["metadata"]["name"] = json!("api")),
    ("names_are_there", SCALER, |it| it["spec"]["scaleTargetRef"]["name"] = json!("api")),
    ("names_are_there", FLEET_SCALER, |it| it["spec"]["fleetName"] = json!("arenas")),
    ("selectors_select", API, |it| it["spec"]["template"]["metadata"]["labels"] = json!({})),
    ("selectors_select", "Service/agis-bot", |it| it["spec"]["selector"] = json!({"app": "bot"})),
    ("selectors_select", "PodDisruptionBudget/agis-bot", |it| it["metadata"]["namespace"] = json!("elsewhere")),
    ("selectors_select", MONITOR, |it| it["spec"]["selector"] = json!({"matchLabels": {"a": "b"}})),
    ("selectors_select", MONITOR, |it| it["spec"]["selector"]["matchExpressions"][0]["key"] = json!("app")),
    ("selectors_select", "NetworkPolicy/agis-migrate", |it| it["metadata"]["namespace"] = json!("elsewhere")),
    ("selectors_select", GAMES, |it| it["metadata"]["namespace"] = json!("elsewhere")),
    ("settings_fit", SETTINGS, |it| it["data"]["AGIS_HOST"] = json!("process")),
    ("settings_fit", SETTINGS, |it| it["data"]["AGONES_NAMESPACE"] = json!("elsewhere")),
    ("settings_fit", SETTINGS, |it| it["data"]["AGONES_FENCES_NAMESPACE"] = json!("elsewhere")),
    ("settings_fit", FENCES, |it| it["metadata"]["namespace"] = json!("agones-dev")),
    ("settings_fit", SETTINGS, |it| it["data"]["METRICS_PORT"] = json!("8082")),
    ("settings_fit", SETTINGS, |it| it["data"]["METRICS_ADDRESS"] = json!("127.0.0.1")),
    ("settings_fit", SETTINGS, |it| it["data"]["GAMES_FILE"] = json!("/etc/games.toml")),
    ("there_is_time_to_end", API, |it| pod(it)["terminationGracePeriodSeconds"] = json!(30)),
    ("there_is_time_to_end", SETTINGS, |it| it["data"]["SHUTDOWN_DRAIN_SECONDS"] = json!("60")),
    ("there_is_time_to_end", BOT, |it| pod(it)["terminationGracePeriodSeconds"] = json!(20)),
    ("one_version_runs", MIGRATION, |it| container(it)["image"] = json!("agis:1")),
    ("catalogue_is_right", FLEET, |it| it["metadata"]["name"] = json!("other")),
    ("catalogue_is_right", CATALOGUE, |it| games(it, "title", "name")),
    ("catalogue_is_right", CATALOGUE, |it| games(it, r#"fleet = "arena""#, "")),
    ("catalogue_is_right", CATALOGUE, |it| games(it, "grace_s = 60", r#"how = { console = "stop" }"#)),
    ("catalogue_is_right", CATALOGUE, |it| games(it, r#"when = "ready""#, r#"when = "port""#)),
    ("catalogue_is_right", CATALOGUE, |it| {
        games(it, r#"fleet = "arena""#, "fleet = \"arena\"\nworld = { size = \"1Gi\", mount = \"/data\" }");
    }),
    ("catalogue_is_right", CATALOGUE, |it| games(it, r#"fleet = "arena""#, "fleet = \"arena\"\ngood_exits = [256]")),
    ("catalogue_is_right", CATALOGUE, |it| games(it, r#"fleet = "arena""#, "command = [\"/bin/game\"]\nport = 7000")),
    ("games_are_apart", DENIAL, |it| it["spec"]["policyTypes"] = json!(["Ingress"])),
    ("games_are_apart", DENIAL, |it| it["spec"]["podSelector"] = json!({"matchLabels": {"a": "b"}})),
    ("games_are_apart", DENIAL, |it| it["metadata"]["namespace"] = json!("elsewhere")),
    ("games_are_apart", GAMES, |it| it["spec"]["ingress"] = json!([])),
    ("games_are_apart", GAMES, |it| drop(list(&mut it["spec"]["egress"]).remove(0))),
    ("games_are_apart", GAMES, |it| drop(list(&mut it["spec"]["egress"]).pop())),
    ("games_are_apart", GAMES, |it| push(&mut it["spec"]["egress"], json!({}))),
    ("games_are_apart", GAMES, |it| drop(list(&mut it["spec"]["egress"][1]["to"][0]["ipBlock"]["except"]).pop())),
    ("games_are_apart", GAMES, |it| remove(&mut it["spec"]["egress"][1]["to"][1]["ipBlock"], "except")),
    ("games_have_limits", QUOTA, |it| remove(&mut it["spec"]["hard"], "limits.memory")),
    ("games_have_limits", QUOTA, |it| it["metadata"]["namespace"] = json!("elsewhere")),
    ("games_have_limits", LIMITS, |it| remove(&mut it["spec"]["limits"][0], "default")),
    ("games_have_limits", LIMITS, |it| remove(&mut it["spec"]["limits"][0], "max")),
    ("games_have_limits", LIMITS, |it| it["spec"]["limits"][0]["max"]["memory"] = json!("1Gi")),
    ("games_have_limits", LIMITS, |it| drop(list(&mut it["spec"]["limits"]).pop())),
    ("games_have_limits", CATALOGUE, |it| games(it, r#"disk = "5GiB""#, r#"disk = "1TiB""#)),
    ("games_have_limits", CATALOGUE, |it| games(it, r#"memory = "2GiB""#, r#"memory = "20GiB""#)),
];

fn pod(object: &mut Value) -> &mut Value {
    let template = if object["kind"] == "Fleet" { "/spec/template/spec/template/spec" } else { "/spec/template/spec" };
    object.pointer_mut(template).expect("a pod")
}

fn container(object: &mut Value) -> &mut Value {
    &mut pod(object)["containers"][0]
}

fn security(object: &mut Value) -> &mut Value {
    &mut container(object)["securityContext"]
}

fn alert(object: &mut Value) -> &mut Value {
    &mut object["spec"]["groups"][0]["rules"][0]
}

fn list(value: &mut Value) -> &mut Vec<Value> {
    value.as_array_mut().expect("a list")
}

fn push(value: &mut Value, item: Value) {
    list(value).push(item);
}

fn remove(value: &mut Value, field: &str) {
    value.as_object_mut().and_then(|fields| fields.remove(field)).expect("a field to remove");
}

fn env(object: &mut Value, name: &str, mut variable: Value) {
    variable["name"] = json!(name);
    push(&mut container(object)["env"], variable);
}

fn key(name: &str, key: &str) -> Value {
    json!({"valueFrom": {"secretKeyRef": {"name": name, "key": key}}})
}

fn games(object: &mut Value, old: &str, new: &str) {
    let text = object["data"]["games.toml"].as_str().expect("a catalogue");
    assert!(text.contains(old), "games.toml has no {old} to break");
    object["data"]["games.toml"] = text.replace(old, new).into();
}

/// Returns the objects with one of them changed, and which one that is.
fn changed(objects: &[Value], of: &str, edit: Edit) -> (Vec<Value>, usize) {
    let at = objects.iter().position(|object| plain(object) == of).unwrap_or_else(|| panic!("there is no {of}"));
    let mut objects = objects.to_vec();
    edit(&mut objects[at]);
    (objects, at)
}

#[test]
fn every_rule_finds_what_breaks_it() {
    env::set_current_dir(checkout()).expect("the checkout");
    let interrupts = Interrupts::listen().expect("signals");
    let dir = tempfile::tempdir().expect("a folder");
    let validate = validate(&interrupts).expect("kubernetes-validate");
    let forms = Forms { kubernetes_validate: &validate, dir: dir.path() };
    let objects = objects(&kubectl(&interrupts).expect("kubectl"), "dev").expect("the objects");
    assert_eq!(super::faults(&objects, &forms).expect("a check"), Vec::<String>::new(), "before anything is broken");

    for (at, (of, edit)) in FORMS.iter().enumerate() {
        let (objects, changed) = changed(&objects, of, *edit);
        let found = forms.faults(&objects[changed..=changed]).expect("a check");
        assert!(!found.is_empty(), "form {at}: nothing is found wrong with {of}");
    }
    for (at, (rule, of, edit)) in ALONE.iter().enumerate() {
        let (objects, changed) = changed(&objects, of, *edit);
        let (_, check) = rules::ALL.iter().find(|(name, _)| name == rule).expect("a rule");
        assert!(!check(&objects[changed]).is_empty(), "{rule} {at}: nothing is found wrong with {of}");
    }
    for (at, (rule, of, edit)) in TOGETHER.iter().enumerate() {
        let (objects, _) = changed(&objects, of, *edit);
        let (_, check) = overlay::ALL.iter().find(|(name, _)| name == rule).expect("a rule");
        assert!(!check(&objects).is_empty(), "{rule} {at}: nothing is found wrong where {of} is broken");
    }
}

#[test]
fn every_rule_has_an_object_that_breaks_it() {
    let rules: BTreeSet<_> =
        rules::ALL.iter().map(|(name, _)| *name).chain(overlay::ALL.iter().map(|(name, _)| *name)).collect();
    let broken: BTreeSet<_> = ALONE.iter().chain(TOGETHER).map(|(rule, ..)| *rule).collect();
    assert_eq!(rules, broken);
}
