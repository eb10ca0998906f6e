"""The workload at the top of a pod: of a Deployment's pod the Deployment, and not the ReplicaSet between them.

Only ReplicaSets and Jobs have an owner above them that Kubernetes itself makes, so only those are looked up, one GET of
metadata each, and once for all their pods. Any other controller is the top itself, and so is a pod without one.
"""

import asyncio
import re
from collections import OrderedDict
from typing import NamedTuple

from podfacts.controller.apiserver import ApiServer, Failed, Resource
from podfacts.controller.work import Pace
from podfacts.core.observed import Observed, Reference, controller_of

BETWEEN = {("apps/v1", "ReplicaSet"): "replicasets", ("batch/v1", "Job"): "jobs"}
KEPT = 4096  # Owners remembered: some 2 MB.
READS_A_SECOND = 50.0
NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")  # Of a ReplicaSet and a Job. It goes into a URL.


class Found(NamedTuple):
    """What a look brought; ``top`` is None when the object is gone."""

    top: Reference | None


class Owners:
    """Tops by the controller below them, as its pods name it. An owner does not change while the object lives."""

    def __init__(self, api: ApiServer) -> None:
        self._api = api
        self._pace = Pace(READS_A_SECOND, READS_A_SECOND)
        self._found: OrderedDict[tuple[str, Reference], Found] = OrderedDict()
        self._looking = (
            asyncio.Lock()
        )  # Pods of one owner come together, and one look is enough for all of them.

    async def top(self, pod: Observed) -> Reference | None:
        """The top; ``None`` when what is between is gone. Raises Failed."""
        controller = pod.controller
        if controller is None:
            return pod.reference
        plural = BETWEEN.get((controller.api_version, controller.kind))
        if plural is None:
            return controller
        # Whoever creates a pod says whose it is, and Kubernetes checks neither name nor uid.
        if not NAME.fullmatch(controller.name):
            return None
        known = (pod.key.namespace, controller)
        async with self._looking:
            if known not in self._found:
                await self._pace.take()
                self._found[known] = await self._look(pod, controller, plural)
                if len(self._found) > KEPT:
                    self._found.popitem(last=False)
            self._found.move_to_end(known)
            return self._found[known].top

    async def _look(self, pod: Observed, controller: Reference, plural: str) -> Found:
        group, _, version = controller.api_version.partition("/")
        resource = Resource(group, version, plural, controller.name, pod.key.namespace)
        try:
            metadata = (await self._api.metadata(resource))["metadata"]
        except Failed as error:
            if error.reason == "absent":
                return Found(None)
            raise
        # Another one of that name is not the pod's.
        return Found((controller_of(metadata) or controller) if metadata["uid"] == controller.uid else None)
