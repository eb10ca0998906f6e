"""A profile with facts that only the cluster knows, and workloads that ask for it."""

from pathlib import Path
from typing import Any

import yaml

from tests.e2e.install import Installed

Tree = dict[str, Any]

FACT = "facts.podfacts.dev/"
PROFILE = "around"
SHOW_NODE = ["sh", "-c", 'echo "$KERNEL $IN_NAMESPACE"; [ -z $STAYS ] || exec sleep 999999']
FACTS = (
    {"name": "kernel", "nodeField": "status.nodeInfo.kernelVersion"},
    {"name": "in-namespace", "field": "metadata.namespace"},
    {"name": "team", "namespaceLabel": "example.com/team", "required": True},
    {"name": "owner-kind", "owner": "kind"},
    {"name": "owner-name", "owner": "name"},
    {"name": "image", "image": "digest"},
)


def profile_file(folder: Path) -> Path:
    """Write the profile to a file and return it."""
    path = folder / "profile.yaml"
    tree = {
        "apiVersion": "podfacts.dev/v1alpha1",
        "kind": "Profile",
        "metadata": {"name": PROFILE},
        "spec": {"facts": list(FACTS)},
    }
    path.write_text(yaml.safe_dump(tree))
    return path


def accepted(here: Installed, name: str) -> bool:
    """Whether the controller has said that the profile is in force."""
    tree = here.api.call("GET", f"/apis/podfacts.dev/v1alpha1/profiles/{name}").body
    conditions = tree.get("status", {}).get("conditions", [])
    return ("Accepted", "True") in [(each["type"], each["status"]) for each in conditions]


def of_kind(kind: str, profile: str, command: list[str]) -> Tree:
    """A workload, ``facts-<kind>``, whose pods ask for the profile."""
    name = f"facts-{kind.lower()}"
    labels = {"app": name, "podfacts.dev/inject": profile}
    env = [{"name": "STAYS", "value": "" if kind == "Job" else "yes"}]
    main = {"name": "main", "image": "busybox:stable", "command": command, "env": env}
    spec: Tree = {"terminationGracePeriodSeconds": 0, "containers": [main]}
    outer: Tree = {"selector": {"matchLabels": {"app": name}}}
    if kind == "Job":
        outer = {}
        spec["restartPolicy"] = "Never"
    return {
        "apiVersion": "batch/v1" if kind == "Job" else "apps/v1",
        "kind": kind,
        "metadata": {"name": name},
        "spec": {**outer, "template": {"metadata": {"labels": labels}, "spec": spec}},
    }


def complete(here: Installed, namespace: str, app: str) -> Tree | None:
    """The pod of a workload once it has all of its facts; ``None`` until then."""
    path = f"/api/v1/namespaces/{namespace}/pods"
    found: list[Tree] = here.api.call("GET", path, labelSelector=f"app={app}").body["items"]
    wanted = {f"{FACT}{each['name']}" for each in FACTS if "field" not in each} - {f"{FACT}image"}
    for each in found:
        if wanted | {f"{FACT}image.main"} <= set(each["metadata"].get("annotations", {})):
            return each
    return None
