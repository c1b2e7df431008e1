"""Objects that break the rules: a rule that finds nothing wrong with its own is no rule."""

import copy

import overlay
import rules
from objects import containers, pod, pod_spec, plain
from schemas import by_schema

API, BOT, FLEET, GAME = "Deployment/agis-api", "Deployment/agis-bot", "Fleet/arena", "GameServer/simple.games.toml"
FENCES, MOVE = "Role/agis-api-fences", "Role/agis-api-move"
ROLE, BINDING, ALERTS = "Role/agis-api", "RoleBinding/agis-api", "PrometheusRule/agis"
SETTINGS, CATALOGUE = "ConfigMap/agis-settings", "ConfigMap/agis-games"
MONITOR, SCALER = "ServiceMonitor/agis", "HorizontalPodAutoscaler/agis-api"
GAMES_POLICY, DENIAL = "NetworkPolicy/games", "NetworkPolicy/default-deny"
QUOTA, LIMITS = "ResourceQuota/games", "LimitRange/games"
FLEET_SCALER = "FleetAutoscaler/arena"
FLEET_WITH_A_WORLD = 'fleet = "arena"\nworld = { size = "1Gi", mount = "/data" }'


def container(edit):
    return lambda obj: edit(containers(obj)[0])


def security(**fields):
    return container(lambda it: it["securityContext"].update(fields))


def spec(**fields):
    return lambda obj: pod_spec(obj).update(fields)


def metadata(**fields):
    return lambda obj: obj["metadata"].update(fields)


def env(name, **value):
    return container(lambda it: it["env"].append({"name": name} | value))


def data(**fields):
    return lambda obj: obj["data"].update(fields)


def games(old, new):
    def edit(obj):
        text = obj["data"]["games.toml"]
        assert old in text, f"games.toml has no {old!r} to break"
        obj["data"]["games.toml"] = text.replace(old, new)

    return edit


def first_alert(**fields):
    return lambda obj: obj["spec"]["groups"][0]["rules"][0].update(fields)


def key(name, key):
    return {"valueFrom": {"secretKeyRef": {"name": name, "key": key}}}


