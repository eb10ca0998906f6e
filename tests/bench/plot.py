"""What ``webhook.py`` measured, as one SVG: requests a second and p99 over connections, a panel for each size."""

import math
import statistics
from collections.abc import Iterator
from typing import Any, NamedTuple

import rivals

Row = dict[str, Any]

COLOURS = {
    rivals.PODFACTS: "#0b6e4f",
    rivals.PLAIN: "#2b6cb0",
    rivals.RUNTIME: "#9f7aea",
    rivals.KOPF: "#c05621",
}
OTHERS = ("#718096", "#b83280", "#975a16")  # Other copies of operator/.
ROWS = (("rate", "requests a second"), ("p99", "p99, ms"))

WIDTH, HEIGHT = 300, 220  # Of one panel.
LEFT, TOP, GAP = 70, 64, 56


class Scale(NamedTuple):
    """A logarithmic axis."""

    least: float
    most: float

    def place(self, value: float) -> float:
        """From the bottom, in pixels."""
        span = math.log10(self.most) - math.log10(self.least)
        return (math.log10(max(value, self.least)) - math.log10(self.least)) / span * HEIGHT

    def ticks(self) -> list[float]:
        """The powers of ten within."""
        low, high = round(math.log10(self.least)), round(math.log10(self.most))
        return [10.0**power for power in range(low, high + 1)]


def svg(whole: Row) -> str:
    """The picture; white beneath, so that it can be read on any page."""
    runs = whole["runs"]
    sizes = list(dict.fromkeys(run["kilobytes"] for run in runs))
    names = list(dict.fromkeys(run["server"] for run in runs))
    colours = {**dict(zip([name for name in names if name not in COLOURS], OTHERS, strict=False)), **COLOURS}
    width = LEFT + len(sizes) * (WIDTH + GAP)
    height = TOP + len(ROWS) * (HEIGHT + GAP)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" '
        'font-family="system-ui, sans-serif" font-size="12" fill="#1a202c">',
        "<title>Requests a second and p99 of four admission webhooks</title>",
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
        *_legend(names, colours),
    ]
    for row, (key, label) in enumerate(ROWS):
        scale = _scale([run[key] for run in runs if run[key] > 0])
        for column, size in enumerate(sizes):
            left, top = LEFT + column * (WIDTH + GAP), TOP + row * (HEIGHT + GAP)
            parts.append(f'<g transform="translate({left} {top})">')
            parts += _frame(f"{size} KB: {label}", scale)
            chosen = [run for run in runs if run["kilobytes"] == size]
            parts += _lines(chosen, names, colours, key, scale)
            parts.append("</g>")
    return "\n".join([*parts, "</svg>"]) + "\n"


def _scale(values: list[float]) -> Scale:
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    return Scale(10.0**low, 10.0 ** max(high, low + 1))


def _legend(names: list[str], colours: dict[str, str]) -> Iterator[str]:
    for index, name in enumerate(names):
        left = LEFT + index * 200
        yield f'<rect x="{left}" y="14" width="14" height="14" fill="{colours[name]}"/>'
        yield f'<text x="{left + 20}" y="26">{name}</text>'


def _frame(title: str, scale: Scale) -> Iterator[str]:
    yield f'<text x="0" y="-8" font-weight="600">{title}</text>'
    yield f'<rect width="{WIDTH}" height="{HEIGHT}" fill="none" stroke="#a0aec0"/>'
    for tick in scale.ticks():
        height = HEIGHT - scale.place(tick)
        yield f'<path d="M0 {height:.1f}H{WIDTH}" stroke="#e2e8f0"/>'
        yield f'<text x="-8" y="{height + 4:.1f}" text-anchor="end">{tick:,g}</text>'


def _lines(
    runs: list[Row], names: list[str], colours: dict[str, str], key: str, scale: Scale
) -> Iterator[str]:
    connections = list(dict.fromkeys(run["connections"] for run in runs))
    for number, each in enumerate(connections):
        where = _column(number, len(connections))
        yield f'<text x="{where:.1f}" y="{HEIGHT + 18}" text-anchor="middle">{each}</text>'
    for index, name in enumerate(names):
        colour = colours[name]
        points = []
        for number, each in enumerate(connections):
            found = [run[key] for run in runs if run["server"] == name and run["connections"] == each]
            where = _column(number, len(connections)) + (index - len(names) / 2) * 3
            low, middle, high = (
                HEIGHT - scale.place(value) for value in (min(found), statistics.median(found), max(found))
            )
            points.append(f"{where:.1f},{middle:.1f}")
            yield f'<path d="M{where:.1f} {low:.1f}V{high:.1f}" stroke="{colour}" stroke-opacity=".5"/>'
            yield f'<circle cx="{where:.1f}" cy="{middle:.1f}" r="3.5" fill="{colour}"/>'
        yield f'<polyline points="{" ".join(points)}" fill="none" stroke="{colour}" stroke-width="1.5"/>'


def _column(number: int, of: int) -> float:
    return (number + 0.5) * WIDTH / of
