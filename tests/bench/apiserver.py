"""Pods created through a real API server, by dry run and for real: ``python tests/bench/apiserver.py [--quick] ...``.

Nobody asked, policies, podfacts, two webhooks in Go, kopf's: the same pod in a namespace for each, in rounds, each in
another order. What counts is what each adds to the creation in the same round. A control plane of its own, on the loopback
address. 12 minutes; with ``--quick`` two. Needs go and taskset, and root for the image, whose Python is measured.
"""

import argparse
import functools
import itertools
import os
import random
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent.parent / "operator"), str(HERE.parent.parent)]

import apiserver_doors as doors  # noqa: E402
import apiserver_load  # noqa: E402
import apiserver_plot  # noqa: E402
import apiserver_table  # noqa: E402
import ours  # noqa: E402
import paper  # noqa: E402
import processes  # noqa: E402
import rivals  # noqa: E402

from tests.cluster import Cluster  # noqa: E402
from tests.cluster.processes import recorded  # noqa: E402
from tests.e2e.api import Api  # noqa: E402

DRY, REAL = "dry run", "for real"
FLAGS = (
    "--audit-log-maxsize=4000",  # One file holds a whole run: bindings are read from it.
    "--delete-collection-workers=8",
)
TURNS = 5  # In so many parts goes a round.
WARM = 30  # Requests of each before the first round.
SPENT = re.compile(
    r'^apiserver_admission_webhook_admission_duration_seconds_(sum|count)\{name="([^"]+)",operation="CREATE"'
    r".*\} (\S+)$",
    re.MULTILINE,
)


@dataclass(frozen=True)
class Run:
    """One run of one door."""

    door: str
    kilobytes: int
    mode: str
    workers: int
    round: int
    requests: int
    p50: float
    p99: float
    rate: float
    api_cost: float  # Microseconds of the API server's processor time for a request.
    hook_cost: float  # The same of whoever is asked.


class Shape(NamedTuple):
    """What is asked of each door in a round."""

    kilobytes: int
    mode: str
    workers: int
    round: int
    requests: int


class Part(NamedTuple):
    """What some requests of a run took, and the seconds of processor time of the API server and of whom it asked."""

    taken: apiserver_load.Taken
    api: float
    hook: float


class Bench(NamedTuple):
    """What the runs need."""

    cluster: Cluster
    api: Api
    load: apiserver_load.Load
    doors: list[doors.Door]
    pods: dict[int, Any]


def main() -> int:
    """Measure, and write what was asked for."""
    asked = arguments()
    missing = [each for each in ("go", "taskset") if shutil.which(each) is None]
    if missing:
        print(f"not installed: {', '.join(missing)}", file=sys.stderr)
        return 2
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        runtime = stack.enter_context(ours.opened(asked.here, folder, HERE))
        made = rivals.Made(runtime, folder, rivals.built(folder))
        began = time.time()
        found = machine(asked, runtime)
        cluster = stack.enter_context(up(asked.cluster))
        api = Api(cluster.kubeconfig)
        client = apiserver_load.built(folder)
        load = stack.enter_context(
            apiserver_load.loading(client, cluster.server, cluster.state / "credentials")
        )
        chosen = [*asked.only, *asked.also]
        opened = stack.enter_context(doors.opened(cluster, api, chosen, made))
        bench = Bench(cluster, api, load, opened, {size: doors.created_pod(size) for size in asked.sizes})
        doors.compared(api, opened, bench.pods)
        runs, calls = measured(bench, asked)
    found |= {"seconds_taken": round(time.time() - began), "load_after": os.getloadavg()[0]}
    whole = {"machine": found, "runs": [asdict(run) for run in runs], "calls": calls}
    picture = apiserver_plot.svg(whole) if asked.svg else ""
    paper.written(asked, whole, apiserver_table.markdown(whole), picture)
    return 0


def arguments() -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--quick", action="store_true", help="7 rounds of a third of the requests, dry run only"
    )
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--requests", type=int, help="of a run with one worker; with more, three times that")
    parser.add_argument("--sizes", type=int, nargs="*", default=[4], metavar="KB")
    parser.add_argument("--workers", type=int, nargs="*", default=[1, 8], metavar="N")
    parser.add_argument("--modes", nargs="*", choices=[DRY, REAL], metavar="MODE")
    parser.add_argument("--only", nargs="*", choices=doors.names([]), default=doors.names([]), metavar="NAME")
    parser.add_argument("--also", nargs="*", default=[], metavar="FOLDER", help="more copies of operator/")
    ours.option(parser)
    parser.add_argument("--cluster", metavar="NAME", help="one that runs, and stays; else its own")
    for kind in ("json", "markdown", "svg"):
        parser.add_argument(f"--{kind}", type=Path, metavar="FILE")
    asked = parser.parse_args()
    asked.rounds = asked.rounds or (7 if asked.quick else 11)
    asked.requests = asked.requests or (50 if asked.quick else 150)
    asked.modes = asked.modes or ([DRY] if asked.quick else [DRY, REAL])
    return asked


