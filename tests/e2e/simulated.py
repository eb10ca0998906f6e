"""Many nodes, and pods without containers: the scheduler is the real one, kwok says that the pods run.

Such a pod has a status and no files, logs or exec. One simulation at a time on a cluster.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from tests.cluster import Cluster, build, kwok
from tests.e2e.api import Api
from tests.e2e.conftest import wait_for

Tree = dict[str, Any]

PREFIX = "simulated-"
TAINT = {"key": kwok.NODE, "value": kwok.FAKE, "effect": "NoSchedule"}  # The toleration reads the same.
SELECTOR = f"{kwok.NODE}={kwok.FAKE}"
NODES = "/api/v1/nodes"
PODS = "/api/v1/pods"
LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
CAPACITY = {"cpu": "64", "memory": "256Gi", "ephemeral-storage": "1Ti", "pods": "1000"}
ALLOCATABLE = {"cpu": "63", "memory": "250Gi", "ephemeral-storage": "900Gi", "pods": "1000"}
INFO = {
    "architecture": "amd64",
    "containerRuntimeVersion": "simulated://1",
    "kernelVersion": "6.1.0-simulated",
    "kubeletVersion": build.pinned("k8s.io/kubernetes"),
    "operatingSystem": "linux",
    "osImage": "Simulated 1",
    **dict.fromkeys(
        ("bootID", "kubeProxyVersion", "machineID", "systemUUID"), ""
    ),  # The API wants them there.
}


def shapes(number: int) -> dict[str, str]:
    """Labels for the node of this number: three zones of a region, two instance types, a rack of its own."""
    return {
        "topology.kubernetes.io/region": "region-s",
        "topology.kubernetes.io/zone": f"zone-s{number % 3}",
        "node.kubernetes.io/instance-type": ("simulated.small", "simulated.large")[number % 2],
        "podfacts.test/rack": f"rack-{number}",
    }


@contextmanager
def simulated(
    cluster: Cluster, api: Api, count: int, labels: Callable[[int], Mapping[str, str]] = shapes
) -> Iterator[list[str]]:
    """Give the names of ``count`` nodes that are Ready; afterwards they, their pods and their leases are gone.

    Of a workload whose controller still runs the pods come back, and stay Pending: delete the workload first.
    """
    binary = build.kwok(print)
    clear(api)  # What a run that was killed has left.
    process = kwok.start(cluster, binary)
    try:
        for number in range(count):
            api.create(NODES, node(number, labels(number)))
        wait_for(lambda: process.poll() is not None or len(ready(api)) == count, 30 + count / 10)
        assert process.poll() is None, kwok.log(cluster).read_text()
        names = [f"{PREFIX}{number}" for number in range(count)]
        for name in names:
            # The controller manager would take off the taint that every new node gets: of 5 nodes a second.
            api.call("PATCH", f"{NODES}/{name}", {"spec": {"taints": [TAINT]}})
        yield names
    finally:
        kwok.stop(process)
        clear(api)


def node(number: int, labels: Mapping[str, str]) -> Tree:
    """A node that kwok takes, and that no pod is put on unless it is told to be."""
    name, address = f"{PREFIX}{number}", f"198.19.{number // 256}.{number % 256}"
    own = {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux", kwok.NODE: kwok.FAKE}
    addresses = [{"type": "InternalIP", "address": address}, {"type": "Hostname", "address": name}]
    resources = {"capacity": CAPACITY, "allocatable": ALLOCATABLE}
    return {
        "metadata": {"name": name, "labels": {**own, **labels}, "annotations": {kwok.NODE: kwok.FAKE}},
        "spec": {"taints": [TAINT]},
        "status": {**resources, "nodeInfo": INFO, "addresses": addresses},
    }


def placed(spec: Tree) -> Tree:
    """The pod spec, for the simulated nodes and no others."""
    selector = {**spec.get("nodeSelector", {}), kwok.NODE: kwok.FAKE}
    return {**spec, "nodeSelector": selector, "tolerations": [*spec.get("tolerations", []), TAINT]}


def ready(api: Api) -> list[str]:
    """The simulated nodes that are Ready, in the order of their names."""
    items = api.call("GET", NODES, labelSelector=SELECTOR).body["items"]
    return [each["metadata"]["name"] for each in items if _is_ready(each)]


def _is_ready(tree: Tree) -> bool:
    conditions = tree["status"].get("conditions", [])
    return any((each["type"], each["status"]) == ("Ready", "True") for each in conditions)


def pods(api: Api) -> list[Tree]:
    """All pods that are on simulated nodes."""
    items: list[Tree] = api.call("GET", PODS).body["items"]
    return [each for each in items if each["spec"].get("nodeName", "").startswith(PREFIX)]


def clear(api: Api) -> None:
    """Remove every simulated node, what is on it, and its lease."""
    api.call("DELETE", NODES, labelSelector=SELECTOR)  # First: so that no more pods come to them.
    wait_for(lambda: not _deleted(api), 120, every=0.5)
    for each in api.call("GET", LEASES).body["items"]:
        if each["metadata"]["name"].startswith(PREFIX):
            api.call("DELETE", f"{LEASES}/{each['metadata']['name']}")


def _deleted(api: Api) -> list[Tree]:
    """The pods that were there, each of them deleted at once (a finalizer can keep one for a while)."""
    found = pods(api)
    for each in found:
        path = f"/api/v1/namespaces/{each['metadata']['namespace']}/pods/{each['metadata']['name']}"
        api.call("DELETE", path, gracePeriodSeconds="0")
    return found
