"""What is compared when pods are bound: nobody asked, the webhook for the facts of nodes, and it with the fence beside it.

All is installed all the time, for the namespace of its own: so each binding meets the same API server.
"""

import base64
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import apiserver_doors as doors
import binding_scheduler as scheduler
import processes
import rivals
import yaml

from tests.cluster import Cluster
from tests.e2e import simulated
from tests.e2e.api import Api
from tests.e2e.conftest import PROFILES, REPOSITORY, define_profiles, wait_for
from tests.e2e.test_node_facts_at_scale import FACTS

WITHOUT, WITH, FENCED = "without", "with", "with, and the fence"
NAMES = (WITHOUT, WITH, FENCED)
PREFIX = "facts.podfacts.dev/"

Tree = dict[str, Any]


Arm = doors.Door  # A namespace, and who is asked when its pods are bound.


def pod(name: str) -> Tree:
    """A pod of 4 KB that the bench's scheduler puts on a simulated node."""
    tree = doors.created_pod(4)
    tree["metadata"].pop("generateName")
    tree["metadata"]["name"] = name
    tree["metadata"]["labels"].pop("podfacts.dev/inject")
    tree["spec"] = simulated.placed({**tree["spec"], "schedulerName": scheduler.NAME})
    for container in tree["spec"]["containers"]:
        container["resources"] = {"requests": {"cpu": "10m", "memory": "32Mi"}}
    return tree


def binding(name: str) -> Tree:
    """What puts a pod on one of the nodes, without a scheduler."""
    target = {"apiVersion": "v1", "kind": "Node", "name": f"{simulated.PREFIX}0"}
    return {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": name}, "target": target}


def carries(tree: Tree) -> bool:
    """Whether a pod has all the facts of its node."""
    annotations = tree["metadata"].get("annotations", {})
    return {f"{PREFIX}{name}" for name in FACTS if name != "nothing"} <= {*annotations} | _by_label(tree)


def _by_label(tree: Tree) -> set[str]:
    """The zone comes as a label from Kubernetes itself."""
    labels = tree["metadata"].get("labels", {})
    return {f"{PREFIX}zone"} if "topology.kubernetes.io/zone" in labels else set()


@contextmanager
def opened(cluster: Cluster, api: Api, made: rivals.Made, chosen: list[str]) -> Iterator[list[Arm]]:
    """Every arm, and the API server goes by it; everything is gone afterwards."""
    with ExitStack() as stack:
        define_profiles(api, cluster)
        stack.enter_context(_profile(api))
        authority = doors.certificates(made.folder)
        plain = stack.enter_context(doors.namespace(api, 0, WITHOUT))
        started = doors.following(cluster, api, made, rivals.PODFACTS, plain.namespace)
        server = stack.enter_context(started)
        found = []
        for index, name in enumerate(chosen, 1):
            door = stack.enter_context(doors.namespace(api, index, name))
            arm = Arm(name, door.namespace, None if name == WITHOUT else server)
            if arm.server:
                labels = {"podfacts.dev/node-facts": "enabled"}
                path = f"/api/v1/namespaces/{arm.namespace}"
                api.call("PATCH", path, {"metadata": {"labels": labels}})
                trees = [_configuration(arm, arm.server, authority)]
                for tree in [*trees, *(doors.fence() if name == FENCED else [])]:
                    stack.enter_context(doors.there(api, doors.only_for(tree, door)))
                wait_for(lambda arm=arm: _works(api, arm))
            found.append(arm)
        yield found


@contextmanager
def _profile(api: Api) -> Iterator[None]:
    name = f"bench-{os.getpid()}"
    facts = [{"name": name, **source} for name, source in FACTS.items()]
    tree = {
        "apiVersion": "podfacts.dev/v1alpha1",
        "kind": "Profile",
        "metadata": {"name": name},
        "spec": {"facts": facts},
    }
    api.create(PROFILES, tree)
    try:
        yield
    finally:
        api.call("DELETE", f"{PROFILES}/{name}")


def _configuration(arm: Arm, server: processes.Server, authority: bytes) -> Tree:
    """The shipped one, of the hook that is asked about bindings, for this process."""
    tree: Tree = yaml.safe_load((REPOSITORY / "deploy/base/40-admission.yaml").read_text())
    [hook] = [each for each in tree["webhooks"] if each["name"] == "nodes.podfacts.dev"]
    bundle = base64.b64encode(authority).decode()
    hook["clientConfig"] = {"url": f"https://127.0.0.1:{server.port}/mutate", "caBundle": bundle}
    hook["name"] = f"{arm.namespace}.podfacts.bench"
    return {**tree, "webhooks": [hook]}


def _works(api: Api, arm: Arm) -> bool:
    """Whether a pod that is bound by hand carries the facts."""
    tree = pod("probe")
    tree["spec"]["schedulerName"] = "nobody"
    api.create(arm.pods, tree)
    path = f"{arm.pods}/probe"
    api.create(f"{path}/binding", binding("probe"))
    found = carries(api.call("GET", path).body)
    api.call("DELETE", path, gracePeriodSeconds="0")
    return found
