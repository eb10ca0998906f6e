"""What part of a thing a grant gives: so that of most sets of grants it is known at once that they are no more together.

A row with several needs is met by grants together only if each need is met by one of them, and what it takes to be master
only if each kind and way is. That is worked out once for each role. It may say yes where there is nothing, and never no
where there is something: a rule allows a request or not whatever stands beside it.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from podfacts.audit.inventory import Rule, Tree
from podfacts.audit.powers.candidates import Candidates
from podfacts.audit.powers.evidence import evidence
from podfacts.audit.powers.hits import WANTS
from podfacts.audit.powers.mastery import ALL, LOCAL, WAYS

COMBINED = tuple((danger, wants) for danger, wants in WANTS if len(danger.needs) > 1)
NOTHING, NAMED, UNLIMITED = range(3)

# A bit for each way on each kind.
KINDS = {kind: 1 << number for number, kind in enumerate(ALL)}
WIDTH = len(ALL)
OF_RESOURCE: Mapping[str, Sequence[tuple[str, int]]] = {
    resource: [(group, bit) for (group, each), bit in KINDS.items() if each == resource]
    for _, resource in ALL
}
OF_GROUP: Mapping[str, int] = {
    group: sum(bit for (each, _), bit in KINDS.items() if each == group) for group, _ in ALL
}


def _everything(kinds: Iterable[tuple[str, str]]) -> int:
    bits = sum(KINDS[kind] for kind in set(kinds))
    return sum(bits << (WIDTH * way) for way in range(len(WAYS)))


MASTER, MASTER_OF_NAMESPACE = _everything(ALL), _everything(LOCAL)


class Share(NamedTuple):
    """What some rules give: of each need of each row that has several how much, and the bits of a master."""

    needs: Mapping[int, tuple[int, ...]]
    bits: int


def share(rules: Sequence[Rule], namespace: str) -> Share:
    """The share of rules that are given in a namespace, or everywhere."""
    there = Candidates(rules)
    needs = {}
    for number, (danger, wants) in enumerate(COMBINED):
        found = []
        for need, want in zip(danger.needs, wants, strict=True):
            asked = () if need.wide and namespace else there.of(want)
            said = evidence(need, asked, namespace) if asked else None
            found.append((UNLIMITED if said.unlimited else NAMED) if said else NOTHING)
        if any(found):
            needs[number] = tuple(found)
    bits = 0
    for rule in rules:
        bits |= _bits(rule.tree)
    return Share(needs, bits)


def more_together(shares: Iterable[Share], namespace: str) -> bool:
    """Whether these may allow together what none of them allows alone."""
    shares = tuple(shares)
    wanted = MASTER_OF_NAMESPACE if namespace else MASTER
    bits = 0
    for each in shares:
        bits |= each.bits
    if bits & wanted == wanted and not any(each.bits & wanted == wanted for each in shares):
        return True
    by_row: dict[int, list[tuple[int, ...]]] = defaultdict(list)
    for each in shares:
        for number, found in each.needs.items():
            by_row[number].append(found)
    return any(_more(COMBINED[number][0].same, found) for number, found in by_row.items() if len(found) > 1)


def _more(same: bool, found: Sequence[tuple[int, ...]]) -> bool:
    best = tuple(map(max, zip(*found, strict=True)))
    if not all(best):
        return False
    # Names have to be the same ones for all needs of one object: alone they may not be.
    enough = (UNLIMITED,) * len(best) if same else best
    return not any(all(has >= needs for has, needs in zip(each, enough, strict=True)) for each in found)


def _bits(tree: Tree) -> int:
    # With names it allows what is asked for all only when one of them is the empty one.
    if (names := tree.get("resourceNames")) and "" not in names:
        return 0
    kinds = _kinds(tree)
    verbs = tree.get("verbs") or ()
    bits = 0
    for way, enough in enumerate(WAYS):
        if kinds and ("*" in verbs or any(each in verbs for each in enough)):
            bits |= kinds << (WIDTH * way)
    return bits


def _kinds(tree: Tree) -> int:
    groups, resources = tree.get("apiGroups") or (), tree.get("resources") or ()
    every, bits = "*" in groups, 0
    if "*" in resources:
        for group in OF_GROUP if every else groups:
            bits |= OF_GROUP.get(group, 0)
        return bits
    for resource in resources:
        for group, bit in OF_RESOURCE.get(resource, ()):
            if every or group in groups:
                bits |= bit
    return bits
