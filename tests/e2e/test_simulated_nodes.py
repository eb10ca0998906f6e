"""The nodes that kwok plays are as good as real ones for everything but containers, and nothing of them stays."""

import time
from typing import Any

import pytest

from tests.cluster import Cluster, kwok
from tests.e2e import simulated
from tests.e2e.api import Api
from tests.e2e.conftest import wait_for
from tests.e2e.running import Pod

pytestmark = pytest.mark.node

NODES, PODS = 50, 200
LIMIT = 90  # Seconds.
CONTAINERS = {"containers": [{"name": "main", "image": "app"}]}


def names(trees: list[dict[str, Any]]) -> set[str]:
    return {each["metadata"]["name"] for each in trees}


def running(api: Api, path: str) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = api.call("GET", path).body["items"]
    return [each for each in items if each["status"]["phase"] == "Running"]


def test_two_hundred_pods_run_on_fifty_nodes_and_nothing_is_left(
    node: Cluster, api: Api, namespaces: dict[str, str]
) -> None:
    path = f"/api/v1/namespaces/{namespaces['plain']}/pods"
    real = api.call("GET", simulated.NODES, labelSelector=f"!{kwok.NODE}").body["items"]
    start = time.monotonic()
    with simulated.simulated(node, api, NODES) as nodes:
        beside = Pod(node, api, namespaces["plain"], {"metadata": {"name": "beside"}, "spec": asleep()})
        for number in range(PODS):
            api.create(path, {"metadata": {"name": f"p-{number}"}, "spec": simulated.placed(CONTAINERS)})
        wait_for(lambda: len(running(api, path)) == PODS + 1, LIMIT)
        assert time.monotonic() - start < LIMIT
        homes = [each["spec"]["nodeName"] for each in simulated.pods(api)]
        assert len(homes) == PODS
        assert len(set(homes)) > NODES / 2  # The scheduler spread them.
        assert set(homes) <= set(nodes)
        assert beside.tree()["spec"]["nodeName"] in names(real)
        assert beside.env("main")["HOSTNAME"] == "beside"
    assert names(api.call("GET", path).body["items"]) == {"beside"}
    assert names(api.call("GET", simulated.NODES).body["items"]) == names(real)
    assert names(api.call("GET", simulated.LEASES).body["items"]) == names(real)
    assert beside.ready()
    beside.delete()


def asleep() -> dict[str, Any]:
    main = {"name": "main", "image": "busybox:stable", "command": ["sleep", "9999999"]}
    return {"containers": [{**main, "imagePullPolicy": "Never"}]}


def test_a_nodes_lease_is_renewed_as_a_kubelet_does(node: Cluster, api: Api) -> None:
    with simulated.simulated(node, api, 2, lambda number: {"podfacts.test/rack": f"r{number}"}) as nodes:
        labels = api.call("GET", f"{simulated.NODES}/{nodes[1]}").body["metadata"]["labels"]
        assert labels["podfacts.test/rack"] == "r1"
        wait_for(lambda: sorted(leases(api)) == nodes, 15)
        before = leases(api)
        # The controllers call a node lost after 50 s without.
        wait_for(lambda: all(leases(api)[name] > before[name] for name in nodes), 45)
        assert simulated.ready(api) == nodes


def leases(api: Api) -> dict[str, str]:
    """When each simulated node renewed its lease."""
    items = api.call("GET", simulated.LEASES).body["items"]
    renewed = {each["metadata"]["name"]: each["spec"]["renewTime"] for each in items}
    return {name: time for name, time in renewed.items() if name.startswith(simulated.PREFIX)}