# Which rule, what it is tried on, and what is done to that.
ONE_BY_ONE = [
    (by_schema, API, lambda obj: obj["spec"].update(replica=3)),
    (by_schema, API, metadata(label={})),
    (by_schema, API, container(lambda it: it.update(ports=[{"containerPort": "http"}]))),
    (by_schema, API, lambda obj: obj.update(apiVersion="apps/v1beta9")),
    (by_schema, FLEET, lambda obj: obj["spec"].update(replica=3)),
    (by_schema, FLEET, lambda obj: obj["spec"].update(replicas="two")),
    (by_schema, FLEET, metadata(label={})),
    (by_schema, FLEET, lambda obj: obj.update(apiVersion="agones.dev/v2")),
    (by_schema, FLEET, container(lambda it: it.update(imagePolicy="Always"))),
    (by_schema, FLEET_SCALER, lambda obj: obj["spec"]["policy"].update(type="Bufer")),
    (by_schema, FLEET_SCALER, lambda obj: obj["spec"]["policy"]["buffer"].update(maxReplicas="many")),
    (by_schema, GAME, container(lambda it: it.update(imagePolicy="Always"))),
    (by_schema, GAME, lambda obj: obj["spec"]["ports"][0].update(protocol="SCTP")),
    (by_schema, GAME, lambda obj: obj["spec"].pop("template")),
    (by_schema, MONITOR, lambda obj: obj.update(specs={})),
    (by_schema, MONITOR, lambda obj: obj["spec"].pop("selector")),
    (by_schema, MONITOR, lambda obj: obj["spec"]["endpoints"][0].update(ports="metrics")),
    (by_schema, ALERTS, lambda obj: obj["spec"]["groups"][0]["rules"][0].pop("expr")),
    (by_schema, ALERTS, first_alert(**{"for": "soon"})),
    (rules.kind_is_known, API, lambda obj: obj.update(kind="StatefulSet")),
    (rules.image_has_a_version, API, container(lambda it: it.update(image="agis:latest"))),
    (rules.image_has_a_version, FLEET, container(lambda it: it.update(image="host:5000/game"))),
    (rules.resources_are_stated, API, container(lambda it: it["resources"].pop("limits"))),
    (rules.resources_are_stated, GAME, container(lambda it: it["resources"]["requests"].pop("cpu"))),
    (rules.probes_are_there, API, container(lambda it: it.pop("readinessProbe"))),
    (rules.probes_are_there, API, container(lambda it: it["livenessProbe"]["httpGet"].update(path="/readyz"))),
    (rules.probes_are_there, BOT, container(lambda it: it["startupProbe"]["httpGet"].update(port="http"))),
    (rules.nothing_is_privileged, API, lambda obj: pod_spec(obj).pop("securityContext")),
    (rules.nothing_is_privileged, API, spec(securityContext={"runAsNonRoot": True, "runAsUser": 65532})),
    (rules.nothing_is_privileged, API, security(runAsUser=0)),
    (rules.nothing_is_privileged, API, security(runAsNonRoot=False)),
    (rules.nothing_is_privileged, API, security(seccompProfile={"type": "Unconfined"})),
    (rules.nothing_is_privileged, API, security(privileged=True)),
    (rules.nothing_is_privileged, API, security(allowPrivilegeEscalation=True)),
    (rules.nothing_is_privileged, API, security(readOnlyRootFilesystem=False)),
    (rules.nothing_is_privileged, API, security(capabilities={"drop": ["ALL"], "add": ["NET_RAW"]})),
    (rules.nothing_is_privileged, FLEET, security(runAsUser=0)),
    (rules.nothing_is_privileged, GAME, container(lambda it: it.pop("securityContext"))),
    (rules.nothing_is_privileged, "Job/agis-migrate", container(lambda it: it.pop("securityContext"))),
    (rules.nothing_reaches_into_the_node, FLEET, spec(hostNetwork=True)),
    (rules.nothing_reaches_into_the_node, API, spec(volumes=[{"name": "node", "hostPath": {"path": "/"}}])),
    (rules.only_the_api_has_a_token, BOT, spec(automountServiceAccountToken=True)),
    (rules.only_the_api_has_a_token, "Job/agis-migrate", lambda obj: pod_spec(obj).pop("automountServiceAccountToken")),
    (rules.only_the_api_has_a_token, "ServiceAccount/agis-bot", lambda obj: obj.pop("automountServiceAccountToken")),
    (rules.only_the_api_has_a_token, GAME, spec(automountServiceAccountToken=False)),
    (rules.nobody_may_more, ROLE, lambda obj: obj["rules"][0]["verbs"].append("*")),
    (rules.nobody_may_more, ROLE, lambda obj: obj["rules"][0]["verbs"].remove("create")),
    (rules.nobody_may_more, ROLE, lambda obj: obj["rules"][0].update(resources=["fleets"])),
    (rules.nobody_may_more, ROLE, lambda obj: obj["rules"][0].update(apiGroups=["*"])),
    (rules.nobody_may_more, ROLE, lambda obj: obj.update(kind="ClusterRole")),
    (rules.nobody_may_more, MOVE, lambda obj: obj["rules"][0]["verbs"].append("update")),
    (rules.nobody_may_more, FENCES, lambda obj: obj["rules"][0]["resources"].append("secrets")),
    (rules.nobody_may_more, FENCES, metadata(name="agis-api")),
    (rules.nobody_may_more, BINDING, lambda obj: obj["roleRef"].update(kind="ClusterRole", name="admin")),
    (rules.nobody_may_more, BINDING, lambda obj: obj["subjects"][0].update(name="agis-bot")),
    (rules.nobody_may_more, BINDING, lambda obj: obj["subjects"].append({"kind": "User", "name": "somebody"})),
    (rules.no_secret_is_here, SETTINGS, lambda obj: obj.update(kind="Secret")),
    (rules.no_secret_is_here, SETTINGS, data(DISCORD_TOKEN="…")),
    (rules.no_secret_is_here, API, env("DATABASE_URL", value="postgres://…")),
    (rules.no_secret_is_here, API, env("DATABASE_URL", **key("other-secrets", "database-url"))),
    (rules.no_secret_is_here, BOT, env("DISCORD_TOKEN", **key("agis-secrets", "discord"))),
    (rules.no_secret_is_here, API, env("REDIS_URL", value="redis://:secret@redis")),
    (rules.namespace_is_given, API, lambda obj: obj["metadata"].pop("namespace")),
    (rules.settings_are_documented, API, env("AGIS_MAGIC", value="1")),
    (rules.settings_are_documented, BOT, env("SHUTDOWN_DELAY_SECONDS", value="1")),
    (rules.settings_are_documented, SETTINGS, data(NOPE="1")),
    (rules.expressions_are_promql, ALERTS, first_alert(expr="sum((up)")),
    (rules.expressions_are_promql, ALERTS, first_alert(expr="rate(up) > 1")),
    (rules.metrics_exist, ALERTS, first_alert(expr="agis_bot_no_such_total > 1")),
    (rules.metrics_exist, ALERTS, first_alert(expr="agis_bot_servers_active_count > 1")),
]
TOGETHER = [
    (overlay.names_are_there, API, spec(serviceAccountName="agis")),
    (overlay.names_are_there, API, container(lambda it: it["envFrom"][0]["configMapRef"].update(name="agis"))),
    (overlay.names_are_there, BOT, lambda obj: pod_spec(obj)["volumes"][0]["configMap"].update(name="agis")),
    (overlay.names_are_there, BINDING, lambda obj: obj["subjects"][0].update(namespace="elsewhere")),
    (overlay.names_are_there, "Service/agis-api", metadata(name="api")),
    (overlay.names_are_there, SCALER, lambda obj: obj["spec"]["scaleTargetRef"].update(name="api")),
    (overlay.names_are_there, FLEET_SCALER, lambda obj: obj["spec"].update(fleetName="arenas")),
    (overlay.selectors_select, API, lambda obj: pod(obj)["metadata"]["labels"].clear()),
    (overlay.selectors_select, "Service/agis-bot", lambda obj: obj["spec"].update(selector={"app": "bot"})),
    (overlay.selectors_select, "PodDisruptionBudget/agis-bot", metadata(namespace="elsewhere")),
    (overlay.selectors_select, MONITOR, lambda obj: obj["spec"].update(selector={"matchLabels": {"a": "b"}})),
    (overlay.selectors_select, MONITOR, lambda obj: obj["spec"]["selector"]["matchExpressions"][0].update(key="app")),
    (overlay.selectors_select, "NetworkPolicy/agis-migrate", metadata(namespace="elsewhere")),
    (overlay.settings_fit, SETTINGS, data(AGIS_HOST="process")),
    (overlay.settings_fit, SETTINGS, data(AGONES_NAMESPACE="elsewhere")),
    (overlay.settings_fit, SETTINGS, data(AGONES_FENCES_NAMESPACE="elsewhere")),
    (overlay.settings_fit, FENCES, metadata(namespace="agones-dev")),
    (overlay.settings_fit, SETTINGS, data(METRICS_PORT="8082")),
    (overlay.settings_fit, SETTINGS, data(METRICS_ADDRESS="127.0.0.1")),
    (overlay.settings_fit, SETTINGS, data(GAMES_FILE="/etc/games.toml")),
    (overlay.there_is_time_to_end, API, spec(terminationGracePeriodSeconds=30)),
    (overlay.there_is_time_to_end, SETTINGS, data(SHUTDOWN_DRAIN_SECONDS="60")),
    (overlay.there_is_time_to_end, BOT, spec(terminationGracePeriodSeconds=20)),
    (overlay.one_version_runs, "Job/agis-migrate", container(lambda it: it.update(image="agis:1"))),
    (overlay.catalogue_is_right, FLEET, metadata(name="other")),
    (overlay.catalogue_is_right, CATALOGUE, games("title", "name")),
    (overlay.catalogue_is_right, CATALOGUE, games('fleet = "arena"', "")),
    (overlay.catalogue_is_right, CATALOGUE, games('when = "pod"', 'when = "port"')),
    (overlay.catalogue_is_right, CATALOGUE, games('fleet = "arena"', FLEET_WITH_A_WORLD)),
    (overlay.catalogue_is_right, CATALOGUE, games('fleet = "arena"', 'fleet = "arena"\ngood_exits = [256]')),
    (overlay.selectors_select, GAMES_POLICY, metadata(namespace="elsewhere")),
    (overlay.games_are_apart, DENIAL, lambda obj: obj["spec"].update(policyTypes=["Ingress"])),
    (overlay.games_are_apart, DENIAL, lambda obj: obj["spec"].update(podSelector={"matchLabels": {"a": "b"}})),
    (overlay.games_are_apart, DENIAL, metadata(namespace="elsewhere")),
    (overlay.games_are_apart, GAMES_POLICY, lambda obj: obj["spec"].update(ingress=[])),
    (overlay.games_are_apart, GAMES_POLICY, lambda obj: obj["spec"]["egress"].pop(0)),
    (overlay.games_are_apart, GAMES_POLICY, lambda obj: obj["spec"]["egress"].pop()),
    (overlay.games_are_apart, GAMES_POLICY, lambda obj: obj["spec"]["egress"].append({})),
    (overlay.games_are_apart, GAMES_POLICY, lambda obj: obj["spec"]["egress"][1]["to"][0]["ipBlock"]["except"].pop()),
    (overlay.games_are_apart, GAMES_POLICY, lambda obj: obj["spec"]["egress"][1]["to"][1]["ipBlock"].pop("except")),
    (overlay.games_have_limits, QUOTA, lambda obj: obj["spec"]["hard"].pop("limits.memory")),
    (overlay.games_have_limits, QUOTA, metadata(namespace="elsewhere")),
    (overlay.games_have_limits, LIMITS, lambda obj: obj["spec"]["limits"][0].pop("default")),
    (overlay.games_have_limits, LIMITS, lambda obj: obj["spec"]["limits"][0].pop("max")),
    (overlay.games_have_limits, LIMITS, lambda obj: obj["spec"]["limits"][0]["max"].update(memory="1Gi")),
    (overlay.games_have_limits, LIMITS, lambda obj: obj["spec"]["limits"].pop()),
    (overlay.games_have_limits, CATALOGUE, games('size = "5Gi"', 'size = "1Ti"')),
]


def unnoticed(objects):
    """Rules that take what breaks them, and rules for which nothing here breaks them."""
    find = {plain(obj): obj for obj in objects}

    def change(of, edit):
        obj = copy.deepcopy(find[of])
        edit(obj)
        return obj

    for rule, of, edit in ONE_BY_ONE:
        if not list(rule(change(of, edit))):
            yield f"{rule.__name__} finds nothing wrong with a {of} that breaks it"
    for rule, of, edit in TOGETHER:
        others = [other for other in objects if other is not find[of]]
        if not list(rule([*others, change(of, edit)])):
            yield f"{rule.__name__} finds nothing wrong where a {of} breaks it"
    tried = {rule for rule, _, _ in ONE_BY_ONE + TOGETHER}
    untried = [rule for rule in rules.RULES + overlay.RULES if rule not in tried]
    yield from (f"{rule.__name__}: no object here breaks it" for rule in untried)
