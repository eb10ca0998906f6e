"""Two hundred pods that a real scheduler binds to fifty nodes at once: each has the facts of its own."""

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.cluster import Cluster
from tests.e2e import simulated
from tests.e2e.api import Api
from tests.e2e.conftest import wait_for
from tests.e2e.test_node_facts import dry, namespace

pytestmark = [pytest.mark.node, pytest.mark.usefixtures("webhook")]
__all__ = ["namespace"]

COUNT, PODS = 50, 200
FACTS = {
    "zone": {"nodeLabel": "topology.kubernetes.io/zone"},
    "home": {"nodeLabel": "podfacts.test/rack"},
    "model": {"nodeLabel": "node.kubernetes.io/instance-type"},
    "node-cpu": {"nodeField": "status.allocatable.cpu", "divisor": "1m"},
    "system": {"nodeField": "status.nodeInfo.osImage"},
    "nothing": {"nodeLabel": "example.com/nothing", "default": "none"},
}


@pytest.fixture
def profile(api: Api, profiles: str, namespace: str) -> Iterator[str]:
    api.call("DELETE", f"{profiles}/at-scale")
    facts = [{"name": name, **source} for name, source in FACTS.items()]
    tree = {
        "apiVersion": "podfacts.dev/v1alpha1",
        "kind": "Profile",
        "metadata": {"name": "at-scale"},
        "spec": {"facts": facts},
    }
    api.create(profiles, tree)
    wait_for(lambda: dry(api, namespace, pod("probe")).status == 201)
    yield "at-scale"
    api.call("DELETE", f"{profiles}/at-scale")


def pod(name: str) -> dict[str, Any]:
    containers = {"containers": [{"name": "main", "image": "app"}]}
    metadata = {"name": name, "labels": {"podfacts.dev/inject": "at-scale"}}
    return {"metadata": metadata, "spec": simulated.placed(containers)}


def shown(tree: dict[str, Any]) -> dict[str, str]:
    """What the pod's variables would say: each refers to a label or an annotation, as the kubelet reads it."""
    values = {}
    for entry in tree["spec"]["containers"][0]["env"]:
        path = entry["valueFrom"]["fieldRef"]["fieldPath"]
        kind, _, key = path.removeprefix("metadata.").removesuffix("']").partition("['")
        values[entry["name"]] = tree["metadata"][kind].get(key, "")
    return values


def told(node: dict[str, Any]) -> dict[str, str]:
    labels, status = node["metadata"]["labels"], node["status"]
    return {
        "ZONE": labels["topology.kubernetes.io/zone"],
        "HOME": labels["podfacts.test/rack"],
        "MODEL": labels["node.kubernetes.io/instance-type"],
        "NODE_CPU": str(int(status["allocatable"]["cpu"]) * 1000),
        "SYSTEM": status["nodeInfo"]["osImage"],
        "NOTHING": "none",
    }


@pytest.mark.fault("T43")
def test_two_hundred_pods_have_the_facts_of_their_own_nodes(
    node: Cluster, api: Api, namespace: str, profile: str
) -> None:
    assert profile
    path = f"/api/v1/namespaces/{namespace}/pods"
    began = node.audit_log.stat().st_size
    with simulated.simulated(node, api, COUNT):
        time.sleep(1)
        for number in range(PODS):
            api.create(path, pod(f"p-{number}"))
        wait_for(lambda: len(simulated.pods(api)) == PODS, 90)
        nodes = {
            each["metadata"]["name"]: told(each)
            for each in api.call("GET", simulated.NODES).body["items"]
            if "podfacts.test/rack" in each["metadata"]["labels"]
        }
        pods = simulated.pods(api)
    assert len({each["spec"]["nodeName"] for each in pods}) > COUNT / 2
    wrong = [each["metadata"]["name"] for each in pods if shown(each) != nodes[each["spec"]["nodeName"]]]
    assert wrong == []
    # What the webhook asked the API server meanwhile: nothing about a pod, a node or a namespace by name.
    with node.audit_log.open() as log:
        assert any(":podfacts-webhook-" in line for line in log), "it is that account which follows"
        log.seek(began)
        events = [json.loads(line) for line in log if ":podfacts-webhook-" in line]
    ours = [each for each in events if ":podfacts-webhook-" in each["user"]["username"]]
    assert {each["verb"] for each in ours} <= {"list", "watch"}
    assert "pods" not in {each["objectRef"]["resource"] for each in ours}
