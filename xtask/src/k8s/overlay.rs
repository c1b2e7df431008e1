//! The rules for all objects of one overlay together: what they say of each other.

use std::collections::{BTreeMap, BTreeSet};

use agis_runtime::shutdown;
use agis_servers::game::{Catalogue, Runs, RunsOn};
use serde_json::{Value, json};

use super::object::{containers, has, is, is_ours, list, map, name, namespace, plain, pod, pod_spec, text, written};

/// A rule and its name, which stands behind what it finds.
pub(super) type Rule = (&'static str, fn(&[Value]) -> Vec<String>);

pub(super) const ALL: &[Rule] = &[
    ("names_are_there", names_are_there),
    ("selectors_select", selectors_select),
    ("settings_fit", settings_fit),
    ("there_is_time_to_end", there_is_time_to_end),
    ("one_version_runs", one_version_runs),
    ("catalogue_is_right", catalogue_is_right),
    ("games_are_apart", super::games::are_apart),
    ("games_have_limits", super::games::have_limits),
];

/// Returns a setting of agis-settings; it is empty if it is not set.
pub(super) fn setting<'a>(objects: &'a [Value], name: &str) -> &'a str {
    let settings = objects.iter().find(|object| plain(object) == "ConfigMap/agis-settings");
    settings.map_or("", |settings| text(&settings["data"][name]))
}

/// Reads the catalogue of games as agis-api does.
pub(super) fn catalogue(objects: &[Value]) -> Result<Catalogue, String> {
    let games = objects.iter().find(|object| plain(object) == "ConfigMap/agis-games");
    let text = games.map_or("", |games| text(&games["data"]["games.toml"]));
    Catalogue::parse(text).map_err(|error| error.to_string())
}

/// Returns the GameServers of the catalogue as objects of their own.
pub(super) fn game_servers(objects: &[Value]) -> Vec<Value> {
    let catalogue = catalogue(objects).unwrap_or_default();
    let objects = catalogue.games().filter_map(|game| {
        let Runs::GameServer { yaml, .. } = &game.runs else { return None };
        let mut object: Value = serde_saphyr::from_str(yaml).unwrap_or_default();
        for (field, value) in [("apiVersion", "agones.dev/v1"), ("kind", "GameServer")] {
            map_mut(&mut object)?.entry(field).or_insert_with(|| value.into());
        }
        object["metadata"]["name"] = format!("{}.games.toml", game.key).into();
        object["metadata"]["namespace"] = "any".into();
        Some(object)
    });
    objects.collect()
}

fn map_mut(value: &mut Value) -> Option<&mut serde_json::Map<String, Value>> {
    value.as_object_mut()
}

fn names_are_there(objects: &[Value]) -> Vec<String> {
    let there: BTreeSet<_> = objects.iter().map(|object| (namespace(object).to_owned(), name(object))).collect();
    let wanted = objects.iter().flat_map(|object| needs(object).into_iter().map(move |needed| (object, needed)));
    let missing = wanted.filter(|(_, needed)| !there.contains(needed));
    missing.map(|(object, (at, needed))| format!("{}: there is no {needed} in {at}", name(object))).collect()
}

