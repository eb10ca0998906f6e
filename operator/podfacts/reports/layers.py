"""Where the spots of a drawing go. The shortest chains to one goal are a tree, and a tree can be drawn without a crossing.

For every chain goes on from a spot the same way: the goal is the root, at the right, and each column is a step further.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from podfacts.audit.escalation.steps import Path


@dataclass(frozen=True, slots=True)
class Drawn:
    """Column from the right and row from the top of each spot, and where each goes on to, by what."""

    places: Mapping[str, tuple[int, float]]
    onward: Mapping[str, tuple[str, str]]


def drawn(goal: str, paths: Sequence[Path]) -> Drawn:
    """The layout of the chains to this goal."""
    onward: dict[str, tuple[str, str]] = {}
    column = {goal: 0}
    before: dict[str, list[str]] = {goal: []}
    for path in paths:
        end = goal
        for step in reversed(path.steps):
            if step.start not in column:
                column[step.start], before[step.start] = column[end] + 1, []
                onward[step.start] = end, step.does
                before[end].append(step.start)
            end = step.start
    rows: dict[str, float] = {}
    leaves = 0
    for name in _upwards(goal, before):
        spread = [rows[each] for each in before[name]]
        rows[name] = sum(spread) / len(spread) if spread else leaves
        leaves += not spread
    return Drawn({name: (column[name], rows[name]) for name in rows}, onward)


def _upwards(root: str, before: Mapping[str, Sequence[str]]) -> list[str]:
    """Each spot after all that lead to it."""
    found, waiting = [], [root]
    while waiting:
        found.append(waiting.pop())
        waiting += before[found[-1]]
    return found[::-1]
