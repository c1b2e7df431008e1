"""Checks k8s/: renders every overlay, and holds each object to the schemas of one version of Kubernetes, to Agones' CRDs,
and to the rules of this house. `cargo xtask k8s check` runs it with the packages that it needs.

It first tries every rule on an object that breaks it, so that a rule which no longer finds anything is told.
"""

import copy
import pathlib
import re
import subprocess
import sys
import tomllib

import jsonschema
import kubernetes_validate
import yaml

KUBERNETES = "1.35"
ROOT = pathlib.Path(__file__).resolve().parent.parent
K8S = ROOT / "k8s"
GAMES = ROOT / "k8s/base/games.toml"
CRDS = {"GameServer": "gameservers", "Fleet": "fleets"}
# What agis-api may do, and nobody else anything: what crates/host-agones asks for.
ALLOWED = {
    ("agones.dev", "gameservers"): {"get", "list", "watch", "create", "delete"},
    ("allocation.agones.dev", "gameserverallocations"): {"create"},
    ("", "configmaps"): {"get", "list", "create", "update", "delete"},
    ("", "persistentvolumeclaims"): {"get", "create", "delete"},
    ("", "pods"): {"get", "list", "watch"},
    ("", "pods/log"): {"get"},
}


def text(**fields):
    return {"type": "object", "properties": fields, "additionalProperties": False}


# The Prometheus operator's schemas are not to be had from a package; these are the fields of them that are used here.
STRING = {"type": "string", "minLength": 1}
STRINGS = {"type": "object", "additionalProperties": STRING}
RULE = text(alert=STRING, expr=STRING, labels=STRINGS, annotations=STRINGS) | {"required": ["alert", "expr", "labels"]}
RULE["properties"]["for"] = {"type": "string", "pattern": r"^\d+[smhd]$"}
SELECTOR = text(matchLabels=STRINGS, matchExpressions={"type": "array"})
ENDPOINT = text(port=STRING, path=STRING, interval=STRING, scrapeTimeout=STRING) | {"required": ["port"]}
OPERATOR = {
    "ServiceMonitor": text(selector=SELECTOR, endpoints={"type": "array", "items": ENDPOINT}),
    "PrometheusRule": text(
        groups={"type": "array", "items": text(name=STRING, rules={"type": "array", "items": RULE})}
    ),
}


def strict(schema):
    """A structural schema as JSON Schema that takes no unknown field, as `--validate=strict` does."""
    if not isinstance(schema, dict):
        return schema
    out = {}
    for key, value in schema.items():
        if key == "properties":
            out[key] = {name: strict(inner) for name, inner in value.items()}
        elif key in ("items", "additionalProperties", "not"):
            out[key] = strict(value)
        elif key in ("allOf", "anyOf", "oneOf"):
            out[key] = [strict(inner) for inner in value]
        elif not key.startswith("x-"):
            out[key] = value
    if schema.get("x-kubernetes-int-or-string"):
        out.pop("type", None)
        out["anyOf"] = [{"type": "integer"}, {"type": "string"}]
    keeps = schema.get("x-kubernetes-preserve-unknown-fields")
    if "properties" in schema and "additionalProperties" not in schema and not keeps:
        out["additionalProperties"] = False
    return out


def crd(plural):
    document = yaml.safe_load((K8S / f"schemas/agones/{plural}.agones.dev.yaml").read_text())
    schema = strict(document["spec"]["versions"][0]["schema"]["openAPIV3Schema"])
    common = {name: {} for name in ("apiVersion", "kind", "metadata")}
    schema["properties"] = common | schema["properties"]
    return jsonschema.Draft202012Validator(schema)


CRD = {kind: crd(plural) for kind, plural in CRDS.items()}


def name(obj):
    return f"{obj.get('kind')}/{obj.get('metadata', {}).get('name')}"


def by_schema(obj):
    kind = obj.get("kind")
    if kind in CRD:
        yield from (f"{'.'.join(map(str, e.absolute_path))}: {e.message}" for e in CRD[kind].iter_errors(obj))
    elif kind in OPERATOR:
        errors = jsonschema.Draft202012Validator(OPERATOR[kind]).iter_errors(obj.get("spec"))
        yield from (f"spec.{'.'.join(map(str, e.absolute_path))}: {e.message}" for e in errors)
    else:
        try:
            kubernetes_validate.validate(obj, KUBERNETES, strict=True)
        except kubernetes_validate.ValidationError as error:
            yield f"{'.'.join(map(str, error.path))}: {error.message}"
        except kubernetes_validate.SchemaNotFoundError as error:
            yield f"no schema of Kubernetes {KUBERNETES} knows it: {error.message}"


def pod(obj):
    """The template of the pods that an object makes, those of games included."""
    spec = obj.get("spec") or {}
    found = {
        "Deployment": lambda: spec["template"],
        "Job": lambda: spec["template"],
        "GameServer": lambda: spec["template"],
        "Fleet": lambda: spec["template"]["spec"]["template"],
    }.get(obj.get("kind"))
    return found() if found else None


