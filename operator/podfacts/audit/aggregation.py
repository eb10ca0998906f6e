"""What an aggregated ClusterRole gives, as the aggregating controller would write it.

Read from Kubernetes 1.36: ``pkg/controller/clusterroleaggregation/clusterroleaggregation_controller.go``. The rules are
those of every ClusterRole that a selector takes, its selectors one after the other and the roles of each by name, itself
left out, a rule that is there not again; what was written by hand is overwritten.

An aggregated role may feed another one, so the roles are worked out in that order. Roles that feed each other in a circle
all end with the same rules, in an order that depends on who was quicker. What was written by hand into one of them may
then outlive the overwriting, in the others: it counts.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from podfacts.audit.inventory import Address, Role, Rule
from podfacts.core.selector import selects

FIELDS = ("verbs", "apiGroups", "resources", "resourceNames", "nonResourceURLs")
Sources = Mapping[
    str, Sequence[str]
]  # By the name of an aggregated role those that its selectors take, in their order.


def aggregated(roles: Mapping[Address, Role]) -> dict[Address, Role]:
    """The roles, those with an ``aggregationRule`` with the rules that it gathers."""
    cluster = {each.name: each for each in roles.values() if each.kind == "ClusterRole"}
    sources = _sources(cluster)
    for circle in _circles(sources):
        rules = tuple(_distinct(_fed(circle, sources, cluster)))
        for name in circle:
            cluster[name] = replace(cluster[name], rules=rules)
    return {
        address: cluster[each.name] if each.kind == "ClusterRole" else each for address, each in roles.items()
    }


def _sources(cluster: Mapping[str, Role]) -> Sources:
    labelled: dict[tuple[str, str], list[str]] = defaultdict(list)
    for name in sorted(cluster):
        for label in cluster[name].labels.items():
            labelled[label].append(name)
    everybody = sorted(cluster)
    found = {}
    for role in cluster.values():
        if role.selectors is not None:
            taken = []
            for selector in role.selectors:
                # Most selectors name a label: only those who have it are looked at.
                exact = next(iter((selector.get("matchLabels") or {}).items()), None)
                near = labelled.get(exact, []) if exact else everybody
                taken += [each for each in near if selects(selector, cluster[each].labels)]
            found[role.name] = taken
    return found


def _fed(circle: Sequence[str], sources: Sources, cluster: Mapping[str, Role]) -> Iterator[Rule]:
    """What flows into these roles from others than themselves and, where they are several, what was written into them."""
    inside = set(circle)
    for name in circle:
        for each in sources[name]:
            if each not in inside:
                yield from cluster[each].rules
    if len(circle) > 1:
        for name in circle:
            yield from cluster[name].rules


def _distinct(rules: Iterable[Rule]) -> Iterator[Rule]:
    """The first of those that say the same; no list is as good as an empty one (``equality.Semantic``)."""
    seen = set()
    for rule in dict.fromkeys(rules):  # The very same one comes by many ways, and is quicker to tell.
        said = tuple(tuple(rule.tree.get(field) or ()) for field in FIELDS)
        if said not in seen:
            seen.add(said)
            yield rule


def _circles(sources: Sources) -> Iterator[Sequence[str]]:
    """The aggregated roles, those first that feed others; together those that feed each other, by name.

    The strongly connected components, by Tarjan; with a stack of its own, for a chain may be longer than Python's.
    """
    number: dict[str, int] = {}
    lowest: dict[str, int] = {}
    open_: dict[str, None] = {}  # Begun, and not known to be whole: in the order in which they were begun.
    for start in sorted(sources):
        path: list[tuple[str, Iterator[str]]] = []
        here: str | None = None if start in number else start
        while here is not None or path:
            if here is not None:
                number[here] = lowest[here] = len(number)
                open_[here] = None
                path.append((here, iter(sources[here])))
            name, following = path[-1]
            here = None
            for each in following:
                if each in sources and each not in number:
                    here = each
                    break
                if each in open_:
                    lowest[name] = min(lowest[name], number[each])
            if here is None:
                path.pop()
                if path:
                    lowest[path[-1][0]] = min(lowest[path[-1][0]], lowest[name])
                if lowest[name] == number[name]:
                    yield _closed(open_, name)


def _closed(open_: dict[str, None], name: str) -> Sequence[str]:
    """Take off all that was begun since this one, itself too."""
    circle = []
    while name in open_:
        circle.append(open_.popitem()[0])
    return sorted(circle)
