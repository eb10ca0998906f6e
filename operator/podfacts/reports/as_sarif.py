"""``-o sarif``: SARIF 2.1.0, for code scanning. One result for each rule, binding and subject, worst first.

GitHub takes 20 runs of 25,000 results in a file, keeps the 5,000 worst of a run, 100 places of a result and 10 tags of
a rule (its documentation, "SARIF results exceed limits"), and refuses two runs of one tool in one category (changelog
of 2024-05-06). GitLab drops a result without ``ruleId`` or ``physicalLocation``. So very many findings are several
runs, each a category of its own, and none is left out.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from podfacts import __version__
from podfacts.audit.catalogue import Described
from podfacts.audit.finding import Severity
from podfacts.audit.inventory import Place, Rule, named
from podfacts.audit.report import Report
from podfacts.reports import as_json
from podfacts.reports.wording import Decided, all_decided, described, granted, visible_lines
from podfacts.rights.manifest import visible
from podfacts.rights.replacement import rule_text

Tree = dict[str, Any]

ROOT = "%SRCROOT%"  # Where relative paths start: the checkout, for who uploads from one.
SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
RUNS, SHOWN = 20, 5000
PLACES = 100
LINKS = 5  # Of the rules that grant it: a message is read, a list is looked at.

LEVELS = {
    Severity.CRITICAL: "error",
    Severity.HIGH: "error",
    Severity.MEDIUM: "warning",
    Severity.LOW: "note",
    Severity.INFO: "note",
}
# GitHub's scale: critical is over 9.0, high from 7.0, medium from 4.0, low from 0.1; 0.0 is no security severity.
SCORES = {
    Severity.CRITICAL: "9.5",
    Severity.HIGH: "8.0",
    Severity.MEDIUM: "5.5",
    Severity.LOW: "2.0",
    Severity.INFO: "0.0",
}
CIS = re.compile(r"CIS[A-Za-z ]* (\d+(?:\.\d+)+)")
TAGS = 10


def rendered(report: Report) -> str:
    """The report as SARIF: the same findings are the same bytes."""
    decided = all_decided(report)
    rules = described(report)
    size = max(SHOWN, -(-len(decided) // RUNS))
    parts = [decided[start : start + size] for start in range(0, len(decided), size)] or [[]]
    runs = [_run(report, rules, part, number) for number, part in enumerate(parts, 1)]
    return as_json.text({"$schema": SCHEMA, "version": "2.1.0", "runs": runs})


def _run(report: Report, rules: Sequence[Described], decided: Sequence[Decided], number: int) -> Tree:
    indices = {each.rule: index for index, each in enumerate(rules)}
    worst: dict[str, Severity] = {}
    for each in decided:
        rule, severity = each.finding.rule, each.finding.severity
        worst[rule] = max(severity, worst.get(rule, severity))
    return {
        "tool": {"driver": _driver([_descriptor(each, worst.get(each.rule)) for each in rules])},
        **_category(report, number),
        "invocations": [_invocation(report)],
        "originalUriBaseIds": {ROOT: {"description": {"text": "Where the audit was started."}}},
        "results": [_result(each, indices, has_baseline=report.has_baseline) for each in decided],
    }


def _category(report: Report, number: int) -> Tree:
    """Of the first run none: that one is for whoever uploads it to say."""
    if number == 1:
        return {}
    scope = hashlib.sha256(report.scope.encode("utf-8", "backslashreplace")).hexdigest()[:8]
    return {"automationDetails": {"id": f"podfacts-rbac-audit-{number}-{scope}/"}}


def _driver(rules: list[Tree]) -> Tree:
    return {"name": "podfacts", "version": __version__, "semanticVersion": __version__, "rules": rules}


def _descriptor(rule: Described, worst: Severity | None) -> Tree:
    """A rule. GitHub knows only one severity for all its results: the worst that it has here."""
    properties: Tree = {"tags": ["security", "kubernetes", "rbac", *_references(rule)][:TAGS]}
    level: Tree = {}
    if worst is not None:
        properties["security-severity"] = SCORES[worst]
        level = {"defaultConfiguration": {"level": LEVELS[worst]}}
    source = f" Source: {rule.source}." if rule.source else ""
    why = rule.why or rule.title
    return {
        "id": rule.rule,
        "shortDescription": {"text": _escaped(rule.title)},
        "fullDescription": {"text": _escaped(why)},
        "help": {"text": _escaped(f"{why}{source}")},
        **level,
        "properties": properties,
    }


def _references(rule: Described) -> list[str]:
    return [f"CIS-{each}" for each in CIS.findall(rule.source)]


def _invocation(report: Report) -> Tree:
    """What could not be read is an error of the run itself: without it, silence would look like a clean audit."""
    said = [("error", each) for each in report.unread] + [("warning", each) for each in report.warnings]
    return {
        "executionSuccessful": not report.unread,
        "toolExecutionNotifications": [
            {"level": level, "message": {"text": _escaped(each)}} for level, each in said
        ],
    }


def _result(decided: Decided, indices: Mapping[str, int], *, has_baseline: bool) -> Tree:
    finding = decided.finding
    fingerprint = finding.fingerprint
    return {
        "ruleId": finding.rule,
        "ruleIndex": indices[finding.rule],
        "level": LEVELS[finding.severity],
        "message": {"text": _message(decided)},
        "locations": [{**_location(finding.place), "logicalLocations": _logical(decided)}],
        "relatedLocations": [_related(each, at) for at, each in enumerate(finding.rules[:PLACES], 1)],
        # The first is the one that GitHub reads: of its own making, two subjects of one binding would be one result.
        "partialFingerprints": {"primaryLocationLineHash": fingerprint, "podfacts/v1": fingerprint},
        **_decisions(decided, has_baseline=has_baseline),
        "properties": _properties(decided),
    }


def _message(decided: Decided) -> str:
    """What, the cure, and a link to each rule that grants it: GitHub shows a related place only where it is linked."""
    finding = decided.finding
    links = [f"[{_escaped(str(each))}]({at})" for at, each in enumerate(finding.rules[:LINKS], 1)]
    more = f" and {len(finding.rules) - LINKS} more" if len(finding.rules) > LINKS else ""
    grants = f" Granted by {', '.join(links)}{more}." if links else ""
    fix = f" Fix: {_marked(visible_lines(finding.remediation))}" if finding.remediation else ""
    return (_escaped(finding.message) or finding.rule) + fix + grants


def _related(rule: Rule, number: int) -> Tree:
    words = f"{rule}: {rule_text(rule.tree)}"
    return {"id": number, **_location(rule.place), "message": {"text": _escaped(words)}}


def _location(place: Place) -> Tree:
    return {
        "physicalLocation": {
            "artifactLocation": _artifact(place.file),
            "region": {"startLine": max(1, place.line)},
        }
    }


def location(file: str) -> str:
    """A path as a URI: relative ones stay so, whatever is in a name; standard input and objects of a cluster too."""
    if file == "<stdin>":
        return "stdin"
    path = quote(re.sub("/+", "/", file).encode("utf-8", "backslashreplace"), safe="/")
    return f"file://{path}" if path.startswith("/") else path.removeprefix("./")


def _artifact(file: str) -> Tree:
    uri = location(file)
    return {"uri": uri} if uri.startswith("file:") else {"uri": uri, "uriBaseId": ROOT}


def _logical(decided: Decided) -> list[Tree]:
    finding = decided.finding
    subject = str(finding.subject) if finding.subject else ""
    words = [visible(each) for each in (subject, granted(finding)) if each]
    return [{"fullyQualifiedName": each} for each in words]


def _decisions(decided: Decided, *, has_baseline: bool) -> Tree:
    if ignored := decided.ignored:
        words = f"{ignored.reason} (until {ignored.expires.isoformat()})"
        return {"suppressions": [{"kind": "external", "status": "accepted", "justification": visible(words)}]}
    if decided.known:
        return {"baselineState": "unchanged"}
    return {"baselineState": "new"} if has_baseline else {}


def _properties(decided: Decided) -> Tree:
    finding = decided.finding
    words = {
        "severity": str(finding.severity),
        "subject": str(finding.subject) if finding.subject else "",
        "binding": named(finding.binding) if finding.binding else "",
        "role": named(finding.role) if finding.role else "",
    }
    lists = {
        "via": [*map(named, finding.via)],
        "accounts": [*map(str, finding.accounts)],
        "pods": [*map(str, finding.pods)],
        "also": [*finding.also],
    }
    return {
        **{key: visible(each) for key, each in words.items() if each},
        **({"remediation": visible_lines(finding.remediation)} if finding.remediation else {}),
        **{key: [*map(visible, each)] for key, each in lists.items() if each},
    }


def _escaped(text: str) -> str:
    """A text on one line in which nothing is a link or a placeholder (SARIF 2.1.0, 3.11.5 and 3.11.6): names may hold brackets."""
    return _marked(visible(text))


def _marked(text: str) -> str:
    escaped = re.sub(r"([\\\[\]])", r"\\\1", text)
    return escaped.replace("{", "{{").replace("}", "}}")
