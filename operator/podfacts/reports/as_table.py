"""``-o table``: for somebody at a terminal. By subject, the worst first: what, why, by which grant, and what ends it."""

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from podfacts.audit.escalation import Step
from podfacts.audit.finding import Finding, Severity
from podfacts.audit.report import Report, counts_of
from podfacts.reports.evidence import TITLES, counted, granted, named, rule_line, some

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
NOBODY = "Roles, whoever holds them"


def rendered(report: Report, *, width: int, colour: bool) -> str:
    """The report, folded to the width. Colours come from ``colour`` alone, never from the environment."""
    from podfacts.reports.page import Page  # noqa: PLC0415 - rich: only who looks at a table waits for it

    page = Page(width, colour=colour)
    page.say(_heading(report), "bold")
    for subject, findings in _by_subject(report.findings):
        page.gap()
        page.say(subject, "bold")
        for finding in findings:
            _finding(page, finding)
    if report.paths or report.ways:
        _paths(page, report)
    page.gap()
    _end(page, report)
    return page.text


def _heading(report: Report) -> str:
    counts = report.counts or counts_of(report.inventory)
    audited = ", ".join(
        f"{count} {what if count != 1 else what.removesuffix('s')}" for what, count in counts.items()
    )
    scope = f" of {report.scope}" if report.scope else ""
    return f"RBAC audit{scope}: {audited}"


def _by_subject(findings: Iterable[Finding]) -> list[tuple[str, list[Finding]]]:
    """The findings of each subject, in their order: that of the worst finding comes first."""
    groups: dict[str, list[Finding]] = {}
    for each in findings:
        groups.setdefault(str(each.subject) if each.subject else NOBODY, []).append(each)
    return sorted(groups.items(), key=lambda group: -max(each.severity for each in group[1]))


def _finding(page: "Page", finding: Finding) -> None:
    indent = COLUMN if page.width >= WIDE else NARROW
    style = STYLES[finding.severity]
    lead = f"{str(finding.severity).upper():<9} {finding.rule}"
    title = TITLES.get(finding.rule, "")
    if indent == COLUMN:
        page.say(title or finding.message, style, indent=indent, lead=lead)
    else:
        page.say(f"{lead} {title}".rstrip(), style)
    if title or indent == NARROW:
        page.say(finding.message, indent=indent)
    for words, quiet in _details(finding):
        page.say(words, "dim" if quiet else "", indent=indent)


def _details(finding: Finding) -> Iterator[tuple[str, bool]]:
    """The lines below, and whether they are said quietly."""
    fix, *more = finding.remediation.split("\n")  # What RB35 proposes is YAML, with lines of its own.
    yield f"Fix: {fix}", False
    yield from ((each, False) for each in more)
    given = granted(finding)
    yield (f"By {given} ({finding.place})" if given else f"At {finding.place}"), True
    yield from ((f"Rule: {rule_line(each)}", True) for each in finding.rules[:SHOWN])
    if len(finding.rules) > SHOWN:
        yield f"... and {len(finding.rules) - SHOWN} more rules", True
    for what, has in (("account", finding.accounts), ("pod", finding.pods)):
        if has:
            yield f"{counted(len(has), what)} now: {', '.join(some([*map(str, has)], SHOWN))}", True
    if finding.also:
        yield f"With it come {', '.join(finding.also)}", True


def _paths(page: "Page", report: Report) -> None:
    page.gap()
    page.say("Ways up", "bold")
    for path in report.paths[:SHOWN]:
        page.say(f"{path.source} to {path.goal} in {counted(len(path.steps), 'step')}", indent=NARROW)
        for number, step in enumerate(path.steps, 1):
            page.say(_step(step), indent=2 * NARROW + 2, lead=f"{'':{2 * NARROW - 1}}{number}")
    if len(report.paths) > SHOWN:
        page.say(
            f"... and {len(report.paths) - SHOWN} more: --from SUBJECT shows those of one", indent=NARROW
        )
    if not report.paths:
        page.say(f"There is none {report.ways}.", indent=NARROW)


def _step(step: Step) -> str:
    given = " and ".join(named(each) for each in (step.binding, *step.via) if each)
    return f"{step.start} gets {step.end} by {step.does}" + (f" ({given})" if given else "")


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
    if report.findings:
        page.say(_next(report.findings))


def _nothing(report: Report) -> str:
    if report.unread:
        return "Nothing found in what could be read."
    if report.known or report.ignored:
        return "Nothing found that was not decided before."
    return "Nothing found."


def _left_out(report: Report) -> Iterator[str]:
    if report.known:
        yield f"Known from the baseline, and not shown: {len(report.known)}"
    if report.ignored:
        first = min(each.expires for each in report.ignored)
        yield f"Ignored, and not shown: {len(report.ignored)}; the first comes back after {first.isoformat()}"
    if report.unread:
        yield f"Could not be read, and may hide more: {len(report.unread)}"


def _next(findings: Sequence[Finding]) -> str:
    fixed = "Next: change what a Fix line says, the worst first, and audit again."
    kept = "What has to stay goes into a file for --ignore, with a reason and a date; what is old, into --baseline."
    return (
        f"{fixed} {kept} -o json has every rule, account and pod of the {counted(len(findings), 'finding')}."
    )
