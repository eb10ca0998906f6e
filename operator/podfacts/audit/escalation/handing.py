"""Giving oneself a role, and changing one that one has: what ``bind`` and ``escalate`` come to.

The API server lets a role be bound only by who holds all of it or may ``bind`` it, and a role be changed only by who
holds all that it then gives or may ``escalate`` it (``pkg/registry/rbac/escalation_check.go``). Who holds all of it gains
nothing, so only those two verbs are asked for. ``bind`` on ClusterRoles is asked in the namespace of the binding.
"""

from collections import defaultdict
from collections.abc import Iterator

from podfacts.audit.escalation import ways
from podfacts.audit.escalation.chart import (
    CLUSTER_ADMIN,
    CLUSTER_ROLE,
    EVERYWHERE,
    JOINED,
    MASTER,
    ROLE,
    ROLES,
    Line,
    Spot,
)
from podfacts.audit.escalation.scope import Scope, line
from podfacts.audit.inventory import Address, Inventory, Role
from podfacts.core.selector import selects

RANK = 1  # After having every right already, before all detours.
BIND = "binding it to itself"
BIND_EVERYTHING = "binding cluster-admin to itself"
JOIN = "adding itself to a binding of it"
JOIN_EVERYTHING = "adding itself to the binding of cluster-admin"
CHANGE = "changing a role that it has to one with every right"
ADD = "writing a role with every right that a role that it has takes in by aggregation"


