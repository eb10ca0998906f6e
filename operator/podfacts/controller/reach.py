"""What all work of a term has at hand."""

from collections.abc import Callable
from dataclasses import dataclass

from podfacts.controller.apiserver import ApiServer
from podfacts.controller.metrics import ControllerMetrics
from podfacts.controller.owners import Owners
from podfacts.controller.table import Table
from podfacts.controller.work import Pace


@dataclass(frozen=True)
class Reach:
    """The calls, what is known, and when to write: ``pace`` is taken before each write, ``leads`` asked after it."""

    api: ApiServer
    table: Table
    owners: Owners
    pace: Pace
    metrics: ControllerMetrics
    leads: Callable[[], bool]
