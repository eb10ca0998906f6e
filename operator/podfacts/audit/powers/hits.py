"""What the rules of a role make of whoever has them: each row a question to the evaluator, none a match of text."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from podfacts.audit.finding import Severity
from podfacts.audit.inventory import Rule
from podfacts.audit.powers.candidates import Candidates, wanted
from podfacts.audit.powers.danger import Danger
from podfacts.audit.powers.dangers import DANGERS
from podfacts.audit.powers.evidence import Evidence, evidence
from podfacts.audit.powers.mastery import everything
from podfacts.audit.powers.remedy import change, replacing, unwildcarded
from podfacts.audit.powers.wildcards import wildcards
from podfacts.rights.manifest import listed, visible

SYSTEM = "kube-system"
SHOWN = 3
LAST = ("RB33",)  # Covers nothing, and is in no row.
PLACES = {"": "of the cluster", SYSTEM: f"of {SYSTEM}"}
ELSEWHERE = "of the namespace"
SPACES = {"": "every namespace", SYSTEM: SYSTEM}

COMBINED: tuple[str, ...] = (
    "RB04",
    "RB05",
    *dict.fromkeys(each.rule for each in DANGERS if len(each.needs) > 1),
)
WANTS = tuple((danger, tuple(map(wanted, danger.needs))) for danger in DANGERS)


@dataclass(frozen=True, slots=True)
class Hit:
    """What a rule of the audit says of some rules of a role, whoever has them.

    ``what`` says what they allow, as the end of a sentence that begins with who; ``fix`` is the smallest change, a
    sentence, and ``cut`` the rules that it is about; ``rules`` are those that grant it; ``also`` the audit's rules that come
    with this one.
    """

    rule: str
    severity: Severity
    what: str
    fix: str
    rules: tuple[Rule, ...]
    also: tuple[str, ...] = ()
    cut: tuple[Rule, ...] = ()


def rules_of(hits: Iterable[Hit]) -> tuple[str, ...]:
    """The audit's rules that hits are about, those that come with them too, each once."""
    return tuple(dict.fromkeys(rule for hit in hits for rule in (hit.rule, *hit.also)))


@dataclass(frozen=True, slots=True)
class _Met:
    """A row that is met, and what it covers."""

    hit: Hit
    key: str
    covers: tuple[str, ...] = ()


def hits(rules: Sequence[Rule], namespace: str, wide: Sequence[Rule] = ()) -> tuple[Hit, ...]:
    """What the rules, given in this namespace ("": by a ClusterRoleBinding, so everywhere), amount to, worst first.

    ``wide`` are rules that are in force there beside them, because they are given everywhere: only what they do not amount to
    by themselves is told then.
    """
    together = (*wide, *rules)
    found = _hits(together, wide if namespace else together, namespace)
    if not wide or not namespace:
        return found
    alone = rules_of(_hits(wide, wide, ""))
    return () if "RB04" in alone else tuple(each for each in found if each.rule not in alone)


def _hits(
    rules: Sequence[Rule], wide: Sequence[Rule], namespace: str, *, quick: bool = True
) -> tuple[Hit, ...]:
    met = [*_by_wildcards(rules, namespace), *_rows(rules, wide, namespace, quick=quick)]
    if all_ := everything(rules, namespace):
        rule, severity = ("RB05", Severity.HIGH) if namespace else ("RB04", Severity.CRITICAL)
        severity = Severity.CRITICAL if namespace == SYSTEM else severity
        what = f"may do everything with every resource {_place(namespace)}"
        also = tuple(sorted({each.hit.rule for each in met}))
        return (Hit(rule, severity, what, replacing(all_), all_, also, all_),)
    return tuple(sorted(_told(met), key=lambda each: (-each.severity, each.rule)))


def _place(namespace: str) -> str:
    return PLACES.get(namespace, ELSEWHERE)


