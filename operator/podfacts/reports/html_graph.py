"""The chains as drawings, from left to right, and the same in words: what the numbers on the lines stand for."""

from collections.abc import Sequence
from itertools import count, groupby, islice
from textwrap import wrap

from podfacts.audit.escalation.steps import GOALS, Path, Step
from podfacts.audit.report import Report
from podfacts.reports.layers import Drawn, drawn
from podfacts.reports.markup import Markup, element, together
from podfacts.reports.wording import granted, reached, rule_line, step_line

EACH, SHOWN = 6, 24  # Chains of a length, and of a goal: many short ones must not hide the long ones.
WIDTH, HEIGHT, BETWEEN, ROW, EDGE = 196, 54, 72, 66, 16
LETTERS, LINES = 30, 3


def graph(report: Report) -> Markup:
    """The drawings and the lists, one of each for each goal, the shortest chains first."""
    chains = _telling(report.paths)
    if not chains:
        return element(
            "p", f"No chain of grants from a subject to {', '.join(GOALS[:-1])} or {GOALS[-1]} was found."
        )
    words = (
        "The shortest way from a subject to what it must not reach. The numbers on the lines are those of the steps below. "
        "Whoever reaches cluster-admin has the nodes and the Secrets too, and is told of once."
    )
    numbers = count(1)
    parts = [_of_goal(goal, found, numbers) for goal, found in chains.items()]
    return together(element("p", words, class_="quiet"), *parts)


def _telling(paths: Sequence[Path]) -> dict[str, list[Path]]:
    """The chains that are told, by goal."""
    masters = {each.source for each in paths if each.goal == GOALS[0]}
    found: dict[str, list[Path]] = {}
    for path in sorted(paths, key=lambda each: (each.goal, len(each.steps), each.source)):
        if path.steps and (path.goal == GOALS[0] or path.source not in masters):
            found.setdefault(path.goal, []).append(path)
    return found


def _of_goal(goal: str, chains: Sequence[Path], numbers: "count[int]") -> Markup:
    shown = _some_of_each_length(chains)
    layout = drawn(goal, shown)
    number = {start: next(numbers) for start in layout.onward}
    title = element("h3", f"To {reached(goal)}", class_="goal-title")
    note = element(
        "p", f"{len(shown)} of {len(chains):,}, up to {EACH} of each length; -o json has all.", class_="quiet"
    )
    picture = element(
        "div",
        _svg(goal, layout, number),
        class_="wide",
        tabindex=0,
        role="region",
        aria_label=f"Drawing of the paths to {goal}",
    )
    return together(title, note if len(chains) > len(shown) else "", picture, _list(shown, number))


def _some_of_each_length(chains: Sequence[Path]) -> list[Path]:
    lengths = groupby(chains, key=lambda each: len(each.steps))
    return [each for _, alike in lengths for each in islice(alike, EACH)][:SHOWN]


def _list(paths: Sequence[Path], number: dict[str, int]) -> Markup:
    """The text alternative, in whole sentences."""
    items = []
    for path in paths:
        steps = (element("li", *_told(step), value=number.get(step.start, 0)) for step in path.steps)
        items.append(element("div", element("h4", path.source), element("ol", *steps), class_="path"))
    return element("div", *items, class_="paths")


def _told(step: Step) -> list[Markup]:
    parts = [element("span", f"{step_line(step)}."), element("small", granted(step))]
    if step.rules:
        lines = element("ul", *(element("li", rule_line(each)) for each in step.rules))
        parts.append(element("details", element("summary", "Granted by"), lines))
    return parts


def _svg(goal: str, layout: Drawn, number: dict[str, int]) -> Markup:
    columns = max(column for column, _ in layout.places.values())
    rows = max(row for _, row in layout.places.values())
    width = columns * (WIDTH + BETWEEN) + WIDTH + 2 * EDGE
    height = int(rows * ROW) + HEIGHT + 2 * EDGE
    corners = {
        name: (EDGE + (columns - column) * (WIDTH + BETWEEN), int(EDGE + row * ROW))
        for name, (column, row) in layout.places.items()
    }
    return element(
        "svg",
        element("title", f"Escalation paths to {goal}"),
        *(_line(corners[start], corners[end], number[start]) for start, (end, _) in layout.onward.items()),
        *(_node(name, *corner, "goal" if name == goal else "node") for name, corner in corners.items()),
        viewBox=f"0 0 {width} {height}",
        width=width,
        height=height,
        role="img",
    )


def _node(name: str, x: int, y: int, kind: str) -> Markup:
    # Long names have their colons where a line can end.
    folded = wrap(name.replace(":", ": "), LETTERS, max_lines=LINES, placeholder=" ...")
    lines = [each.replace(": ", ":") for each in folded]
    first = y + HEIGHT // 2 - 7 * (len(lines) - 1) + 4
    texts = [
        element("text", each, x=x + WIDTH // 2, y=first + 14 * at, text_anchor="middle")
        for at, each in enumerate(lines)
    ]
    box = element("rect", x=x, y=y, width=WIDTH, height=HEIGHT, rx=8)
    return element("g", element("title", name), box, *texts, class_=kind)


def _line(start: tuple[int, int], end: tuple[int, int], number: int) -> Markup:
    x1, y1, x2, y2 = start[0] + WIDTH, start[1] + HEIGHT // 2, end[0], end[1] + HEIGHT // 2
    bend, tip = BETWEEN // 2, x2 - 8
    curve = element("path", d=f"M{x1} {y1} C{x1 + bend} {y1} {tip - bend} {y2} {tip} {y2}", class_="line")
    arrow = element("path", d=f"M{tip - 2} {y2 - 5} L{x2} {y2} L{tip - 2} {y2 + 5} Z", class_="arrow")
    # A quarter of the curve along: near the start, where the lines that meet at the end are still apart.
    x = (27 * x1 + 27 * (x1 + bend) + 9 * (tip - bend) + tip) // 64
    y, half = (54 * y1 + 10 * y2) // 64, 7 + 4 * len(str(number))
    disc = element("rect", x=x - half, y=y - 9, width=2 * half, height=18, rx=9)
    text = element("text", str(number), x=x, y=y + 4, text_anchor="middle")
    return element("g", curve, arrow, element("g", disc, text, class_="number"), class_="edge")
