"""Who can become whom: a graph of few lines, each drawn once, and the shortest walk through it to a goal.

Spots are whoever one can be and whatever one can have. Some stand for many (the accounts of a namespace): lines lead into
them and on to each, so the graph grows with the grants and not with their product. A walk passes those without counting.
"""

from collections import defaultdict, deque
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from podfacts.audit.escalation.steps import GOALS
from podfacts.audit.inventory import Address, Rule


class Spot(NamedTuple):
    """A spot of the graph: a subject as (User, "", name) or (Group, "", name), or one of those below."""

    kind: str
    namespace: str = ""
    name: str = ""


EVERYWHERE = "*"  # Each namespace, where that is not the whole cluster.

# Where one can stay, beside users and groups: they are shown.
GOAL, MASTER, ROLE, CLUSTER_ROLE = "Goal", "Master", "Role", "ClusterRole"
# What only leads on.
GRANT, ACCOUNTS, POD_ACCOUNTS, NAMESAKES, USERS, GROUPS, CERTIFIED, JOINED, ROLES = (
    "Grant",
    "Accounts",
    "PodAccounts",
    "Namesakes",
    "Users",
    "Groups",
    "Certified",
    "Joined",
    "Roles",
)
PASSED = frozenset((GRANT, ACCOUNTS, POD_ACCOUNTS, NAMESAKES, USERS, GROUPS, CERTIFIED, JOINED, ROLES))

CLUSTER_ADMIN, NODE, SECRETS = (Spot(GOAL, "", each) for each in GOALS)


@dataclass(frozen=True, slots=True)
class Line:
    """A line to ``end``. What ``does`` nothing only leads on, and counts as no step."""

    end: Spot
    does: str = ""
    rank: int = 0  # Of two that are as short, the lower.
    binding: Address | None = None
    role: Address | None = None
    rules: tuple[Rule, ...] = ()
    via: tuple[Address, ...] = ()

    @property
    def length(self) -> int:
        """How many steps it is."""
        return int(bool(self.does))

    @property
    def order(self) -> tuple[object, ...]:
        """Decides between two that are as short, the same way every time."""
        return self.rank, self.end, self.binding or (), self.role or (), self.via


class Chart:
    """Lines by the spot where they begin; ``new`` are the ends from which nobody has looked further."""

    def __init__(self) -> None:
        self.lines: dict[Spot, list[Line]] = defaultdict(list)
        self.new: list[Spot] = []
        self._ends: set[Spot] = set()

    def draw(self, start: Spot, line: Line) -> None:
        """Add a line."""
        if start != line.end:
            self.lines[start].append(line)
        if line.end not in self._ends:
            self._ends.add(line.end)
            self.new.append(line.end)

    @cached_property
    def _back(self) -> dict[Spot, list[tuple[Spot, int]]]:
        back: dict[Spot, list[tuple[Spot, int]]] = defaultdict(list)
        for start, lines in self.lines.items():
            for line in lines:
                back[line.end].append((start, line.length))
        return back

    def distances(self, goal: Spot) -> dict[Spot, int]:
        """How many steps it is to the goal, from each spot that leads there: one search from the goal backwards."""
        back = self._back
        far = {goal: 0}
        queue = deque([(0, goal)])
        while queue:
            gone, spot = queue.popleft()
            if gone > far[spot]:
                continue
            for start, length in back.get(spot, ()):
                if gone + length < far.get(start, gone + length + 1):
                    far[start] = gone + length
                    # No step goes to the front, one step to the back: the queue stays in order.
                    (queue.append if length else queue.appendleft)((gone + length, start))
        return far


class Walks:
    """The shortest walks to one goal. Where several are as short it is always the same one."""

    def __init__(self, chart: Chart, goal: Spot) -> None:
        self._chart = chart
        self._goal = goal
        self._far = chart.distances(goal)
        self._next: dict[Spot, Line] = {}

    def walk(self, source: Spot) -> list[tuple[Spot, Line]]:
        """The lines from the source to the goal, each with where it begins; none when there is no way."""
        found = []
        spot = source
        while spot in self._far and spot != self._goal:
            found.append((spot, self._onward(spot)))
            spot = found[-1][1].end
        return found

    def _onward(self, spot: Spot) -> Line:
        if spot not in self._next:
            left = self._far[spot]
            lines = (each for each in self._chart.lines[spot] if each.end in self._far)
            short = [each for each in lines if self._far[each.end] + each.length == left]
            self._next[spot] = min(short, key=lambda each: (self._rank(each), each.order))
        return self._next[spot]

    def _rank(self, line: Line) -> int:
        """The rank of the step that a line leads to by way of a grant: that is what is compared."""
        return self._onward(line.end).rank if line.end.kind == GRANT else line.rank