@contextmanager
def up(name: str | None) -> Iterator[Cluster]:
    """A control plane without a node."""
    say = functools.partial(print, file=sys.stderr)
    found = Cluster.up(name or "bench", node=False, api_server_flags=FLAGS, progress=say)
    try:
        yield found
    finally:
        if name is None:
            found.down()


def measured(bench: Bench, asked: argparse.Namespace) -> tuple[list[Run], list[dict[str, Any]]]:
    """All runs, and how long the API server says that it waited for whom; the first ones only warm up."""
    for door in bench.doors:
        bench.load.run("POST", f"{door.pods}?dryRun=All", next(iter(bench.pods.values())), WARM, 2)
    order = random.Random(1)  # noqa: S311 - which comes first, and the same in every bench
    runs, calls = [], []
    for number in range(asked.rounds):
        for size, mode, workers in itertools.product(bench.pods, asked.modes, asked.workers):
            before = waited(bench.api)
            requests = asked.requests * (1 if workers == 1 else 3)
            shape = Shape(size, mode, workers, number, requests)
            runs += in_turns(bench, shape, order)
            told = {"kilobytes": size, "mode": mode, "workers": workers, "round": number}
            calls += [{**told, **each} for each in since(bench, before)]
        print(f"round {number + 1} of {asked.rounds} done", file=sys.stderr)
    return runs, calls


def in_turns(bench: Bench, shape: Shape, order: random.Random) -> list[Run]:
    """A run of each door, in small parts, each time in another order: so what else the machine does falls on all."""
    parts: dict[doors.Door, list[Part]] = {door: [] for door in bench.doors}
    for turn in range(TURNS):
        requests = shape.requests * (turn + 1) // TURNS - shape.requests * turn // TURNS
        for door in order.sample(bench.doors, len(bench.doors)):
            parts[door].append(part(bench, door, shape, requests))
    if shape.mode == REAL:
        for door in bench.doors:
            bench.load.run("DELETE", door.pods, {"gracePeriodSeconds": 0}, 1, 1)
        time.sleep(1)  # What the controllers do about it is nobody's time.
    return [whole(door, shape, found) for door, found in parts.items()]


def part(bench: Bench, door: doors.Door, shape: Shape, requests: int) -> Part:
    """A part of a run."""
    pids = [api_server(bench.cluster), *([door.server.process.pid] if door.server else [])]
    before = [processes.processor_seconds(pid) for pid in pids]
    path = f"{door.pods}?dryRun=All" if shape.mode == DRY else door.pods
    taken = bench.load.run("POST", path, bench.pods[shape.kilobytes], requests, shape.workers)
    used = [processes.processor_seconds(pid) - then for pid, then in zip(pids, before, strict=True)]
    return Part(taken, used[0], used[1] if door.server else 0.0)


def whole(door: doors.Door, shape: Shape, parts: list[Part]) -> Run:
    """A run of its parts."""
    milliseconds = [each for one in parts for each in one.taken.milliseconds]
    taken = apiserver_load.Taken(milliseconds, sum(each.taken.seconds for each in parts))
    return Run(
        door.name,
        *shape,
        p50=taken.p50,
        p99=taken.p99,
        rate=shape.requests / taken.seconds,
        api_cost=sum(each.api for each in parts) / shape.requests * 1e6,
        hook_cost=sum(each.hook for each in parts) / shape.requests * 1e6,
    )


def api_server(cluster: Cluster) -> int:
    """Its process."""
    [pid] = [each.pid for each in recorded(cluster.state) if each.name == "kube-apiserver"]
    return pid


def waited(api: Api) -> dict[str, dict[str, float]]:
    """Seconds and calls by the name of the webhook, as the API server counts them."""
    found: dict[str, dict[str, float]] = {}
    for kind, name, value in SPENT.findall(api.call("GET", "/metrics").body["text"]):
        found.setdefault(name, {})[kind] = float(value)
    return found


def since(bench: Bench, before: dict[str, dict[str, float]]) -> Iterator[dict[str, Any]]:
    """The mean time of a call of each webhook since then: what is added besides it is the API server's own."""
    after = waited(bench.api)
    for door in bench.doors:
        now, then = after.get(door.hook), before.get(door.hook, {"sum": 0.0, "count": 0.0})
        if now and now["count"] > then["count"]:
            mean = (now["sum"] - then["sum"]) / (now["count"] - then["count"])
            yield {"door": door.name, "calls": now["count"] - then["count"], "milliseconds": mean * 1000}


def machine(asked: argparse.Namespace, runtime: ours.Runtime) -> dict[str, Any]:
    """What the figures belong to."""
    kubernetes = paper.required(HERE.parent / "cluster/kubernetes/go.mod", "k8s.io/kubernetes")
    return paper.machine(
        python=runtime.described(),
        go=paper.go(),
        kubernetes=kubernetes,
        rounds=asked.rounds,
        requests=asked.requests,
    )


if __name__ == "__main__":
    sys.exit(main())
