"""How fast pods are bound, with and without the facts of their nodes: ``python tests/bench/binding.py [--quick] ...``.

The pods are there before the scheduler starts; what counts begins with its first binding and ends with the answer to its
last. The scheduler, etcd and the API server are real, the nodes kwok's; the webhook follows the cluster as it is shipped. A control
plane of its own, on the loopback address. 50 minutes; with ``--quick`` nine. Needs go.
"""

import argparse
import os
import random
import shutil
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple, TextIO

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent.parent / "operator"), str(HERE.parent.parent)]

import apiserver  # noqa: E402
import apiserver_load  # noqa: E402
import binding_arms as arms  # noqa: E402
import binding_scheduler as scheduler  # noqa: E402
import binding_table  # noqa: E402
import ours  # noqa: E402
import paper  # noqa: E402
import processes  # noqa: E402
import rivals  # noqa: E402

from tests.cluster import Cluster  # noqa: E402
from tests.e2e import simulated  # noqa: E402
from tests.e2e.api import Api  # noqa: E402

NODES = 100
WORKERS = 8  # To create and delete pods.


class Hands(NamedTuple):
    """A client that binds so many at once, and asks no scheduler."""

    workers: int

    @property
    def label(self) -> str:
        """What it is called."""
        return f"hand, {self.workers} at once"


class Shape(NamedTuple):
    """So many pods, by a scheduler with such limits or by hand, in so many rounds."""

    pods: int
    binder: scheduler.Limits | Hands
    rounds: int


BY_HAND = tuple(Shape(300, Hands(workers), 5) for workers in (1, 8, 64))
QUICK = (*BY_HAND, Shape(1000, scheduler.RAISED, 3), Shape(300, scheduler.DEFAULT, 1))
FULL = (
    *BY_HAND,
    Shape(1000, scheduler.RAISED, 5),
    Shape(1000, scheduler.DEFAULT, 3),
    Shape(5000, scheduler.RAISED, 2),
    Shape(5000, scheduler.DEFAULT, 1),
)
KINDS = {"hand": Hands, "default": scheduler.DEFAULT, "raised": scheduler.RAISED}


@dataclass(frozen=True)
class Run:
    """One run of one arm."""

    arm: str
    pods: int
    binder: str
    round: int
    rate: float
    p50: float
    p99: float
    bind: float  # Mean milliseconds of a binding, as the scheduler saw it.
    sli: float  # From a pod's first try to its node, the waiting in the queue included.
    api_cost: float  # Microseconds of the API server's processor time for a pod.
    hook_cost: float
    scheduler_cost: float
    facts: int  # Pods that carry facts of their nodes afterwards.


class Bench(NamedTuple):
    """What the runs need."""

    cluster: Cluster
    api: Api
    load: apiserver_load.Load
    folder: Path


def main() -> int:
    """Measure, and write what was asked for."""
    asked = arguments()
    if shutil.which("go") is None:
        print("not installed: go", file=sys.stderr)
        return 2
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        made = rivals.Made(stack.enter_context(ours.opened(asked.here, folder)), folder)
        began = time.time()
        found = apiserver.machine(asked, made.runtime)
        cluster = stack.enter_context(apiserver.up(asked.cluster))
        client = apiserver_load.built(folder)
        credentials = cluster.state / "credentials"
        load = stack.enter_context(apiserver_load.loading(client, cluster.server, credentials))
        bench = Bench(cluster, Api(cluster.kubeconfig), load, folder)
        stack.enter_context(simulated.simulated(cluster, bench.api, NODES))
        opened = stack.enter_context(arms.opened(cluster, bench.api, made, asked.arms))
        runs = measured(bench, opened, asked.shapes)
    found |= {"seconds_taken": round(time.time() - began), "load_after": os.getloadavg()[0], "nodes": NODES}
    whole = {"machine": found, "runs": [asdict(run) for run in runs]}
    paper.written(asked, whole, binding_table.markdown(whole))
    return 0


