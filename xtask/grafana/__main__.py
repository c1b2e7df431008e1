"""Holds the dashboards of grafana/ to their form, and to what a Prometheus has that scrapes programs that run.
`cargo xtask grafana check` runs both, with all that they need."""

import pathlib
import re
import sys
import time

import alerts
import dashboards
import preview
import queries
import schema
from scene import Scene

GUIDE = alerts.GUIDE


def described():
    """The metrics that the operator's guide lists, which a test holds against the programs, as Prometheus has them."""
    names = {"up"}
    for name, kind in re.findall(r"^\| `(\w+)` \| (\w+)", GUIDE.read_text(), re.M):
        names |= {name + end for end in ("_bucket", "_count", "_sum")} if kind == "histogram" else {name}
    return names


def report(found, what):
    for it in found:
        print(it)
    print(f"{what}: {len(found)} found")
    sys.exit(bool(found))


def form(out, packages=None):
    loaded = dashboards.load()
    found = [f"{name}: {it}" for name, dashboard in loaded.items() for it in dashboards.faults(name, dashboard)]
    if packages:
        found += schema.faults(loaded, pathlib.Path(packages), out)
    by = "this house and Grafana's schema" if packages else "this house"
    report(found, f"{len(loaded)} dashboards by the rules of {by}")


def data(out):
    prometheus, scene, loaded = queries.Prometheus(), Scene(), dashboards.load()
    prometheus.wait()
    began = time.time()
    scene.begin()
    asked = [expr for it in loaded.values() for panel in dashboards.drawn(it) for expr, _ in dashboards.expressions(panel)]
    wanted = [expr for expr in asked if not queries.excuse(expr)]
    scene.play(lambda: all(prometheus.series(expr, began) for expr in wanted))

    known, found = described(), []
    for name, dashboard in loaded.items():
        for panel in dashboards.drawn(dashboard):
            for expr, _ in dashboards.expressions(panel):
                found += [f"{name}: {panel['title']}: {it}" for it in queries.faults(expr, prometheus, known, began)]
        (out / f"{name}.html").write_text(preview.page(dashboard, prometheus, began))
    for rule in alerts.rules():
        found += [f"{rule['alert']}: {it}" for it in queries.alert_faults(rule["expr"], prometheus, known)]
    scraped = {it for it in prometheus.names() if it.startswith(("agis_", "process_"))}
    found += [f"{it} is scraped, and docs/operations/metrics.md does not list it" for it in sorted(scraped - known)]
    used = [it for it in queries.NOTHING if not any(it in expr for expr in [*asked, *(r["expr"] for r in alerts.rules())])]
    found += [f"nothing asks for {it}, which is excused" for it in used]
    print(f"previews, which are not what Grafana draws: {out}/*.html")
    report(found, f"{len(asked)} queries and {len(alerts.rules())} alerts on a Prometheus with {len(scraped)} metrics")


if __name__ == "__main__":
    what, out, *more = sys.argv[1:]
    {"form": form, "data": data}[what](pathlib.Path(out), *more)
