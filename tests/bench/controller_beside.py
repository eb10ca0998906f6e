"""The webhook's p99 while the controller takes up 5,000 nodes and 20,000 pods: ``python tests/bench/controller_beside.py``.

The webhook and who asks it (50 reviews a second on one connection) have one core; the control plane, and the controller, have the other. In
turns: alone, and from the controller's start on. 6 minutes; with ``--quick`` (500 nodes, 2,000 pods) two.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent.parent / "operator"), str(HERE.parent.parent)]

import controller_population as population  # noqa: E402
import paper  # noqa: E402
import processes  # noqa: E402
from controller import FAST, asleep, cluster  # noqa: E402
from controller_process import Controller  # noqa: E402

from tests.cluster import processes as cluster_processes  # noqa: E402
from tests.e2e.keeping import keeping  # noqa: E402
from tests.faults.webhook import POD, Webhook, asked, running  # noqa: E402

RATE = 50


def main() -> int:
    """Measure, and write what was asked for."""
    options = arguments()
    found = paper.machine()
    own, other = sorted(os.sched_getaffinity(0))[:2]
    with cluster(options.name) as (made, api), keeping(made, api, f"beside-{os.getpid()}") as here:
        asleep(made)
        for each in cluster_processes.recorded(made.state):
            pin(each.pid, other)
        here.profile("bench", *population.PROFILE["spec"]["facts"])
        store = population.Store(made)
        store.put(population.around(options.pods, options.nodes))
        os.sched_setaffinity(0, {own})
        rounds = []
        with tempfile.TemporaryDirectory() as folder, running(Path(folder) / "webhook") as webhook:
            measured(webhook, 2)
            for _ in range(options.rounds):
                store.put(population.pods(range(options.pods), opted_in=True, nodes=options.nodes))
                alone = measured(webhook, options.seconds)
                with Controller(
                    here, HERE.parent.parent / "operator", Path(folder), writes=FAST
                ) as controller:
                    pin(controller.process.pid, other)
                    controller.until(controller.leading, 60)
                    beside = measured(webhook, options.seconds)
                    used = controller.processor()
                    done = {
                        "known": controller.metric("podfacts_watched_pods"),
                        "written": controller.written(),
                    }
                    done |= {"memory": controller.highest()}
                rounds.append({"alone": alone, "beside": beside, "controller": {**done, "processor": used}})
                print(json.dumps(rounds[-1]), file=sys.stderr)
    whole = {"machine": found, "nodes": options.nodes, "pods": options.pods, "rounds": rounds}
    paper.written(options, whole, markdown(whole))
    return 0


def arguments() -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--nodes", type=int)
    parser.add_argument("--pods", type=int)
    parser.add_argument("--seconds", type=int, help="of each measurement")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--name", default="bench-beside", help="of the cluster")
    for kind in ("json", "markdown"):
        parser.add_argument(f"--{kind}", type=Path, metavar="FILE")
    asked_for = parser.parse_args()
    quick = asked_for.quick
    asked_for.nodes = asked_for.nodes or (500 if quick else 5_000)
    asked_for.pods = asked_for.pods or (2_000 if quick else 20_000)
    asked_for.seconds = asked_for.seconds or (15 if quick else 40)
    asked_for.rounds = asked_for.rounds or (2 if quick else 3)
    return asked_for


def measured(webhook: Webhook, seconds: float) -> dict[str, float]:
    """Milliseconds of reviews at a steady rate, on one kept connection."""
    connection, review = webhook.connection(), asked(POD)
    took = []
    due, end = time.monotonic(), time.monotonic() + seconds
    while (now := time.monotonic()) < end:
        time.sleep(max(0.0, due - now))
        due += 1 / RATE
        began = time.perf_counter()
        webhook.ask(review, connection)
        took.append((time.perf_counter() - began) * 1000)
    connection.close()
    took.sort()
    return {
        "reviews": len(took),
        "p50": took[len(took) // 2],
        "p99": took[int(len(took) * 0.99)],
        "most": took[-1],
    }


def pin(pid: int, core: int) -> None:
    """Give one core to all threads of a process and its children."""
    for each in processes.family(pid):
        for thread in Path(f"/proc/{each}/task").iterdir():
            os.sched_setaffinity(int(thread.name), {core})


def markdown(whole: dict[str, Any]) -> str:
    """The rounds, and how they compare."""
    rounds = whole["rounds"]
    lines = [
        "| | p50 ms | p99 ms | most ms |",
        "|---|---|---|---|",
        *(
            f"| {name} | "
            + " | ".join(
                processes.spread([each[key][figure] for each in rounds], 2)
                for figure in ("p50", "p99", "most")
            )
            + " |"
            for key, name in (
                ("alone", "the webhook alone"),
                ("beside", "while the controller takes up the cluster"),
            )
        ),
        "| ratio | "
        + " | ".join(
            processes.spread([each["beside"][figure] / each["alone"][figure] for each in rounds], 2)
            for figure in ("p50", "p99", "most")
        )
        + " |",
    ]
    last = rounds[-1]["controller"]
    return (
        f"{whole['nodes']:,} nodes and {whole['pods']:,} opted-in pods; {RATE} reviews a second; median (least-most) of "
        f"{len(rounds)} rounds. Meanwhile the controller knew {last['known']:,.0f} pods, wrote {last['written']:,} facts, used "
        f"{last['processor']:.0f} s of the other core, and had {last['memory']:.0f} MB at most.\n\n"
        + "\n".join(lines)
        + "\n"
    )


if __name__ == "__main__":
    sys.exit(main())
