"""From objects to the inventory: what was said twice, what was not said at all, and what Kubernetes adds by itself."""

from collections.abc import Iterable
from typing import TypeGuard

from podfacts.audit.aggregation import aggregated
from podfacts.audit.bootstrap import written_roles
from podfacts.audit.intake import Entry, Namespace
from podfacts.audit.inventory import Address, Binding, Inventory, Pod, Role
from podfacts.core.refusal import Refused
from podfacts.rights.request import Account

# Every cluster has these: where they are among what was read, it is a whole cluster's list, and what is not in it is not there.
ALWAYS = frozenset(("default", "kube-system"))


class Gathered:
    """Collects entries, one after the other."""

    def __init__(self) -> None:
        self._found: dict[Address, Role | Binding] = {}
        self._accounts: set[Account] = set()
        self._namespaces: set[str] = set()
        self._pods: set[Pod] = set()

    def add(self, entry: Entry) -> None:
        """Take it in. Raises ``Refused`` when another object of that address was there before."""
        match entry:
            case Role() | Binding():
                before = self._found.setdefault(entry.address, entry)
                if before is not entry and _content(before) != _content(entry):
                    reason = f"the {entry} differs from the one at {before.place}: audit one state at a time"
                    raise Refused(("metadata", "name"), reason)
            case Account():
                self._accounts.add(entry)
            case Namespace():
                self._namespaces.add(entry.name)
            case Pod():
                self._pods.add(entry)

    def offline(self) -> Inventory:
        """The inventory of files: what an aggregating controller would write is worked out here."""
        read = {each.address: each for each in self._found.values() if isinstance(each, Role)}
        bindings = self._bindings()
        # Kubernetes' own roles are on every cluster, and flow into what was read as that flows into them: `view` gathers
        # its label wherever it is, and so may a role of one's own.
        gathered = aggregated({**written_roles(), **read})
        wanted = read.keys() | {each.role for each in bindings}
        roles = {address: role for address, role in gathered.items() if address in wanted}
        # A namespace whose account `default` was read was read whole: it is the one that nobody writes into a file.
        whole = {each.namespace for each in self._accounts if each.name == "default"} >= ALWAYS
        return Inventory(
            roles,
            bindings,
            frozenset(self._accounts) if whole else None,
            frozenset(self._namespaces) if self._namespaces >= ALWAYS else None,
            tuple(sorted(self._pods)) if self._pods else None,
        )

    def live(self, *, unread: Iterable[str] = ()) -> Inventory:
        """The inventory of a cluster. ``unread`` are the kinds that could not be listed."""
        unread = set(unread)
        return Inventory(
            {each.address: each for each in self._found.values() if isinstance(each, Role)},
            self._bindings(),
            None if "ServiceAccount" in unread else frozenset(self._accounts),
            None if "Namespace" in unread else frozenset(self._namespaces),
            None if "Pod" in unread else tuple(sorted(self._pods)),
            is_live=True,
        )

    def _bindings(self) -> tuple[Binding, ...]:
        return tuple(each for each in self._found.values() if _is_binding(each))


def _is_binding(each: Role | Binding) -> TypeGuard[Binding]:
    return isinstance(each, Binding)


def _content(has: Role | Binding) -> object:
    if isinstance(has, Role):
        return [each.tree for each in has.rules], has.labels, has.selectors
    return has.role, has.subjects
