"""What ``binding.py`` measured, as tables in Markdown: each load, and with over without in the same round."""

from collections.abc import Iterable
from typing import Any

import binding_arms as arms
import processes

Row = dict[str, Any]
Where = tuple[int, str]

PAGE = """# Binding pods with the facts of their nodes, measured

One command writes this page: `python tests/bench/binding.py --markdown docs/bench-binding.md --json FILE`.

- A real kube-scheduler, etcd and kube-apiserver on the loopback address; the nodes are [kwok](https://kwok.sigs.k8s.io)'s, so pods run without
  containers. All pods are there before the scheduler starts. "Pods/s" begins with the first binding that reaches the API server and ends with the answer to
  the last one, by the API server's audit log; p50 and p99 of a binding are from there too.
- "With" is the webhook `nodes.podfacts.dev` as it is shipped, in a namespace with `podfacts.dev/node-facts: enabled`, and one replica of
  `podfacts webhook`, which follows the nodes by its own account; the profile has six facts of the node. "And the fence" has the policies of
  `rbac/fence.yaml` beside it, as an installation has: one of them looks at each binding, another at each status that a kubelet writes.
- A scheduler as it comes allows its client 50 requests a second and bursts of 100. Then that limit is the throughput, and the webhook is seen in
  the latency only. With 500 the machine is the limit: everything shares its cores, and each microsecond that a binding costs anybody is
  missing elsewhere. A cluster whose scheduler, API server and webhook have cores of their own lies in between.
- "By hand" is a client that sends so many bindings at once and waits for each: the cost of a binding by itself. An API server keeps 25 idle
  connections to a webhook; what comes beyond that at the same moment is a new one each time, with its handshake.
- "With facts" counts the pods that carry the facts of their node afterwards. The webhook has 2 s to answer; a pod whose binding it misses is bound all the same,
  and the controller tells it later.

"""

COLUMNS = (
    ("rate", "pods/s", 0),
    ("p50", "binding p50 ms", 2),
    ("p99", "binding p99 ms", 2),
    ("bind", "the scheduler's Bind, mean ms", 2),
    ("sli", "pod to node, mean ms", 0),
    ("api_cost", "API server µs a pod", 0),
    ("scheduler_cost", "scheduler µs a pod", 0),
    ("hook_cost", "webhook µs a pod", 0),
)


def markdown(whole: Row) -> str:
    """All of it."""
    runs = whole["runs"]
    places = list(dict.fromkeys((run["pods"], run["binder"]) for run in runs))
    parts = [_head(whole["machine"]), _ratios(runs, places), *(_load(runs, each) for each in places)]
    return PAGE + "\n\n".join(parts) + "\n"


def _head(machine: Row) -> str:
    return (
        f"{machine['when']}, {machine['processor']}, {machine['cores']} cores (scheduler, API server, etcd, kwok and the "
        f"webhook share them), load average {machine['load_before']:.1f} before and {machine['load_after']:.1f} after. "
        f"Kubernetes {machine['kubernetes']}, {machine['nodes']} nodes of kwok's, CPython {machine['python']}. "
        "Median (least-most) of the rounds."
    )


def _ratios(runs: list[Row], places: list[Where]) -> str:
    lines = ["| over without | pods | bound by | rounds | pods/s | binding p50 | Bind, mean |"]
    lines.append("|---|---|---|---|---|---|---|")
    for arm in (arms.WITH, arms.FENCED):
        for where in places:
            found = {key: _against(runs, arm, where, key) for key in ("rate", "p50", "bind")}
            if found["rate"]:
                cells = [_spread(each, 2) for each in found.values()]
                row = [arm, f"{where[0]:,}", where[1], str(len(found["rate"])), *cells]
                lines.append(f"| {' | '.join(row)} |")
    return "\n".join(lines)


def _load(runs: list[Row], where: Where) -> str:
    pods, binder = where
    lines = [
        f"### {pods:,} pods, bound by {binder}",
        "",
        f"| | {' | '.join(label for _, label, _ in COLUMNS)} | with facts |",
        f"|{'---|' * (len(COLUMNS) + 2)}",
    ]
    for arm in arms.NAMES:
        found = [run for run in runs if run["arm"] == arm and (run["pods"], run["binder"]) == where]
        if found:
            cells = [_spread([run[key] for run in found], digits) for key, _, digits in COLUMNS]
            facts = f"{sum(run['facts'] for run in found):,} of {len(found) * pods:,}"
            lines.append(f"| {arm} | {' | '.join(cells)} | {facts} |")
    return "\n".join(lines)


def _spread(values: list[float], digits: int) -> str:
    return processes.spread(values, digits) if any(values) else ""


def _against(runs: list[Row], arm: str, where: Where, key: str) -> list[float]:
    mine, others = (_rounds(runs, each, where, key) for each in (arm, arms.WITHOUT))
    return [mine[number] / others[number] for number in mine if others.get(number)]


def _rounds(runs: Iterable[Row], arm: str, where: Where, key: str) -> dict[int, float]:
    chosen = [run for run in runs if run["arm"] == arm and (run["pods"], run["binder"]) == where]
    return {run["round"]: run[key] for run in chosen}