def arguments() -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="1,000 pods, three rounds")
    parser.add_argument("--pods", type=int, nargs="*", help="only the shapes of so many pods")
    parser.add_argument("--rounds", type=int, help="of each shape")
    parser.add_argument("--by", choices=list(KINDS), help="only the shapes that are bound so")
    parser.add_argument("--arms", nargs="*", choices=arms.NAMES, default=list(arms.NAMES), metavar="ARM")
    ours.option(parser)
    parser.add_argument("--cluster", metavar="NAME", help="one that runs, and stays; else its own")
    for kind in ("json", "markdown"):
        parser.add_argument(f"--{kind}", type=Path, metavar="FILE")
    asked = parser.parse_args()
    asked.shapes = [
        each._replace(rounds=asked.rounds or each.rounds)
        for each in (QUICK if asked.quick else FULL)
        if (not asked.pods or each.pods in asked.pods)
        and (not asked.by or KINDS[asked.by] in (each.binder, type(each.binder)))
    ]
    asked.requests = 0
    return asked


def measured(bench: Bench, opened: list[arms.Arm], shapes: list[Shape]) -> list[Run]:
    """All runs, after one of each arm that only warms up."""
    for arm in opened:
        measure(bench, arm, Shape(100, scheduler.RAISED, 1), 0)
    order = random.Random(1)  # noqa: S311 - which comes first, and the same in every bench
    runs = []
    for shape in shapes:
        for number in range(shape.rounds):
            for arm in order.sample(opened, len(opened)):
                run = measure(bench, arm, shape, number)
                runs.append(run)
                print(f"{run.arm}, {run.pods} pods, {run.binder}: {run.rate:.0f}/s", file=sys.stderr)
    return runs


def measure(bench: Bench, arm: arms.Arm, shape: Shape, number: int) -> Run:
    """One run; its pods are gone afterwards."""
    bench.load.run("POST", arm.pods, arms.pod("p-NUMBER"), shape.pods, WORKERS)
    pids = [apiserver.api_server(bench.cluster), *([arm.server.process.pid] if arm.server else [])]
    before = [processes.processor_seconds(pid) for pid in pids]
    with bench.cluster.audit_log.open() as log:
        log.seek(0, os.SEEK_END)
        found, told = bound(bench, arm, shape, log)
    used = [processes.processor_seconds(pid) - then for pid, then in zip(pids, before, strict=True)]
    costs = [each / shape.pods * 1e6 for each in (*used, 0.0)]
    facts = emptied(bench, arm, shape.pods)
    return Run(
        arm.name,
        shape.pods,
        shape.binder.label,
        number,
        rate=scheduler.rate(found),
        p50=scheduler.percentile(found, 50),
        p99=scheduler.percentile(found, 99),
        bind=told.get("bind", 0.0),
        sli=told.get("sli", 0.0),
        api_cost=costs[0],
        hook_cost=costs[1],
        scheduler_cost=told.get("used", 0.0) / shape.pods * 1e6,
        facts=facts,
    )


def bound(
    bench: Bench, arm: arms.Arm, shape: Shape, log: TextIO
) -> tuple[list[scheduler.Bound], dict[str, float]]:
    """All bindings of a run, and what the scheduler says of them and has used."""
    if isinstance(shape.binder, Hands):
        tree = arms.binding("p-NUMBER")
        bench.load.run("POST", f"{arm.pods}/p-NUMBER/binding", tree, shape.pods, shape.binder.workers)
        return scheduler.bound(log, arm.namespace, shape.pods), {}
    with scheduler.scheduling(bench.cluster, bench.folder, shape.binder) as server:
        found = scheduler.bound(log, arm.namespace, shape.pods, server)
        used = processes.processor_seconds(server.process.pid)
        return found, {**scheduler.told(server), "used": used}


def emptied(bench: Bench, arm: arms.Arm, pods: int) -> int:
    """How many pods carried facts; they are gone, and what the controllers do about it is nobody's time."""
    items = bench.api.call("GET", arm.pods).body["items"]
    bench.load.run("DELETE", f"{arm.pods}/p-NUMBER", {"gracePeriodSeconds": 0}, pods, WORKERS)
    time.sleep(2)
    return sum(arms.carries(each) for each in items)


if __name__ == "__main__":
    sys.exit(main())
