//! The rules for one object at a time. Each returns what it finds wrong.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::LazyLock,
};

use serde_json::{Value, json};

use super::object::{containers, has, is, is_ours, list, map, name, namespace, plain, pod_spec, text, texts};
use crate::series;

/// A rule and its name, which stands behind what it finds.
pub(super) type Rule = (&'static str, fn(&Value) -> Vec<String>);

pub(super) const ALL: &[Rule] = &[
    ("kind_is_known", kind_is_known),
    ("image_has_a_version", image_has_a_version),
    ("resources_are_stated", resources_are_stated),
    ("probes_are_there", probes_are_there),
    ("nothing_is_privileged", nothing_is_privileged),
    ("nothing_reaches_into_the_node", nothing_reaches_into_the_node),
    ("only_the_api_has_a_token", only_the_api_has_a_token),
    ("nobody_may_do_more", nobody_may_do_more),
    ("no_secret_is_here", no_secret_is_here),
    ("namespace_is_given", namespace_is_given),
    ("settings_are_documented", settings_are_documented),
    ("metrics_exist", metrics_exist),
];

/// The permissions that crates/host-agones asks for: Role, API group, resource, verbs.
const ALLOWED: &[(&str, &str, &str, &[&str])] = &[
    ("agis-api", "agones.dev", "gameservers", &["get", "list", "watch", "create", "delete"]),
    ("agis-api", "agones.dev", "fleets", &["get"]),
    ("agis-api", "allocation.agones.dev", "gameserverallocations", &["create"]),
    ("agis-api", "", "persistentvolumeclaims", &["get", "create", "delete"]),
    ("agis-api", "", "pods", &["get", "list", "watch"]),
    ("agis-api", "", "pods/log", &["get"]),
    ("agis-api", "", "secrets", &["create"]),
    ("agis-api-move", "", "configmaps", &["list", "delete"]),
    ("agis-api-fences", "", "configmaps", &["get", "list", "create", "update", "delete"]),
];
/// The kinds that the rules know how to check.
const KINDS: &[&str] = &[
    "ConfigMap",
    "Deployment",
    "Fleet",
    "FleetAutoscaler",
    "GameServer",
    "HorizontalPodAutoscaler",
    "Ingress",
    "Job",
    "LimitRange",
    "NetworkPolicy",
    "PodDisruptionBudget",
    "PrometheusRule",
    "ResourceQuota",
    "Role",
    "RoleBinding",
    "Service",
    "ServiceAccount",
    "ServiceMonitor",
];
const PROBES: [(&str, &str); 3] =
    [("startupProbe", "/healthz"), ("readinessProbe", "/readyz"), ("livenessProbe", "/healthz")];
const SECRETS: [&str; 4] = ["DATABASE_URL", "DISCORD_TOKEN", "LEGACY_TOKENS_SECRET", "REDIS_URL"];
/// The account of the image. Games run as any account but root.
const ACCOUNT: u64 = 65532;
const VOLUMES: [&str; 5] = ["name", "configMap", "secret", "emptyDir", "persistentVolumeClaim"];

fn kind_is_known(object: &Value) -> Vec<String> {
    if KINDS.contains(&text(&object["kind"])) { vec![] } else { vec!["the rules do not know this kind".to_owned()] }
}

fn image_has_a_version(object: &Value) -> Vec<String> {
    let without = containers(object).filter(|container| {
        let image = text(&container["image"]);
        let tag = image.rsplit('/').next().and_then(|last| last.split_once(':')).map_or("", |(_, tag)| tag);
        !image.contains("@sha256:") && ["", "latest"].contains(&tag)
    });
    without.map(|of| format!("{}: the image {} has no version", text(&of["name"]), text(&of["image"]))).collect()
}

fn resources_are_stated(object: &Value) -> Vec<String> {
    let without = containers(object).filter(|container| {
        let (requests, limits) = (&container["resources"]["requests"], &container["resources"]["limits"]);
        !(has(requests, "cpu") && has(requests, "memory") && has(limits, "memory"))
    });
    let fault = "requests no processor and memory, or has no limit of memory";
    without.map(|of| format!("{}: {fault}", text(&of["name"]))).collect()
}

fn probes_are_there(object: &Value) -> Vec<String> {
    let deployed = containers(object).filter(|_| is(object, "Deployment"));
    let probes = deployed.flat_map(|container| PROBES.map(|(probe, path)| (container, probe, path)));
    let wrong = probes.filter(|(container, probe, path)| {
        let get = &container[probe]["httpGet"];
        get["path"] != *path || get["port"] != "metrics"
    });
    wrong
        .map(|(of, probe, path)| {
            format!("{}: its {probe} does not ask for {path} on the port 'metrics'", text(&of["name"]))
        })
        .collect()
}

fn nothing_is_privileged(object: &Value) -> Vec<String> {
    let faults = containers(object).flat_map(|container| {
        let needs = lacks(object, container);
        needs.into_iter().map(|needed| format!("{}: needs {needed}", text(&container["name"])))
    });
    faults.collect()
}

/// Returns what the security context of a container lacks. A container's setting goes before its pod's.
fn lacks(object: &Value, container: &Value) -> Vec<&'static str> {
    let (pod, own) = (&pod_spec(object)["securityContext"], &container["securityContext"]);
    let of = |field: &str| own.get(field).unwrap_or(&pod[field]);
    let account = of("runAsUser").as_u64().unwrap_or_default();
    let needs = [
        ("an account of its own", if is_ours(object) { account == ACCOUNT } else { account != 0 }),
        ("runAsNonRoot", of("runAsNonRoot") == true),
        ("the seccomp profile RuntimeDefault", *of("seccompProfile") == json!({"type": "RuntimeDefault"})),
        ("no capabilities", *of("capabilities") == json!({"drop": ["ALL"]})),
        ("no privilege escalation", of("allowPrivilegeEscalation") == false && of("privileged") != true),
        // A game writes wherever it likes.
        ("a read-only root", of("readOnlyRootFilesystem") == true || !is_ours(object)),
    ];
    needs.into_iter().filter(|(_, holds)| !holds).map(|(needed, _)| needed).collect()
}