def containers(obj):
    spec = (pod(obj) or {}).get("spec", {})
    return spec.get("initContainers", []) + spec.get("containers", [])


def is_ours(obj):
    return obj.get("kind") in ("Deployment", "Job")


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
    if obj.get("kind") == "Deployment":
        for it in containers(obj):
            missing = {"startupProbe", "readinessProbe", "livenessProbe"} - it.keys()
            if missing:
                yield f"{it['name']}: has no {', '.join(sorted(missing))}"


def nothing_is_privileged(obj):
    if not is_ours(obj):
        return
    security = pod(obj)["spec"].get("securityContext", {})
    if not security.get("runAsNonRoot") or security.get("seccompProfile", {}).get("type") != "RuntimeDefault":
        yield "the pod says not runAsNonRoot with the seccomp profile RuntimeDefault"
    for it in containers(obj):
        has = it.get("securityContext", {})
        drops = has.get("capabilities", {}) == {"drop": ["ALL"]}
        if not (has.get("readOnlyRootFilesystem") and drops and has.get("allowPrivilegeEscalation") is False):
            yield f"{it['name']}: needs a read-only root, no capabilities, and no privilege escalation"


def only_the_api_has_a_token(obj):
    if is_ours(obj) and pod(obj)["spec"].get("automountServiceAccountToken") is not (name(obj) == "Deployment/agis-api"):
        yield "automountServiceAccountToken is true for agis-api, and false for everybody else"


def nobody_may_more(obj):
    if obj.get("kind") in ("ClusterRole", "ClusterRoleBinding"):
        yield "nothing here is allowed in all namespaces"
    for rule in obj.get("rules", []) if obj.get("kind") == "Role" else []:
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                more = set(rule["verbs"]) - ALLOWED.get((group, resource), set())
                if more:
                    yield f"may {', '.join(sorted(more))} {resource}.{group}: host-agones asks for no such thing"


def no_secret_is_here(obj):
    if obj.get("kind") == "Secret":
        yield "secrets are made in the cluster, not here"


def namespaces_are_given(obj):
    if not obj.get("metadata", {}).get("namespace"):
        yield "says not in which namespace it is"


def settings_are_documented(obj):
    documented = re.findall(r"^\| `([A-Z_]+)`", (ROOT / "docs/CONFIGURATION.md").read_text(), re.M)
    names = list(obj.get("data", {})) if name(obj).startswith("ConfigMap/agis-settings") else []
    names += [it["name"] for c in containers(obj) if is_ours(obj) for it in c.get("env", [])]
    yield from (f"docs/CONFIGURATION.md knows no {it}" for it in names if it not in documented)


def metrics_exist(obj):
    if obj.get("kind") != "PrometheusRule":
        return
    for group in obj["spec"]["groups"]:
        for rule in group["rules"]:
            for metric in re.findall(r"agis_bot_\w+", rule["expr"]):
                if re.sub(r"_(bucket|count|sum)$", "", metric) not in METRICS and metric not in METRICS:
                    yield f"{rule['alert']}: nothing counts {metric}"


def metrics():
    sources = [path for top in ("crates", "bins") for path in (ROOT / top).glob("*/src/**/*.rs")]
    return {metric for path in sources for metric in re.findall(r'"(agis_bot_\w+)"', path.read_text())}


METRICS = metrics()
RULES = [
    image_has_a_version,
    resources_are_stated,
    probes_are_there,
    nothing_is_privileged,
    only_the_api_has_a_token,
    nobody_may_more,
    no_secret_is_here,
    namespaces_are_given,
    settings_are_documented,
    metrics_exist,
]


def by_rules(obj):
    for rule in RULES:
        yield from (f"{found} ({rule.__name__})" for found in rule(obj))


