"""The auditor's numbers, on a registry of their own. Every label value comes from a small fixed set."""

import time
from collections import Counter as Counted
from typing import Literal

from prometheus_client import Counter, Gauge

from podfacts.audit.report import Report
from podfacts.serving.registry import new_registry

Part = Literal["audit", "ignores", "reports"]
Outcome = Literal["created", "updated", "deleted", "failed"]


class AuditMetrics:
    """What is counted, and the registry that shows it."""

    def __init__(self) -> None:
        self.registry = registry = new_registry()
        self._findings = Gauge(
            "podfacts_audit_findings",
            "Findings that count, of the last audit.",
            ["rule", "severity"],
            registry=registry,
        )
        self._ignored = Gauge(
            "podfacts_audit_ignored", "Findings that the ignore file names.", registry=registry
        )
        self._unread = Gauge(
            "podfacts_audit_unread",
            "What could not be read in the last audit: kinds, and single objects.",
            registry=registry,
        )
        self._last_success = Gauge(
            "podfacts_audit_last_success_timestamp_seconds",
            "When the cluster was last audited; 0 if never.",
            registry=registry,
        )
        self._seconds = Gauge("podfacts_audit_seconds", "How long the last audit took.", registry=registry)
        self._failures = Counter(
            "podfacts_audit_failures",
            "What failed: the audit itself, reading the ignore file, or writing reports.",
            ["part"],
            registry=registry,
        )
        self._writes = Counter(
            "podfacts_audit_report_writes",
            "Writes of reports, by how they ended.",
            ["outcome"],
            registry=registry,
        )
        for part in ("audit", "ignores", "reports"):
            self._failures.labels(part)
        for outcome in ("created", "updated", "deleted", "failed"):
            self._writes.labels(outcome)
        self._shown: set[tuple[str, str]] = set()

    def audited(self, report: Report, seconds: float) -> None:
        """Show what was found. A rule that finds nothing any more goes to 0, so that nobody sees its last number for ever."""
        found = Counted((each.rule, str(each.severity)) for each in report.findings)
        self._shown |= found.keys()
        for labels in self._shown:
            self._findings.labels(*labels).set(found[labels])
        self._ignored.set(len(report.ignored))
        self._unread.set(len(report.unread))
        self._seconds.set(seconds)
        self._last_success.set(time.time())

    def failed(self, part: Part) -> None:
        """Count a failure."""
        self._failures.labels(part).inc()

    def wrote(self, outcome: Outcome) -> None:
        """Count a write of a report."""
        self._writes.labels(outcome).inc()