fn nothing_reaches_into_the_node(object: &Value) -> Vec<String> {
    let spec = pod_spec(object);
    let shared = ["hostNetwork", "hostPID", "hostIPC"].into_iter().filter(|field| spec[field] == true);
    let volumes = list(&spec["volumes"]).iter();
    let foreign = volumes.filter(|volume| map(volume).keys().any(|key| !VOLUMES.contains(&key.as_str())));
    let shared = shared.map(|field| format!("may not have {field}"));
    let kinds = "neither a ConfigMap nor a Secret, neither empty nor a claim";
    shared.chain(foreign.map(|volume| format!("the volume {} is {kinds}", text(&volume["name"])))).collect()
}

fn only_the_api_has_a_token(object: &Value) -> Vec<String> {
    let spec = pod_spec(object);
    let (token, wanted) = (&spec["automountServiceAccountToken"], name(object) == "Deployment/agis-api");
    let is_told = has(spec, "automountServiceAccountToken") || has(spec, "serviceAccountName");
    let faults = [
        (
            is_ours(object) && *token != wanted,
            "automountServiceAccountToken is true for agis-api, and false for everybody else",
        ),
        (
            is(object, "ServiceAccount") && object["automountServiceAccountToken"] != false,
            "an account gives its token to pods that do not ask for it",
        ),
        (!is_ours(object) && is_told, "the token of a game's pod belongs to Agones' helper: leave it to Agones"),
    ];
    faults.into_iter().filter(|(is_wrong, _)| *is_wrong).map(|(_, fault)| fault.to_owned()).collect()
}

fn nobody_may_do_more(object: &Value) -> Vec<String> {
    match text(&object["kind"]) {
        "ClusterRole" | "ClusterRoleBinding" => vec!["nothing here is allowed in all namespaces".to_owned()],
        "RoleBinding" => binds_another(object).into_iter().collect(),
        "Role" => other_permissions(object),
        _ => vec![],
    }
}

fn binds_another(binding: &Value) -> Option<String> {
    let role = text(&binding["roleRef"]["name"]);
    let is_right = is(&binding["roleRef"], "Role") && ALLOWED.iter().any(|(allowed, ..)| *allowed == role);
    let to_us = match list(&binding["subjects"]) {
        [subject] => name(&json!({"kind": subject["kind"], "metadata": subject})) == "ServiceAccount/agis-api",
        _ => false,
    };
    (!is_right || !to_us).then(|| "binds something else than a Role of agis-api to the account agis-api".to_owned())
}

