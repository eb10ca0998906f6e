"""The admission server's numbers, on a registry of their own.

Every label value comes from a small fixed set, never from a request: no sender can make a time series.
"""

import time
from bisect import bisect_left
from collections.abc import Callable, Iterable
from functools import partial
from itertools import accumulate

from prometheus_client import Counter, Gauge, Metric
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from podfacts.admission.following import Followed
from podfacts.core.review import Answer
from podfacts.serving.registry import new_registry

# A review takes well under a millisecond; the webhook's timeout is 3 s.
BUCKETS = (0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0)

# Why a connection ends without an answer: they are there, with 0, before the first one does.
CUTS = ("accept", "handshake", "reading", "writing", "crowded_out", "stopped")


class Metrics:
    """What is counted, and the registry that shows it."""

    def __init__(self, loop: str) -> None:
        self.registry = registry = new_registry(loop=loop)
        self._reviews = _Reviews()
        registry.register(self._reviews)
        self._cut = Counter(
            "podfacts_connections_cut", "Connections ended without an answer.", ["reason"], registry=registry
        )
        self._expiry = Gauge(
            "podfacts_certificate_expiry_timestamp_seconds",
            "When the served certificate expires; 0 while there is none.",
            registry=registry,
        )
        self._overdue = Gauge(
            "podfacts_certificate_overdue",
            "1 when the certificate or CA in the folder is in the last sixth of its life.",
            registry=registry,
        )
        self._loaded = Counter(
            "podfacts_certificate_loads", "Certificates taken into service.", registry=registry
        )
        self._not_loaded = Counter(
            "podfacts_certificate_load_failures",
            "Looks at the certificate folder that found nothing to serve; the last good one stays.",
            registry=registry,
        )
        self._silent = Gauge(
            "podfacts_followed_silent_seconds",
            "Seconds since the API server last said anything about a resource that is followed.",
            ["resource"],
            registry=registry,
        )
        self._known = Gauge(
            "podfacts_followed_objects",
            "Objects known of a resource that is followed.",
            ["resource"],
            registry=registry,
        )
        self._open = Gauge(
            "podfacts_open_connections", "Open connections to the admission port.", registry=registry
        )
        self._in_flight = Gauge(
            "podfacts_requests_in_flight",
            "Requests being read, or answers being written.",
            registry=registry,
        )
        self._cuts = {reason: self._cut.labels(reason) for reason in CUTS}

    def follows(self, followed: Iterable[Followed]) -> None:
        """Where to look for how current the picture of the cluster is."""
        for each in followed:
            self._silent.labels(each.name).set_function(partial(_silence, each))
            self._known.labels(each.name).set_function(partial(_size, each))

    def connections(self, opened: Callable[[], int], in_flight: Callable[[], int]) -> None:
        """Where to look when somebody asks."""
        self._open.set_function(opened)
        self._in_flight.set_function(in_flight)

    def overdue(self, reason: Callable[[], str | None]) -> None:
        """Where to look for whether a certificate should have been renewed by now."""
        self._overdue.set_function(lambda: reason() is not None)

    def reviewed(self, answer: Answer, seconds: float) -> None:
        """Count a review."""
        reviews = self._reviews
        reviews.became(answer.outcome, answer.reason)
        reviews.durations[bisect_left(BUCKETS, seconds)] += 1
        reviews.seconds += seconds
        reviews.injected += answer.injected
        reviews.kept += answer.kept

    def rejected(self, reason: str) -> None:
        """Count a request that no review saw."""
        self._reviews.became("error" if reason == "failed" else "bad_request", reason)

    def cut(self, reason: str) -> None:
        """Count a connection ended without an answer, for one of the reasons in ``CUTS``."""
        self._cuts[reason].inc()

    def certificate(self, expires: float) -> None:
        """Count a certificate taken into service; ``expires`` is in Unix seconds."""
        self._loaded.inc()
        self._expiry.set(expires)

    def no_certificate(self) -> None:
        """Count a look that found none."""
        self._not_loaded.inc()


class _Reviews(Collector):
    """What is counted of every request, as plain numbers: one thread counts and shows them, so nothing needs a lock."""

    def __init__(self) -> None:
        # Those up to each bound, and beyond that before; the last is all others.
        self.durations = [0] * (len(BUCKETS) + 1)
        self.seconds = 0.0
        self.injected = self.kept = 0
        self._requests: dict[tuple[str, str], int] = {}

    def became(self, outcome: str, reason: str) -> None:
        """Count a request."""
        key = (outcome, reason)
        self._requests[key] = self._requests.get(key, 0) + 1

    def collect(self) -> Iterable[Metric]:
        """As Prometheus has it."""
        requests = CounterMetricFamily(
            "podfacts_admission_requests",
            "Requests to the admission port by what became of them and why.",
            labels=["outcome", "reason"],
        )
        for key, number in self._requests.items():
            requests.add_metric(key, number)
        yield requests
        bounds = [*map(floatToGoString, BUCKETS), "+Inf"]
        yield HistogramMetricFamily(
            "podfacts_admission_duration_seconds",
            "Time from a review read whole to its answer.",
            buckets=list(zip(bounds, accumulate(self.durations), strict=True)),
            sum_value=self.seconds,
        )
        yield CounterMetricFamily(
            "podfacts_facts_injected", "Facts written into pods' patches.", self.injected
        )
        told = "Facts not written because the pod's author had set them."
        yield CounterMetricFamily("podfacts_facts_kept", told, self.kept)


def _silence(followed: Followed) -> float:
    return time.monotonic() - followed.alive


def _size(followed: Followed) -> float:
    return len(followed.objects)
