"""A scheduler of the bench's own, which begins when it is told to, and what the API server's log says of its bindings."""

import json
import re
import ssl
import statistics
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, TextIO

import processes
import yaml

from tests.cluster import Cluster

NAME = "bench"  # Pods name it; the cluster's own scheduler leaves them alone.
PATIENCE = 600
METRIC = re.compile(r"^(scheduler_\w+_(?:sum|count))(\{[^}]*\})? (\S+)$", re.MULTILINE)
SLI = "scheduler_pod_scheduling_sli_duration_seconds"
POINT = "scheduler_framework_extension_point_duration_seconds"


@dataclass(frozen=True)
class Limits:
    """What the scheduler's client allows itself."""

    label: str
    qps: int
    burst: int


DEFAULT = Limits("a scheduler with 50 requests/s and bursts of 100, the default", 50, 100)
RAISED = Limits("a scheduler with 500 requests/s", 500, 500)


@dataclass(frozen=True)
class Bound:
    """One binding, as the API server wrote it down."""

    arrived: datetime
    answered: datetime

    @property
    def milliseconds(self) -> float:
        """What the API server took for it, whoever it asked."""
        return (self.answered - self.arrived).total_seconds() * 1000


@contextmanager
def scheduling(cluster: Cluster, folder: Path, limits: Limits) -> Iterator[processes.Server]:
    """The scheduler, from its start on."""
    config = folder / "scheduler.yaml"
    tree = {
        "apiVersion": "kubescheduler.config.k8s.io/v1",
        "kind": "KubeSchedulerConfiguration",
        "leaderElection": {"leaderElect": False},
        "clientConnection": {
            "kubeconfig": str(cluster.state / "scheduler.kubeconfig"),
            "qps": limits.qps,
            "burst": limits.burst,
        },
        "profiles": [{"schedulerName": NAME}],
    }
    config.write_text(yaml.safe_dump(tree))
    port = processes.free_port()
    words = [str(cluster.binaries / "kube-scheduler"), f"--config={config}", "--bind-address=127.0.0.1"]
    words += [f"--secure-port={port}", "--authorization-always-allow-paths=/metrics"]
    with (folder / "scheduler.log").open("wb") as log:
        process = subprocess.Popen(words, env=cluster.environment, stdout=log, stderr=log)
        with processes.ended(process):
            yield processes.Server(NAME, process, port)


def told(server: processes.Server) -> dict[str, float]:
    """Mean milliseconds by the scheduler's own metrics: of a binding, and of a pod from its first try to its node."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with urllib.request.urlopen(f"https://127.0.0.1:{server.port}/metrics", context=context) as answer:
        text = answer.read().decode()
    sums: dict[str, float] = {}
    for name, labels, value in METRIC.findall(text):
        if name.startswith(SLI) or (name.startswith(POINT) and 'extension_point="Bind"' in labels):
            sums[name] = sums.get(name, 0.0) + float(value)
    return {
        key: sums[f"{metric}_sum"] / sums[f"{metric}_count"] * 1000
        for key, metric in (("bind", POINT), ("sli", SLI))
        if sums.get(f"{metric}_count")
    }


def bound(log: TextIO, namespace: str, count: int, server: processes.Server | None = None) -> list[Bound]:
    """All bindings of a namespace, from where the log stands now; waits until there are that many."""
    found: list[Bound] = []
    rest = ""
    deadline = time.monotonic() + PATIENCE
    while len(found) < count:
        if server and server.process.poll() is not None:
            raise SystemExit("the scheduler ended")
        if time.monotonic() > deadline:
            raise SystemExit(f"{len(found)} of {count} pods bound after {PATIENCE} s")
        time.sleep(0.25)
        *lines, rest = (rest + log.read()).split("\n")
        found += [one for line in lines if '"binding"' in line and (one := _bound(line, namespace))]
    return found


def rate(found: list[Bound]) -> float:
    """Pods a second, from the first binding that arrived to the last that was answered."""
    span = max(each.answered for each in found) - min(each.arrived for each in found)
    return len(found) / span.total_seconds()


def percentile(found: list[Bound], percent: int) -> float:
    """Milliseconds of a binding."""
    return statistics.quantiles([each.milliseconds for each in found], n=100)[percent - 1]


def _bound(line: str, namespace: str) -> Bound | None:
    event: dict[str, Any] = json.loads(line)
    where = event["objectRef"]
    if (where.get("subresource"), where.get("namespace")) != ("binding", namespace):
        return None
    if event["responseStatus"]["code"] == 429:
        return None  # It is tried again.
    if event["responseStatus"]["code"] != 201:
        raise SystemExit(f"a pod was not bound: {event['responseStatus']}")
    times = (event[key] for key in ("requestReceivedTimestamp", "stageTimestamp"))
    return Bound(*(datetime.fromisoformat(each) for each in times))
