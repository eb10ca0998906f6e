"""``-o json``: all that was found, for a program. A key that is here stays; later versions only add some."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from podfacts.audit.escalation.steps import Path, Step
from podfacts.audit.finding import Finding
from podfacts.audit.inventory import Address, Place, Pod, Rule
from podfacts.audit.report import Ignored, Report
from podfacts.rights.replacement import rule_text

Tree = dict[str, Any]

SPECIAL = re.compile(r"[^\n -~]")


def rendered(report: Report) -> str:
    """The report as JSON: the same findings are the same bytes."""
    tree = {
        "findings": [_finding(each) for each in report.findings],
        "summary": report.summary,
        "known": [_finding(each) for each in report.known],
        "ignored": [_ignored(each) for each in report.ignored],
        "paths": [_path(each) for each in report.paths],
        "unread": [*report.unread],
        "warnings": [*report.warnings],
        "scope": report.scope,
        "counts": report.counts,
    }
    return text(tree)


def text(tree: Tree) -> str:
    """A tree as JSON. What is no text in Unicode, as half of a surrogate pair, is spelled out."""
    try:
        return _dumped(tree)
    except TypeError:  # orjson takes no surrogates, and a file's name or a YAML escape may be one.
        return _dumped(_unicode(tree))


def _dumped(tree: Tree) -> str:
    dumped = orjson.dumps(tree, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE).decode()
    return SPECIAL.sub(_printable, dumped)


def _printable(match: re.Match[str]) -> str:
    """An escape for what is not printed, as a terminal would take it for an order: DEL, C1, bidirectional marks."""
    char = match[0]
    return char if char.isprintable() else json.dumps(char)[1:-1]


def _unicode(value: Any) -> Any:
    match value:
        case str():
            return value.encode("utf-8", "backslashreplace").decode()
        case Mapping():
            return {_unicode(key): _unicode(each) for key, each in value.items()}
        case Sequence():
            return [_unicode(each) for each in value]
        case _:
            return value


def _finding(finding: Finding) -> Tree:
    subject = finding.subject
    return {
        "rule": finding.rule,
        "severity": str(finding.severity),
        "subject": _address(subject.address if subject else None),
        "binding": _address(finding.binding),
        "role": _address(finding.role),
        "message": finding.message,
        "remediation": finding.remediation,
        "fingerprint": finding.fingerprint,
        "source": _place(finding.place),
        "rules": [_rule(each) for each in finding.rules],
        "via": [_address(each) for each in finding.via],
        "accounts": [{"namespace": each.namespace, "name": each.name} for each in finding.accounts],
        "pods": [_pod(each) for each in finding.pods],
        "also": [*finding.also],
    }


def _ignored(ignored: Ignored) -> Tree:
    return {
        **_finding(ignored.finding),
        "reason": ignored.reason,
        "expires": ignored.expires.isoformat(),
    }


def _address(address: Address | None) -> Tree | None:
    if address is None:
        return None
    kind, namespace, name = address
    return {"kind": kind, "namespace": namespace, "name": name}


def _place(place: Place) -> Tree:
    return {"file": place.file, "line": place.line}


def _rule(rule: Rule) -> Tree:
    return {
        "text": rule_text(rule.tree),
        **_place(rule.place),
        "origin": rule.origin,
        "index": rule.index,
    }


def _pod(pod: Pod) -> Tree:
    return {"namespace": pod.namespace, "name": pod.name, "serviceAccountName": pod.account.name}


def _path(path: Path) -> Tree:
    return {"source": path.source, "goal": path.goal, "steps": [_step(each) for each in path.steps]}


def _step(step: Step) -> Tree:
    return {
        "start": step.start,
        "end": step.end,
        "does": step.does,
        "binding": _address(step.binding),
        "role": _address(step.role),
        "via": [_address(each) for each in step.via],
        "rules": [_rule(each) for each in step.rules],
    }
