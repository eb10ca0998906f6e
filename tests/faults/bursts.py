"""Many pods at once, from as many clients, and what became of each."""

import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from queue import SimpleQueue
from typing import Any, NamedTuple

from tests.cluster import Cluster
from tests.e2e.api import Api
from tests.e2e.install_load import injected, opted_in

Tree = dict[str, Any]


class Asked(NamedTuple):
    """One pod that was asked for."""

    status: int
    body: Tree
    seconds: float

    @property
    def admitted(self) -> bool:
        """Whether it was created."""
        return self.status == HTTPStatus.CREATED

    @property
    def injected(self) -> bool:
        """Whether it was created with its facts."""
        return self.admitted and injected(self.body)


def burst(cluster: Cluster, namespace: str, trees: Iterable[Tree], clients: int = 10) -> list[Asked]:
    """Create the pods, each client with connections of its own, and return what was said of each in their order."""
    path = f"/api/v1/namespaces/{namespace}/pods"
    doors: SimpleQueue[Api] = SimpleQueue()
    for _ in range(clients):
        doors.put(Api(cluster.kubeconfig))

    def create(tree: Tree) -> Asked:
        api = doors.get()
        start = time.monotonic()
        said = api.call("POST", path, tree)
        seconds = time.monotonic() - start
        doors.put(api)
        return Asked(said.status, said.body, seconds)

    with ThreadPoolExecutor(clients) as pool:
        return list(pool.map(create, trees))


def waiting(name: str, *, asks: bool = True) -> Tree:
    """A pod that the scheduler leaves alone, so that nothing but its admission is worked at."""
    pod = opted_in(name, schedulingGates=[{"name": "podfacts.test/waits"}])
    if not asks:
        del pod["metadata"]["labels"]
    return pod


def both(count: int, prefix: str) -> list[Tree]:
    """As many pods that ask for their facts as others, in turns."""
    return [waiting(f"{prefix}-{index}", asks=index % 2 == 0) for index in range(2 * count)]
