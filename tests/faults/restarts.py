"""A cluster that was stopped whole and comes back in an order: opted-in pods are injected again, and nobody helped.

The API server waits for etcd, the webhook for the API server: whatever comes first, waits. That the kubelet starts what a
machine runs without asking anybody is what makes the webhook come back; here it is held until it is the webhook's turn.
"""

import os
import signal
import time
from itertools import permutations

import urllib3

from tests.e2e.conftest import wait_for
from tests.e2e.install import Installed
from tests.e2e.install_load import not_injected
from tests.e2e.install_replicas import SPARE, process, ready, settled
from tests.faults.cluster_parts import Part, answers, back

ORDERS = list(permutations(("webhook", "kube-apiserver", "etcd")))
APART = 2.0  # Seconds from one to the next.


def stopped(here: Installed, order: tuple[str, ...]) -> tuple[Part, Part]:
    """Kill all three, then start them in that order; return etcd and the API server."""
    server, store, kubelet = (Part(here.cluster, name) for name in ("kube-apiserver", "etcd", "kubelet"))
    replicas = [process(pod) for pod in (*ready(here), *ready(here, SPARE))]
    with kubelet.frozen():
        for pid in replicas:
            os.kill(pid, signal.SIGKILL)
        server.kill()
        store.kill()
        for name in order[: order.index("webhook")]:
            {"kube-apiserver": server, "etcd": store}[name].start()
            time.sleep(APART)
    for name in order[order.index("webhook") + 1 :]:
        time.sleep(APART)
        {"kube-apiserver": server, "etcd": store}[name].start()
    return store, server


def admitted(here: Installed, namespace: str) -> bool:
    """Whether an opted-in pod is created with its facts."""
    try:
        return answers(here.api) and not not_injected(here.api, f"/api/v1/namespaces/{namespace}/pods")
    except urllib3.exceptions.HTTPError:
        return False


def converges(here: Installed, namespace: str, order: tuple[str, ...]) -> None:
    """Stop everything and start it in an order: then it is as before, but for the restarts."""
    wait_for(lambda: settled(here))
    uids = _uids(here)
    bundle = here.bundle()
    parts = stopped(here, order)
    wait_for(lambda: back(here.api, *parts), 90)
    wait_for(lambda: admitted(here, namespace), 90)
    wait_for(lambda: settled(here), 60)
    assert _uids(here) == uids
    assert here.bundle() == bundle


def _uids(here: Installed) -> set[str]:
    return {pod["metadata"]["uid"] for component in ("webhook", SPARE) for pod in here.pods(component)}
