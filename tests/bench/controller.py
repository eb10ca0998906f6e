"""The controller with 1,000, 5,000 and 10,000 opted-in pods among 30,000: ``python tests/bench/controller.py [--quick] ...``.

A control plane of its own, loopback only, is made for it and taken down. For each number: the controller starts while no pod
has its facts; starts anew when all of them have; is left alone for a minute; and then a label of a node changes that
1,000 of the pods are on. 10 minutes; with ``--quick`` (300 among 1,000) two. ``--sources FOLDER...`` measures these copies of
``operator/``, in turns.
"""

import argparse
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent.parent / "operator"), str(HERE.parent.parent)]

import controller_population as population  # noqa: E402
import controller_table  # noqa: E402
import paper  # noqa: E402
from controller_process import Controller  # noqa: E402

from tests.cluster import Cluster  # noqa: E402
from tests.cluster import processes as cluster_processes  # noqa: E402
from tests.e2e.api import Api  # noqa: E402
from tests.e2e.keeping import Keeping, keeping  # noqa: E402

SIZES, ALL = [1_000, 5_000, 10_000], 30_000
QUICK_SIZES, QUICK_ALL = [300], 1_000
FAST = 1_000  # Writes a second when the pace is not what is measured: the most that can be asked for.
ASLEEP = ("kube-controller-manager", "kube-scheduler")


def main() -> int:
    """Measure, and write what was asked for."""
    asked = arguments()
    began = time.time()
    found = paper.machine()
    with cluster(asked.name) as (made, api), keeping(made, api, f"bench-{os.getpid()}") as here:
        asleep(made)
        here.profile("bench", *population.PROFILE["spec"]["facts"])
        store = population.Store(made)
        store.put(population.around(max(asked.pods)))
        store.put(population.pods(range(max(asked.pods), asked.all), opted_in=False))
        runs = [
            run
            for count in asked.pods
            for source in asked.sources
            for run in [measured(here, store, count, source, asked)]
        ]
    found |= {"seconds_taken": round(time.time() - began), "load_after": os.getloadavg()[0]}
    pod = population.bytes_of_a_pod()
    whole = {"machine": found, "all": asked.all, "bytes_of_a_pod": pod, "runs": runs}
    picture = controller_table.svg(whole) if asked.svg else ""
    paper.written(asked, whole, controller_table.markdown(whole), picture)
    return 0


def arguments() -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="300 pods among 1,000, idle for 15 s")
    parser.add_argument("--pods", type=int, nargs="*", metavar="N", help="opted-in pods")
    parser.add_argument("--all", type=int, metavar="N", help="all pods")
    parser.add_argument("--idle", type=int, metavar="SECONDS")
    parser.add_argument(
        "--sources", type=Path, nargs="*", default=[HERE.parent.parent / "operator"], metavar="FOLDER"
    )
    parser.add_argument("--name", default="bench-controller", help="of the cluster")
    for kind in ("json", "markdown", "svg"):
        parser.add_argument(f"--{kind}", type=Path, metavar="FILE")
    asked = parser.parse_args()
    asked.pods = asked.pods or (QUICK_SIZES if asked.quick else SIZES)
    asked.all = asked.all or (QUICK_ALL if asked.quick else ALL)
    asked.idle = asked.idle or (15 if asked.quick else 60)
    return asked


@contextmanager
def cluster(name: str) -> Iterator[tuple[Cluster, Api]]:
    """A control plane without a node; gone afterwards."""
    made = Cluster.up(name, node=False, progress=lambda line: print(line, file=sys.stderr))
    try:
        yield made, Api(made.kubeconfig)
    finally:
        made.down()


def asleep(made: Cluster) -> None:
    """Stop what is not measured, and would remove what it did not make."""
    for each in cluster_processes.recorded(made.state):
        if each.name in ASLEEP:
            os.kill(each.pid, signal.SIGSTOP)


def measured(
    here: Keeping, store: population.Store, count: int, source: Path, asked: argparse.Namespace
) -> dict[str, Any]:
    """All that is measured with so many opted-in pods."""
    store.put(population.pods(range(count), opted_in=True))  # Of a run before, those with facts lose them.
    with tempfile.TemporaryDirectory() as folder:
        first = told(Controller(here, source, Path(folder), writes=FAST), count)
        with Controller(here, source, Path(folder)) as controller:
            again = started(controller, count)
            idle = left_alone(controller, asked.idle)
            label = labelled(controller, here, min(count, population.WIDE))
    run = {"source": source.parent.name, "pods": count}
    run |= {"first": first, "again": again, "idle": idle, "label": label}
    print(json.dumps(run), file=sys.stderr)
    return run


def told(controller: Controller, count: int) -> dict[str, Any]:
    """Start where no pod has its facts, until all have."""
    with controller:
        times = started(controller, count)
        controller.until(lambda: controller.written() >= count and controller.queued() == 0, 600)
        times["told"] = controller.age()
        time.sleep(3)
        asked = controller.requests()
        return {
            **times,
            "processor": controller.processor(),
            "written": controller.written(),
            "patches": asked[("patch", "pods/status")],
            "owners": asked[("get", "replicasets")],
            "all_writes": {
                " ".join(each): number
                for each, number in asked.items()
                if each[0] not in ("get", "list", "watch")
            },
            "resident": controller.resident(),
            "highest": controller.highest(),
        }


def started(controller: Controller, count: int) -> dict[str, Any]:
    """The times of a start: ready, leading, and every pod known."""
    controller.until(controller.ready, 60)
    times = {"ready": controller.age()}
    controller.until(controller.leading, 60)
    times["leading"] = controller.age()
    controller.until(lambda: controller.metric("podfacts_watched_pods") >= count, 300)
    times["known"] = controller.age()
    # Memory as it is when nothing is under way.
    controller.until(lambda: controller.queued() == 0, 600)
    time.sleep(5)
    return {**times, "processor": controller.processor(), "settled": controller.resident()}


def left_alone(controller: Controller, seconds: int) -> dict[str, Any]:
    """What it asks, and what it uses, while nothing happens."""
    time.sleep(5)
    controller.mark()
    processor = controller.processor()
    time.sleep(seconds)
    asked = controller.requests()
    return {
        "seconds": seconds,
        "processor": controller.processor() - processor,
        "resident": controller.resident(),
        "requests": {" ".join(each): number for each, number in sorted(asked.items())},
        "written": controller.written(),
    }


def labelled(controller: Controller, here: Keeping, count: int) -> dict[str, Any]:
    """A label of a node changes that so many pods are on."""
    controller.mark()
    before = controller.written()
    processor, began = controller.processor(), time.monotonic()
    here.label(
        f"/api/v1/nodes/{population.WIDE_NODE}", {population.RACK: f"moved-{time.monotonic_ns() % 10**9}"}
    )
    controller.until(lambda: controller.written() - before >= count, 300)
    took = time.monotonic() - began
    time.sleep(3)
    written = controller.requests()[("patch", "pods/status")]
    by_second = controller.by_second("patch", "pods/status")
    return {
        "pods": count,
        "seconds": took,
        "written": written,
        "most_in_a_second": max(by_second.values()),
        "processor": controller.processor() - processor,
        "highest": controller.highest(),
    }


if __name__ == "__main__":
    sys.exit(main())