def _rows(rules: Sequence[Rule], wide: Sequence[Rule], namespace: str, *, quick: bool) -> Iterable[_Met]:
    """The rows that are met, in their order. ``quick`` asks only the rules that may have an answer."""
    candidates = Candidates(rules)
    every = (candidates, candidates if wide is rules else Candidates(wide))
    for danger, wants in WANTS:
        severity = danger.wide if namespace in PLACES else danger.local
        if severity is None:
            continue
        found = []
        for need, want in zip(danger.needs, wants, strict=True):
            asked = every[need.wide].of(want) if quick else (wide if need.wide else rules)
            if not asked or not (answer := evidence(need, asked, namespace)):
                break
            found.append(answer)
        else:
            if met := _met(danger, severity, found, namespace):
                yield met


def _met(danger: Danger, severity: Severity, found: Sequence[Evidence], namespace: str) -> _Met | None:
    """The row as a hit, with or without names; ``None`` when it takes more than these names give."""
    if danger.same and not (found := _of_one_object(found)):
        return None
    limited = [each for each in found if not each.unlimited]
    if limited and danger.named is None:
        return None
    rules = tuple(dict.fromkeys(rule for each in found for rule in each.rules))
    what = danger.says.format(_which(danger, limited)).format(
        place=_place(namespace), spaces=SPACES.get(namespace, "the namespace")
    )
    fix = change(found[danger.cut], "" if limited else danger.instead)
    if limited and danger.named is not None:
        severity = min(severity, danger.named)
    covers = danger.covers if danger.always or not limited else ()
    hit = Hit(danger.rule, severity, what, fix, rules, cut=found[danger.cut].rules)
    return _Met(hit, danger.key, covers)


def _which(danger: Danger, limited: Sequence[Evidence]) -> str:
    if not limited:
        return danger.every
    names = list(map(visible, sorted(limited[0].named)))
    plural = "s" if len(names) > 1 else ""
    said = listed(names, SHOWN).replace("{", "{{").replace("}", "}}")
    return f"{danger.some}{plural} {said}"


def _of_one_object(found: Sequence[Evidence]) -> tuple[Evidence, ...]:
    """The evidence for the names that all of it has in common; nothing when there are none."""
    limited = [each.named for each in found if not each.unlimited]
    if not limited:
        return tuple(found)
    common = frozenset.intersection(*limited)
    return tuple(each.only(common) for each in found) if common else ()


def _by_wildcards(rules: Sequence[Rule], namespace: str) -> Iterable[_Met]:
    by: dict[Severity, list[Rule]] = defaultdict(list)
    for rule, severity in wildcards(rules, namespace):
        by[severity].append(rule)
    if by:
        worst = max(by)
        has = tuple(by[worst])
        what = "has a right that is written with a single *, so whatever is new is in it"
        yield _Met(Hit("RB33", worst, what, unwildcarded(has), has, cut=has), "RB33")


def _told(met: Iterable[_Met]) -> Iterable[Hit]:
    """The hits that are told: each row that none before it covers, and those of one rule as one."""
    standing: list[tuple[_Met, set[str]]] = []
    for each in sorted(met, key=lambda each: each.key in LAST):
        by = next((also for other, also in standing if _covers(other, each)), None)
        if by is None:
            standing.append((each, set()))
        else:
            by.add(each.hit.rule)
    groups: dict[str, list[tuple[Hit, set[str]]]] = defaultdict(list)
    for each, also in standing:
        groups[each.hit.rule].append((each.hit, also))
    for group in groups.values():
        yield _one(group, set(groups))


def _covers(one: _Met, other: _Met) -> bool:
    return other.key in one.covers and other.hit.severity <= one.hit.severity


def _one(group: Sequence[tuple[Hit, set[str]]], told: set[str]) -> Hit:
    """The hits of one rule as one: the most severe, and what they allow together."""
    worst = max(hit.severity for hit, _ in group)
    same = [hit for hit, _ in group if hit.severity == worst]
    also = {rule for _, rules in group for rule in rules} - told
    return Hit(
        same[0].rule,
        worst,
        " and ".join(dict.fromkeys(each.what for each in same)),
        " ".join(dict.fromkeys(each.fix for each in same)),
        tuple(dict.fromkeys(rule for each in same for rule in each.rules)),
        tuple(sorted(also)),
        tuple(dict.fromkeys(rule for each in same for rule in each.cut)),
    )
