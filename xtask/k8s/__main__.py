"""Checks k8s/: renders every overlay, and holds each object to the schemas of one version of Kubernetes, to Agones'
CRDs, and to the rules of this house. `cargo xtask k8s check` runs it, with the packages that it needs and a kubectl.

It first tries every rule on objects that break it, so that a rule which no longer finds anything is told.
"""

import subprocess
import sys

import yaml

import broken
import overlay
import rules
from objects import K8S, ROOT, name
from schemas import KUBERNETES, by_schema


def render(kubectl, folder):
    done = subprocess.run([kubectl, "kustomize", folder], capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{folder.relative_to(ROOT)} cannot be rendered: {done.stderr.strip()}")
    return [obj for obj in yaml.safe_load_all(done.stdout) if obj]


def faults(obj):
    """What is wrong with an object. The rules look only at what has its form."""
    errors = [f"{name(obj)}: {it}" for it in by_schema(obj)]
    return errors or [f"{name(obj)}: {it} ({rule.__name__})" for rule in rules.RULES for it in rule(obj)]


def faults_together(objects):
    return [f"{it} ({rule.__name__})" for rule in overlay.RULES for it in rule(objects)]


def main(kubectl):
    folders = sorted(path for path in (K8S / "overlays").iterdir() if path.is_dir())
    overlays = {}
    for folder in folders:
        objects = render(kubectl, folder) + render(kubectl, folder / "migrate")
        overlays[folder.name] = [*objects, *overlay.games(objects)]
    found = []
    for of, objects in overlays.items():
        alone = [it for obj in objects for it in faults(obj)]
        found += [f"{of}: {it}" for it in alone or faults_together(objects)]
    # They are tried on the objects that are here, which have to be right for that.
    found = found or list(broken.unnoticed(overlays[folders[0].name]))
    for it in found:
        print(it)
    count, rule_count = sum(map(len, overlays.values())), len(rules.RULES) + len(overlay.RULES)
    broken_count = len(broken.ONE_BY_ONE) + len(broken.TOGETHER)
    print(f"{count} objects of {len(overlays)} overlays: {len(found)} found")
    print(f"by the schemas of Kubernetes {KUBERNETES}, Agones' CRDs, the fields that are used here of the Prometheus")
    print(f"operator's kinds, and {rule_count} rules; all tried on {broken_count} broken objects")
    sys.exit(bool(found))


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "kubectl")
