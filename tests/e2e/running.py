"""A pod that really runs, and what its containers say."""

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

from tests.cluster import Cluster
from tests.e2e.api import Api

READY = 90  # Seconds.


class Pod:
    """A pod that is Ready; an AssertionError with its status when it does not become so."""

    def __init__(self, cluster: Cluster, api: Api, namespace: str, tree: dict[str, Any]) -> None:
        self.cluster, self.api, self.namespace = cluster, api, namespace
        self.name = tree["metadata"]["name"]
        self.path = f"/api/v1/namespaces/{namespace}/pods/{self.name}"
        tree["spec"].setdefault("terminationGracePeriodSeconds", 0)
        api.create(f"/api/v1/namespaces/{namespace}/pods", tree)
        deadline = time.monotonic() + READY
        while not (self.ready() or self.failed() or time.monotonic() > deadline):
            time.sleep(0.1)
        if not self.ready():
            status = json.dumps(self.tree()["status"], indent=1)
            self.delete()
            raise AssertionError(status)

    def tree(self) -> dict[str, Any]:
        """The pod as it is now."""
        return self.api.call("GET", self.path).body

    def ready(self) -> bool:
        """Whether it is Ready."""
        conditions = self.tree()["status"].get("conditions", [])
        return any((each["type"], each["status"]) == ("Ready", "True") for each in conditions)

    def failed(self) -> bool:
        """Whether it will never be Ready."""
        status = self.tree()["status"]
        waiting = [each.get("state", {}).get("waiting", {}) for each in status.get("containerStatuses", [])]
        return status["phase"] == "Failed" or any("Config" in each.get("reason", "") for each in waiting)

    def exec(self, name: str, *command: str) -> str:
        """What a command prints in a container."""
        words = ("exec", "-n", self.namespace, self.name, "-c", name, "--", *command)
        return self.cluster.kubectl(*words).stdout

    def env(self, name: str) -> dict[str, str]:
        """The variables of a container."""
        return variables(self.exec(name, "env"))

    def log(self, name: str) -> str:
        """What a container has printed."""
        return self.cluster.kubectl("logs", "-n", self.namespace, self.name, "-c", name).stdout

    def files(self, name: str, folder: str) -> dict[str, str]:
        """The files of a folder in a container, with what they hold."""
        listing = self.exec(name, "find", folder, "-follow", "-type", "f", "-not", "-path", "*/..*").split()
        return {path.removeprefix(f"{folder}/"): self.exec(name, "cat", path) for path in sorted(listing)}

    def delete(self) -> None:
        """Delete it, at once."""
        self.api.call("DELETE", self.path, gracePeriodSeconds="0")


def variables(text: str) -> dict[str, str]:
    """What ``env`` printed."""
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)


def made(cluster: Cluster, api: Api, namespace: str) -> Iterator[Callable[[dict[str, Any]], Pod]]:
    """Give what makes pods in the namespace; they go afterwards."""
    pods: list[Pod] = []

    def make(tree: dict[str, Any]) -> Pod:
        pods.append(Pod(cluster, api, namespace, tree))
        return pods[-1]

    yield make
    for each in pods:
        each.delete()
