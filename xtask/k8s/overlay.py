"""What the objects of one overlay say of each other. Each rule here has all of them before it."""

import ipaddress
import tomllib

import yaml

from objects import containers, is_ours, name, namespace, plain, pod, pod_spec
from schemas import CATALOGUE, errors

# How long programs take to end after the delay and the drain, which are settings: bins/*/src.
TO_END = {"agis-api": 15, "agis-bot": 25}


# Where nothing is that a game may go to: private networks, other pods and nodes among them, and the cloud's metadata.
PRIVATE = ["10.0.0.0/8", "100.64.0.0/10", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7", "fe80::/10"]
# The label that Agones puts on its pods.
OF_A_GAME = {"agones.dev/role": "gameserver"}
# What of the cluster all games together may not take without end.
COUNTED = {
    "pods", "count/gameservers.agones.dev", "requests.cpu", "requests.memory", "limits.memory", "persistentvolumeclaims",
    "requests.storage", "services",
}
UNITS = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}


def amount(text):
    unit = next((it for it in UNITS if str(text).endswith(it)), "")
    return float(str(text).removesuffix(unit)) * UNITS.get(unit, 1)


def settings(objects):
    return next(obj["data"] for obj in objects if plain(obj) == "ConfigMap/agis-settings")


def catalogue(objects):
    data = next(obj["data"] for obj in objects if plain(obj) == "ConfigMap/agis-games")
    return tomllib.loads(data["games.toml"])


def games(objects):
    """The GameServers of the catalogue, as objects of their own."""
    for key, game in catalogue(objects).items():
        if "gameserver" in game:
            obj = {"apiVersion": "agones.dev/v1", "kind": "GameServer"} | yaml.safe_load(game["gameserver"])
            obj["metadata"] = obj.get("metadata", {}) | {"name": f"{key}.games.toml", "namespace": "any"}
            yield obj


def names_are_there(objects):
    there = {(namespace(obj), name(obj)) for obj in objects}
    for obj in objects:
        here, spec = namespace(obj), pod_spec(obj)
        wanted = [(here, f"ConfigMap/{it['configMap']['name']}") for it in spec.get("volumes", []) if "configMap" in it]
        for it in containers(obj):
            maps = [source["configMapRef"] for source in it.get("envFrom", []) if "configMapRef" in source]
            wanted += [(here, f"ConfigMap/{it['name']}") for it in maps]
        if spec.get("serviceAccountName"):
            wanted.append((here, f"ServiceAccount/{spec['serviceAccountName']}"))
        if obj["kind"] == "Ingress":
            paths = [path for rule in obj["spec"]["rules"] for path in rule["http"]["paths"]]
            wanted += [(here, f"Service/{path['backend']['service']['name']}") for path in paths]
        if obj["kind"] == "HorizontalPodAutoscaler":
            target = obj["spec"]["scaleTargetRef"]
            wanted.append((here, f"{target['kind']}/{target['name']}"))
        if obj["kind"] == "FleetAutoscaler":
            wanted.append((here, f"Fleet/{obj['spec']['fleetName']}"))
        if obj["kind"] == "RoleBinding":
            wanted.append((here, f"{obj['roleRef']['kind']}/{obj['roleRef']['name']}"))
            wanted += [(it["namespace"], f"{it['kind']}/{it['name']}") for it in obj["subjects"]]
        yield from (f"{name(obj)}: there is no {it} in {where}" for where, it in wanted if (where, it) not in there)


def matches(selector, labels):
    """Whether labels are selected, by what of a selector is used here."""
    said = selector.get("matchLabels", {}).items() <= labels.items()
    return said and all(labels.get(it["key"]) in it["values"] for it in selector.get("matchExpressions", []))


def selectors_select(objects):
    pods = [(namespace(obj), pod(obj)["metadata"]["labels"]) for obj in objects if is_ours(obj)]
    pods += [(namespace(obj), OF_A_GAME) for obj in objects if obj["kind"] == "Fleet"]
    services = [(namespace(obj), obj["metadata"]["labels"]) for obj in objects if obj["kind"] == "Service"]
    for obj in objects:
        spec = obj.get("spec", {})
        selector, among = {
            "Service": lambda: ({"matchLabels": spec["selector"]}, pods),
            "PodDisruptionBudget": lambda: (spec["selector"], pods),
            "NetworkPolicy": lambda: (spec["podSelector"], pods),
            "ServiceMonitor": lambda: (spec["selector"], services),
        }.get(obj["kind"], lambda: (None, []))()
        if selector is not None and not any(matches(selector, has) for at, has in among if at == namespace(obj)):
            yield f"{name(obj)}: selects nothing"


