"""A cluster comes up whole, is used again, survives a crash by being made anew, and leaves nothing behind."""

import os
import signal
from collections.abc import Iterator

import pytest

from tests.cluster import Cluster, control_plane, network, processes, removal, start
from tests.cluster.cluster import take_down

POD = """
apiVersion: v1
kind: Pod
metadata: {name: web, labels: {app: web}}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - name: web
    image: busybox:stable
    imagePullPolicy: Never
    command: [httpd, -f, -p, "8080", -h, /etc]
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}
"""


@pytest.fixture
def name() -> Iterator[str]:
    chosen = "lifecycle"
    yield chosen
    take_down(chosen)
    assert removal.leftovers(chosen) == []


@pytest.mark.api
def test_a_control_plane_needs_no_root_and_no_namespace(name: str) -> None:
    cluster = Cluster.up(name, node=False)
    assert not cluster.has_node
    assert cluster.namespace is None
    assert cluster.left_out
    assert cluster.server.startswith("https://127.0.0.1:")
    assert "kubernetes-admin" in cluster.kubectl("auth", "whoami").stdout
    again = Cluster.up(name, node=False)
    assert again == cluster
    assert Cluster.up(name, node=False, api_server_flags=["--v=1"]).server != cluster.server


@pytest.mark.node
@pytest.mark.skipif(os.geteuid() != 0, reason="a node needs root")
def test_a_whole_cluster_runs_pods_and_leaves_nothing(name: str) -> None:
    cluster = Cluster.up(name)
    assert cluster.left_out == ()
    cluster.kubectl("apply", "-f", "-", stdin=POD)
    cluster.kubectl("wait", "--for=condition=Ready", "pod/web", "--timeout=60s")
    names = cluster.kubectl("exec", "web", "--", "nslookup", "kubernetes.default.svc.cluster.local").stdout
    assert network.KUBERNETES_SERVICE in names
    address = cluster.kubectl("get", "service", "web", "-o", "jsonpath={.spec.clusterIP}").stdout
    # The API server reaches a webhook the same way: by the Service's address, from the node.
    url = f"http://{address}/group"
    start.wait(
        "the Service",
        lambda: network.inside(name, lambda: control_plane.fetch(url)) is not None,
        cluster.state,
    )
    routes = cluster.run(["ip", "route"], capture_output=True, text=True).stdout
    assert "default dev node0" in routes  # a bridge of its own, with nothing behind it

    server = next(
        process for process in processes.recorded(cluster.state) if process.name == "kube-apiserver"
    )
    os.kill(server.pid, signal.SIGKILL)
    processes.stop([server])
    assert not cluster.healthy()
    anew = Cluster.up(name)
    assert anew.healthy()
    assert "web" not in anew.kubectl("get", "pods", "-o", "name").stdout
