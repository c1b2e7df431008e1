"""Whether an object has the form of its kind: no field that its kind does not know, none missing, none of another type.
"""

import jsonschema
import kubernetes_validate
import yaml

from objects import K8S

KUBERNETES = "1.35"
CRDS = {
    "GameServer": "gameservers.agones.dev",
    "Fleet": "fleets.agones.dev",
    "FleetAutoscaler": "fleetautoscalers.autoscaling.agones.dev",
}


def only(required=(), **fields):
    return {"type": "object", "properties": fields, "required": list(required), "additionalProperties": False}


STRING = {"type": "string", "minLength": 1}
STRINGS = {"type": "object", "additionalProperties": STRING}
# What of an object's metadata is used here.
METADATA = only(["name"], name=STRING, namespace=STRING, labels=STRINGS, annotations=STRINGS)


def whole(version, kind, spec):
    """The schema of an object whose spec has this one."""
    fields = {"apiVersion": {"const": version}, "kind": {"const": kind}, "metadata": METADATA, "spec": spec}
    return jsonschema.Draft202012Validator(only(list(fields), **fields))


def strict(schema):
    """A structural schema as JSON Schema that takes no unknown field, as `--validate=strict` does."""
    if not isinstance(schema, dict):
        return schema
    out = {}
    for key, value in schema.items():
        if key == "properties":
            out[key] = {field: strict(inner) for field, inner in value.items()}
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


def crd(kind):
    document = yaml.safe_load((K8S / f"schemas/agones/{CRDS[kind]}.yaml").read_text())
    version = document["spec"]["versions"][0]
    spec = strict(version["schema"]["openAPIV3Schema"])["properties"]["spec"]
    return whole(f"{document['spec']['group']}/{version['name']}", kind, spec)


# The Prometheus operator's schemas are not to be had from a package; these are the fields of them that are used here.
OPERATOR = "monitoring.coreos.com/v1"
DURATION = {"type": "string", "pattern": r"^\d+(ms|[smhd])$"}
RULE = only(
    ["alert", "expr", "labels", "annotations"],
    alert=STRING, expr=STRING, labels=STRINGS, annotations=STRINGS, **{"for": DURATION},
)
EXPRESSION = only(
    ["key", "operator"],
    key=STRING, operator={"enum": ["In", "NotIn", "Exists", "DoesNotExist"]}, values={"type": "array", "items": STRING},
)
SELECTOR = only(matchLabels=STRINGS, matchExpressions={"type": "array", "items": EXPRESSION})
ENDPOINT = only(["port"], port=STRING, path=STRING, interval=DURATION, scrapeTimeout=DURATION)
GROUP = only(["name", "rules"], name=STRING, rules={"type": "array", "items": RULE})
SERVICE_MONITOR = only(
    ["selector", "endpoints"], selector=SELECTOR, endpoints={"type": "array", "items": ENDPOINT, "minItems": 1}
)
PROMETHEUS_RULE = only(["groups"], groups={"type": "array", "items": GROUP, "minItems": 1})

FORMS = {kind: crd(kind) for kind in CRDS} | {
    "ServiceMonitor": whole(OPERATOR, "ServiceMonitor", SERVICE_MONITOR),
    "PrometheusRule": whole(OPERATOR, "PrometheusRule", PROMETHEUS_RULE),
}

# What crates/servers/src/game.rs takes of games that run on Agones. It is the judge; this tells before a rollout does.
SECONDS = {"type": "integer", "minimum": 1}
SIZE = {"type": "string", "pattern": r"^\d+[KMGT]i$"}
GAME = only(
    ["title", "cost_per_hour"],
    title=STRING, cost_per_hour={"type": "integer", "minimum": 0}, gameserver=STRING, fleet=STRING,
    port={"type": "integer", "minimum": 1, "maximum": 65535}, protocol={"enum": ["tcp", "udp"]},
    good_exits={"type": "array", "items": {"type": "integer", "minimum": 0, "maximum": 255}},
    ready=only(["when"], when={"enum": ["ready", "pod"]}, within_s=SECONDS),
    world=only(["size", "mount"], size=SIZE, mount=STRING, storage_class=STRING),
) | {"oneOf": [{"required": ["gameserver"]}, {"required": ["fleet"]}], "dependentRequired": {"world": ["gameserver"]}}
CATALOGUE = jsonschema.Draft202012Validator({"type": "object", "additionalProperties": GAME, "minProperties": 1})


def errors(form, value):
    yield from (f"{'.'.join(map(str, error.absolute_path))}: {error.message}" for error in form.iter_errors(value))


def by_schema(obj):
    form = FORMS.get(obj.get("kind"))
    if form:
        yield from errors(form, obj)
        return
    try:
        kubernetes_validate.validate(obj, KUBERNETES, strict=True)
    except kubernetes_validate.ValidationError as error:
        yield f"{'.'.join(map(str, error.path))}: {error.message}"
    except kubernetes_validate.SchemaNotFoundError as error:
        yield f"no schema of Kubernetes {KUBERNETES} knows it: {error.message}"