def settings_fit(objects):
    has = settings(objects)
    if has.get("METRICS_ADDRESS") not in ("0.0.0.0", "::"):
        yield "METRICS_ADDRESS is not 0.0.0.0: neither probes nor Prometheus reach a pod's loopback"
    if has.get("AGONES_FENCES_NAMESPACE") == has["AGONES_NAMESPACE"]:
        yield "AGONES_FENCES_NAMESPACE is that of the games"
    if has["AGIS_HOST"] != "agones":
        yield "AGIS_HOST is not agones: a pod has no place for games"
    for obj in objects:
        # The Role for the fences is the one that lies not among the games.
        of_fences = name(obj) == "Role/agis-api-fences"
        setting = "AGONES_FENCES_NAMESPACE" if of_fences else "AGONES_NAMESPACE"
        if obj["kind"] in ("Role", "Fleet") and namespace(obj) != has.get(setting):
            yield f"{name(obj)}: is not in {setting}, {has.get(setting)}"
        if obj["kind"] != "Deployment":
            continue
        [container] = containers(obj)
        ports = {it["name"]: str(it["containerPort"]) for it in container["ports"]}
        wanted = {"http": has["API_PORT"], "metrics": has["METRICS_PORT"]}
        other = [it for it in ports if ports[it] != wanted.get(it)]
        yield from (f"{name(obj)}: the port '{it}' is not that of the settings" for it in other)
        mounts = [it["mountPath"] for it in container["volumeMounts"]]
        if not any(has["GAMES_FILE"] == f"{it}/games.toml" for it in mounts):
            yield f"{name(obj)}: has no {has['GAMES_FILE']}"


def there_is_time_to_end(objects):
    has = settings(objects)
    asked = int(has["SHUTDOWN_DELAY_SECONDS"]) + int(has["SHUTDOWN_DRAIN_SECONDS"])
    for obj in objects:
        if obj["kind"] == "Deployment":
            takes = TO_END[obj["metadata"]["name"]] + (asked if name(obj) == "Deployment/agis-api" else 0)
            if pod_spec(obj).get("terminationGracePeriodSeconds", 30) <= takes:
                yield f"{name(obj)}: is killed within the {takes} s that it may take to end"


def one_version_runs(objects):
    images = {it["image"] for obj in objects if is_ours(obj) for it in containers(obj)}
    if len(images) != 1:
        yield f"the programs and the migration are of different images: {', '.join(sorted(images))}"


def catalogue_is_right(objects):
    games = catalogue(objects)
    yield from (f"games.toml: {it}" for it in errors(CATALOGUE, games))
    fleets = {f"Fleet/{game['fleet']}" for game in games.values() if "fleet" in game}
    yield from (f"games.toml: there is no {it}" for it in sorted(fleets - {name(obj) for obj in objects}))


def of_games(objects, kind):
    where = settings(objects)["AGONES_NAMESPACE"]
    return [obj["spec"] for obj in objects if obj["kind"] == kind and namespace(obj) == where]


def leads_to(peers, network):
    """Whether a rule to these peers leads to addresses of the network."""
    blocks = [it["ipBlock"] for it in peers if "ipBlock" in it]
    parse = ipaddress.ip_network
    net = parse(network)
    near = [it for it in blocks if parse(it["cidr"]).version == net.version and parse(it["cidr"]).overlaps(net)]
    return any(not any(parse(no).supernet_of(net) for no in it.get("except", []) if parse(no).version == net.version) for it in near)


def games_are_apart(objects):
    policies = of_games(objects, "NetworkPolicy")
    nobody = {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    if nobody not in policies:
        yield "games: no policy denies what none allows"
    games = [it for it in policies if it != nobody and matches(it["podSelector"], OF_A_GAME)]
    ways = [rule for policy in games for rule in policy.get("egress", [])]
    if not any(policy.get("ingress") for policy in games):
        yield "games: no player may come in"
    if not any({"port": 53, "protocol": "UDP"} in way.get("ports", []) for way in ways):
        yield "games: no name is found"
    # Agones' helper in a game's pod, which ends without it.
    if not any("to" not in way and {"port": 443} in way.get("ports", []) for way in ways):
        yield "games: Agones' helper may not report to the API server"
    for way in ways:
        if "to" not in way and not way.get("ports"):
            yield "games: may go everywhere"
        yield from (f"games: may go to {it}" for it in PRIVATE if leads_to(way.get("to", []), it))


def games_have_limits(objects):
    counted = set().union(*(it["hard"].keys() for it in of_games(objects, "ResourceQuota")))
    yield from (f"games: no quota for {it}" for it in sorted(COUNTED - counted))
    limits = {it["type"]: it for spec in of_games(objects, "LimitRange") for it in spec["limits"]}
    one, world = limits.get("Container", {}), limits.get("PersistentVolumeClaim", {})
    # A quota refuses a container that says nothing of what it counts.
    if not ({"cpu", "memory"} <= one.get("defaultRequest", {}).keys() and "memory" in one.get("default", {})):
        yield "games: a container that says nothing has no limits"
    if "memory" not in one.get("max", {}) or "storage" not in world.get("max", {}):
        yield "games: one may take all memory, or all storage"
        return
    for obj in [obj for obj in objects if obj["kind"] in ("Fleet", "GameServer")]:
        for it in containers(obj):
            if amount(it["resources"]["limits"]["memory"]) > amount(one["max"]["memory"]):
                yield f"{name(obj)}: takes more memory than one game may"
    for key, game in catalogue(objects).items():
        if "world" in game and amount(game["world"]["size"]) > amount(world["max"]["storage"]):
            yield f"games.toml: {key}: its world is larger than one may be"


RULES = [
    names_are_there,
    selectors_select,
    settings_fit,
    there_is_time_to_end,
    one_version_runs,
    catalogue_is_right,
    games_are_apart,
    games_have_limits,
]
