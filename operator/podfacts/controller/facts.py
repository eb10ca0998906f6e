"""Keeps the facts of running pods true: each write is the difference to what the pod has, and no difference is no call.

Annotations travel through ``pods/status``: ``patch pods`` would be the right to change their images as well. The patch
names the pod's uid, so that one that was made anew under the same name is not told the facts of the one before.
"""

from collections.abc import Callable

import structlog

from podfacts.controller.apiserver import Failed, Resource
from podfacts.controller.reach import Reach
from podfacts.core.observed import Key, Observed, Reference, due, late
from podfacts.core.profile import Profile

# The pod is gone, or is another one by now, or there is no room in it for an annotation more: the next event of the pod
# brings it here again.
DROPPED = {"absent": "gone", "conflict": "gone", "refused": "refused"}


class Facts:
    """What is written to pods. ``came_late`` hears of each pod that has run without facts of its node."""

    def __init__(self, reach: Reach, came_late: Callable[[Observed, tuple[str, ...]], None]) -> None:
        self._reach = reach
        self._came_late = came_late
        self._log = structlog.get_logger()

    async def tell(self, key: Key) -> bool:
        """Write what the pod lacks. Raises Failed when it has to be tried again."""
        found = self._pod(key)
        if not found:
            return False
        pod, profile = found
        owner, failed = await self._owner(pod, profile)
        if names := late(pod, profile):
            self._came_late(pod, names)
        written = bool(self._due(pod, profile, owner)) and await self._write(pod.key, owner)
        if failed:
            raise failed
        return written

    async def _write(self, key: Key, owner: Reference | None) -> bool:
        await self._reach.pace.take()
        # By what is known now: the turn may have been long in coming.
        found = self._pod(key)
        lacking = self._due(*found, owner) if found else {}
        if not found or not lacking or not self._reach.leads():
            return False
        pod, profile = found
        if names := late(pod, profile):  # It may have started while it waited for its turn.
            self._came_late(pod, names)
        resource = Resource("", "v1", "pods", key.name, key.namespace, "status")
        patch = {"metadata": {"uid": pod.key.uid, "annotations": lacking}}
        try:
            await self._reach.api.merge(resource, patch)
        except Failed as error:
            outcome = DROPPED.get(error.reason)
            self._reach.metrics.writes.labels(outcome or error.reason).inc()
            if outcome is None:
                raise
            if outcome == "refused":
                self._log.warning("facts refused", pod=str(key), detail=str(error))
            return False
        self._reach.metrics.writes.labels("written").inc()
        self._reach.metrics.last_write.set_to_current_time()
        return True

    def _pod(self, key: Key) -> tuple[Observed, Profile] | None:
        """The pod and its profile, if there is anything to keep: a pod without references has no use for facts."""
        pod = self._reach.table.pods.get(key)
        if pod is None or pod.ended or pod.record is None:
            return None
        profile = self._reach.table.catalogue.profiles.get(pod.profile)
        return (pod, profile) if profile else None

    def _due(self, pod: Observed, profile: Profile, owner: Reference | None) -> dict[str, str]:
        node = self._reach.table.nodes.get(pod.node)
        namespace = self._reach.table.namespaces.get(pod.key.namespace)
        return due(pod, profile, node=node, namespace=namespace, owner=owner)

    async def _owner(self, pod: Observed, profile: Profile) -> tuple[Reference | None, Failed | None]:
        """The owner; without one, what is known is written all the same."""
        if not any(each.kind == "owner" for each in profile.carried):
            return None, None
        try:
            return await self._reach.owners.top(pod), None
        except Failed as error:
            return None, error
