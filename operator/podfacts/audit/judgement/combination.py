"""What a subject's bindings amount to only together: a binding gives one half, another one the other.

A subject holds what is bound to it and to the groups it is always in; cluster-wide grants count in each namespace. What
one grant allows alone is not said again, and what comes from groups alone is said of the group.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from podfacts.audit.finding import Finding, Severity
from podfacts.audit.inventory import Address, Rule
from podfacts.audit.judgement.grants import Grant, scope_class
from podfacts.audit.judgement.sentences import LEAVE, SHIPPED, SHOWN, binding_words, ending, why
from podfacts.audit.powers.hits import COMBINED, Hit, hits
from podfacts.audit.powers.shares import Share, more_together, share
from podfacts.audit.powers.strength import Strength
from podfacts.audit.subjects import MASTERS, Holding, groups_of, key
from podfacts.rights.manifest import listed
from podfacts.rights.rules import Key

Held = dict[Key, list[Grant]]


def combinations(grants: Iterable[Grant], holding: Holding, strength: Strength) -> Iterator[Finding]:
    """A finding for each thing that only several grants of a subject allow; once, in however many namespaces they do."""
    held: Held = defaultdict(list)
    for grant in grants:
        if grant.rules:
            held[key(grant.subject)].append(grant)
    amounts = Amounts(strength)
    for who, own in held.items():
        if who == ("Group", MASTERS):
            continue  # It is let through before any binding is looked at.
        besides = [each for group in groups_of(who) for each in held.get(("Group", group), ())]
        reach = own + [each for each in besides if not each.is_shipped]
        if len(reach) > 1:
            yield from _of_one(reach, frozenset(own), amounts, holding)


def _of_one(
    reach: Sequence[Grant], own: frozenset[Grant], amounts: "Amounts", holding: Holding
) -> Iterator[Finding]:
    found: dict[tuple[str, Severity, Grant], dict[Grant, tuple[Rule, ...]]] = defaultdict(dict)
    first: dict[tuple[str, Severity, Grant], Hit] = {}
    for scope, together in _scopes(reach):
        if amounts.more_together(together, scope):
            for hit, by in _together(scope, together, own, amounts):
                same = hit.rule, hit.severity, next(iter(by))
                first.setdefault(same, hit)
                found[same].update(by)
    for same, by_grant in found.items():
        yield _finding(first[same], by_grant, holding)


def _scopes(reach: Sequence[Grant]) -> Iterator[tuple[str, list[Grant]]]:
    """The grants that are in force together: those of the whole cluster, and in each namespace its own beside them."""
    wide = [each for each in reach if not each.binding.namespace]
    if len(wide) > 1:
        yield "", wide
    local: dict[str, list[Grant]] = defaultdict(list)
    for each in reach:
        if each.binding.namespace:
            local[each.binding.namespace].append(each)
    for namespace, there in sorted(local.items()):
        if len(there) + len(wide) > 1:
            yield namespace, there + wide


def _together(
    scope: str, together: Sequence[Grant], own: frozenset[Grant], amounts: "Amounts"
) -> Iterator[tuple[Hit, dict[Grant, tuple[Rule, ...]]]]:
    """What they allow together only, and the grants that it takes, with their rules: first one of the subject's own."""
    givers: dict[Rule, Grant] = {}
    # Of two that give the same rule the wider one counts, and of those the subject's own.
    for grant in sorted(
        together, key=lambda each: (_near(each), each not in own, each.binding.address, each.subject)
    ):
        for rule in grant.rules:
            givers.setdefault(rule, grant)
    alone = _alone(together)
    for hit in amounts.of(scope, givers):
        by: dict[Grant, list[Rule]] = defaultdict(list)
        for each in hit.rules:
            by[givers[each]].append(each)
        if hit.rule in COMBINED and len(by) > 1 and hit.severity > alone.get(hit.rule, -1):
            direct = sorted(by, key=lambda each: each not in own)
            if direct[0] in own:
                yield hit, {each: tuple(by[each]) for each in direct}


class Amounts:
    """What rules amount to together, each set of them worked out once."""

    def __init__(self, strength: Strength) -> None:
        self._strength = strength
        self._shares: dict[tuple[Address, str], Share] = {}
        self._hits: dict[tuple[str, frozenset[Rule], frozenset[Rule]], tuple[Hit, ...]] = {}

    def more_together(self, grants: Iterable[Grant], scope: str) -> bool:
        """Whether it is worth asking."""
        return more_together(map(self._share, grants), scope)

    def of(self, scope: str, givers: Mapping[Rule, Grant]) -> tuple[Hit, ...]:
        """What they amount to in a scope; in a namespace only what takes a rule that is given there."""
        # The order must not be that in which the bindings were read: a finding is told at the first.
        rules = sorted(givers, key=lambda each: (givers[each].role.address, each.origin, each.index))
        local = tuple(each for each in rules if givers[each].binding.namespace == scope)
        wide = tuple(each for each in rules if givers[each].binding.namespace != scope)
        kind = scope_class(scope, rules)
        content = kind, frozenset(local), frozenset(wide)
        if content not in self._hits:
            self._hits[content] = hits(local, kind, wide)
        return self._strength.weighed(self._hits[content], scope)

    def _share(self, grant: Grant) -> Share:
        of = grant.role.address, scope_class(grant.binding.namespace, grant.rules)
        if of not in self._shares:
            self._shares[of] = share(grant.rules, of[1])
        return self._shares[of]


def _near(grant: Grant) -> bool:
    return bool(grant.binding.namespace)


def _alone(grants: Iterable[Grant]) -> Mapping[str, int]:
    """How bad it is by one grant alone, by rule of the audit."""
    found: dict[str, int] = {}
    for hit in (hit for grant in grants for hit in grant.hits):
        for rule in (hit.rule, *hit.also):
            found[rule] = max(found.get(rule, -1), hit.severity)
    return found


def _finding(hit: Hit, by: Mapping[Grant, tuple[Rule, ...]], holding: Holding) -> Finding:
    first, *others = by
    accounts, pods = holding.by(first.subject)
    shipped = all(grant.shipped.issuperset(rules) for grant, rules in by.items())
    bindings = list(dict.fromkeys(each.binding for each in others))
    also = listed([str(each) for each in bindings], SHOWN)
    said = f"{first.subject} {hit.what}, by {binding_words(first.binding)}, together with {also}."
    return Finding.of(
        first.binding,
        first.subject,
        hit.rule,
        Severity.INFO if shipped else hit.severity,
        f"{said} {SHIPPED if shipped else why(hit.rule)}",
        LEAVE if shipped else ending(hit, by),
        rules=tuple(dict.fromkeys(rule for rules in by.values() for rule in rules)),
        via=tuple(each.address for each in bindings),
        accounts=accounts,
        pods=pods,
        also=hit.also,
    )