/// Returns the namespaces and names of the objects that an object names.
fn needs(object: &Value) -> Vec<(String, String)> {
    let (spec, pods) = (&object["spec"], pod_spec(object));
    let named = |kind: &str, name: &Value| format!("{kind}/{}", text(name));
    let mut here = vec![];
    let volumes = list(&pods["volumes"]).iter().filter(|volume| has(volume, "configMap"));
    here.extend(volumes.map(|volume| named("ConfigMap", &volume["configMap"]["name"])));
    let sources = containers(object).flat_map(|container| list(&container["envFrom"]));
    let maps = sources.filter(|source| has(source, "configMapRef"));
    here.extend(maps.map(|source| named("ConfigMap", &source["configMapRef"]["name"])));
    here.extend(pods.get("serviceAccountName").map(|account| named("ServiceAccount", account)));
    match text(&object["kind"]) {
        "Ingress" => {
            let paths = list(&spec["rules"]).iter().flat_map(|rule| list(&rule["http"]["paths"]));
            here.extend(paths.map(|path| named("Service", &path["backend"]["service"]["name"])));
        }
        "HorizontalPodAutoscaler" => {
            here.push(named(text(&spec["scaleTargetRef"]["kind"]), &spec["scaleTargetRef"]["name"]));
        }
        "FleetAutoscaler" => here.push(named("Fleet", &spec["fleetName"])),
        "RoleBinding" => here.push(named(text(&object["roleRef"]["kind"]), &object["roleRef"]["name"])),
        _ => {}
    }
    let here = here.into_iter().map(|needed| (namespace(object).to_owned(), needed));
    let subjects = list(&object["subjects"]).iter();
    let subjects = subjects.map(|it| (text(&it["namespace"]).to_owned(), named(text(&it["kind"]), &it["name"])));
    here.chain(subjects).collect()
}

/// Returns whether labels are selected, by the parts of a selector that are used here.
pub(super) fn matches(selector: &Value, labels: &Value) -> bool {
    let said = map(&selector["matchLabels"]).iter().all(|(name, value)| labels.get(name) == Some(value));
    let expressions = list(&selector["matchExpressions"]).iter();
    said && expressions
        .into_iter()
        .all(|it| labels.get(text(&it["key"])).is_some_and(|label| list(&it["values"]).contains(label)))
}

fn selectors_select(objects: &[Value]) -> Vec<String> {
    let games = super::games::labels();
    let ours = objects.iter().filter(|object| is_ours(object));
    let fleets = objects.iter().filter(|object| is(object, "Fleet"));
    let pods: Vec<_> = ours
        .map(|object| (namespace(object), &pod(object)["metadata"]["labels"]))
        .chain(fleets.map(|object| (namespace(object), &games)))
        .collect();
    let services = objects.iter().filter(|object| is(object, "Service"));
    let services: Vec<_> = services.map(|object| (namespace(object), &object["metadata"]["labels"])).collect();
    let nothing = objects.iter().filter(|object| {
        let spec = &object["spec"];
        let (selector, among) = match text(&object["kind"]) {
            "Service" => (json!({"matchLabels": spec["selector"]}), &pods),
            "PodDisruptionBudget" => (spec["selector"].clone(), &pods),
            "NetworkPolicy" => (spec["podSelector"].clone(), &pods),
            "ServiceMonitor" => (spec["selector"].clone(), &services),
            _ => return false,
        };
        !among.iter().any(|(at, labels)| *at == namespace(object) && matches(&selector, labels))
    });
    nothing.map(|object| format!("{}: selects nothing", name(object))).collect()
}

fn settings_fit(objects: &[Value]) -> Vec<String> {
    let has = |name| setting(objects, name);
    let wrong = [
        (
            !["0.0.0.0", "::"].contains(&has("METRICS_ADDRESS")),
            "METRICS_ADDRESS is not 0.0.0.0: neither probes nor Prometheus reach a pod's loopback",
        ),
        (has("AGONES_FENCES_NAMESPACE") == has("AGONES_NAMESPACE"), "AGONES_FENCES_NAMESPACE is that of the games"),
        (has("AGIS_HOST") != "agones", "AGIS_HOST is not agones: a pod has no place for games"),
    ];
    let wrong = wrong.into_iter().filter(|(is_wrong, _)| *is_wrong).map(|(_, fault)| fault.to_owned());
    let deployments = objects.iter().filter(|object| is(object, "Deployment"));
    let misplaced = objects.iter().filter_map(|object| misplaced(object, objects));
    wrong.chain(misplaced).chain(deployments.flat_map(|object| unfit(object, objects))).collect()
}

