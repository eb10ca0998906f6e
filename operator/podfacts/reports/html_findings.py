"""The table of findings: each a row, with what is behind it to fold out.

Its rows are laid out each for itself, so that a browser needs to lay out only those that are seen: with thousands of them
that is seconds. That takes their meaning as a table from them, and the roles give it back.
"""

from collections.abc import Iterable, Iterator

from podfacts.audit.finding import Finding
from podfacts.audit.inventory import named
from podfacts.audit.judgement.sentences import why
from podfacts.audit.report import Report
from podfacts.reports.markup import Markup, element, lines, together
from podfacts.reports.wording import (
    TITLES,
    Decided,
    all_decided,
    granted,
    in_file,
    namespace_of,
    rule_line,
    shortened,
    some,
)

COLUMNS = ("Severity", "Rule", "Subject", "Namespace", "What it means", "Granted by")
WHOLE = "whole cluster"
SHOWN = 20  # Of accounts and pods.
NOBODY = "whoever has the role"


def findings(report: Report) -> Markup:
    """The controls and the table."""
    decided = all_decided(report)
    if not decided:
        return element("p", "Nothing was found.")
    heads = (
        element(
            "th", element("button", each, type="button", disabled=True), role="columnheader", aria_sort="none"
        )
        for each in COLUMNS
    )
    table = element(
        "table",
        element("caption", "Findings, the worst first", class_="unseen"),
        element("thead", element("tr", *heads, role="row"), role="rowgroup"),
        element("tbody", *map(_row, decided), role="rowgroup"),
        id="table",
        role="table",
    )
    count = element("p", f"{len(decided):,} of {len(decided):,} shown", id="count", role="status")
    return together(_controls([each.finding for each in decided]), count, table)


def _controls(found: list[Finding]) -> Markup:
    """Without a script they would do nothing, so that takes them out of hiding."""
    severities = [str(each) for each in sorted({each.severity for each in found}, reverse=True)]
    return element(
        "form",
        _select("severity", "Severity", severities),
        _select("rule", "Rule", sorted({each.rule for each in found})),
        _select("namespace", "Namespace", sorted({_where(each) for each in found})),
        element("label", "Text", element("input", type="search", id="text", autocomplete="off")),
        element("button", "Show all", type="reset"),
        id="filters",
        hidden=True,
        aria_label="Filter the findings",
    )


def _select(name: str, title: str, values: Iterable[str]) -> Markup:
    options = [element("option", "all", value=""), *(element("option", each) for each in values)]
    return element("label", title, element("select", *options, id=name))


def _where(finding: Finding) -> str:
    return namespace_of(finding) or WHOLE


def _row(decided: Decided) -> Markup:
    finding = decided.finding
    severity = str(finding.severity)
    cells = (
        (element("span", severity, class_=f"chip {severity}"), *_state(decided)),
        (element("a", finding.rule, href=f"#{finding.rule}"),),
        (str(finding.subject) if finding.subject else NOBODY,),
        (_where(finding),),
        (*_meaning(finding), _details(decided)),
        (granted(finding), element("div", in_file(finding.place), class_="place")),
    )
    marked = (
        element(
            "td", *cell, data_of=title, data_order=int(finding.severity) if title == "Severity" else False
        )
        for title, cell in zip(COLUMNS, cells, strict=True)
    )
    counts = not (decided.known or decided.ignored)
    return element("tr", *marked, role="row", class_=False if counts else "known")


def _state(decided: Decided) -> Iterator[Markup]:
    if decided.known:
        yield element("div", "known", class_="state")
    if decided.ignored:
        yield element("div", "ignored", class_="state")


def _meaning(finding: Finding) -> Iterator[Markup]:
    """What is wrong and what ends it. Why that matters is the rule's, and said in the details and at the link."""
    if title := TITLES.get(finding.rule):
        yield element("h3", title)
    yield element("div", finding.message.removesuffix(why(finding.rule)).rstrip())
    yield element("div", element("b", "What to do: "), finding.remediation.split("\n", 1)[0], class_="fix")


def _details(decided: Decided) -> Markup:
    finding = decided.finding
    _, _, proposal = finding.remediation.partition("\n")  # Of RB35: YAML, with lines of its own.
    reason = why(finding.rule)
    lists = (
        ("Why it matters", [reason] if finding.message.endswith(reason or "-") else []),
        ("Granted by", [rule_line(each) for each in finding.rules]),
        ("It takes too", [named(each) for each in finding.via]),
        ("Accounts that have it now", some([str(each) for each in finding.accounts], SHOWN)),
        ("Pods that run as one of them", some([str(each) for each in finding.pods], SHOWN)),
        ("Comes with", [shortened(finding.also)] if finding.also else []),
        ("Ignored", [f"until {each.expires}: {each.reason}" for each in (decided.ignored,) if each]),
        ("Fingerprint", [finding.fingerprint]),
    )
    parts = [element("pre", *lines(proposal))] if proposal else []
    for title, said in lists:
        if len(said) == 1:
            parts.append(element("p", element("b", f"{title}: "), said[0]))
        elif said:
            items = element("ul", *(element("li", each) for each in said))
            parts += [element("h3", title), items]
    return element("details", element("summary", "Details"), *parts)
