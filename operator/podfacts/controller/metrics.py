"""The controller's numbers, on a registry of their own. Every label value comes from a small fixed set."""

from collections.abc import Iterable
from functools import partial
from typing import Any

from prometheus_client import Counter, Gauge

from podfacts.authority.secret import Held
from podfacts.controller.table import Table
from podfacts.controller.vitals import Vitals
from podfacts.controller.work import Work
from podfacts.core.missed import REASONS
from podfacts.serving.registry import new_registry


class ControllerMetrics:
    """What is counted, and the registry that shows it."""

    def __init__(self) -> None:
        self.registry = registry = new_registry()
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
        self.writes = Counter(
            "podfacts_fact_writes",
            "Writes of facts to pods, by how they ended.",
            ["outcome"],
            registry=registry,
        )
        self.last_write = Gauge(
            "podfacts_fact_last_write_timestamp_seconds",
            "When this replica last wrote a fact; 0 if never.",
            registry=registry,
        )
        self.missed = Gauge(
            "podfacts_missed_pods",
            "Opted-in pods that run without their facts.",
            ["reason"],
            registry=registry,
        )
        self.events = Counter("podfacts_events", "Events sent, by reason.", ["reason"], registry=registry)
        self.evictions = Counter(
            "podfacts_evictions",
            "Pods to be made anew, by what became of it.",
            ["outcome"],
            registry=registry,
        )
        self.watched = Gauge("podfacts_watched_pods", "Opted-in pods that are known.", registry=registry)
        self.watch_age = Gauge(
            "podfacts_watch_age_seconds",
            "Since a watch last showed a sign of life.",
            ["resource"],
            registry=registry,
        )
        self.queued = Gauge(
            "podfacts_queue_length", "Objects that wait for their turn.", ["work"], registry=registry
        )

    def show_term(self, vitals: Vitals, works: Iterable[Work[Any]], table: Table) -> None:
        """Show what a term has, for as long as it lasts."""
        for reason in REASONS:
            self.missed.labels(reason).set(0)
        for plural in vitals.seen:
            self.watch_age.labels(plural).set_function(partial(vitals.age, plural))
        for work in works:
            self.queued.labels(work.name).set_function(work.__len__)
        self.watched.set_function(table.pods.__len__)

    def forget_term(self) -> None:
        """Show nothing of the term any more."""
        for each in (self.watch_age, self.queued, self.missed):
            each.clear()
        self.watched.set_function(lambda: 0)

    def trusts(self, held: Held) -> None:
        """Show what is held now."""
        self.trusted.set(len(held.certificates))
        if held.ca:
            self.expiry.set(held.ca.certificate.not_valid_after_utc.timestamp())