/// Returns the fault of a Role or a Fleet that is not in the namespace of the settings.
fn misplaced(object: &Value, objects: &[Value]) -> Option<String> {
    // The Role for the fences is the one that does not lie among the games.
    let is_for_fences = name(object) == "Role/agis-api-fences";
    let wanted = if is_for_fences { "AGONES_FENCES_NAMESPACE" } else { "AGONES_NAMESPACE" };
    let at = setting(objects, wanted);
    let is_placed = is(object, "Role") || is(object, "Fleet");
    (is_placed && namespace(object) != at).then(|| format!("{}: is not in {wanted}, {at}", name(object)))
}

fn unfit(deployment: &Value, objects: &[Value]) -> Vec<String> {
    let of = name(deployment);
    let ports = containers(deployment).flat_map(|container| list(&container["ports"]));
    let other = ports.filter(|port| {
        let setting = match text(&port["name"]) {
            "http" => setting(objects, "API_PORT"),
            "metrics" => setting(objects, "METRICS_PORT"),
            _ => "",
        };
        written(&port["containerPort"]) != setting
    });
    let mut faults: Vec<_> =
        other.map(|port| format!("{of}: the port '{}' is not that of the settings", text(&port["name"]))).collect();
    let games = setting(objects, "GAMES_FILE");
    let mut mounts = containers(deployment).flat_map(|container| list(&container["volumeMounts"]));
    if !mounts.any(|mount| games == format!("{}/games.toml", text(&mount["mountPath"]))) {
        faults.push(format!("{of}: has no {games}"));
    }
    faults
}

fn there_is_time_to_end(objects: &[Value]) -> Vec<String> {
    let seconds = |name| setting(objects, name).parse::<u64>().unwrap_or_default();
    let asked = seconds("SHUTDOWN_DELAY_SECONDS") + seconds("SHUTDOWN_DRAIN_SECONDS");
    let deployments = objects.iter().filter(|object| is(object, "Deployment"));
    let killed = deployments.filter_map(|object| {
        let takes = match name(object).as_str() {
            "Deployment/agis-api" => asked + shutdown::API_JOBS.as_secs(),
            _ => (shutdown::BOT_ANSWERS + shutdown::BOT_JOBS).as_secs(),
        };
        let grace = pod_spec(object).get("terminationGracePeriodSeconds").and_then(Value::as_u64).unwrap_or(30);
        (grace <= takes).then(|| format!("{}: is killed within the {takes} s that it may take to end", name(object)))
    });
    killed.collect()
}

fn one_version_runs(objects: &[Value]) -> Vec<String> {
    let containers = objects.iter().filter(|object| is_ours(object)).flat_map(containers);
    let images: BTreeSet<_> = containers.map(|container| text(&container["image"])).collect();
    let listed = images.iter().copied().collect::<Vec<_>>().join(", ");
    let fault = format!("the programs and the migration have different images: {listed}");
    if images.len() == 1 { vec![] } else { vec![fault] }
}

fn catalogue_is_right(objects: &[Value]) -> Vec<String> {
    let catalogue = match catalogue(objects) {
        Ok(catalogue) => catalogue,
        Err(error) => return vec![format!("games.toml: {error}")],
    };
    let there: BTreeMap<_, _> = objects.iter().map(|object| (name(object), object)).collect();
    let faults = catalogue.games().filter_map(|game| match &game.runs {
        Runs::Process(_) | Runs::Container(_) => {
            game.why_not_on(RunsOn::Agones).map(|why| format!("{} does not run on Agones for {why}", game.key))
        }
        Runs::Fleet(fleet) if !there.contains_key(&format!("Fleet/{fleet}")) => {
            Some(format!("there is no Fleet/{fleet}"))
        }
        Runs::Fleet(_) | Runs::GameServer { .. } => None,
    });
    let none = catalogue.games().next().is_none().then(|| "there is no game".to_owned());
    faults.chain(none).map(|fault| format!("games.toml: {fault}")).collect()
}
