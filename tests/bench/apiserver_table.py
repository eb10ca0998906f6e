"""What ``apiserver.py`` measured, as tables in Markdown: what each door adds, and where that goes."""

import random
import statistics
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import apiserver_doors as doors
import processes
import rivals

Row = dict[str, Any]
Where = tuple[int, str, int]

DRAWN = 2000
REAL = "for real"

PAGE = """# Creating pods through an API server, measured

![What each kind of admission adds to the creation of a pod](bench-apiserver.svg)

One command writes this page and its picture: `python tests/bench/apiserver.py --markdown docs/bench-apiserver.md --svg
docs/bench-apiserver.svg --json FILE`.

- A real etcd and kube-apiserver on the loopback address; the client, in Go, keeps one HTTP/2 connection, as client-go does. The pod of 4 KB has one
  container with 6 variables and asks for the built-in profile; no scheduler and no controller takes care of it.
- "Policies, as printed" are all that `podfacts policy` prints: the MutatingAdmissionPolicy and the ValidatingAdmissionPolicy that refuses what the first
  cannot do. "Mutating policy alone" leaves the second out, and with it the refusals.
- "podfacts" is `podfacts webhook` as it is shipped, following the cluster by its own account, one replica. "And its fence" has the four
  ValidatingAdmissionPolicies of `rbac/fence.yaml` beside it, as an installation has.
- The two in Go and kopf's are those of [the webhook alone](bench-webhook.md). "Go, without a patch" says yes and nothing else: what an API server takes to
  ask anybody at all, so no webhook can be below it.
- The same pod comes of each, which is looked at before the load: only a policy's record says less.
- All of it is installed all the time, and the namespace decides who is asked: each request meets the same API server, and rounds can be short. What it costs
  not to be asked, "no webhook" pays too.
- A round goes through all of them in five parts, each time in another order. "Adds" is what p50 is above "no webhook" of the same round.
- "The call" is the mean that the API server itself measured for the webhook, its own writing and reading of JSON included. The columns in µs are
  processor time for a request, of all threads; they hardly depend on what else the machine does.

"""


def markdown(whole: Row) -> str:
    """All of it."""
    runs = whole["runs"]
    places = list(dict.fromkeys((run["kilobytes"], run["mode"], run["workers"]) for run in runs))
    parts = [_head(whole["machine"]), *_end_to_end(runs), _goal(runs, places)]
    parts += [_load(whole, where) for where in places]
    return PAGE + "\n\n".join(parts) + "\n"


def added(runs: list[Row], door: str, where: Where, key: str = "p50", to: str = doors.NONE) -> list[float]:
    """By how much it is more than the other's, round by round."""
    mine, others = _rounds(runs, door, where, key), _rounds(runs, to, where, key)
    return [mine[number] - others[number] for number in mine if number in others]


def interval(values: list[float]) -> tuple[float, float]:
    """Where the median of rounds lies with 95 %, by drawing them again and again."""
    chance = random.Random(1)  # noqa: S311 - to draw the same each time
    found = sorted(statistics.median(chance.choices(values, k=len(values))) for _ in range(DRAWN))
    return found[int(DRAWN * 0.025)], found[int(DRAWN * 0.975)]


def _head(machine: Row) -> str:
    return (
        f"{machine['when']}, {machine['processor']}, {machine['cores']} cores (API server, etcd, webhooks and client "
        f"share them), load average {machine['load_before']:.1f} before and {machine['load_after']:.1f} after. "
        f"Kubernetes {machine['kubernetes']}, CPython {machine['python']}, Go {machine['go']}. {machine['rounds']} rounds "
        f"of {machine['requests']} requests with 1 worker, three times that with more; median (least-most) of the rounds, "
        "and in square brackets the interval of 95 % of that median."
    )


def _end_to_end(runs: list[Row]) -> Iterator[str]:
    """What it is for one who creates one pod after another."""
    for size in _found(runs, "kilobytes"):
        where = (size, REAL, 1)
        values = added(runs, rivals.PODFACTS, where)
        if values:
            low, high = interval(values)
            count = sum(
                run["requests"]
                for run in runs
                if run["door"] in (rivals.PODFACTS, doors.NONE) and (run["mode"], run["workers"]) == where[1:]
            )
            p99 = statistics.median(_rounds(runs, rivals.PODFACTS, where, "p99").values())
            yield (
                f"**Whoever creates one pod of {size} KB after another** waits {statistics.median(values):.2f} ms longer with "
                f"podfacts (95 %: {low:.2f} to {high:.2f}), by p50 of {count:,} creations with and without; p99 of the whole "
                f"creation is {p99:.1f} ms."
            )


def _goal(runs: list[Row], places: list[Where]) -> str:
    """Ours beside each other one: what both add, how these compare, and the difference of the same round."""
    lines = [
        "| podfacts against | KB | | workers | adds, ms | the other adds, ms | of the other | difference, ms |"
    ]
    lines.append("|---|---|---|---|---|---|---|---|")
    ours = rivals.PODFACTS
    for other in _found(runs, "door"):
        if other in (ours, doors.NONE):
            continue
        for where in places:
            mine, theirs = added(runs, ours, where), added(runs, other, where)
            if mine and theirs:
                lines.append(
                    f"| {other} | {' | '.join(map(str, where))} | {_spread(mine)} | {_spread(theirs)} "
                    f"| {statistics.median(mine) / statistics.median(theirs):.2f} "
                    f"| {_with_interval(added(runs, ours, where, to=other))} |"
                )
    return "\n".join(lines)


def _load(whole: Row, where: Where) -> str:
    size, mode, workers = where
    runs = whole["runs"]
    lines = [
        f"### {size} KB, {mode}, {workers} worker{'s' if workers > 1 else ''}",
        "",
        "| asked | p50 ms | p99 ms | added p50 ms | added p99 ms | requests/s | the call, ms "
        "| API server, µs | webhook, µs |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for door in [doors.NONE, *(each for each in _found(runs, "door") if each != doors.NONE)]:
        columns = [
            *(_spread(_rounds(runs, door, where, key).values()) for key in ("p50", "p99")),
            _with_interval(added(runs, door, where)) if door != doors.NONE else "",
            _with_interval(added(runs, door, where, "p99")) if door != doors.NONE else "",
            _spread(_rounds(runs, door, where, "rate").values(), 0),
            _spread(_rounds(whole["calls"], door, where, "milliseconds").values()),
            _spread(_rounds(runs, door, where, "api_cost").values(), 0),
            _spread([each for each in _rounds(runs, door, where, "hook_cost").values() if each], 0),
        ]
        lines.append(f"| {door} | {' | '.join(columns)} |")
    return "\n".join(lines)


def _with_interval(values: list[float]) -> str:
    if not values:
        return ""
    low, high = interval(values)
    return f"{_spread(values)} [{low:.2f}, {high:.2f}]"


def _spread(values: Iterable[float], digits: int = 2) -> str:
    found = list(values)
    return processes.spread(found, digits) if found else ""


def _rounds(rows: list[Row], door: str, where: Where, key: str) -> dict[int, float]:
    is_there: Callable[[Row], bool] = lambda row: (  # noqa: E731
        row["door"] == door and (row["kilobytes"], row["mode"], row["workers"]) == where
    )
    return {row["round"]: row[key] for row in rows if is_there(row)}


def _found(runs: Iterable[Row], key: str) -> list[Any]:
    return list(dict.fromkeys(run[key] for run in runs))
