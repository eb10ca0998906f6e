"""One group for each namespace: a role given to all accounts of a cluster without naming the group of all."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from podfacts.audit.coverage import atoms
from podfacts.audit.finding import Finding, Severity
from podfacts.audit.inventory import Inventory, Role, Subject
from podfacts.audit.judgement.grants import Grant
from podfacts.audit.judgement.sentences import SHOWN, binding_words, listed_powers, why
from podfacts.audit.powers.hits import rules_of
from podfacts.audit.subjects import OF_NAMESPACE, Holding
from podfacts.rights.holders import ALL
from podfacts.rights.manifest import listed

# These are Kubernetes' own; nobody's apps run there.
SYSTEM = frozenset(("kube-system", "kube-public", "kube-node-lease"))
# Who leaves a few out has nearly all the same.
SPARED = 10  # One namespace in so many.


def spread(grants: Iterable[Grant], inventory: Inventory, holding: Holding) -> Iterator[Finding]:
    """A finding for each role that nearly every namespace's group has, in one scope; nothing where namespaces are not known."""
    wanted = (inventory.namespaces or frozenset()) - SYSTEM
    if len(wanted) > 1:
        for same in _alike(grants):
            reached = {each.subject.name.removeprefix(OF_NAMESPACE) for each in same}
            if len(wanted - reached) * SPARED <= len(wanted) and len(reached) > 1:
                yield _finding(same, len(wanted & reached), len(wanted), holding)


def _alike(grants: Iterable[Grant]) -> Iterator[Sequence[Grant]]:
    """The grants to groups of namespaces, those together that give the same in the same scope, by whatever role."""
    contents: dict[Role, object] = {}
    found: dict[object, list[Grant]] = defaultdict(list)
    for grant in grants:
        if grant.rules and grant.subject.kind == "Group" and grant.subject.name.startswith(OF_NAMESPACE):
            if grant.role not in contents:
                contents[grant.role] = frozenset(atom for rule in grant.rules for atom in atoms(rule.tree))
            found[grant.binding.namespace, contents[grant.role]].append(grant)
    yield from (sorted(each, key=lambda grant: grant.binding.address) for each in found.values())


def _finding(same: Sequence[Grant], reached: int, all_: int, holding: Holding) -> Finding:
    first = same[0]
    everybody = Subject("Group", "", ALL)
    accounts, pods = holding.by(everybody)
    worst = max((each.severity for each in first.hits), default=Severity.INFO)
    bindings = list(dict.fromkeys(each.binding for each in same))
    others = listed([str(each) for each in bindings[1:]], SHOWN)
    together = f", together with {others}" if others else ""
    said = (
        f"The service accounts of {reached} of {all_} namespaces {listed_powers(first.hits, first.rules)}, "
        f"each by its namespace's group: by {binding_words(first.binding)}{together}."
    )
    return Finding.of(
        first.binding,
        everybody,
        "RB01",
        max(worst, Severity.MEDIUM),
        f"{said} {why('RB01')}",
        "Give it to the accounts that need it, each by its name, and take the groups out of these bindings.",
        rules=first.rules,
        via=tuple(each.address for each in bindings[1:]),
        accounts=accounts,
        pods=pods,
        also=rules_of(first.hits),
    )
