"""The search for the ways up: the shortest from each subject to each goal."""

from collections.abc import Iterator

from podfacts.audit.asked import meant
from podfacts.audit.escalation import chart
from podfacts.audit.escalation.chart import EVERYWHERE, Line, Spot, Walks
from podfacts.audit.escalation.drawing import Drawing
from podfacts.audit.escalation.steps import GOALS, Path, Step
from podfacts.audit.inventory import Inventory
from podfacts.core.refusal import Refused
from podfacts.rights.holders import account_named


def paths(inventory: Inventory, source: str = "", goal: str = "") -> tuple[Path, ...]:
    """The shortest chain from each subject, or from ``source`` only, to each goal, or to ``goal`` only.

    Each subject is each that a binding names, but those that only Kubernetes' own bindings name. Raises ``Refused``.
    """
    if goal and goal not in GOALS:
        raise Refused((), f"{goal} is no goal: write {', '.join(GOALS[:-1])} or {GOALS[-1]}")
    drawing = Drawing(inventory)
    if source:
        sources = [_spot(source)]
        drawing.reach(sources[0])
    else:
        sources = drawing.sources
    found = []
    for each in (goal,) if goal else GOALS:
        walks = Walks(drawing.chart, Spot(chart.GOAL, "", each))
        found += [
            Path(label(start), each, tuple(_steps(walk))) for start in sources if (walk := walks.walk(start))
        ]
    return tuple(sorted(found, key=lambda path: (path.source, GOALS.index(path.goal))))


def _spot(source: str) -> Spot:
    kind, name = meant(source)
    return Spot(kind, "", name)


def label(spot: Spot) -> str:
    """How it is called in a chain: a subject as the command line takes it."""
    where = {EVERYWHERE: " in every namespace", "": ""}.get(spot.namespace, f" in namespace {spot.namespace}")
    match spot.kind:
        case "User":
            return spot.name if account_named(spot.name) else f"user:{spot.name}"
        case "Group":
            return f"group:{spot.name}"
        case chart.MASTER:
            return f"every right{where}"
        case chart.ROLE | chart.CLUSTER_ROLE:
            return f"the rights of {spot.kind} {spot.name}{where}"
        case _:
            return spot.name


def _steps(walk: list[tuple[Spot, Line]]) -> Iterator[Step]:
    """The walk as steps: what only leads on is no place to be."""
    start = walk[0][0]
    done = walk[0][1]
    for _, line in walk:
        done = line if line.does else done
        if line.end.kind in chart.PASSED:
            continue
        yield Step(label(start), label(line.end), done.does, done.binding, done.role, done.rules, done.via)
        start = line.end
