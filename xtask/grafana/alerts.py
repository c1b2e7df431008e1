"""The alerts of k8s/base/alerts.yaml: as a file for Prometheus, and whether they are what they should be."""

import pathlib
import re
import subprocess
import sys

import yaml

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
SOURCE, TESTS = ROOT / "k8s/base/alerts.yaml", ROOT / "xtask/grafana/alerts.test.yml"
PAGES, GUIDE = ROOT / "docs/operations/alerts", ROOT / "docs/operations/metrics.md"
# What each page has to answer.
QUESTIONS = ["**It means.**", "**Players notice.**", "**Look at.**", "**Do.**"]


def spec():
    return yaml.safe_load(SOURCE.read_text())["spec"]


def rules():
    return [rule for group in spec()["groups"] for rule in group["rules"]]


def for_prometheus():
    head = "# From k8s/base/alerts.yaml, which is where to change them.\n"
    return head + yaml.safe_dump(spec(), sort_keys=False, width=120, allow_unicode=True)


def faults():
    for rule in rules():
        name, notes = rule["alert"], rule.get("annotations", {})
        if rule.get("labels", {}).get("severity") not in ("critical", "warning"):
            yield f"{name}: its severity is neither critical nor warning"
        yield from (f"{name}: has no {it}" for it in ("summary", "description") if not notes.get(it))
        page = PAGES / f"{name}.md"
        if notes.get("runbook") != str(page.relative_to(ROOT)):
            yield f"{name}: its runbook is not {page.relative_to(ROOT)}"
        text = page.read_text() if page.exists() else ""
        yield from (f"{name}: its page does not say {it}" for it in QUESTIONS if it not in text)
        row = f"| [{name}](alerts/{name}.md) | {rule['labels'].get('severity')} |"
        if row not in GUIDE.read_text():
            yield f"{name}: docs/operations/metrics.md has no row that begins with {row}"
    names = {rule["alert"] for rule in rules()}
    for of in sorted({path.stem for path in PAGES.glob("*.md")} - names):
        yield f"docs/operations/alerts/{of}.md is about no alert"
    yield from untried(names)


def untried(names):
    """Alerts that promtool does not try both ways."""
    outcomes = {(name, told) for test in yaml.safe_load(TESTS.read_text())["tests"] for name, told in tried(test)}
    for name in sorted(names):
        for told, how in ((True, "told"), (False, "not told")):
            if (name, told) not in outcomes:
                yield f"{name}: no test tries when it is {how}"


def tried(test):
    for of in test.get("promql_expr_test", []):
        name = re.search(r'ALERTS\{alertname="(\w+)", alertstate="firing"\}', of["expr"])
        if name:
            yield name.group(1), bool(of["exp_samples"])


def check(out):
    out.mkdir(parents=True, exist_ok=True)
    (out / "alerts.yml").write_text(for_prometheus())
    (out / TESTS.name).write_text(TESTS.read_text())
    found = list(faults())
    for it in found:
        print(it)
    for what, file in (("check", "alerts.yml"), ("test", TESTS.name)):
        done = subprocess.run(["promtool", what, "rules", file], cwd=out, capture_output=True, text=True, check=False)
        if done.returncode:
            found.append(what)
            print(done.stdout + done.stderr)
    print(f"{len(rules())} alerts: {len(found)} found by promtool, its tests and the pages")
    sys.exit(bool(found))


if __name__ == "__main__":
    if sys.argv[1] == "print":
        print(for_prometheus(), end="")
    else:
        check(pathlib.Path(sys.argv[2]))
