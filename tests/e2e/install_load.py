"""Opted-in pods at a steady rate, while something is done to the installation."""

import threading
import time
from http import HTTPStatus
from typing import Any, Self

import urllib3

from tests.cluster import Cluster
from tests.e2e.api import Api

Tree = dict[str, Any]


class Admissions:
    """Opted-in pods by dry run, some twenty a second from two threads, until it is left; what became of each."""

    THREADS = 2
    PER_SECOND = 20

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self.admitted = 0
        self.failed: list[tuple[float, str]] = []  # When, and what was said.
        self._path = f"/api/v1/namespaces/{namespace}/pods"
        self._ended = threading.Event()
        doors = [Api(cluster.kubeconfig) for _ in range(self.THREADS)]
        self._threads = [threading.Thread(target=self._run, args=(api,)) for api in doors]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def _run(self, api: Api) -> None:
        due = time.monotonic()
        while not self._ended.wait(max(0.0, due - time.monotonic())):
            due = max(due, time.monotonic() - 1) + self.THREADS / self.PER_SECOND
            if fault := not_injected(api, self._path):
                self.failed.append((time.monotonic(), fault))
            else:
                self.admitted += 1


def not_injected(api: Api, path: str) -> str:
    """Return why an opted-in pod was not admitted with its facts; nothing when it was."""
    try:
        said = api.call("POST", path, opted_in("asks"), dryRun="All")
    except urllib3.exceptions.HTTPError as error:
        return str(error)
    if said.status != HTTPStatus.CREATED:
        return str(said.body.get("message"))
    return "" if injected(said.body) else "admitted without facts"


def opted_in(name: str, **spec: Any) -> Tree:
    """Return a pod with nothing but the label."""
    return {
        "metadata": {"name": name, "labels": {"podfacts.dev/inject": "true"}},
        "spec": {
            "terminationGracePeriodSeconds": 0,
            "containers": [{"name": "main", "image": "busybox:stable", "command": ["sleep", "999999"]}],
            **spec,
        },
    }


def injected(pod: Tree) -> bool:
    """Whether the pod has its facts."""
    env = pod["spec"]["containers"][0].get("env", [])
    return "podfacts.dev/injected" in pod["metadata"].get("annotations", {}) and env[:1] == [
        {"name": "POD_NAME", "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.name"}}}
    ]
