"""How strong the roles are that somebody may bind by name: one of the company's own may be as good as cluster-admin."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from podfacts.audit.bootstrap import shipped_roles
from podfacts.audit.finding import Severity
from podfacts.audit.inventory import Address, Role, Rule
from podfacts.audit.powers.danger import ANY
from podfacts.audit.powers.hits import PLACES, SYSTEM, Hit, hits
from podfacts.audit.powers.masters import RBAC, WRITES
from podfacts.rights.request import Request
from podfacts.rights.rules import allows

BINDING = "RB11"


class Strength:
    """The roles of an inventory, and what each makes of whoever is bound to it."""

    def __init__(self, roles: Mapping[Address, Role]) -> None:
        self._roles = roles
        self._local: dict[str, list[Role]] = defaultdict(list)
        for each in roles.values():
            if each.kind == "Role":
                self._local[each.name].append(each)
        self._known: dict[tuple[Address, str], Severity] = {}

    def weighed(self, found: tuple[Hit, ...], namespace: str) -> tuple[Hit, ...]:
        """The hits, those of binding roles by name as bad as the roles are, worst first."""
        if all(each.rule != BINDING for each in found):
            return found
        weighed = (self._weighed(each, namespace) if each.rule == BINDING else each for each in found)
        return tuple(sorted(weighed, key=lambda each: (-each.severity, each.rule)))

    def _weighed(self, hit: Hit, namespace: str) -> Hit:
        severities = (each for rule in hit.cut for each in self._severities(rule, hit, namespace))
        return replace(hit, severity=max((hit.severity, *severities)))

    def _severities(self, rule: Rule, hit: Hit, namespace: str) -> Iterator[Severity]:
        # Bindings that may be written in each namespace may be so in kube-system.
        scope = namespace or ("" if _binds_everywhere(hit.rules) else SYSTEM)
        for name in _bound(rule, "clusterroles"):
            address = ("ClusterRole", "", name)
            if role := self._roles.get(address) or shipped_roles((address,)).get(address):
                yield self._severity(role, scope)
        for name in _bound(rule, "roles"):
            there = (each for each in self._local.get(name, ()) if namespace in ("", each.namespace))
            yield from (self._severity(each, each.namespace) for each in there)

    def _severity(self, role: Role, namespace: str) -> Severity:
        scope = namespace if namespace in PLACES else ANY
        if (role.address, scope) not in self._known:
            worst = max((each.severity for each in hits(role.rules, scope)), default=Severity.INFO)
            self._known[role.address, scope] = worst
        return self._known[role.address, scope]


def _bound(rule: Rule, kind: str) -> Sequence[str]:
    """The names of the roles that the rule lets be bound; none when it names none."""
    names = rule.tree.get("resourceNames") or ()
    return names if names and allows(rule.tree, Request("bind", RBAC, kind, name=names[0])) else ()


def _binds_everywhere(rules: Sequence[Rule]) -> bool:
    return any(
        allows(each.tree, Request(verb, RBAC, "clusterrolebindings", name=name))
        for each in rules
        for verb in WRITES.split()
        for name in ("", *(each.tree.get("resourceNames") or ())[:1])
    )
