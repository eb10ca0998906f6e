"""How long Podfacts takes to start: ``python tests/bench/start.py [--quick] [--runs N] [--json FILE] [--markdown FILE]``.

Three processes in turns: ``python -c pass``, which is what the interpreter itself takes; ``podfacts inject`` on a file of
one Deployment; ``podfacts webhook`` from its start until ``/readyz`` says 200, and until it has answered a review. Wall
time, and processor time of the process up to then. A minute; with ``--quick`` ten seconds. Needs root for the image, whose
Python is measured.
"""

import argparse
import http.client
import os
import resource
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
REPOSITORY = HERE.parent.parent
sys.path[:0] = [str(HERE), str(REPOSITORY), str(REPOSITORY / "operator")]

import ours  # noqa: E402
import paper  # noqa: E402
import processes  # noqa: E402
import reviews  # noqa: E402
import rivals  # noqa: E402

FILE = REPOSITORY / "deploy" / "examples" / "deployment.yaml"
NOTHING = "python -c pass"
INJECT, READY, ANSWERED = (
    "podfacts inject",
    "podfacts webhook, ready",
    "podfacts webhook, first review answered",
)
GOALS = {INJECT: 150, READY: 1000}  # Milliseconds.
PATIENCE = 30.0
Figures = dict[str, list[tuple[float, float]]]  # Milliseconds: wall, processor.


def main() -> int:
    """Measure, and write what was asked for."""
    asked = arguments()
    taken: Figures = {}
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        processes.certificate(folder)
        with ours.opened(asked.here, folder, FILE.parent) as runtime:
            machine = paper.machine(runs=asked.runs, python=runtime.described())
            for number in range(asked.runs + 1):
                # The first one finds nothing in the caches of files, and counts for nobody.
                found = taken if number else {}
                command(found, NOTHING, runtime, "-c", "pass")
                command(found, INJECT, runtime, "-m", "podfacts", "inject", "-f", str(FILE))
                webhook(found, runtime, folder)
    machine["load_after"] = os.getloadavg()[0]
    whole = {"machine": machine, "milliseconds": taken}
    paper.written(asked, whole, markdown(whole))
    return 0


def arguments() -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="5 runs of each")
    parser.add_argument("--runs", type=int)
    ours.option(parser)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--markdown", type=Path)
    asked = parser.parse_args()
    asked.runs = asked.runs or (5 if asked.quick else 25)
    return asked


def command(taken: Figures, name: str, runtime: ours.Runtime, *words: str) -> None:
    """Run ``python WORDS`` to its end."""
    argv, environment = runtime.command(*words), runtime.environment()
    used, began = children(), time.perf_counter()
    subprocess.run(argv, check=True, stdout=subprocess.DEVNULL, env=environment)
    add(taken, name, time.perf_counter() - began, children() - used)


def webhook(taken: Figures, runtime: ours.Runtime, folder: Path) -> None:
    """Run it until it has answered one review."""
    port, probe_port = processes.free_port(), processes.free_port()
    words = ["-m", "podfacts", "webhook", "--certificates", str(folder), *rivals.SHIPPED]
    words += ["--dns-name", "127.0.0.1", "--port", str(port), "--probe-port", str(probe_port)]
    argv, environment = runtime.command(*words), runtime.environment()
    body = reviews.review(4)
    began = time.perf_counter()
    process = subprocess.Popen(argv, stderr=subprocess.DEVNULL, env=environment)
    try:
        until(lambda: process.poll() is not None or ready(probe_port))
        if process.poll() is not None:
            raise RuntimeError(f"the webhook ended with {process.returncode}: {' '.join(words)}")
        add(taken, READY, time.perf_counter() - began, processor(process.pid))
        until(lambda: answered(port, body))
        add(taken, ANSWERED, time.perf_counter() - began, processor(process.pid))
    finally:
        process.kill()
        process.wait(PATIENCE)


def until(true: Callable[[], bool]) -> None:
    """Ask every two milliseconds: each time costs the one that starts a little, too."""
    end = time.perf_counter() + PATIENCE
    while not true():
        if time.perf_counter() > end:
            raise TimeoutError(f"not ready within {PATIENCE:g} s")
        time.sleep(0.002)


def ready(port: int) -> bool:
    """Whether the readiness probe says so."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=1)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == http.client.OK
    except OSError:
        return False
    finally:
        connection.close()


def answered(port: int, body: bytes) -> bool:
    """Whether a review gets its answer."""
    unchecked = ssl._create_unverified_context()  # noqa: S323 - what is measured is a start
    connection = http.client.HTTPSConnection("127.0.0.1", port, context=unchecked, timeout=1)
    try:
        connection.request("POST", "/mutate", body)
        return connection.getresponse().status == http.client.OK
    except OSError:
        return False
    finally:
        connection.close()


def children() -> float:
    """Seconds of processor time of all the children that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def processor(pid: int) -> float:
    """Seconds of processor time of one that runs: all its threads, and its children's."""
    threads = [
        each for one in processes.family(pid) for each in Path(f"/proc/{one}/task").glob("*/schedstat")
    ]
    return sum(int(each.read_text().split()[0]) for each in threads) / 1e9


def add(taken: Figures, name: str, wall: float, used: float) -> None:
    """One more run, in milliseconds."""
    taken.setdefault(name, []).append((wall * 1000, used * 1000))


def markdown(whole: dict[str, Any]) -> str:
    """Median, least and most."""
    machine = whole["machine"]
    taken: Figures = whole["milliseconds"]
    lines = [
        f"CPython {machine['python']}, {machine['cores']} cores, load average {machine['load_before']:.1f} before and "
        f"{machine['load_after']:.1f} after; {machine['runs']} runs in turns; milliseconds, median (least-most).",
        "",
        "| start of | wall | processor | goal |",
        "|---|---|---|---|",
    ]
    for name, figures in taken.items():
        wall, used = ([each[at] for each in figures] for at in (0, 1))
        goal = f"under {GOALS[name]}" if name in GOALS else ""
        lines.append(f"| {name} | {spread(wall)} | {spread(used)} | {goal} |")
    return "\n".join(lines) + "\n"


def spread(figures: list[float]) -> str:
    """``median (least-most)``."""
    return f"{statistics.median(figures):.0f} ({min(figures):.0f}-{max(figures):.0f})"


if __name__ == "__main__":
    sys.exit(main())
