"""What each binding gives to each of its subjects: the rules in force, what they amount to, and what Kubernetes ships of them."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from podfacts.audit.bootstrap import ships
from podfacts.audit.finding import Severity
from podfacts.audit.inventory import Address, Binding, Inventory, Role, Rule, Subject
from podfacts.audit.judgement.ineffective import Void, voids
from podfacts.audit.powers.danger import ANY
from podfacts.audit.powers.hits import PLACES, Hit, hits
from podfacts.audit.powers.strength import Strength
from podfacts.audit.subjects import MASTERS, key

CLUSTER_ADMIN = ("ClusterRole", "", "cluster-admin")


@dataclass(frozen=True, slots=True, eq=False)
class Grant:
    """A role given to a subject.

    ``rules`` are those in force in the binding's scope, ``hits`` what they amount to, ``voids`` what is ineffective.
    ``shipped`` are the rules that give the subject no more than Kubernetes itself gives it.
    """

    binding: Binding
    subject: Subject
    role: Role
    rules: tuple[Rule, ...]
    hits: tuple[Hit, ...]
    voids: tuple[Void, ...]
    shipped: frozenset[Rule]

    @property
    def is_shipped(self) -> bool:
        """Whether nothing of it is anybody's doing."""
        return len(self.shipped) == len(self.rules)

    def severity(self, hit: Hit) -> Severity:
        """How bad a hit is for this subject: what Kubernetes ships is only worth knowing."""
        return Severity.INFO if self.shipped.issuperset(hit.rules) else hit.severity


def scope_class(namespace: str, rules: Iterable[Rule]) -> str:
    """A namespace that stands for all in which these rules amount to the same: one that has no name, for most."""
    own = any(namespace in (each.tree.get("resourceNames") or ()) for each in rules)
    return namespace if namespace in PLACES or own else ANY


class Grants:
    """The grants of an inventory. What depends on a role and a scope only is worked out once."""

    def __init__(self, inventory: Inventory) -> None:
        self._inventory = inventory
        self._effective: dict[tuple[Address, bool], tuple[tuple[Rule, ...], tuple[Void, ...]]] = {}
        self._hits: dict[tuple[Address, str], tuple[Hit, ...]] = {}
        self.strength = Strength(inventory.roles)

    def of(self, binding: Binding) -> Iterator[Grant]:
        """What a binding gives, a grant for each subject; nothing when its role is not there."""
        role = self._inventory.roles.get(binding.role)
        if not role:
            return
        rules, ineffective = self._in_force(role, namespaced=bool(binding.namespace))
        found = self._amount(role, rules, binding.namespace)
        for subject in dict.fromkeys(binding.subjects):
            shipped = frozenset(each for each in rules if _ships(each, subject, binding))
            yield Grant(binding, subject, role, rules, found, ineffective, shipped)

    def _in_force(self, role: Role, *, namespaced: bool) -> tuple[tuple[Rule, ...], tuple[Void, ...]]:
        known = self._effective.get((role.address, namespaced))
        if known is None:
            ineffective = tuple(voids(role.rules, namespaced=namespaced))
            nothing = {each.rule for each in ineffective if each.whole}
            rules = tuple(each for each in role.rules if each not in nothing)
            known = self._effective[role.address, namespaced] = rules, ineffective
        return known

    def _amount(self, role: Role, rules: tuple[Rule, ...], namespace: str) -> tuple[Hit, ...]:
        scope = role.address, scope_class(namespace, rules)
        if scope not in self._hits:
            self._hits[scope] = hits(rules, scope[1]) if rules else ()
        return self.strength.weighed(self._hits[scope], namespace)


def _ships(rule: Rule, subject: Subject, binding: Binding) -> bool:
    # Masters are given all, so nothing is more than that: of theirs only the one binding counts that Kubernetes makes.
    if key(subject) == ("Group", MASTERS) and (binding.namespace or binding.role != CLUSTER_ADMIN):
        return False
    return ships(rule, subject, binding.namespace)
