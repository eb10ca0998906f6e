"""The webhook alone against two in Go and kopf's own: ``python tests/bench/webhook.py [--quick] [--json FILE] ...``.

Reviews of 4, 40 and 400 KB over TLS 1.3 with keep-alive from 1 to 128 connections, by wrk, in turns: each round goes
through all contenders at every load, so that what else the machine does falls on all of them. Before that, each of them
has to give the same answers. 15 minutes; with ``--quick`` two. Needs go, wrk and
taskset, and root for the image, whose Python is measured.
"""

import argparse
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent.parent), str(HERE.parent.parent / "operator")]

import ours  # noqa: E402
import paper  # noqa: E402
import plot  # noqa: E402
import processes  # noqa: E402
import reviews  # noqa: E402
import rivals  # noqa: E402
import webhook_table  # noqa: E402

CONNECTIONS = (1, 8, 32, 128)
LONGEST = 30  # Seconds that a contender may need to finish what it was sent.


@dataclass(frozen=True)
class Run:
    """One run of wrk against one contender."""

    server: str
    kilobytes: int
    connections: int
    round: int
    requests: int
    rate: float
    p50: float
    p99: float
    cost: float  # Microseconds of processor time for a request, of all threads.
    resident: float  # MB afterwards.
    load: float  # Cores that wrk itself used: at 1 it is what was measured.
    errors: int


def main() -> int:
    """Measure, and write what was asked for."""
    asked = arguments()
    missing = [each for each in ("go", "wrk", "taskset") if shutil.which(each) is None]
    if missing:
        print(f"not installed: {', '.join(missing)}", file=sys.stderr)
        return 2
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        processes.certificate(folder)
        runtime = stack.enter_context(ours.opened(asked.here, folder, HERE))
        made = rivals.Made(runtime, folder, rivals.built(folder))
        began = time.time()
        found = machine(asked, runtime)
        cores, own = ("0", "1") if asked.pinned else (processes.all_cores(), processes.all_cores())
        names = [*asked.only, *asked.also]
        running = [stack.enter_context(rivals.running(name, made, cores)) for name in names]
        bodies = {size: reviews.review(size) for size in asked.sizes}
        for size, body in bodies.items():
            processes.written(folder, size, body)
        rivals.compared(running, bodies)
        runs = measured(running, folder, asked, own)
        most = {each.name: processes.highest(each.process.pid) for each in running}
    found |= {"seconds_taken": round(time.time() - began), "load_after": os.getloadavg()[0]}
    whole = {"machine": found, "most_resident_mb": most, "runs": [asdict(run) for run in runs]}
    paper.written(asked, whole, webhook_table.markdown(whole), plot.svg(whole) if asked.svg else "")
    return 0


def arguments() -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="2 rounds of 1 s instead of 5 of 3 s")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--seconds", type=int, help="of each run")
    parser.add_argument("--sizes", type=int, nargs="*", default=list(reviews.SHAPES), metavar="KB")
    parser.add_argument("--connections", type=int, nargs="*", default=list(CONNECTIONS), metavar="N")
    parser.add_argument("--only", nargs="*", choices=rivals.NAMES, default=list(rivals.NAMES), metavar="NAME")
    parser.add_argument("--also", nargs="*", default=[], metavar="FOLDER", help="more copies of operator/")
    ours.option(parser)
    parser.add_argument("--pinned", action="store_true", help="servers on core 0 and wrk on core 1")
    for kind in ("json", "markdown", "svg"):
        parser.add_argument(f"--{kind}", type=Path, metavar="FILE")
    asked = parser.parse_args()
    asked.rounds = asked.rounds or (2 if asked.quick else 5)
    asked.seconds = asked.seconds or (1 if asked.quick else 3)
    return asked


def measured(
    running: list[processes.Server], folder: Path, asked: argparse.Namespace, cores: str
) -> list[Run]:
    """All runs, after one that only warms up."""
    for server in running:
        measure(server, folder, (asked.sizes[0], 8, 0), 1, cores)
    runs = []
    for number in range(asked.rounds):
        for size in asked.sizes:
            for connections in asked.connections:
                turn = number % len(running)
                where = (size, connections, number)
                runs += [
                    measure(server, folder, where, asked.seconds, cores)
                    for server in running[turn:] + running[:turn]
                ]
        print(f"round {number + 1} of {asked.rounds} done", file=sys.stderr)
    return runs


def measure(
    server: processes.Server, folder: Path, where: tuple[int, int, int], seconds: int, cores: str
) -> Run:
    """One run."""
    size, connections, _ = where
    before, own = processes.processor_seconds(server.process.pid), _own()
    said = subprocess.run(
        [
            *("taskset", "-c", cores, "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency"),
            *("--timeout", f"{LONGEST}s", "-s", str(folder / f"{size}.lua")),
            f"https://127.0.0.1:{server.port}/mutate",
        ],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    used = processes.processor_seconds(server.process.pid) - before
    load = (_own() - own) / seconds
    settled(server)
    requests = int(_number(r"(\d+) requests in", said))
    return Run(
        server.name,
        *where,
        requests=requests,
        rate=_number(r"Requests/sec:\s+([\d.]+)", said),
        p50=_milliseconds("50", said),
        p99=_milliseconds("99", said),
        cost=used / requests * 1e6 if requests else 0.0,
        resident=processes.resident(server.process.pid),
        load=load,
        errors=sum(int(each) for each in re.findall(r"(?:responses: |read |write |timeout )(\d+)", said)),
    )


def settled(server: processes.Server) -> None:
    """Wait until it is through with what wrk left behind, so that it takes nothing of the next one's time."""
    end = time.monotonic() + LONGEST
    while time.monotonic() < end:
        before = processes.processor_seconds(server.process.pid)
        time.sleep(0.1)
        if processes.processor_seconds(server.process.pid) - before < 0.03:
            return


def machine(asked: argparse.Namespace, runtime: ours.Runtime) -> dict[str, Any]:
    """What the figures belong to."""
    controller_runtime = paper.required(
        HERE / "go" / "go.mod", "sigs.k8s.io/controller-runtime"
    ).removeprefix("v")
    how = {"pinned": asked.pinned, "rounds": asked.rounds, "seconds": asked.seconds}
    return paper.machine(
        python=runtime.described(), go=paper.go(), controller_runtime=controller_runtime, **how
    )


def _number(pattern: str, said: str) -> float:
    match = re.search(pattern, said)
    return float(match[1]) if match else 0.0


def _milliseconds(percent: str, said: str) -> float:
    match = re.search(rf"\n +{percent}% +(\S+)", said)
    return processes.milliseconds(match[1]) if match else 0.0


def _own() -> float:
    """Seconds of processor that finished children have used: wrk alone, while the servers run."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    sys.exit(main())
