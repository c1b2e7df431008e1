"""What dashboards and alerts ask, asked of a Prometheus."""

import json
import math
import os
import re
import time
import urllib.error
import urllib.parse
import urllib.request

# What has nothing to show in the scene, and why. What stands here and does show something is told, so that it leaves.
NOTHING = {
    "agis_bot_agones_orphans_reaped_total": "there is no cluster",
    'component="cluster"': "there is no cluster",
    "agis_bot_legacy_token_uses_total": "they are off",
    'status=~"5.."': "nothing of ours fails",
}
STANDS_FOR = {"namespace": ".*", "instance": ".*", "__rate_interval": "30s", "__range": "2m", "__interval": "2s"}
NAME = re.compile(r"\b((?:agis_bot|process)_\w+|up)(\{[^}]*\})?")


def written(expr):
    """An expression as Grafana sends it."""
    return re.sub(r"\$\{?(\w+)\}?", lambda found: STANDS_FOR.get(found.group(1), found.group(0)), expr)


def excuse(expr):
    return next((it for it in NOTHING if it in expr), None)


class Prometheus:
    def __init__(self):
        self.url = os.environ["PROMETHEUS"]

    def get(self, path, **query):
        with urllib.request.urlopen(f"{self.url}{path}?{urllib.parse.urlencode(query)}", timeout=30) as answer:
            return json.loads(answer.read())["data"]

    def wait(self):
        for _ in range(300):
            try:
                with urllib.request.urlopen(f"{self.url}/-/ready", timeout=5):
                    return
            except OSError:
                time.sleep(0.1)
        raise SystemExit("Prometheus does not answer; target/grafana/prometheus.log says why")

    def series(self, expr, begin=None):
        """The series of an expression with their points; over the time since `begin`, or only now. A quantile of nothing is
        no number, and no point. What cannot be parsed is an error."""
        try:
            if begin is None:
                found = self.get("/api/v1/query", query=written(expr))["result"]
                found = [(it["metric"], [it["value"]]) for it in found]
            else:
                query = {"query": written(expr), "start": begin, "end": time.time(), "step": 1}
                found = [(it["metric"], it["values"]) for it in self.get("/api/v1/query_range", **query)["result"]]
        except urllib.error.HTTPError as error:
            raise ValueError(json.loads(error.read())["error"]) from error
        finite = [(of, [(at, float(it)) for at, it in points if math.isfinite(float(it))]) for of, points in found]
        return [(of, points) for of, points in finite if points]

    def names(self):
        return set(self.get("/api/v1/label/__name__/values"))


def faults(expr, prometheus, known, begin=None):
    """What is wrong with the query of a panel."""
    unknown = {name for name, _ in NAME.findall(written(expr))} - known
    yield from (f"there is no metric {it}" for it in sorted(unknown))
    try:
        has_data = bool(prometheus.series(expr, begin))
    except ValueError as error:
        yield str(error)
        return
    reason = excuse(expr)
    if not has_data and not reason:
        yield f"has no data: {written(expr)}"
    # A sum of nothing that is made zero is data of nothing.
    if has_data and reason and "vector(0)" not in expr:
        yield f"has data, though {NOTHING[reason]}"


def alert_faults(expr, prometheus, known):
    """An alert is silent where all is well; what it looks at is there."""
    yield from (it for it in faults(f"({expr}) or vector(0)", prometheus, known))
    for name, selector in NAME.findall(expr):
        if not prometheus.series(name + selector) and not excuse(name + selector):
            yield f"has no data: {name}{selector}"
