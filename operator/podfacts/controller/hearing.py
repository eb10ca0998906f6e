"""What is heard of the cluster becomes work: which pods to look at again, which Events to send, which statuses to write."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from podfacts.controller.apiserver import ApiServer
from podfacts.controller.facts import Facts
from podfacts.controller.metrics import ControllerMetrics
from podfacts.controller.missed import Missed
from podfacts.controller.owners import Owners
from podfacts.controller.profiles import Statuses
from podfacts.controller.reach import Reach
from podfacts.controller.table import Table
from podfacts.controller.vitals import NAMESPACES, PROFILES, Vitals
from podfacts.controller.work import Pace, Work
from podfacts.core.missed import EXEMPT
from podfacts.core.observed import Key, Observed, observed
from podfacts.core.profile import Profile

WRITERS = 4
# Seconds that a list has to be heard to its end.
LISTENING = 60.0
SWEEP = 10.0


@dataclass(frozen=True)
class Terms:
    """What can be chosen: calls that write a second, evictions a minute, and the profiles that need no object."""

    profiles: Mapping[str, Profile]
    namespace: str
    writes_per_second: float = 20.0
    evictions_per_minute: float = 6.0


class Hearing:
    """A listener to the watches (watches.py). What it knows is ``table``, what is to be done about it ``works``."""

    def __init__(
        self,
        terms: Terms,
        api: ApiServer,
        metrics: ControllerMetrics,
        leads: Callable[[], bool],
        *,
        topology_labels: bool,
    ) -> None:
        self.table = Table(
            terms.profiles, topology_labels=topology_labels, touched=self._touched, judged=self._judged
        )
        pace = Pace(terms.writes_per_second, terms.writes_per_second)
        reach = Reach(api, self.table, Owners(api), pace, metrics, leads)
        self._missed = Missed(
            reach, evictions_per_minute=terms.evictions_per_minute, exempt=EXEMPT | {terms.namespace}
        )
        self._facts = Work[Key]("facts", Facts(reach, self._came_late).tell, workers=WRITERS)
        self._events = Work[Key]("events", self._missed.say)
        self._evictions = Work[Key]("evictions", self._missed.evict, pause=10.0)
        self._profiles = Work[str]("profiles", Statuses(reach).write)
        self.works = (self._facts, self._events, self._evictions, self._profiles)

    def node(self, name: str, uid: str, tree: Any) -> None:
        """A node, or that it is gone."""
        self.table.node(name, uid, tree)

    def namespace(self, name: str, uid: str, tree: Any) -> None:
        """A namespace, or that it is gone."""
        self.table.namespace(name, uid, tree)

    def profile(self, name: str, uid: str, tree: Any) -> None:
        """A Profile, or that it is gone."""
        self.table.profile(name, uid, tree)

    def settled(self) -> None:
        """The lists are complete."""
        self.table.settled()

    def pod(self, tree: Any, *, gone: bool) -> None:
        """A pod, or that it is gone, or no longer opted in."""
        pod = observed(tree)
        if gone:
            self._forget("pods", [pod.key])
        elif self.table.pod(pod):
            self._touched([pod.key])

    def listed(self, plural: str, began: float) -> None:
        """Forget what a whole list did not hold."""
        self._forget(plural, self.table.unseen(plural, began))

    async def forget_unlisted(self, vitals: Vitals) -> None:
        """Forget what a list of kopf's after a gap did not hold, for ever.

        A watch that was too old (410) begins with a new list, and of what was deleted meanwhile kopf says nothing.
        """
        done: dict[str, float] = {}
        while True:
            await asyncio.sleep(SWEEP)
            for plural in (NAMESPACES.plural, PROFILES.plural):
                began = vitals.relisted(plural, LISTENING)
                if began is not None and done.get(plural) != began:
                    done[plural] = began
                    self._forget(plural, self.table.unseen(plural, began))

    def _forget(self, plural: str, gone: Iterable[Any]) -> None:
        told: Mapping[str, Callable[[str, str, None], None]] = {
            "nodes": self.node,
            "namespaces": self.namespace,
            "profiles": self.profile,
        }
        for each in gone:
            if plural == "pods":
                self.table.forget_pod(each)
                self._missed.look(each)
            else:
                name, uid = each
                told[plural](name, uid, None)
        self.settled()

    def _touched(self, keys: Iterable[Key]) -> None:
        for key in keys:
            pod = self.table.pods.get(key)
            if pod and pod.record:
                self._facts.add([key])
                continue
            if self._missed.look(key):
                self._events.add([key])
            if self._missed.wants_eviction(key):
                self._evictions.add([key])

    def _judged(self, names: Iterable[str]) -> None:
        self._profiles.add(names)

    def _came_late(self, pod: Observed, names: tuple[str, ...]) -> None:
        if self._missed.came_late(pod, names):
            self._events.add([pod.key])
