"""``-o openreports``: the findings as objects of the cluster, for ``kubectl apply`` and for whoever writes them there.

The fields are those of ``openreports.io/v1alpha1`` (reports-api 0.2.1, ``report_types.go``) and, which is the same but
for one field, of ``wgpolicyk8s.io/v1alpha2``. A finding of a namespace is in that namespace's report, the others are in
the cluster's, which is always there: without findings it says that there are none.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal, NamedTuple

import orjson

from podfacts.audit.finding import Finding, Severity
from podfacts.audit.inventory import Address, named
from podfacts.audit.judgement.sentences import LEAVE
from podfacts.audit.report import Report
from podfacts.reports.wording import Decided, all_decided, namespace_of, rule_line, some, visible_lines
from podfacts.rights.manifest import text, visible

Tree = dict[str, Any]
Api = Literal["openreports", "wgpolicy"]

NAME = "podfacts-rbac-audit"
SOURCE, POLICY, CATEGORY = "podfacts", "rbac-audit", "RBAC"
LABELS = {"app.kubernetes.io/managed-by": "podfacts"}
RBAC = "rbac.authorization.k8s.io/v1"
# kubectl apply keeps the whole object in an annotation, and all annotations together may have 256 KiB
# (TotalAnnotationSizeLimitB in k8s.io/apimachinery, pkg/api/validation/objectmeta.go).
LARGEST = 200_000
LONGEST = 2_000  # Of one text in it.
LISTED = 20  # Of accounts, pods and rules in it.


class _Kinds(NamedTuple):
    version: str
    namespaced: str
    cluster: str
    has_source: bool


KINDS: Mapping[Api, _Kinds] = {
    "openreports": _Kinds("openreports.io/v1alpha1", "Report", "ClusterReport", has_source=True),
    "wgpolicy": _Kinds("wgpolicyk8s.io/v1alpha2", "PolicyReport", "ClusterPolicyReport", has_source=False),
}
OUTCOMES = ("pass", "fail", "warn", "error", "skip")
HEADING = (
    "What podfacts found in the roles and bindings, as reports of openreports.io. Read it, then:",
    "    kubectl apply -f FILE",
    "Reports of an earlier audit that are not in here stay: delete those first, where there are fewer now:",
    "    kubectl delete clusterreports,reports -A -l app.kubernetes.io/managed-by=podfacts",
)


def rendered(report: Report) -> str:
    """The reports as YAML, a document each: the same findings are the same bytes."""
    return text(report_objects(report, "openreports"), HEADING)


def report_objects(report: Report, api: Api) -> list[Tree]:
    """The reports: the cluster's first, then by namespace. Many findings are several, ``podfacts-rbac-audit-2`` ..."""
    results: dict[str, list[Tree]] = {"": [_unread(each) for each in report.unread]}
    for each in all_decided(report):
        results.setdefault(namespace_of(each.finding), []).append(_result(each))
    return [
        _report(KINDS[api], namespace, part, number)
        for namespace, found in sorted(results.items())
        for number, part in enumerate(_parts(found), 1)
    ]


def _parts(results: list[Tree]) -> Iterator[list[Tree]]:
    part: list[Tree] = []
    size = 0
    for each in results:
        length = _length(each)
        if part and size + length > LARGEST:
            yield part
            part, size = [], 0
        part.append(each)
        size += length
    yield part


def _length(result: Tree) -> int:
    """Its bytes in that annotation: Go's encoder writes six of them for each of these three."""
    dumped = orjson.dumps(result)
    return len(dumped) + 5 * sum(dumped.count(each) for each in (b"<", b">", b"&"))


def _report(kinds: _Kinds, namespace: str, results: list[Tree], number: int) -> Tree:
    return {
        "apiVersion": kinds.version,
        "kind": kinds.namespaced if namespace else kinds.cluster,
        "metadata": {
            "name": NAME if number == 1 else f"{NAME}-{number}",
            **({"namespace": namespace} if namespace else {}),
            "labels": dict(LABELS),
        },
        **({"source": SOURCE} if kinds.has_source else {}),
        "summary": {each: sum(result["result"] == each for result in results) for each in OUTCOMES},
        "results": results,
    }


def _unread(sentence: str) -> Tree:
    """What could not be read is an error: the policy could not be evaluated."""
    return {
        "source": SOURCE,
        "policy": POLICY,
        "rule": "unread",
        "category": CATEGORY,
        "result": "error",
        "message": _short(sentence),
    }


def _result(decided: Decided) -> Tree:
    finding = decided.finding
    outcome = _outcome(decided)
    return {
        "source": SOURCE,
        "policy": POLICY,
        "rule": finding.rule,
        "category": CATEGORY,
        "severity": str(finding.severity),
        "result": outcome,
        "scored": outcome == "fail",
        "message": _short(finding.message),
        "resources": _resources(finding),
        "properties": {
            key: _cut(visible_lines(each[: LONGEST + 1])) for key, each in _properties(decided) if each
        },
    }


def _outcome(decided: Decided) -> str:
    """``warn`` is what is not met and does not count (``scored``): the smaller ones, and those of the baseline.

    What Kubernetes itself needs is as it should be.
    """
    if decided.ignored:
        return "skip"
    if decided.finding.remediation == LEAVE:
        return "pass"
    return "fail" if decided.finding.severity >= Severity.HIGH and not decided.known else "warn"


def _resources(finding: Finding) -> list[Tree]:
    """The objects that it is about: the binding first, for who shows but one. Users and groups are no objects."""
    subject = finding.subject
    account = [subject.address] if subject and subject.account else []
    return [_reference(each) for each in (*filter(None, [finding.binding, finding.role]), *account)]


def _reference(address: Address) -> Tree:
    kind, namespace, name = address
    return {
        "apiVersion": "v1" if kind == "ServiceAccount" else RBAC,
        "kind": kind,
        **({"namespace": namespace} if namespace else {}),
        "name": _short(name),
    }


def _properties(decided: Decided) -> Iterable[tuple[str, str]]:
    # Not the pods: they come and go, and each time the report in the cluster would be written again.
    finding = decided.finding
    yield "fingerprint", finding.fingerprint
    yield "remediation", finding.remediation  # Of RB35 it has lines.
    yield "subject", str(finding.subject) if finding.subject else ""
    yield "binding", named(finding.binding) if finding.binding else ""
    yield "role", named(finding.role) if finding.role else ""
    yield "source", str(finding.place)
    yield "rules", "; ".join(some([rule_line(each) for each in finding.rules], LISTED))
    yield "via", ", ".join(some([*map(named, finding.via)], LISTED))
    yield "accounts", ", ".join(some([*map(str, finding.accounts)], LISTED))
    yield "also", ", ".join(finding.also)
    yield "baseline", "known" if decided.known else ""
    if ignored := decided.ignored:
        yield "reason", ignored.reason
        yield "expires", ignored.expires.isoformat()


def _short(words: str) -> str:
    """The text, on one line."""
    return _cut(visible(words[: LONGEST + 1]))


def _cut(shown: str) -> str:
    """The text, cut where it is so long that it would be somebody's attack on the report."""
    return shown if len(shown) <= LONGEST else f"{shown[:LONGEST]}..."