class Handing:
    """Where one gets by handing oneself roles, in a cluster with these roles and bindings."""

    def __init__(self, inventory: Inventory) -> None:
        self._role_of = {each.address: each.role for each in inventory.bindings}
        self._bound: dict[str, set[Address]] = defaultdict(set)  # By the binding's namespace.
        for each in inventory.bindings:
            self._bound[each.namespace].add(each.role)
        self._cluster_roles = [each for each in inventory.roles.values() if each.kind == "ClusterRole"]
        self._roles = [each.address for each in inventory.roles.values()]
        self._sources: dict[str, set[str]] = {}

    def lines(self, scope: Scope) -> Iterator[Line]:
        """Where one gets with what is in force in this scope."""
        if not scope.meets(*ways.HANDS):
            return
        if scope.is_cluster:
            yield from self._cluster_bindings(scope)
            yield from self._cluster_roles_changed(scope)
        yield from self._bindings(scope)
        if not scope.is_cluster and scope.namespace != EVERYWHERE:
            yield from self._own_bindings(scope)
            yield from self._roles_changed(scope)

    def beyond(self, spot: Spot) -> Iterator[Line]:
        """The roles for which a spot stands."""
        home, kind = spot.namespace, spot.name
        if spot.kind == JOINED:
            for where in list(self._bound) if home == EVERYWHERE else (home,):
                yield from (
                    Line(Spot(kind, where, each[2]))
                    for each in self._bound[where]
                    if each[0] == kind and where
                )
        if spot.kind == ROLES:
            yield from (
                Line(Spot(ROLE, home, name))
                for kind, where, name in self._roles
                if (kind, where) == (ROLE, home)
            )

    def _cluster_bindings(self, scope: Scope) -> Iterator[Line]:
        binds = scope.parts(ways.BIND_CLUSTER_ROLES)
        create = scope.any_part(ways.CREATE_CLUSTER_BINDINGS)
        changes = scope.parts(ways.CHANGE_CLUSTER_BINDINGS)
        for name, bind in binds.items():
            end = Spot(CLUSTER_ROLE, "", name) if name else CLUSTER_ADMIN
            if create:
                yield line(end, BIND if name else BIND_EVERYTHING, RANK, bind, create)
            # Which role a binding gives cannot be changed, to whom it can. That of cluster-admin is in every cluster.
            elif "" in changes and (not name or ("ClusterRole", "", name) in self._bound[""]):
                yield line(end, JOIN if name else JOIN_EVERYTHING, RANK, bind, changes[""])
        for changed, change in changes.items():
            role = self._role_of.get(("ClusterRoleBinding", "", changed))
            if role and (may := binds.get(role[2]) or binds.get("")):
                yield line(Spot(CLUSTER_ROLE, "", role[2]), JOIN, RANK, may, change)

    def _bindings(self, scope: Scope) -> Iterator[Line]:
        """ClusterRoles, bound in a namespace; with rights in the whole cluster, in each."""
        where = scope.namespace or EVERYWHERE
        create = scope.any_part(ways.CREATE_BINDINGS)
        change = scope.parts(ways.CHANGE_BINDINGS).get("")
        for name, bind in scope.parts(ways.BIND_CLUSTER_ROLES).items():
            if create:
                end = Spot(CLUSTER_ROLE, where, name) if name else Spot(MASTER, where)
                yield line(end, BIND if name else BIND_EVERYTHING, RANK, bind, create)
            elif change and not name:
                yield line(Spot(JOINED, where, CLUSTER_ROLE), JOIN, RANK, bind, change)
            elif change and ("ClusterRole", "", name) in self._bound[where]:
                yield line(Spot(CLUSTER_ROLE, where, name), JOIN, RANK, bind, change)

    def _own_bindings(self, scope: Scope) -> Iterator[Line]:
        """Roles of the namespace, and bindings of it that a rule names."""
        home = scope.namespace
        create = scope.any_part(ways.CREATE_BINDINGS)
        changes = scope.parts(ways.CHANGE_BINDINGS)
        binds = {
            "Role": scope.parts(ways.BIND_ROLES),
            "ClusterRole": scope.parts(ways.BIND_CLUSTER_ROLES),
        }
        for name, bind in binds["Role"].items():
            if create:
                yield line(Spot(ROLE, home, name) if name else Spot(ROLES, home), BIND, RANK, bind, create)
            elif "" in changes and not name:
                yield line(Spot(JOINED, home, ROLE), JOIN, RANK, bind, changes[""])
            elif "" in changes and ("Role", home, name) in self._bound[home]:
                yield line(Spot(ROLE, home, name), JOIN, RANK, bind, changes[""])
        for changed, change in changes.items():
            kind, _, name = self._role_of.get(("RoleBinding", home, changed), ("", "", ""))
            if kind and (may := binds[kind].get(name) or binds[kind].get("")):
                yield line(Spot(kind, home, name), JOIN, RANK, may, change)

    def _cluster_roles_changed(self, scope: Scope) -> Iterator[Line]:
        escalates = scope.parts(ways.ESCALATE_CLUSTER_ROLES)
        if not escalates:
            return
        changes = scope.parts(ways.CHANGE_CLUSTER_ROLES)
        for name in dict.fromkeys(("", *escalates, *changes)):
            escalate, change = escalates.get(name, escalates.get("")), changes.get(name, changes.get(""))
            if escalate and change and (not name or any(name in self._in(role) for role in scope.roles)):
                yield line(CLUSTER_ADMIN, CHANGE, RANK, escalate, change)
                return
        create, any_escalate = (
            scope.any_part(ways.CREATE_CLUSTER_ROLES),
            scope.any_part(ways.ESCALATE_CLUSTER_ROLES),
        )
        if create and any_escalate and any(role.selectors for role in scope.roles):
            yield line(CLUSTER_ADMIN, ADD, RANK, any_escalate, create)

    def _roles_changed(self, scope: Scope) -> Iterator[Line]:
        own = {each.name for each in scope.roles if each.kind == "Role"}
        escalates, changes = scope.parts(ways.ESCALATE_ROLES), scope.parts(ways.CHANGE_ROLES)
        for name in sorted(own) if escalates else ():
            escalate, change = escalates.get(name, escalates.get("")), changes.get(name, changes.get(""))
            if escalate and change:
                yield line(Spot(MASTER, scope.namespace), CHANGE, RANK, escalate, change)
                return

    def _in(self, role: Role) -> set[str]:
        """The names of the ClusterRoles whose rules the role gives: its own, and those that it gathers."""
        if role.name not in self._sources:
            found = self._sources[role.name] = {role.name}
            for each in self._cluster_roles:
                if any(selects(selector, each.labels) for selector in role.selectors or ()):
                    found |= self._in(each)
        return self._sources[role.name]
