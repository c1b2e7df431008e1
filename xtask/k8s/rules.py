"""The rules of this house, for one object at a time. Each yields what it finds wrong."""

import re

import promql_parser

from objects import K8S, ROOT, containers, is_ours, name, namespace, pod_spec, plain

# What agis-api may do by each of its Roles, and nobody else anything: what crates/host-agones asks for.
ALLOWED = {
    "agis-api": {
        ("agones.dev", "gameservers"): {"get", "list", "watch", "create", "delete"},
        ("agones.dev", "fleets"): {"get"},
        ("allocation.agones.dev", "gameserverallocations"): {"create"},
        ("", "persistentvolumeclaims"): {"get", "create", "delete"},
        ("", "pods"): {"get", "list", "watch"},
        ("", "pods/log"): {"get"},
    },
    "agis-api-move": {("", "configmaps"): {"list", "delete"}},
    "agis-api-fences": {("", "configmaps"): {"get", "list", "create", "update", "delete"}},
}
# Those for which the rules below know what to look at.
KINDS = {
    "ConfigMap", "Deployment", "Fleet", "FleetAutoscaler", "GameServer", "HorizontalPodAutoscaler", "Ingress", "Job", "LimitRange",
    "NetworkPolicy", "PodDisruptionBudget", "PrometheusRule", "ResourceQuota", "Role", "RoleBinding", "Service", "ServiceAccount", "ServiceMonitor",
}
PROBES = {"startupProbe": "/healthz", "readinessProbe": "/readyz", "livenessProbe": "/healthz"}
SECRETS = {"DATABASE_URL", "DISCORD_TOKEN", "LEGACY_TOKENS_SECRET", "REDIS_URL"}
SECRET_KEYS = set(re.findall(r"--from-literal=([\w-]+)=", (K8S / "README.md").read_text()))
# A pod of ours as the image wants it; games are any account but root.
ACCOUNT = 65532


def kind_is_known(obj):
    if obj.get("kind") not in KINDS:
        yield "the rules know not what to look at in this kind"


def image_has_a_version(obj):
    for it in containers(obj):
        tag = it["image"].rpartition("/")[2].partition(":")[2]
        if "@sha256:" not in it["image"] and tag in ("", "latest"):
            yield f"{it['name']}: the image {it['image']} has no version"


def resources_are_stated(obj):
    for it in containers(obj):
        has = it.get("resources", {})
        if not {"cpu", "memory"} <= has.get("requests", {}).keys() or "memory" not in has.get("limits", {}):
            yield f"{it['name']}: says not how much processor and memory it needs, or how much memory it may take"


def probes_are_there(obj):
    for it in containers(obj) if obj.get("kind") == "Deployment" else []:
        for probe, path in PROBES.items():
            get = it.get(probe, {}).get("httpGet", {})
            if (get.get("path"), get.get("port")) != (path, "metrics"):
                yield f"{it['name']}: its {probe} asks not for {path} on the port 'metrics'"


def nothing_is_privileged(obj):
    for it in containers(obj):
        # What a container says goes before what its pod says.
        has = pod_spec(obj).get("securityContext", {}) | it.get("securityContext", {})
        account = has.get("runAsUser", 0)
        right = {
            "an account of its own": account == ACCOUNT if is_ours(obj) else account != 0,
            "runAsNonRoot": has.get("runAsNonRoot") is True,
            "the seccomp profile RuntimeDefault": has.get("seccompProfile") == {"type": "RuntimeDefault"},
            "no capabilities": has.get("capabilities") == {"drop": ["ALL"]},
            "no privilege escalation": has.get("allowPrivilegeEscalation") is False and not has.get("privileged"),
            # A game writes where it will.
            "a read-only root": has.get("readOnlyRootFilesystem") is True or not is_ours(obj),
        }
        yield from (f"{it['name']}: needs {what}" for what, holds in right.items() if not holds)


def nothing_reaches_into_the_node(obj):
    spec = pod_spec(obj)
    yield from (f"may not have {key}" for key in ("hostNetwork", "hostPID", "hostIPC") if spec.get(key))
    for volume in spec.get("volumes", []):
        if volume.keys() - {"name", "configMap", "secret", "emptyDir", "persistentVolumeClaim"}:
            yield f"the volume {volume['name']} is neither a ConfigMap or a Secret, nor empty, nor a claim"


def only_the_api_has_a_token(obj):
    spec = pod_spec(obj)
    if is_ours(obj) and spec.get("automountServiceAccountToken") is not (name(obj) == "Deployment/agis-api"):
        yield "automountServiceAccountToken is true for agis-api, and false for everybody else"
    if obj.get("kind") == "ServiceAccount" and obj.get("automountServiceAccountToken") is not False:
        yield "an account gives no token to a pod that does not ask for it"
    if spec and not is_ours(obj) and {"automountServiceAccountToken", "serviceAccountName"} & spec.keys():
        yield "the token of a game's pod is for Agones' helper in it, and Agones' affair"