fn other_permissions(role: &Value) -> Vec<String> {
    let mut granted: BTreeMap<(&str, &str), BTreeSet<&str>> = BTreeMap::new();
    for rule in list(&role["rules"]) {
        for group in texts(&rule["apiGroups"]) {
            for resource in texts(&rule["resources"]) {
                granted.entry((group, resource)).or_default().extend(texts(&rule["verbs"]));
            }
        }
    }
    let mut faults = vec![];
    for (_, group, resource, verbs) in ALLOWED.iter().filter(|(of, ..)| role["metadata"]["name"] == *of) {
        let has = granted.remove(&(*group, *resource)).unwrap_or_default();
        let asks: BTreeSet<_> = verbs.iter().copied().collect();
        faults.extend(
            asks.difference(&has).map(|verb| format!("may not {verb} {resource}.{group}: host-agones asks for it")),
        );
        faults.extend(has.difference(&asks).map(|verb| too_much(verb, resource, group)));
    }
    let unknown = granted
        .into_iter()
        .flat_map(|((group, resource), verbs)| verbs.into_iter().map(move |verb| too_much(verb, resource, group)));
    faults.extend(unknown);
    faults
}

fn too_much(verb: &str, resource: &str, group: &str) -> String {
    format!("may {verb} {resource}.{group}: host-agones asks for no such thing")
}

fn no_secret_is_here(object: &Value) -> Vec<String> {
    let made = is(object, "Secret").then(|| "secrets are made in the cluster, not here".to_owned());
    let settings = SECRETS.iter().filter(|secret| is(object, "ConfigMap") && has(&object["data"], secret));
    let env = containers(object).filter(|_| is_ours(object)).flat_map(|container| list(&container["env"]));
    let elsewhere = env.filter(|env| {
        let key = &env["valueFrom"]["secretKeyRef"];
        let is_documented = key["name"] == "agis-secrets" && SECRET_KEYS.contains(&text(&key["key"]));
        SECRETS.contains(&text(&env["name"])) && !is_documented
    });
    let settings = settings.map(|secret| format!("{secret} is a secret"));
    let elsewhere = elsewhere
        .map(|env| format!("{} does not come from agis-secrets as k8s/README.md says to make it", text(&env["name"])));
    made.into_iter().chain(settings).chain(elsewhere).collect()
}

/// The keys of the Secret that k8s/README.md says how to make.
static SECRET_KEYS: LazyLock<Vec<&str>> = LazyLock::new(|| {
    let readme = include_str!("../../../k8s/README.md");
    readme.split("--from-literal=").skip(1).filter_map(|after| after.split('=').next()).collect()
});

fn namespace_is_given(object: &Value) -> Vec<String> {
    if namespace(object).is_empty() { vec!["does not say in which namespace it is".to_owned()] } else { vec![] }
}

fn settings_are_documented(object: &Value) -> Vec<String> {
    let settings = map(&object["data"]).keys().filter(|_| plain(object) == "ConfigMap/agis-settings");
    let unknown = settings.filter(|setting| !DOCUMENTED.values().any(|known| known.contains(setting.as_str())));
    let mut faults: Vec<_> = unknown.map(|setting| format!("docs/CONFIGURATION.md knows no {setting}")).collect();
    for container in containers(object).filter(|_| is_ours(object)) {
        let program = texts(&container["command"]).first().map_or("", |path| path.trim_start_matches('/'));
        let env = list(&container["env"]).iter().map(|env| text(&env["name"]));
        let unknown = env.filter(|env| !DOCUMENTED.get(program).is_some_and(|known| known.contains(env)));
        let of = text(&container["name"]);
        faults.extend(unknown.map(|env| format!("{of}: docs/CONFIGURATION.md knows no {env} of {program}")));
    }
    faults
}

/// The settings that docs/CONFIGURATION.md lists, by program.
static DOCUMENTED: LazyLock<BTreeMap<&str, BTreeSet<&str>>> = LazyLock::new(|| {
    let sections = include_str!("../../../docs/CONFIGURATION.md").split("\n## ").skip(1);
    let read = |section: &'static str| {
        let (program, body) = section.split_once('\n').unwrap_or((section, ""));
        let names = body.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
        (program, names.collect())
    };
    sections.map(read).collect()
});

fn metrics_exist(object: &Value) -> Vec<String> {
    let groups = list(&object["spec"]["groups"]).iter().filter(|_| is(object, "PrometheusRule"));
    let alerts = groups.flat_map(|group| list(&group["rules"]));
    let unknown = alerts.flat_map(|alert| series::unknown(text(&alert["expr"])).into_iter().map(move |it| (alert, it)));
    unknown.map(|(alert, metric)| format!("{}: nothing counts {metric}", text(&alert["alert"]))).collect()
}
