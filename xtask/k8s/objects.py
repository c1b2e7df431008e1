"""What objects of Kubernetes have in common, for those who look at them."""

import pathlib

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
K8S = ROOT / "k8s"


def name(obj):
    return f"{obj.get('kind')}/{obj.get('metadata', {}).get('name')}"


def namespace(obj):
    return obj.get("metadata", {}).get("namespace")


def plain(obj):
    """Its name without the hash that a generated ConfigMap has."""
    return name(obj).rpartition("-")[0] if obj.get("kind") == "ConfigMap" else name(obj)


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


def pod_spec(obj):
    return (pod(obj) or {}).get("spec", {})


def containers(obj):
    return pod_spec(obj).get("initContainers", []) + pod_spec(obj).get("containers", [])


def is_ours(obj):
    """Whether our programs run in it; what else makes pods makes those of games."""
    return obj.get("kind") in ("Deployment", "Job")
