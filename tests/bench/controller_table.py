"""What ``controller.py`` measured, as tables in Markdown and as one SVG: memory over the number of pods."""

from collections.abc import Iterator
from typing import Any

Row = dict[str, Any]

LIMIT = 150  # MB at the largest number: what is promised.
COLOURS = ("#0b6e4f", "#2b6cb0", "#9f7aea", "#c05621")
WIDTH, HEIGHT, LEFT, TOP = 520, 260, 60, 40


def markdown(whole: Row) -> str:
    """All of it."""
    runs = whole["runs"]
    parts = [_head(whole), _memory(runs), _slopes(runs), _times(runs), _idle(runs), _label(runs)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _head(whole: Row) -> str:
    machine = whole["machine"]
    return (
        f"{machine['when']}, {machine['processor']}, {machine['cores']} cores, load average "
        f"{machine['load_before']:.1f} before and {machine['load_after']:.1f} after, CPython {machine['python']}. "
        f"Opted-in pods among {whole['all']:,}, on 300 nodes in 30 namespaces; the JSON of one has "
        f"{whole['bytes_of_a_pod'] / 1000:.1f} KB."
    )


def _memory(runs: list[Row]) -> str:
    rows = [
        [
            run["source"],
            f"{run['pods']:,}",
            *(
                f"{value:.0f}"
                for value in (
                    run["again"]["settled"],
                    run["idle"]["resident"],
                    run["first"]["resident"],
                    run["first"]["highest"],
                )
            ),
        ]
        for run in runs
    ]
    head = ["copy", "opted-in pods", "all known, MB", "idle, MB", "all told anew, MB", "at most, MB"]
    return "### Memory\n\n" + _table(head, rows)


def _slopes(runs: list[Row]) -> str:
    """KB of memory for each pod more, from the least to the largest number."""
    lines = []
    for source in dict.fromkeys(run["source"] for run in runs):
        mine = sorted((run for run in runs if run["source"] == source), key=lambda run: run["pods"])
        if len(mine) > 1:
            more = mine[-1]["pods"] - mine[0]["pods"]
            each = {
                key: (mine[-1][part][key] - mine[0][part][key]) * 1000 / more
                for part, key in (("again", "settled"), ("first", "highest"))
            }
            lines.append(
                f"{source}: {each['settled']:.1f} KB a pod once all are known, {each['highest']:.1f} KB a pod at most."
            )
    return "\n".join(lines)


def _times(runs: list[Row]) -> str:
    rows = [
        [
            run["source"],
            f"{run['pods']:,}",
            f"{run['first']['ready']:.1f}",
            f"{run['first']['known'] - run['first']['leading']:.1f}",
            f"{run['first']['told'] - run['first']['leading']:.1f}",
            f"{run['first']['processor']:.1f}",
            f"{run['first']['patches']:,}",
            f"{run['first']['patches'] / run['pods']:.3f}",
            f"{run['first']['owners']:,}",
            f"{run['again']['processor']:.1f}",
            f"{run['idle']['written']:,}",
        ]
        for run in runs
    ]
    head = [
        "copy",
        "pods",
        "ready, s",
        "all known, s",
        "all told, s",
        "processor, s",
        "writes",
        "writes a pod",
        "owners read",
        "started anew: processor, s",
        "writes then",
    ]
    return (
        "### From the start until every pod carries its facts, at up to 1,000 writes a second\n\n"
        + _table(head, rows)
    )


def _idle(runs: list[Row]) -> str:
    rows = []
    for run in runs:
        idle = run["idle"]
        counts = ", ".join(f"{number} {what}" for what, number in idle["requests"].items())
        rest = sum(number for what, number in idle["requests"].items() if not what.endswith(" leases"))
        rows.append(
            [
                run["source"],
                f"{run['pods']:,}",
                f"{rest / idle['seconds']:.2f}",
                f"{idle['processor'] / idle['seconds'] * 100:.1f} %",
                counts,
            ]
        )
    head = ["copy", "pods", "requests/s, the Lease aside", "processor", f"in {runs[0]['idle']['seconds']} s"]
    return "### While nothing happens\n\n" + _table(head, rows)


def _label(runs: list[Row]) -> str:
    rows = [
        [
            run["source"],
            f"{run['pods']:,}",
            f"{run['label']['pods']:,}",
            f"{run['label']['seconds']:.1f}",
            f"{run['label']['written']:,}",
            str(run["label"]["most_in_a_second"]),
            f"{run['label']['processor']:.1f}",
        ]
        for run in runs
    ]
    head = ["copy", "pods", "on the node", "seconds", "writes", "most in a second", "processor, s"]
    return "### A node's label changes, at the 20 writes a second that are shipped\n\n" + _table(head, rows)


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def svg(whole: Row) -> str:
    """The picture; white beneath, so that it can be read on any page."""
    runs = whole["runs"]
    most = max(LIMIT, *(run["first"]["highest"] for run in runs)) * 1.1
    widest = max(run["pods"] for run in runs)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {LEFT + WIDTH + 40} {TOP + HEIGHT + 50}" role="img" '
        'font-family="system-ui, sans-serif" font-size="12" fill="#1a202c">',
        "<title>Resident memory of the controller over opted-in pods</title>",
        f'<rect width="{LEFT + WIDTH + 40}" height="{TOP + HEIGHT + 50}" fill="#fff"/>',
        f'<g transform="translate({LEFT} {TOP})">',
        '<text x="0" y="-16" font-weight="600">MB resident over opted-in pods: settled, and at most (dashed)</text>',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="none" stroke="#a0aec0"/>',
        *_axes(most, widest),
    ]
    sources = dict.fromkeys(run["source"] for run in runs)
    for number, (colour, source) in enumerate(zip(COLOURS, sources, strict=False)):
        if len(sources) > 1:
            parts.append(f'<text x="8" y="{18 + number * 16}" fill="{colour}">{source}</text>')
        mine = sorted((run for run in runs if run["source"] == source), key=lambda run: run["pods"])
        for part, key, dash in (("again", "settled", ""), ("first", "highest", ' stroke-dasharray="4 3"')):
            points = [(run["pods"] / widest * WIDTH, HEIGHT - run[part][key] / most * HEIGHT) for run in mine]
            drawn = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
            dots = "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{colour}"/>' for x, y in points)
            parts.append(
                f'{dots}<polyline points="{drawn}" fill="none" stroke="{colour}" stroke-width="1.5"{dash}/>'
            )
    return "\n".join([*parts, "</g>", "</svg>"]) + "\n"


def _axes(most: float, widest: int) -> Iterator[str]:
    for value in range(0, int(most), 50):
        height = HEIGHT - value / most * HEIGHT
        yield f'<path d="M0 {height:.1f}H{WIDTH}" stroke="{"#c53030" if value == LIMIT else "#e2e8f0"}"/>'
        yield f'<text x="-8" y="{height + 4:.1f}" text-anchor="end">{value}</text>'
    for part in range(5):
        where = part / 4 * WIDTH
        yield f'<text x="{where:.1f}" y="{HEIGHT + 18}" text-anchor="middle">{widest * part // 4:,}</text>'
