"""Ten minutes of coming and going pods, the controller and the webhook beside them: neither grows.

``PODFACTS_SOAK_MINUTES=30`` makes it longer. The first third warms up: pools, caches and the allocator fill.
"""

import os
import statistics
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, Self

import pytest

from tests.cluster import Cluster
from tests.e2e.api import Api
from tests.e2e.conftest import wait_for
from tests.e2e.keeping import Keeping, keeping
from tests.faults.webhook import POD, asked, running

MINUTES = float(os.environ.get("PODFACTS_SOAK_MINUTES", "10"))
pytestmark = [
    pytest.mark.api,
    pytest.mark.long,
    pytest.mark.fault("T32"),
    pytest.mark.timeout(MINUTES * 60 + 300),
]
REVIEWS, PODS = 50, 5  # A second.
LIVE = 100  # Pods at any time.
EVERY = 5.0  # Seconds between two looks.
NOISE = 0.75  # MiB: a page here and there, within minutes.
PER_HOUR = 1.0  # MiB.


@pytest.fixture
def here(cluster: Cluster, api: Api) -> Iterator[Keeping]:
    with keeping(cluster, api, f"soak-{os.getpid()}") as made:
        yield made


def test_neither_the_controller_nor_the_webhook_grows_while_pods_come_and_go(
    here: Keeping, tmp_path: Path
) -> None:
    here.profile("many", {"name": "rack", "nodeLabel": "example.com/rack"}, {"name": "top", "owner": "name"})
    here.node("far", {"example.com/rack": "r1"})
    tree = here.injected(here.tree("x", "many", nodeName="far"))
    leader = here.start()
    with running(tmp_path / "webhook") as webhook, Churn(here, tree) as churn:
        reviewing = Repeated(REVIEWS, lambda: _reviewed(webhook))
        with reviewing:
            looks = []
            end = time.monotonic() + MINUTES * 60
            while time.monotonic() < end:
                time.sleep(EVERY)
                looks.append([_size(each.process.pid) for each in (leader, webhook)])
        assert webhook.is_well()
    assert leader.ask("/healthz")[0] == 200
    assert (churn.failed, reviewing.failed) == ([], [])
    assert churn.done > 0.8 * PODS * MINUTES * 60, "the load was there"
    wait_for(lambda: leader.metric("podfacts_watched_pods") == here.opted_in(), 60)

    settled = looks[len(looks) // 3 :]
    for sizes in zip(*settled, strict=True):
        hours = (sizes[-1].at - sizes[0].at) / 3600
        assert _grown([each.resident for each in sizes]) < NOISE + PER_HOUR * hours
        assert max(each.descriptors for each in sizes) <= min(each.descriptors for each in sizes) + 8
        assert max(each.threads for each in sizes) <= min(each.threads for each in sizes) + 1


class Size(NamedTuple):
    """A process at a moment; ``resident`` in MiB."""

    at: float
    resident: float
    descriptors: int
    threads: int


class Repeated:
    """Something so many times a second, in a thread of its own."""

    def __init__(self, rate: float, do: Any) -> None:
        self.done = 0
        self.failed: list[str] = []
        self._rate = rate
        self._do = do
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        due = time.monotonic()
        while not self._ended.wait(max(0.0, due - time.monotonic())):
            due = max(due, time.monotonic() - 1) + 1 / self._rate
            try:
                self._do()
            except (AssertionError, OSError) as error:
                self.failed.append(str(error))
            self.done += 1


class Churn(Repeated):
    """Pods that are created, and deleted when there are too many."""

    def __init__(self, here: Keeping, tree: dict[str, Any]) -> None:
        super().__init__(PODS, self._next)
        self._here = here
        self._tree = tree

    def _next(self) -> None:
        metadata = {**self._tree["metadata"], "name": f"x-{self.done}"}
        self._here.create({**self._tree, "metadata": metadata})
        if self.done >= LIVE:
            self._here.api.call("DELETE", f"{self._here.pods}/x-{self.done - LIVE}", gracePeriodSeconds="0")


def _reviewed(webhook: Any) -> None:
    assert webhook.ask(asked(POD)).response["allowed"]


def _size(pid: int) -> Size:
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    descriptors = len(list(Path(f"/proc/{pid}/fd").iterdir()))
    resident = int(status["VmRSS"].split()[0]) / 1024
    return Size(time.monotonic(), resident, descriptors, int(status["Threads"]))


def _grown(sizes: list[float]) -> float:
    """From the median of the first quarter to that of the last."""
    quarter = max(1, len(sizes) // 4)
    return statistics.median(sizes[-quarter:]) - statistics.median(sizes[:quarter])
