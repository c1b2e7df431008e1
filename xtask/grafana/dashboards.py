"""The dashboards of grafana/, and the rules of this house for them."""

import itertools
import json
import re

from alerts import ROOT

FILES = sorted((ROOT / "grafana").glob("*.json"))
PANELS = {"timeseries", "stat", "bargauge", "row"}
VARIABLES = ["datasource", "namespace", "instance"]
# What Grafana itself puts into a query.
BUILT_IN = {"__rate_interval", "__range", "__interval"}
UNITS = {"short", "s", "bytes", "percentunit", "reqps", "ops"}
WIDTH = 24


def load():
    return {path.stem: json.loads(path.read_text()) for path in FILES}


def drawn(dashboard):
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def expressions(panel):
    return [(target["expr"], target.get("legendFormat", "")) for target in panel.get("targets", [])]


def faults(name, dashboard):
    if dashboard["uid"] != name:
        yield f"its uid is not the name of its file: {dashboard['uid']}"
    if not 39 <= dashboard["schemaVersion"] <= 42:
        yield "its schemaVersion is not that of a Grafana 11 or 12"
    if dashboard.get("id") is not None:
        yield "an id is given by each Grafana, not here"
    variables = [it["name"] for it in dashboard["templating"]["list"]]
    if variables != VARIABLES:
        yield f"its variables are {variables}, not {VARIABLES}"
    ids = [panel["id"] for panel in dashboard["panels"]]
    if len(set(ids)) != len(ids):
        yield "two of its panels have one id"
    yield from overlaps(dashboard["panels"])
    for panel in dashboard["panels"]:
        known = panel["type"] in PANELS
        found = panel_faults(panel, set(variables)) if known else [f"the kind {panel['type']} is not known here"]
        yield from (f"{panel['title']}: {it}" for it in found)


def panel_faults(panel, variables):
    if panel["type"] == "row":
        return
    if len(panel.get("description", "")) < 20:
        yield "has no description"
    defaults = panel["fieldConfig"]["defaults"]
    if defaults.get("unit") not in UNITS:
        yield f"its unit {defaults.get('unit')} is not one that is used here"
    if not defaults.get("thresholds", {}).get("steps"):
        yield "has no thresholds"
    # An increase is extrapolated: one firing may be 1.01 of it.
    counts = panel["type"] != "timeseries" and any("increase(" in expr for expr, _ in expressions(panel))
    if counts and defaults.get("unit") == "short" and defaults.get("decimals") != 0:
        yield "counts things, and shows fractions of them"
    if not expressions(panel):
        yield "asks for nothing"
    if panel["datasource"] != {"type": "prometheus", "uid": "${datasource}"}:
        yield "asks another data source than the variable's"
    references = [target["refId"] for target in panel["targets"]]
    if len(set(references)) != len(references):
        yield "two of its queries have one refId"
    for expr, legend in expressions(panel):
        used = set(re.findall(r"\$\{?(\w+)", expr))
        yield from (f"there is no ${it}" for it in used - variables - BUILT_IN)
        if not {"namespace", "instance"} <= used:
            yield "does not heed the variables namespace and instance"
        if len(panel["targets"]) > 1 and not legend:
            yield "has several queries, and one without a legend"


def overlaps(panels):
    for panel in panels:
        grid = panel["gridPos"]
        if grid["x"] + grid["w"] > WIDTH or min(grid["w"], grid["h"]) < 1:
            yield f"{panel['title']}: does not fit into the grid"
    for one, other in itertools.combinations(panels, 2):
        a, b = one["gridPos"], other["gridPos"]
        apart = a["x"] + a["w"] <= b["x"] or b["x"] + b["w"] <= a["x"]
        if not apart and a["y"] < b["y"] + b["h"] and b["y"] < a["y"] + a["h"]:
            yield f"{one['title']} and {other['title']} lie on each other"