def render(folder):
    done = subprocess.run(["kubectl", "kustomize", folder], capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{folder.relative_to(ROOT)} cannot be rendered: {done.stderr.strip()}")
    return [obj for obj in yaml.safe_load_all(done.stdout) if obj]


def references(objects):
    """Names that objects of one overlay use of each other."""
    there = {name(obj) for obj in objects}
    for obj in objects:
        spec = (pod(obj) or {}).get("spec", {})
        wanted = [f"ConfigMap/{it['configMap']['name']}" for it in spec.get("volumes", []) if "configMap" in it]
        for it in containers(obj):
            wanted += [f"ConfigMap/{e['configMapRef']['name']}" for e in it.get("envFrom", []) if "configMapRef" in e]
        if spec.get("serviceAccountName"):
            wanted.append(f"ServiceAccount/{spec['serviceAccountName']}")
        if obj["kind"] == "Ingress":
            paths = [path for rule in obj["spec"]["rules"] for path in rule["http"]["paths"]]
            wanted += [f"Service/{path['backend']['service']['name']}" for path in paths]
        yield from (f"{name(obj)}: there is no {it}" for it in wanted if it not in there)


def games():
    """The GameServers of the catalogue, as objects of their own, and the Fleets that it names."""
    catalogue = tomllib.loads(GAMES.read_text())
    for key, game in catalogue.items():
        if "gameserver" in game:
            obj = {"apiVersion": "agones.dev/v1", "kind": "GameServer"} | yaml.safe_load(game["gameserver"])
            obj["metadata"] = obj.get("metadata", {}) | {"name": f"{key} of games.toml", "namespace": "any"}
            yield obj


def fleets():
    return {f"Fleet/{game['fleet']}" for game in tomllib.loads(GAMES.read_text()).values() if "fleet" in game}


def broken(objects):
    """For every rule and every kind of schema, an object that must be refused."""
    find = {name(obj).split("-g")[0].split("-s")[0]: obj for obj in objects}

    def change(of, edit):
        obj = copy.deepcopy(find[of])
        edit(obj)
        return obj

    def container(edit):
        return lambda obj: edit(containers(obj)[0])

    api, role = "Deployment/agis-api", "Role/agis-api"
    yield image_has_a_version, change(api, container(lambda it: it.update(image="agis:latest")))
    yield image_has_a_version, change("Fleet/arena", container(lambda it: it.update(image="host:5000/game")))
    yield resources_are_stated, change(api, container(lambda it: it["resources"].pop("limits")))
    yield probes_are_there, change(api, container(lambda it: it.pop("readinessProbe")))
    yield nothing_is_privileged, change(api, lambda obj: pod(obj)["spec"].pop("securityContext"))
    yield nothing_is_privileged, change(api, container(lambda it: it["securityContext"].pop("readOnlyRootFilesystem")))
    yield nothing_is_privileged, change(api, container(lambda it: it["securityContext"].pop("capabilities")))
    yield only_the_api_has_a_token, change(
        "Deployment/agis-bot", lambda obj: pod(obj)["spec"].update(automountServiceAccountToken=True)
    )
    yield nobody_may_more, change(role, lambda obj: obj["rules"][0]["verbs"].append("*"))
    yield nobody_may_more, change(role, lambda obj: obj["rules"][0].update(resources=["fleets"]))
    yield nobody_may_more, change(role, lambda obj: obj.update(kind="ClusterRole"))
    yield no_secret_is_here, {"kind": "Secret", "metadata": {"name": "s", "namespace": "n"}}
    yield namespaces_are_given, change(api, lambda obj: obj["metadata"].pop("namespace"))
    yield settings_are_documented, change(api, container(lambda it: it["env"].append({"name": "AGIS_MAGIC"})))
    yield settings_are_documented, {"kind": "ConfigMap", "metadata": {"name": "agis-settings"}, "data": {"NOPE": "1"}}
    rule = {"alert": "A", "expr": "agis_bot_no_such_total > 1", "labels": {}}
    yield metrics_exist, {"kind": "PrometheusRule", "spec": {"groups": [{"name": "g", "rules": [rule]}]}}
    yield by_schema, change(api, lambda obj: obj["spec"].update(replica=3))
    yield by_schema, change(api, container(lambda it: it.update(ports=[{"containerPort": "http"}])))
    yield by_schema, change("Fleet/arena", lambda obj: obj["spec"].update(replica=3))
    yield by_schema, change("Fleet/arena", lambda obj: obj["spec"].update(replicas="two"))
    yield by_schema, change("Fleet/arena", container(lambda it: it.update(imagePolicy="Always")))
    yield by_schema, change("ServiceMonitor/agis", lambda obj: obj["spec"]["endpoints"][0].update(ports="metrics"))
    yield by_schema, change("PrometheusRule/agis", lambda obj: obj["spec"]["groups"][0]["rules"][0].pop("expr"))


def main():
    overlays = sorted(path for path in (K8S / "overlays").iterdir() if path.is_dir())
    rendered = {path: render(path) for path in overlays}
    found = [
        f"{check.__name__} finds nothing wrong with an object that breaks it: {name(obj)}"
        for check, obj in broken(rendered[overlays[0]])
        if not list(check(obj))
    ]
    count = 0
    for overlay, objects in rendered.items():
        missing = fleets() - {name(obj) for obj in objects}
        found += [f"{overlay.name}: the catalogue names {it}, which is not there" for it in missing]
        found += [f"{overlay.name}: {it}" for it in references(objects)]
        for obj in [*objects, *render(overlay / "migrate"), *games()]:
            count += 1
            found += [f"{overlay.name}: {name(obj)}: {it}" for check in (by_schema, by_rules) for it in check(obj)]
    for it in sorted(set(found)):
        print(it)
    sizes = f"{count} objects of {len(overlays)} overlays, Kubernetes {KUBERNETES}, Agones' CRDs, {len(RULES)} rules"
    print(f"{sizes}: {len(set(found))} found")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
