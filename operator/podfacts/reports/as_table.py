"""``-o table``: for somebody at a terminal. By subject, the worst first: what, why, by which grant, and what ends it."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from podfacts.audit.escalation.steps import Step
from podfacts.audit.finding import Finding, Severity
from podfacts.audit.inventory import named
from podfacts.audit.judgement.sentences import LEAVE, why
from podfacts.audit.report import Report
from podfacts.reports.wording import (
    TITLES,
    audited,
    counted,
    granted,
    in_file,
    reached,
    rule_line,
    shortened,
    some,
    step_line,
)

if TYPE_CHECKING:
    from podfacts.reports.page import Page

STYLES = {
    Severity.CRITICAL: "bold red",
    Severity.HIGH: "red",
    Severity.MEDIUM: "yellow",
    Severity.LOW: "cyan",
    Severity.INFO: "dim",
}
WIDE = 80  # From here on severity and rule are columns of their own.
COLUMN, NARROW = 16, 2
SHOWN = 10  # Of what one line lists: -o json has it all.
RULES = 3  # Of the rules that grant it: each is a line, and often several.
NOBODY = "Roles, whoever holds them"
NEXT = (
    "Next: do what the Fix lines say, the worst first, and audit again. What has to stay goes into a file for --ignore, "
    "with a reason and a day. -o json has every rule, account and pod."
)


def rendered(report: Report, *, width: int, colour: bool) -> str:
    """The report, folded to the width. Colours come from ``colour`` alone, never from the environment.

    Whoever asked for ways up is told of these, and of the findings only how many there are.
    """
    from podfacts.reports.page import Page  # noqa: PLC0415 - rich: only who looks at a table waits for it

    page = Page(width, colour=colour)
    page.say(_heading(report), "bold")
    if not report.ways:
        _findings(page, report)
    if report.paths or report.ways:
        _paths(page, report)
    page.gap()
    _end(page, report)
    return page.text


def _findings(page: "Page", report: Report) -> None:
    explained: set[str] = set()
    for subject, findings in _by_subject(_open(report)):
        page.gap()
        page.say(subject, "bold")
        for finding in findings:
            _finding(page, finding, explained)


def _open(report: Report) -> list[Finding]:
    """The findings that somebody can do something about: not what Kubernetes itself needs."""
    return [each for each in report.findings if each.remediation != LEAVE]


def _heading(report: Report) -> str:
    scope = f" of {report.scope}" if report.scope else ""
    return f"RBAC audit{scope}: {audited(report)}"


def _by_subject(findings: Iterable[Finding]) -> list[tuple[str, list[Finding]]]:
    """The findings of each subject, in their order: that of the worst finding comes first."""
    groups: dict[str, list[Finding]] = {}
    for each in findings:
        groups.setdefault(str(each.subject) if each.subject else NOBODY, []).append(each)
    return sorted(groups.items(), key=lambda group: -max(each.severity for each in group[1]))


def _finding(page: "Page", finding: Finding, explained: set[str]) -> None:
    """A finding. Why its rule matters is told the first time only: ``explained`` are the rules of which it was."""
    indent = COLUMN if page.width >= WIDE else NARROW
    style = STYLES[finding.severity]
    lead = f"{str(finding.severity).upper():<9} {finding.rule}"
    title = TITLES.get(finding.rule, "")
    message = finding.message
    if finding.rule in explained:
        message = message.removesuffix(why(finding.rule)).rstrip()
    explained.add(finding.rule)
    if indent == COLUMN:
        page.say(title or message, style, indent=indent, lead=lead)
    else:
        page.say(f"{lead} {title}".rstrip(), style)
    if title or indent == NARROW:
        page.say(message, indent=indent)
    for words, quiet in _details(finding):
        page.say(words, "dim" if quiet else "", indent=indent)


def _details(finding: Finding) -> Iterator[tuple[str, bool]]:
    """The lines below, and whether they are said quietly."""
    fix, *more = finding.remediation.split("\n")  # What RB35 proposes is YAML, with lines of its own.
    yield f"Fix: {fix}", False
    yield from ((each, False) for each in more)
    yield from ((each, True) for each in filter(None, [_origin(finding)]))
    yield from ((f"Rule: {rule_line(each)}", True) for each in finding.rules[:RULES])
    if len(finding.rules) > RULES:
        yield f"... and {counted(len(finding.rules) - RULES, 'more rule')}", True
    for what, has in (("account", finding.accounts), ("pod", finding.pods)):
        if has:
            yield f"Held now by {counted(len(has), what)}: {', '.join(some([*map(str, has)], SHOWN))}", True
    if finding.also:
        yield f"With it come {shortened(finding.also)}", True


def _origin(finding: Finding) -> str:
    """By which grant, where the message does not say that, and in which file it is, where it is in one."""
    role = [" ".join((finding.role[0], finding.role[2]))] if finding.role else []
    bindings = map(named, (*filter(None, [finding.binding]), *finding.via))
    place = in_file(finding.place)
    if all(each in finding.message for each in (*bindings, *role)):
        return f"At {place}" if place else ""
    return f"By {granted(finding)}" + (f" ({place})" if place else "")


def _paths(page: "Page", report: Report) -> None:
    page.gap()
    page.say("Ways up", "bold")
    for path in report.paths[:SHOWN]:
        page.say(
            f"{path.source} to {reached(path.goal)} in {counted(len(path.steps), 'step')}", indent=NARROW
        )
        for number, step in enumerate(path.steps, 1):
            page.say(_step(step), indent=2 * NARROW + 2, lead=f"{'':{2 * NARROW - 1}}{number}")
    if len(report.paths) > SHOWN:
        page.say(
            f"... and {len(report.paths) - SHOWN} more: --from SUBJECT shows those of one", indent=NARROW
        )
    if not report.paths:
        page.say(f"There is none {report.ways}.", indent=NARROW)


def _step(step: Step) -> str:
    given = granted(step)
    return step_line(step) + (f" ({given})" if given else "")


def _end(page: "Page", report: Report) -> None:
    """How many there are, what was left out of them, and what to do next."""
    summary = ", ".join(f"{count} {severity}" for severity, count in report.summary.items())
    worst = max((each.severity for each in report.findings), default=Severity.INFO)
    if report.findings:
        page.say(f"{counted(len(report.findings), 'finding')}: {summary}", STYLES[worst])
    else:
        page.say(_nothing(report), "bold")
    for each in _left_out(report):
        page.say(each)
    for each in report.unread:
        page.say(each, "yellow", indent=NARROW)
    if report.ways and report.findings:
        page.say("The findings themselves are shown without --from and --to.")
    elif _open(report):
        page.say(NEXT)


def _nothing(report: Report) -> str:
    if report.unread:
        return "Nothing found in what could be read."
    if report.known or report.ignored:
        return "Nothing found that was not decided before."
    return "Nothing found."


def _left_out(report: Report) -> Iterator[str]:
    if not report.ways and (shipped := len(report.findings) - len(_open(report))):
        yield f"Given by Kubernetes itself, which needs it, and not shown: {shipped}"
    if report.known:
        yield f"Known from the baseline, and not shown: {len(report.known)}"
    if report.ignored:
        first = min(each.expires for each in report.ignored)
        yield f"Ignored, and not shown: {len(report.ignored)}; the first comes back after {first.isoformat()}"
    if report.unread:
        yield f"Could not be read, and may hide more: {len(report.unread)}"
