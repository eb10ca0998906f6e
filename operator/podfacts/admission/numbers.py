"""The numbers of several processes as one Prometheus metric has them."""

from collections.abc import Callable, Iterable

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

# Of a sample: the metric, its own name, its labels, its value. As JSON it is a list.
Counted = list[tuple[str, str, dict[str, str], float]]

# All else is a sum. These are the same in each process, or only the worst of them matters.
LEAST = ("podfacts_certificate_expiry_timestamp_seconds", "process_start_time_seconds", "process_max_fds")
MOST = (
    "podfacts_followed_silent_seconds",
    "podfacts_followed_objects",
    "podfacts_certificate_overdue",
    "podfacts_build_info",
)


def counted(registry: CollectorRegistry) -> Counted:
    """Every sample of a registry."""
    return [(of.name, each.name, each.labels, each.value) for of in registry.collect() for each in of.samples]


class Together(Collector):
    """The metrics of a registry, with the values of ``others`` in them."""

    def __init__(self, own: CollectorRegistry, others: Callable[[], Iterable[Counted]]) -> None:
        self._own = own
        self._others = others

    def collect(self) -> Iterable[Metric]:
        """Each of them."""
        others = [sample for each in self._others() for sample in each]
        for metric in self._own.collect():
            theirs = [Sample(name, labels, value) for of, name, labels, value in others if of == metric.name]
            metric.samples = _combined(metric.name, [*metric.samples, *theirs])
            yield metric


def _combined(metric: str, samples: list[Sample]) -> list[Sample]:
    alike: dict[tuple[str, ...], list[Sample]] = {}
    for each in samples:
        key = (each.name, *(str(item) for item in sorted(each.labels.items())))
        alike.setdefault(key, []).append(each)
    return [
        each[0]._replace(value=_rule(metric, each[0].name)([same.value for same in each]))
        for each in alike.values()
    ]


def _rule(metric: str, sample: str) -> Callable[[list[float]], float]:
    if metric in LEAST or sample.endswith("_created"):
        return min
    return max if metric in MOST else sum
