"""The graph of an inventory: who can be whom, and by which grant.

Lines out of a grant are those that it gives by itself; what takes two grants begins at whoever has both.
"""

from collections import defaultdict
from collections.abc import Iterable

from podfacts.audit.bootstrap import shipped_roles, ships
from podfacts.audit.escalation import chart
from podfacts.audit.escalation.chart import EVERYWHERE, Chart, Line, Spot
from podfacts.audit.escalation.crowds import Crowds
from podfacts.audit.escalation.handing import Handing
from podfacts.audit.escalation.presumed import presumed
from podfacts.audit.escalation.scope import Grant, Part, Scope, line, scopes
from podfacts.audit.escalation.ways import (
    ESCALATE_CLUSTER_ROLES,
    ESCALATE_ROLES,
    WAYS,
    Leads,
    Names,
    Need,
    Way,
    held,
)
from podfacts.audit.inventory import Address, Binding, Inventory, Role
from podfacts.audit.subjects import groups_of, key, nobody

IS_IN = "being in it"
FIRST, SECOND = 0, 2  # Ranks of the ways: those of ``handing`` come after the first.
RANKED = tuple((SECOND + index if index else FIRST, way) for index, way in enumerate(WAYS))


class Drawing:
    """Draws each line once. ``sources`` are the subjects that a binding names which Kubernetes does not ship."""

    def __init__(self, inventory: Inventory) -> None:
        self.chart = Chart()
        self._roles = inventory.roles
        self._handing = Handing(inventory)
        self._held: dict[Address, dict[Need, Names]] = {}
        self._grants: dict[Spot, list[Grant]] = defaultdict(list)
        self._standing: set[Spot] = set()
        self.sources = sorted(self._bound(inventory.bindings))
        self._bound(presumed(inventory))
        self._crowds = Crowds(inventory, self._grants)
        for start, to in self._crowds.constant():
            self.chart.draw(start, to)
        for each in list(self._grants):
            self.stand(each)
        self._go_on()

    def reach(self, spot: Spot) -> None:
        """Somebody is this, though no binding may name it: draw that too."""
        self.stand(spot)
        self._go_on()

    def stand(self, spot: Spot) -> None:
        """Somebody can be this: draw what follows from that."""
        if spot in self._standing:
            return
        self._standing.add(spot)
        around = [Spot("Group", "", each) for each in groups_of((spot.kind, spot.name))]
        for each in around:
            self.stand(each)
            self.chart.draw(spot, Line(each, IS_IN))
        own = self._grants.get(spot, [])
        others = [grant for each in around for grant in self._grants.get(each, ())]
        # Where the groups have all parts themselves, it is drawn there.
        if any(each.has_halves for each in own) or (own and any(_escalates(each) for each in others)):
            for scope in scopes([*own, *others]):
                self._combined(spot, scope)

    def _bound(self, bindings: Iterable[Binding]) -> set[Spot]:
        """Draw what each binding gives, and who has it; those who have it not from Kubernetes itself."""
        found = set()
        for binding in bindings:
            role = self._role(binding.role)
            grant = Grant(binding.namespace, role, self._held_by(role), binding.address) if role else None
            spot = Spot(chart.GRANT, binding.namespace, binding.name)
            if grant:
                self._single(spot, grant)
            for subject in binding.subjects:
                if nobody(subject):
                    continue
                kind, name = key(subject)
                each = Spot(kind, "", name)
                if grant and self._grants[each][-1:] != [grant]:
                    self._grants[each].append(grant)
                    self.chart.draw(each, Line(spot))
                if not (role and all(ships(rule, subject, binding.namespace) for rule in role.rules)):
                    found.add(each)
        return found

    def _role(self, address: Address) -> Role | None:
        return self._roles.get(address) or shipped_roles((address,)).get(address)

    def _held_by(self, role: Role) -> dict[Need, Names]:
        if role.address not in self._held:
            self._held[role.address] = held(role.rules)
        return self._held[role.address]

    def _single(self, start: Spot, grant: Grant) -> None:
        """What a grant gives by itself."""
        for rank, way in RANKED:
            if (
                len(way.needs) == 1
                and (names := grant.held.get(way.needs[0]))
                and _in_force(way, grant.namespace)
            ):
                parts = {name: Part(name, grant, rules) for name, rules in names.items()}
                for part in _used(way, parts):
                    end = _end(way, part.name, grant.namespace)
                    self.chart.draw(start, line(end, way.does, rank, part))

    def _combined(self, start: Spot, scope: Scope) -> None:
        """What takes several needs, of whichever grants."""
        for to in self._handing.lines(scope):
            self.chart.draw(start, to)
        for rank, way in RANKED:
            if len(way.needs) > 1 and _in_force(way, scope.namespace) and scope.meets(way.needs[0]):
                rest = [scope.any_part(each) for each in way.needs[1:]]
                found = [each for each in rest if each]
                for part in _used(way, scope.parts(way.needs[0])) if len(found) == len(rest) else ():
                    end = _end(way, part.name, scope.namespace)
                    self.chart.draw(start, line(end, way.does, rank, part, *found))

    def _go_on(self) -> None:
        """Draw on from wherever lines end, until no new end turns up."""
        while self.chart.new:
            self._beyond(self.chart.new.pop())

    def _beyond(self, spot: Spot) -> None:
        """What a spot that only now turned up leads to."""
        for to in self._crowds.beyond(spot):
            self.chart.draw(spot, to)
        for to in self._handing.beyond(spot):
            self.chart.draw(spot, to)
        if spot.kind in ("User", "Group"):
            self.stand(spot)
        if spot.kind in (chart.ROLE, chart.CLUSTER_ROLE):
            home = spot.namespace if spot.kind == chart.ROLE else ""
            if role := self._role((spot.kind, home, spot.name)):
                grant = Grant(spot.namespace, role, self._held_by(role))
                self._single(spot, grant)
                for scope in scopes([grant]):
                    self._combined(spot, scope)


def _escalates(grant: Grant) -> bool:
    return ESCALATE_CLUSTER_ROLES in grant.held or ESCALATE_ROLES in grant.held


def _in_force(way: Way, namespace: str) -> bool:
    """Whether the way is one where this is given. All namespaces together hold all Secrets."""
    return not way.cluster or not namespace or (namespace == EVERYWHERE and way.leads is Leads.SECRETS)


def _used(way: Way, parts: dict[str, Part]) -> list[Part]:
    """The parts that lead somewhere else each: all names are one, unless who one becomes is named."""
    if "" in parts:
        return [parts[""]]
    return [] if way.all_names else list(parts.values()) if way.by_name else list(parts.values())[:1]


GOALS = {Leads.CLUSTER_ADMIN: chart.CLUSTER_ADMIN, Leads.NODE: chart.NODE, Leads.SECRETS: chart.SECRETS}
MANY = {
    Leads.ACCOUNTS: chart.ACCOUNTS,
    Leads.POD_ACCOUNTS: chart.POD_ACCOUNTS,
    Leads.USERS: chart.USERS,
    Leads.GROUPS: chart.GROUPS,
    Leads.CERTIFIED: chart.CERTIFIED,
}


def _end(way: Way, name: str, namespace: str) -> Spot:
    """Where the way leads, given in this namespace."""
    if way.leads in GOALS:
        return GOALS[way.leads]
    return Spot(MANY[way.leads], namespace, name if way.by_name else "")
