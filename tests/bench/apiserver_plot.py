"""What ``apiserver.py`` measured, as one SVG: by how much each door adds to p50, a panel for each load."""

import math
import statistics
from collections.abc import Iterator
from typing import Any

import apiserver_doors as doors
import rivals
from apiserver_table import added

Row = dict[str, Any]

COLOURS = {
    rivals.PODFACTS: "#0b6e4f",
    doors.FENCED: "#38a169",
    doors.POLICY: "#d69e2e",
    doors.MUTATING: "#ecc94b",
    rivals.PLAIN: "#2b6cb0",
    rivals.RUNTIME: "#9f7aea",
    rivals.KOPF: "#c05621",
    doors.NOTHING: "#a0aec0",
}
OTHER = "#b83280"  # Another copy of operator/.
WIDTH, LINE = 300, 24
LEFT, TOP, GAP = 170, 44, 28


def svg(whole: Row) -> str:
    """The picture; white beneath, so that it can be read on any page."""
    runs = whole["runs"]
    places = list(dict.fromkeys((run["kilobytes"], run["mode"], run["workers"]) for run in runs))
    names = list(dict.fromkeys(run["door"] for run in runs if run["door"] != doors.NONE))
    width = LEFT + len(places) * (WIDTH + GAP)
    height = TOP + (len(names) + 2) * LINE
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" '
        'font-family="system-ui, sans-serif" font-size="12" fill="#1a202c">',
        "<title>What each kind of admission adds to the creation of a pod</title>",
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
    ]
    for row, name in enumerate(names):
        parts.append(f'<text x="{LEFT - 12}" y="{TOP + row * LINE + 17}" text-anchor="end">{name}</text>')
    for column, where in enumerate(places):
        found = {name: added(runs, name, where) for name in names}
        parts.append(f'<g transform="translate({LEFT + column * (WIDTH + GAP)} {TOP})">')
        size, mode, workers = where
        title = f"{size} KB, {mode}, {workers} worker{'s' if workers > 1 else ''}: added p50, ms"
        parts.append(f'<text y="-12" font-weight="600">{title}</text>')
        parts += [*_panel(found, len(names) * LINE), "</g>"]
    return "\n".join([*parts, "</svg>"]) + "\n"


def _panel(found: dict[str, list[float]], height: int) -> Iterator[str]:
    most = max(statistics.median(values) for values in found.values()) * 1.15
    step = _step(most)
    yield f'<rect width="{WIDTH}" height="{height}" fill="none" stroke="#a0aec0"/>'
    for number in range(int(most / step) + 1):
        at = number * step / most * WIDTH
        yield f'<path d="M{at:.1f} 0V{height}" stroke="#e2e8f0"/>'
        yield f'<text x="{at:.1f}" y="{height + 16}" text-anchor="middle">{number * step:g}</text>'
    for row, (name, values) in enumerate(found.items()):
        colour = COLOURS.get(name, OTHER)
        low, middle, high = (
            min(max(value / most, 0), 1) * WIDTH
            for value in (min(values), statistics.median(values), max(values))
        )
        top = row * LINE + 5
        yield f'<rect y="{top}" width="{middle:.1f}" height="{LINE - 10}" fill="{colour}"/>'
        yield f'<path d="M{low:.1f} {top + 7}H{high:.1f}" stroke="#1a202c" stroke-opacity=".6"/>'


def _step(most: float) -> float:
    """Round, and about five of them."""
    power = 10 ** math.floor(math.log10(most / 5))
    return float(next(power * each for each in (1, 2, 5, 10) if power * each >= most / 5))
