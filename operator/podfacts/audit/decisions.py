"""What was decided about findings before: the known ones of a baseline, and those that somebody chose to live with.

An ignore is narrow, has a reason, and ends: it names one rule and whose grant, and there is no wildcard. Nobody forgets one
either: an expired ignore ignores nothing and is warned about, and so is one that matches nothing.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from podfacts.audit.catalogue import RULES
from podfacts.audit.finding import Finding
from podfacts.audit.inventory import Address, Inventory, Place, Subject
from podfacts.audit.report import Ignored, Report
from podfacts.core.refusal import Refused

FIELDS = ("rule", "subject", "binding", "role", "fingerprint", "reason", "expires")
RULE = re.compile("|".join(each.rule for each in RULES))
DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
FINGERPRINT = re.compile(r"[0-9a-f]{32}")
WRITE_SUBJECT = "write ServiceAccount NAMESPACE/NAME, User NAME or Group NAME"


@dataclass(frozen=True, slots=True)
class Ignore:
    """What an entry of the ignore file says; ``None`` and "" is what it does not say. ``place`` is where it stands."""

    rule: str
    reason: str
    expires: date
    place: Place
    subject: Subject | None = None
    binding: Address | None = None
    role: Address | None = None
    fingerprint: str = ""

    def matches(self, finding: Finding) -> bool:
        """Whether it is about this finding: all that it says must be so."""
        return (
            self.rule == finding.rule
            and (self.subject is None or self.subject == finding.subject)
            and (self.binding is None or self.binding == finding.binding)
            and (self.role is None or self.role == finding.role)
            and self.fingerprint in ("", finding.fingerprint)
        )


@dataclass(frozen=True, slots=True)
class Decisions:
    """The ignores, and the fingerprints of a baseline."""

    ignores: tuple[Ignore, ...] = ()
    baseline: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Decided:
    """The findings told apart, each in the order they came in; ``warnings`` about the ignores, a sentence each."""

    findings: tuple[Finding, ...]
    known: tuple[Finding, ...]
    ignored: tuple[Ignored, ...]
    warnings: tuple[str, ...]


@dataclass(slots=True)
class _Apart:
    findings: list[Finding] = field(default_factory=list)
    known: list[Finding] = field(default_factory=list)
    ignored: list[Ignored] = field(default_factory=list)


def decided(findings: Iterable[Finding], decisions: Decisions, today: date) -> Decided:
    """The findings that count, and those that do not any more, or not yet. An ignore counts on its last day too."""
    apart, used = _Apart(), set[int]()
    by_rule: dict[str, list[int]] = {}
    for index, each in enumerate(decisions.ignores):
        by_rule.setdefault(each.rule, []).append(index)
    for finding in findings:
        of_rule = by_rule.get(finding.rule, ())
        matching = [index for index in of_rule if decisions.ignores[index].matches(finding)]
        used.update(matching)
        both = (decisions.ignores[index] for index in matching)
        valid = next((each for each in both if each.expires >= today), None)
        if valid:
            apart.ignored.append(Ignored(finding, valid.reason, valid.expires))
        elif finding.fingerprint in decisions.baseline:
            apart.known.append(finding)
        else:
            apart.findings.append(finding)
    told = (_warning(each, index in used, today) for index, each in enumerate(decisions.ignores))
    warnings = [each for each in told if each]
    return Decided(tuple(apart.findings), tuple(apart.known), tuple(apart.ignored), tuple(warnings))


def reported(
    inventory: Inventory,
    found: Iterable[Finding],
    decisions: Decisions,
    today: date,
    *,
    unread: tuple[str, ...],
    scope: str,
) -> Report:
    """The report of what was found, after what was decided."""
    done = decided(found, decisions, today)
    return Report(
        done.findings,
        inventory,
        known=done.known,
        ignored=done.ignored,
        unread=unread,
        warnings=done.warnings,
        scope=scope,
    )


def _warning(ignore: Ignore, used: bool, today: date) -> str:
    if not used:
        return f"{ignore.place}: this ignore of {ignore.rule} matches no finding: remove it"
    if ignore.expires < today:
        return f"{ignore.place}: this ignore of {ignore.rule} expired on {ignore.expires}, and what it matches counts again"
    return ""


def ignore(tree: Any, place: Place) -> Ignore:
    """An entry of the ignore file. Raises ``Refused``."""
    if not isinstance(tree, dict):
        raise Refused((), "an ignore must be a mapping with rule, subject or binding, reason and expires")
    for name, value in tree.items():
        if name not in FIELDS:
            raise Refused((name,), f"is no field of an ignore: write {', '.join(FIELDS)}")
        if not isinstance(value, str) or not value.strip():
            raise Refused((name,), "must be a text that is not empty")
    for name in ("rule", "reason", "expires"):
        if name not in tree:
            raise Refused((), f"an ignore needs {name}: {_wanted(name)}")
    for name, form in (("rule", RULE), ("expires", DATE), ("fingerprint", FINGERPRINT)):
        if name in tree and not form.fullmatch(tree[name]):
            raise Refused((name,), f"{tree[name]!r}: {_wanted(name)}")
    if not tree.keys() & {"subject", "binding", "role", "fingerprint"}:
        reason = "an ignore needs subject, binding, role or fingerprint: it is about one grant, not about a whole rule"
        raise Refused((), reason)
    return Ignore(
        tree["rule"],
        tree["reason"].strip(),
        _date(tree["expires"]),
        place,
        _subject(tree["subject"]) if "subject" in tree else None,
        _address(tree, "binding", "RoleBinding") if "binding" in tree else None,
        _address(tree, "role", "Role") if "role" in tree else None,
        tree.get("fingerprint", ""),
    )


def _wanted(name: str) -> str:
    return {
        "rule": f"write one rule, {RULES[0].rule} to {RULES[-1].rule}",
        "reason": "write why this is accepted, for whoever reads it next",
        "expires": "write the last day, such as 2027-01-31",
        "fingerprint": "write the 32 letters and digits that -o json gives",
    }[name]


def _date(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise Refused(("expires",), f"{text!r} is no day: {_wanted('expires')}") from None


def _subject(text: str) -> Subject:
    """As the reports write one."""
    kind, _, name = text.strip().partition(" ")
    namespace, slash, rest = name.partition("/")
    if kind in ("User", "Group") and name:
        return Subject(kind, "", name)
    if kind == "ServiceAccount" and namespace and slash and rest:
        return Subject(kind, namespace, rest)
    raise Refused(("subject",), f"{text!r} is no subject: {WRITE_SUBJECT}")


def _address(tree: Any, field_name: str, kind: str) -> Address:
    """``Role NAMESPACE/NAME``, or as reports write it, ``Role NAME in NAMESPACE``; ``ClusterRole NAME``."""
    written, _, name = tree[field_name].strip().partition(" ")
    if written == f"Cluster{kind}" and name:
        return written, "", name
    namespace, slash, rest = name.partition("/")
    if not slash:
        rest, _, namespace = name.rpartition(" in ")
    if written == kind and namespace and rest:
        return written, namespace, rest
    reason = f"{tree[field_name]!r} is no {field_name}: write {kind} NAMESPACE/NAME or Cluster{kind} NAME"
    raise Refused((field_name,), reason)


def baseline(tree: Any) -> frozenset[str]:
    """The fingerprints of an earlier output in JSON: what counted then, and what was known already. Raises ``Refused``."""
    found = tree.get("findings") if isinstance(tree, dict) else None
    if not isinstance(found, list):
        raise Refused((), "is no baseline: write one by podfacts audit -o json")
    known = tree.get("known") or []
    both = [*found, *known] if isinstance(known, list) else found
    prints = [each.get("fingerprint") if isinstance(each, dict) else None for each in both]
    if not all(isinstance(each, str) for each in prints):
        raise Refused((), "is no baseline: a finding in it has no fingerprint")
    return frozenset(map(str, prints))
