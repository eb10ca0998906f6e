"""Metrics that every server has: what is running, and what it costs."""

import sys

from prometheus_client import CollectorRegistry, Gauge, ProcessCollector

import podfacts


def new_registry(**more: str) -> CollectorRegistry:
    """A registry of its own, with those; ``more`` are further labels of ``podfacts_build_info``."""
    registry = CollectorRegistry()
    labels = {"version": podfacts.__version__, "python": sys.version.split()[0], **more}
    build = Gauge("podfacts_build_info", "1, with what is running.", [*labels], registry=registry)
    build.labels(*labels.values()).set(1)
    ProcessCollector(registry=registry)
    return registry
