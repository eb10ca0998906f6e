"""All that somebody holds in one namespace, or by ClusterRoleBindings: what one grant lacks, another may have."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from podfacts.audit.escalation.chart import EVERYWHERE, Line, Spot
from podfacts.audit.escalation.ways import HALVES, Names, Need
from podfacts.audit.inventory import Address, Role, Rule


@dataclass(frozen=True, slots=True, eq=False)
class Grant:
    """A role, given by a binding in ``namespace`` ("": by a ClusterRoleBinding), and the needs that it meets.

    What somebody could bind to itself is a grant without a binding, and may be one in each namespace (``EVERYWHERE``).
    """

    namespace: str
    role: Role
    held: Mapping[Need, Names]
    binding: Address | None = None

    @property
    def has_halves(self) -> bool:
        """Whether it has a part of something."""
        return not HALVES.isdisjoint(self.held)


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """That a grant meets a need, for the objects of this name ("": for all)."""

    name: str
    grant: Grant
    rules: tuple[Rule, ...]


class Scope:
    """What of somebody's grants is in force in ``namespace``: those of it, and those of the cluster."""

    def __init__(self, namespace: str, grants: Sequence[Grant]) -> None:
        self.namespace = namespace
        # Those of the namespace itself first: of two that do, the nearer one is named.
        self.grants = sorted(grants, key=lambda each: (each.namespace != namespace, each.binding or ()))

    @property
    def is_cluster(self) -> bool:
        """Whether it is all of it by ClusterRoleBindings."""
        return not self.namespace

    @property
    def roles(self) -> list[Role]:
        """The roles that are given right here."""
        return [each.role for each in self.grants if each.namespace == self.namespace]

    def meets(self, *needs: Need) -> bool:
        """Whether one of the needs is met, for whatever name."""
        return any(need in grant.held for grant in self.grants for need in needs)

    def parts(self, need: Need) -> dict[str, Part]:
        """By name who meets the need."""
        found: dict[str, Part] = {}
        for grant in self.grants:
            for name, rules in grant.held.get(need, {}).items():
                found.setdefault(name, Part(name, grant, rules))
        return found

    def any_part(self, need: Need) -> Part | None:
        """One that meets the need, for whatever name; all names if there is such a one."""
        found = self.parts(need)
        return found.get("") or next(iter(found.values()), None)


def scopes(grants: Sequence[Grant]) -> Iterator[Scope]:
    """The cluster, and each namespace in which something is given."""
    by_namespace = defaultdict(list)
    for each in grants:
        by_namespace[each.namespace].append(each)
    wide = [
        each
        for each in by_namespace.pop("", ())
        if each.has_halves or each.role.selectors or each.role.labels
    ]
    every = by_namespace.pop(EVERYWHERE, [])
    if wide:
        yield Scope("", wide)
    if every:
        yield Scope(EVERYWHERE, every)
    for namespace, found in sorted(by_namespace.items()):
        yield Scope(namespace, [*found, *wide])


def line(end: Spot, does: str, rank: int, *parts: Part) -> Line:
    """A line that takes all the parts."""
    grants = dict.fromkeys(each.grant for each in parts)
    bindings = list(dict.fromkeys(each.binding for each in grants if each.binding))
    rules = dict.fromkeys(rule for each in parts for rule in each.rules)
    return Line(
        end,
        does,
        rank,
        next(iter(bindings), None),
        parts[0].grant.role.address,
        tuple(rules),
        tuple(bindings[1:]),
    )
