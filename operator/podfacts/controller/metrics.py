"""The controller's numbers, on a registry of their own. Every label value comes from a small fixed set."""

import sys

from prometheus_client import CollectorRegistry, Counter, Gauge, ProcessCollector

import podfacts
from podfacts.authority.secret import Held


class ControllerMetrics:
    """What is counted, and the registry that shows it."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self.leading = Gauge(
            "podfacts_controller_leading", "1 while this replica is the active one.", registry=registry
        )
        self.rounds = Counter(
            "podfacts_authority_rounds", "Looks at the CA, by how they ended.", ["outcome"], registry=registry
        )
        self.last_round = Gauge(
            "podfacts_authority_last_round_timestamp_seconds",
            "When this replica last found or made everything right; 0 if never.",
            registry=registry,
        )
        self.changes = Counter(
            "podfacts_authority_changes",
            "What was written to the CA Secret or the caBundle, and why.",
            ["action"],
            registry=registry,
        )
        self.expiry = Gauge(
            "podfacts_authority_expiry_timestamp_seconds",
            "When the CA that signs expires; 0 until this replica has seen one.",
            registry=registry,
        )
        self.trusted = Gauge(
            "podfacts_authority_trusted", "CAs that the caBundle is to hold.", registry=registry
        )
        self.configured = Gauge(
            "podfacts_authority_webhook_configured",
            "1 if the webhook configuration was there at the last look.",
            registry=registry,
        )
        Gauge(
            "podfacts_build_info", "1, with what is running.", ["version", "python"], registry=registry
        ).labels(podfacts.__version__, sys.version.split()[0]).set(1)
        ProcessCollector(registry=registry)

    def trusts(self, held: Held) -> None:
        """Show what is held now."""
        self.trusted.set(len(held.certificates))
        if held.ca:
            self.expiry.set(held.ca.certificate.not_valid_after_utc.timestamp())