def nobody_may_more(obj):
    kind = obj.get("kind")
    if kind in ("ClusterRole", "ClusterRoleBinding"):
        yield "nothing here is allowed in all namespaces"
    if kind == "RoleBinding":
        subjects = [(it["kind"], it["name"]) for it in obj["subjects"]]
        is_right = obj["roleRef"]["kind"] == "Role" and obj["roleRef"]["name"] in ALLOWED
        if not is_right or subjects != [("ServiceAccount", "agis-api")]:
            yield "binds something else than a Role of agis-api to the account agis-api"
    if kind == "Role":
        may, allowed = {}, ALLOWED.get(obj["metadata"]["name"], {})
        for rule in obj["rules"]:
            for key in ((group, resource) for group in rule["apiGroups"] for resource in rule["resources"]):
                may.setdefault(key, set()).update(rule["verbs"])
        for group, resource in may.keys() | allowed.keys():
            has, asks = may.get((group, resource), set()), allowed.get((group, resource), set())
            if has - asks:
                yield f"may {', '.join(sorted(has - asks))} {resource}.{group}: host-agones asks for no such thing"
            if asks - has:
                yield f"may not {', '.join(sorted(asks - has))} {resource}.{group}: host-agones asks for it"


def no_secret_is_here(obj):
    if obj.get("kind") == "Secret":
        yield "secrets are made in the cluster, not here"
    if obj.get("kind") == "ConfigMap":
        yield from (f"{it} is a secret" for it in SECRETS & obj.get("data", {}).keys())
    for it in (env for container in containers(obj) if is_ours(obj) for env in container.get("env", [])):
        key = it.get("valueFrom", {}).get("secretKeyRef", {})
        if it["name"] in SECRETS and (key.get("name") != "agis-secrets" or key.get("key") not in SECRET_KEYS):
            yield f"{it['name']} comes not from agis-secrets, as k8s/README.md says to make it"


def namespace_is_given(obj):
    if not namespace(obj):
        yield "says not in which namespace it is"


def documented():
    """The settings that docs/CONFIGURATION.md knows, by program."""
    _, *sections = re.split(r"^## ", (ROOT / "docs/CONFIGURATION.md").read_text(), flags=re.M)
    return {it.split("\n")[0]: set(re.findall(r"^\| `([A-Z_]+)`", it, re.M)) for it in sections}


DOCUMENTED = documented()


def settings_are_documented(obj):
    if plain(obj) == "ConfigMap/agis-settings":
        unknown = obj["data"].keys() - set.union(*DOCUMENTED.values())
        yield from (f"docs/CONFIGURATION.md knows no {it}" for it in unknown)
    for it in containers(obj) if is_ours(obj) else []:
        program = (it.get("command") or [""])[0].removeprefix("/")
        unknown = {env["name"] for env in it.get("env", [])} - DOCUMENTED.get(program, set())
        yield from (f"{it['name']}: docs/CONFIGURATION.md knows no {env} of {program}" for env in unknown)


def alerts(obj):
    return [it for group in obj["spec"]["groups"] for it in group["rules"]] if obj["kind"] == "PrometheusRule" else []


def expressions_are_promql(obj):
    for it in alerts(obj):
        try:
            promql_parser.parse(it["expr"])
        except ValueError as error:
            yield f"{it['alert']}: {error}"


def series():
    """The names under which Prometheus has what the programs count."""
    described = (ROOT / "crates/runtime/src/telemetry/described.rs").read_text()
    for metric, kind in re.findall(r'\bof\(\s*"(\w+)",\s*(Counter|Gauge|Histogram)\b', described):
        yield from [metric + end for end in ("_bucket", "_count", "_sum")] if kind == "Histogram" else [metric]


SERIES = set(series())


def metrics_exist(obj):
    for it in alerts(obj):
        unknown = set(re.findall(r"\bagis_\w+", it["expr"])) - SERIES
        yield from (f"{it['alert']}: nothing counts {metric}" for metric in unknown)


RULES = [
    kind_is_known,
    image_has_a_version,
    resources_are_stated,
    probes_are_there,
    nothing_is_privileged,
    nothing_reaches_into_the_node,
    only_the_api_has_a_token,
    nobody_may_more,
    no_secret_is_here,
    namespace_is_given,
    settings_are_documented,
    expressions_are_promql,
    metrics_exist,
]
