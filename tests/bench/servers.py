"""Which server shall admission stand on? Measure it: ``python tests/bench/servers.py [--rounds 5] [--seconds 4]``.

Every server gets the same bodies over TLS 1.3 with keep-alive, in turns, so that what else the machine does falls on
all of them. Beside the rate it prints the processor time that the server used for a request (all its processes and
threads): that figure hardly depends on how busy the machine is.
"""

import argparse
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent.parent / "operator")]

import contenders  # noqa: E402
from processes import (  # noqa: E402
    Server,
    answers,
    certificate,
    ended,
    free_port,
    milliseconds,
    processor_seconds,
    resident,
    spread,
    written,
)

# What is sent: the size of the body in KB, and how many connections send it.
LOADS = ((6, 1), (6, 16), (45, 1), (45, 16))
NAMES = (
    "bare",
    "bare-uvloop",
    "guarded",
    "guarded-uvloop",
    "granian rsgi",
    "granian asgi",
    "whole",
    "whole-uvloop",
)


@dataclass(frozen=True)
class Run:
    """One run of wrk."""

    rate: float
    p50: float
    p99: float
    cost: float  # Microseconds of processor time for a request.
    errors: int


def main() -> int:
    """Measure and print the table as Markdown."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=4, help="of each run")
    parser.add_argument("--only", nargs="*", choices=NAMES, default=NAMES, metavar="SERVER")
    arguments = parser.parse_args()
    if shutil.which("wrk") is None:
        print("wrk is not installed: apt-get install wrk", file=sys.stderr)
        return 2
    names = [name for name in arguments.only if _installed(name)]
    print(f"{os.cpu_count()} cores, load average before: {os.getloadavg()[0]:.2f}, {sys.version.split()[0]}")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        prepare(folder)
        servers = [stack.enter_context(running(name, folder)) for name in names]
        results: dict[tuple[str, int, int], list[Run]] = {}
        for number in range(arguments.rounds):
            for size, connections in LOADS:
                turned = servers[number % len(servers) :] + servers[: number % len(servers)]
                for server in turned:
                    found = measure(server, folder, size, connections, arguments.seconds)
                    results.setdefault((server.name, size, connections), []).append(found)
            print(f"round {number + 1} of {arguments.rounds} done", file=sys.stderr)
        report(servers, results)
    print(f"\nload average after: {os.getloadavg()[0]:.2f}")
    return 0


def prepare(folder: Path) -> None:
    """Write the certificate and the bodies."""
    certificate(folder)
    for size, _ in LOADS:
        written(folder, size, review(size * 1000))


def review(size: int) -> bytes:
    """A review of that size: a pod of a Deployment with two containers, and annotations as padding."""
    container = {"image": "registry/app:1", "resources": {"limits": {"cpu": "1", "memory": "64Mi"}}}
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "generateName": "web-5d4f7c8b9-",
            "labels": {"app": "web", "podfacts.dev/inject": "true"},
            "annotations": {},
        },
        "spec": {
            "containers": [{"name": "main", **container}, {"name": "side", **container}],
            "serviceAccountName": "web",
        },
    }
    asked = {
        "uid": "705ab4f5-6393-11e8-b7cc-42010a800002",
        "kind": {"group": "", "version": "v1", "kind": "Pod"},
        "resource": {"group": "", "version": "v1", "resource": "pods"},
        "namespace": "shop",
        "operation": "CREATE",
        "userInfo": {"username": "system:serviceaccount:kube-system:replicaset-controller"},
        "object": pod,
    }
    whole = {"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": asked}
    annotations: dict[str, str] = {}
    pod["metadata"]["annotations"] = annotations  # type: ignore[index]
    while len(json.dumps(whole)) < size:
        annotations[f"example.com/note-{len(annotations)}"] = "some words of a note " * 5
    return json.dumps(whole).encode()


@contextmanager
def running(name: str, folder: Path) -> Iterator[Server]:
    """Start a server and wait until it answers TLS."""
    port = free_port()
    if name.startswith("granian"):
        command = contenders.granian(name.split()[1], port, folder)
    else:
        command = [sys.executable, str(HERE / "contenders.py"), name, str(port), str(folder)]
    environment = {**os.environ, "PYTHONPATH": str(HERE.parent.parent / "operator")}
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    with ended(process):
        answers(port, process)
        yield Server(name, process, port)


def measure(server: Server, folder: Path, size: int, connections: int, seconds: int) -> Run:
    """One run."""
    before = processor_seconds(server.process.pid)
    said = subprocess.run(
        [
            *("wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency"),
            *("-s", str(folder / f"{size}.lua"), f"https://127.0.0.1:{server.port}/mutate"),
        ],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    used = processor_seconds(server.process.pid) - before
    requests = int(re.search(r"(\d+) requests in", said)[1])  # type: ignore[index]
    failed = re.search(r"Non-2xx or 3xx responses: (\d+)", said)
    return Run(
        rate=float(re.search(r"Requests/sec:\s+([\d.]+)", said)[1]),  # type: ignore[index]
        p50=milliseconds(re.search(r"\n +50% +(\S+)", said)[1]),  # type: ignore[index]
        p99=milliseconds(re.search(r"\n +99% +(\S+)", said)[1]),  # type: ignore[index]
        cost=used / max(1, requests) * 1e6,
        errors=int(failed[1]) if failed else 0,
    )


def report(servers: list[Server], results: dict[tuple[str, int, int], list[Run]]) -> None:
    """Median, and the least and the most of all rounds."""
    for size, connections in LOADS:
        print(f"\n### {size} KB, {connections} connection{'s' if connections > 1 else ''}\n")
        print("| server | requests/s | p50 ms | p99 ms | processor µs a request | errors |")
        print("|---|---|---|---|---|---|")
        for server in servers:
            runs = results[server.name, size, connections]
            columns = [
                spread([run.rate for run in runs], 0),
                spread([run.p50 for run in runs], 2),
                spread([run.p99 for run in runs], 2),
                spread([run.cost for run in runs], 0),
                str(sum(run.errors for run in runs)),
            ]
            print(f"| {server.name} | {' | '.join(columns)} |")
    print("\n| server | memory at the end, MB |\n|---|---|")
    for server in servers:
        print(f"| {server.name} | {resident(server.process.pid):.0f} |")


def _installed(name: str) -> bool:
    needed = "granian" if name.startswith("granian") else "uvloop" if name.endswith("uvloop") else None
    if needed and importlib.util.find_spec(needed) is None:
        print(f"left out: {name} ({needed} is not installed: pip install {needed})", file=sys.stderr)
        return False
    return True


if __name__ == "__main__":
    sys.exit(main())
