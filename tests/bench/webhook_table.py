"""What ``webhook.py`` measured, as tables in Markdown: the loads, the memory, and how it compares."""

import statistics
from collections.abc import Iterable
from typing import Any

import processes
import rivals

Row = dict[str, Any]


def markdown(whole: Row) -> str:
    """All of it."""
    runs = whole["runs"]
    parts = [_head(whole["machine"]), _ratios(runs)]
    for size in _found(runs, "kilobytes"):
        parts += [_load(runs, size, connections) for connections in _found(runs, "connections")]
    return "\n\n".join([*parts, _memory(whole)]) + "\n"


def _head(machine: Row) -> str:
    where = (
        "every server on one core and wrk on the other" if machine["pinned"] else "servers and wrk share them"
    )
    return (
        f"{machine['when']}, {machine['processor']}, {machine['cores']} cores ({where}), load average "
        f"{machine['load_before']:.1f} before and {machine['load_after']:.1f} after. CPython {machine['python']}, "
        f"Go {machine['go']}, controller-runtime {machine['controller_runtime']}. "
        f"{machine['rounds']} rounds of {machine['seconds']} s, in turns; median (least-most)."
    )


def _ratios(runs: list[Row]) -> str:
    """Ours against each of the others, round by round, because a round's runs had the same machine."""
    lines = [
        "podfacts against | KB | connections | requests/s | p50 | p99 | processor a request",
    ]
    for other in _found(runs, "server"):
        if other == rivals.PODFACTS:
            continue
        for size in _found(runs, "kilobytes"):
            for connections in _found(runs, "connections"):
                cells = [
                    _ratio(runs, other, size, connections, key) for key in ("rate", "p50", "p99", "cost")
                ]
                lines.append(" | ".join([other, str(size), str(connections), *cells]))
    first, *rest = (f"| {line} |" for line in lines)
    return "\n".join([first, "|---|---|---|---|---|---|---|", *rest])


def _ratio(runs: list[Row], other: str, size: int, connections: int, key: str) -> str:
    pairs = zip(
        _runs(runs, rivals.PODFACTS, size, connections),
        _runs(runs, other, size, connections),
        strict=False,
    )
    ratios = [ours[key] / theirs[key] for ours, theirs in pairs if theirs[key]]
    return processes.spread(ratios, 2) if ratios else "-"


def _load(runs: list[Row], size: int, connections: int) -> str:
    lines = [
        f"### {size} KB, {connections} connection{'s' if connections > 1 else ''}",
        "",
        "| server | requests/s | p50 ms | p99 ms | processor µs a request | MB | errors |",
        "|---|---|---|---|---|---|---|",
    ]
    for server in _found(runs, "server"):
        found = _runs(runs, server, size, connections)
        columns = [
            *(
                _spread(found, key, digits)
                for key, digits in (("rate", 0), ("p50", 2), ("p99", 2), ("cost", 0), ("resident", 0))
            ),
            str(sum(_values(found, "errors"))),
        ]
        lines.append(f"| {server} | {' | '.join(columns)} |")
    return "\n".join(lines)


def _memory(whole: Row) -> str:
    lines = ["| server | resident after 4 KB | after all loads | at most, MB |", "|---|---|---|---|"]
    runs = whole["runs"]
    least = min(_found(runs, "kilobytes"))
    for server, most in whole["most_resident_mb"].items():
        small = [run["resident"] for run in runs if run["server"] == server and run["kilobytes"] == least]
        last = [run["resident"] for run in runs if run["server"] == server][-1]
        lines.append(f"| {server} | {statistics.median(small[:4]):.0f} | {last:.0f} | {most:.0f} |")
    return "\n".join(lines)


def _spread(runs: list[Row], key: str, digits: int) -> str:
    """Of the runs in which a request was answered in time."""
    figures = [run[key] for run in runs if run["requests"]]
    return processes.spread(figures, digits) if figures else "-"


def _runs(runs: list[Row], server: str, size: int, connections: int) -> list[Row]:
    wanted = (server, size, connections)
    return [run for run in runs if (run["server"], run["kilobytes"], run["connections"]) == wanted]


def _values(runs: Iterable[Row], key: str) -> list[float]:
    return [run[key] for run in runs]


def _found(runs: Iterable[Row], key: str) -> list[Any]:
    return list(dict.fromkeys(run[key] for run in runs))
