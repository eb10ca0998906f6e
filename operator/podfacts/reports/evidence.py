"""The words that several reports use for what a finding points at."""

from collections.abc import Sequence
from dataclasses import dataclass

from podfacts.audit.catalogue import RULES, Described
from podfacts.audit.finding import Finding, worst_first
from podfacts.audit.inventory import Address, Rule
from podfacts.audit.report import Ignored, Report
from podfacts.rights.replacement import rule_text

TITLES = {each.rule: each.title for each in RULES}


@dataclass(frozen=True, slots=True)
class Decided:
    """A finding, and what was decided of it before: that it is known, or that it is ignored."""

    finding: Finding
    known: bool = False
    ignored: Ignored | None = None


def all_decided(report: Report) -> list[Decided]:
    """Every finding there is, whether it counts or not, worst first."""
    found = [
        *map(Decided, report.findings),
        *(Decided(each, known=True) for each in report.known),
        *(Decided(each.finding, ignored=each) for each in report.ignored),
    ]
    return sorted(found, key=lambda each: worst_first(each.finding))


def described(report: Report) -> tuple[Described, ...]:
    """The rules of the audit, and a row without words for each that a finding names and the catalogue does not."""
    others = {each.finding.rule for each in all_decided(report)} - TITLES.keys()
    return (*RULES, *(Described(each, each, "", "") for each in sorted(others)))


def named(address: Address) -> str:
    """An object in words: ``RoleBinding web in shop``."""
    kind, namespace, name = address
    return f"{kind} {name}" + (f" in {namespace}" if namespace else "")


def granted(finding: Finding) -> str:
    """What gives it: the bindings and the role; of a role alone, the role."""
    bindings = " and ".join(map(named, (*filter(None, [finding.binding]), *finding.via)))
    role = named(finding.role) if finding.role else ""
    return f"{bindings} to {role}" if bindings and role else bindings or role


def written(rule: Rule) -> str:
    """Where a rule is written, in words: ``rules[0] of view``."""
    return f"rules[{rule.index}] of {rule.origin}"


def rule_line(rule: Rule) -> str:
    """A rule on one line, and where it is written."""
    return f"{rule_text(rule.tree)} ({rule.place}, {written(rule)})"


def some(words: Sequence[str], most: int) -> list[str]:
    """The first of them; when there are more, how many more as the last."""
    more = len(words) - most
    return [*words[:most], *([f"and {more} more"] if more > 0 else [])]


def counted(count: int, noun: str) -> str:
    """``1 binding``, ``2 bindings``."""
    return f"{count} {noun}" + ("" if count == 1 else "s")
