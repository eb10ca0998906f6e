"""ClusterRoles that flow into view, edit or admin: whoever has one of these has more than its name says."""

from collections.abc import Iterator

from podfacts.audit.bootstrap import gives
from podfacts.audit.finding import Finding, Severity
from podfacts.audit.inventory import Address, Inventory, Role
from podfacts.audit.judgement.sentences import listed_powers, why
from podfacts.audit.powers.hits import hits, rules_of

LABEL = "rbac.authorization.k8s.io/aggregate-to-"
TARGETS = ("view", "edit", "admin")
POWERS = frozenset(f"RB{number}" for number in range(10, 31)) | {"RB04"}


def widenings(inventory: Inventory) -> Iterator[Finding]:
    """A finding for each ClusterRole that gives view, edit or admin what is dangerous and not theirs."""
    for role in inventory.roles.values():
        targets = [each for each in TARGETS if role.labels.get(f"{LABEL}{each}") == "true"]
        # The three are labelled themselves, to feed each other: what flows into them is said where it comes from.
        if role.kind == "ClusterRole" and targets and not (role.name in TARGETS and role.selectors):
            yield from _widened(role, targets[0])


def _widened(role: Role, target: str) -> Iterator[Finding]:
    """``target`` is the narrowest of those that it flows into: what is in edit is in admin."""
    built_in: Address = ("ClusterRole", "", target)
    news = tuple(each for each in role.rules if not gives(built_in, each))
    found = [each for each in hits(news, "") if each.rule in POWERS] if news else []
    if found:
        rules = tuple(each for each in news if any(each in hit.rules for hit in found))
        label = f"{LABEL}{target}"
        yield Finding(
            "RB32",
            Severity.HIGH,
            None,
            None,
            role.address,
            f"Whoever has the built-in ClusterRole {target} {listed_powers(found, rules)}: "
            f"the {role} flows into it by its label {label}. {why('RB32')}",
            f"Take the label {label} off the {role}, and bind it to those who need it.",
            role.place,
            rules,
            also=rules_of(found),
        )
