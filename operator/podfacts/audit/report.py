"""All that a run of the audit came to: what every output is made of."""

from collections import Counter
from dataclasses import dataclass
from datetime import date

from podfacts.audit.escalation.steps import Path
from podfacts.audit.finding import Finding, Severity
from podfacts.audit.inventory import Inventory


@dataclass(frozen=True, slots=True)
class Ignored:
    """A finding that somebody decided to live with: why, and until when (the day itself is still one)."""

    finding: Finding
    reason: str
    expires: date


@dataclass(frozen=True, slots=True)
class Report:
    """``findings``, worst first, are those that count; ``known`` were in the baseline, ``ignored`` in the ignore file.

    ``unread`` is what could not be read, a sentence each; ``warnings`` what else whoever runs it should know.
    """

    findings: tuple[Finding, ...]
    inventory: Inventory
    known: tuple[Finding, ...] = ()
    ignored: tuple[Ignored, ...] = ()
    unread: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    paths: tuple[Path, ...] = ()
    ways: str = ""  # Which ways up were asked for, as "from X to Y"; "" when nobody asked.
    scope: str = ""  # What was audited, for a heading: the files, or the cluster.
    has_baseline: bool = False  # Whether there was a baseline at all: without one nothing is new.

    @property
    def summary(self) -> dict[str, int]:
        """How many findings of each severity, worst first."""
        found = Counter(each.severity for each in self.findings)
        return {str(each): found[each] for each in sorted(Severity, reverse=True)}

    @property
    def counts(self) -> dict[str, int]:
        """How much was audited, by what it is. What is not known is left out; what Kubernetes ships and nobody gave, too."""
        inventory = self.inventory
        counts = {
            "roles": sum(not each.built_in for each in inventory.roles.values()),
            "bindings": len(inventory.bindings),
        }
        for name, found in (
            ("service accounts", inventory.accounts),
            ("namespaces", inventory.namespaces),
            ("pods", inventory.pods),
        ):
            if found is not None:
                counts[name] = len(found)
        return counts
