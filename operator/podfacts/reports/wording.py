"""The words that several reports use for what a finding points at."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from podfacts.audit.bootstrap import PLACE
from podfacts.audit.catalogue import RULES, Described
from podfacts.audit.escalation.steps import Step
from podfacts.audit.finding import Finding, worst_first
from podfacts.audit.inventory import Place, Rule, named
from podfacts.audit.report import Ignored, Report
from podfacts.rights.manifest import visible
from podfacts.rights.replacement import rule_text

TITLES = {each.rule: each.title for each in RULES}
GOAL_WORDS = {"node": "a node", "secrets": "all Secrets"}
LIVE = re.compile(r"cluster/[A-Za-z]+/[^/]*/[^/]+")  # As ``live`` of the inventory writes it.


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


def granted(has: Finding | Step) -> str:
    """What gives it: the bindings and the role; of a role alone, the role."""
    bindings = " and ".join(named(each) for each in (has.binding, *has.via) if each)
    role = named(has.role) if has.role else ""
    return f"{bindings} to {role}" if bindings and role else bindings or role


def namespace_of(finding: Finding) -> str:
    """Where a finding is at home, "" for the cluster: with its binding, and what is said of a role alone, with that."""
    _, namespace, _ = finding.binding or finding.role or ("", "", "")
    return namespace


def in_file(place: Place) -> str:
    """The file and the line; nothing for an object of a cluster, of which kind and name have said all."""
    return "" if LIVE.fullmatch(place.file) else str(place)


def origin(rule: Rule) -> str:
    """Where a rule is written: in which role, and in which file that is, where it is in one."""
    if rule.place == PLACE:
        return f"{rule!s}, as {PLACE.file.capitalize()} ships it"
    return ", ".join(filter(None, (str(rule), in_file(rule.place))))


def rule_line(rule: Rule) -> str:
    """A rule on one line, and where it is written. Long lists can be folded at their commas."""
    return f"{rule_text(rule.tree).replace(',', ', ')} ({origin(rule)})"


def reached(end: str) -> str:
    """Where a step ends, as it stands in a sentence."""
    return GOAL_WORDS.get(end, end)


def step_line(step: Step) -> str:
    """A step of a chain, without what grants it."""
    return f"{step.start} gets {reached(step.end)} by {step.does}"


def audited(report: Report) -> str:
    """How much was audited."""
    return ", ".join(counted(count, what.removesuffix("s")) for what, count in report.counts.items())


def shortened(rules: Sequence[str]) -> str:
    """The names of rules, with three and more in a row as the first to the last: ``RB04, RB10 to RB31``."""
    order = [*TITLES]
    runs: list[list[str]] = []
    for each in rules:
        before = order.index(runs[-1][-1]) if runs and runs[-1][-1] in TITLES else -2
        if before + 1 < len(order) and order[before + 1] == each:
            runs[-1].append(each)
        else:
            runs.append([each])
    return ", ".join(f"{run[0]} to {run[-1]}" if len(run) > 2 else ", ".join(run) for run in runs)  # noqa: PLR2004


def visible_lines(text: str) -> str:
    """The text with nothing in it but what is printed, and ends of lines: a proposal is YAML."""
    return "\n".join(map(visible, text.split("\n")))


def some(words: Sequence[str], most: int) -> list[str]:
    """The first of them; when there are more, how many more as the last."""
    more = len(words) - most
    return [*words[:most], *([f"and {more} more"] if more > 0 else [])]


def counted(count: int, noun: str) -> str:
    """``1 binding``, ``2 bindings``."""
    return f"{count} {noun}" + ("" if count == 1 else "s")
