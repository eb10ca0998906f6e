"""Says which pods run without their facts, once each, and evicts those whose profile says so.

An Event's name is made of what it is about and of its reason, so that whoever says it again, after a restart or as another
leader, is told that it has been said. Evictions are few a minute, obey disruption budgets, and happen once for an
owner: when the pods made anew are missed again, evicting them would go on for ever.
"""

from collections.abc import Container

import structlog

from podfacts.controller.apiserver import Failed, Resource
from podfacts.controller.profiles import timestamp
from podfacts.controller.reach import Reach
from podfacts.controller.work import Pace
from podfacts.core.missed import (
    LATE,
    MISSED,
    Reason,
    event,
    evictable,
    reason_missed,
    told_late,
    told_missed,
)
from podfacts.core.observed import Key, Observed, Reference

SAID = 20_000  # Events remembered as said; beyond it one may be asked about again, and is answered that it is there.


class Missed:
    """The pods without facts, by key; ``look`` keeps the account, ``say`` and ``evict`` are work on one of them."""

    def __init__(self, reach: Reach, *, evictions_per_minute: float, exempt: Container[str]) -> None:
        self._reach = reach
        self._evictions = Pace(evictions_per_minute / 60, 1)
        self._exempt = exempt
        self._reasons: dict[Key, Reason] = {}
        self._late: dict[Key, tuple[str, ...]] = {}
        # By namespace as well: the uid of an owner is what a pod's author says it is.
        self._said: set[tuple[str, str, str]] = set()
        self._evicted: dict[tuple[str, str], str] = {}  # After which moment an owner's pod is one made anew.
        self._log = structlog.get_logger()

    def look(self, key: Key) -> bool:
        """Take account of a pod; return whether there is something to say of it."""
        pod = self._reach.table.pods.get(key)
        reason = reason_missed(pod, self._reach.table.catalogue.profiles, self._exempt) if pod else None
        # What was found first is why, whatever has been put right since.
        if reason and key not in self._reasons:
            self._reasons[key] = reason
            self._reach.metrics.missed.labels(reason).inc()
        elif not reason and (before := self._reasons.pop(key, None)):
            self._reach.metrics.missed.labels(before).dec()
        if pod is None:
            self._late.pop(key, None)
            return False
        return reason is not None and (key.namespace, key.uid, MISSED) not in self._said

    def came_late(self, pod: Observed, names: tuple[str, ...]) -> bool:
        """Take account of a pod that has run without facts of its node; return whether it is news."""
        if (pod.key.namespace, pod.key.uid, LATE) in self._said:
            return False
        self._late[pod.key] = names
        return True

    def wants_eviction(self, key: Key) -> bool:
        """Whether the pod's profile says that it be evicted."""
        pod, found = self._reach.table.pods.get(key), self._reasons.get(key)
        return bool(pod and found and evictable(pod, found, self._reach.table.catalogue.profiles))

    async def say(self, key: Key) -> bool:
        """Say what there is to say of a pod, to it and to its owner. Raises Failed."""
        pod = self._reach.table.pods.get(key)
        if pod is None:
            return False
        if names := self._late.get(key):
            await self._said_of(pod.reference, LATE, told_late(pod, names), pod)
            self._late.pop(key, None)
        if reason := self._reasons.get(key):
            message = told_missed(pod, reason)
            await self._said_of(pod.reference, MISSED, message, pod)
            top = await self._reach.owners.top(pod)
            if top and top != pod.reference:
                await self._said_of(top, MISSED, message, pod)
        return True

    async def evict(self, key: Key) -> bool:
        """Evict a pod, if that is still wanted. Raises Failed, so that it is tried again, as a budget may say."""
        pod = self._reach.table.pods.get(key)
        if pod is None or not self.wants_eviction(key):
            return False
        top = await self._reach.owners.top(pod)
        if top is None or self._made_anew(pod, top):
            return False
        await self._evictions.take()
        if not self.wants_eviction(key) or not self._reach.leads():
            return False
        before = self._reach.table.pods.youngest()
        try:
            await self._reach.api.create(
                Resource("", "v1", "pods", key.name, key.namespace, "eviction"),
                {
                    "apiVersion": "policy/v1",
                    "kind": "Eviction",
                    "metadata": {"name": key.name, "namespace": key.namespace},
                    "deleteOptions": {"preconditions": {"uid": pod.key.uid}},
                },
            )
        except Failed as error:
            self._reach.metrics.evictions.labels(_outcome(error)).inc()
            if error.reason in ("absent", "conflict", "refused"):
                return False
            raise
        self._evicted.setdefault((key.namespace, top.uid), before)
        self._reach.metrics.evictions.labels("evicted").inc()
        self._log.info("evicted", pod=key.name, namespace=key.namespace, owner=f"{top.kind}/{top.name}")
        return True

    def _made_anew(self, pod: Observed, top: Reference) -> bool:
        """Whether an eviction has brought nothing: this pod is one of those made since, and was missed again."""
        namespace = pod.key.namespace
        before = self._evicted.get((namespace, top.uid))
        if before is None or pod.created <= before:
            return False
        if (namespace, pod.key.uid, "kept") not in self._said:
            self._reach.metrics.evictions.labels("kept").inc()
        if (namespace, top.uid, "kept") not in self._said:
            self._log.warning(
                "not evicted: a pod made anew was missed again",
                owner=f"{top.kind}/{top.name}",
                namespace=namespace,
            )
        self._said |= {(namespace, each, "kept") for each in (pod.key.uid, top.uid)}
        return True

    async def _said_of(self, about: Reference, reason: str, message: str, pod: Observed) -> None:
        namespace = pod.key.namespace
        if (namespace, about.uid, reason) in self._said:
            return
        await self._reach.pace.take()
        if not self._reach.leads():
            return
        tree = event(about, reason, message, namespace, timestamp())
        try:
            await self._reach.api.create(Resource("", "v1", "events", "", namespace), tree)
        except Failed as error:
            # Said already; or the namespace is being deleted, and nobody will read it.
            if error.reason not in ("conflict", "refused"):
                raise
        else:
            self._reach.metrics.events.labels(reason).inc()
        if len(self._said) >= SAID:
            self._said.clear()
        self._said.add((namespace, about.uid, reason))


def _outcome(error: Failed) -> str:
    too_many = 429  # A disruption budget says not now.
    return "blocked" if error.status == too_many else error.reason
