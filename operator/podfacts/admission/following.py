"""The admission server's picture of the cluster: profiles, nodes and namespaces, kept current by list and watch.

A review looks here and asks nobody. While the API server is away the picture stays as it was, and so do the answers; what
is older than it should be is a number to be watched, and no reason to stop serving.
"""

import asyncio
import random
import time
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from http import HTTPStatus
from typing import Any

import structlog

from podfacts.admission.apiserver import PAGE, ApiServer, Failed
from podfacts.core.carried import Surroundings
from podfacts.core.catalogue import Catalogue, catalogue
from podfacts.core.observed import namespace_part, node_part
from podfacts.core.profile import Profile
from podfacts.core.review import World

SLOWEST = 30.0  # Seconds between two tries, at most.
SHORTEST = 1.0  # Seconds of a watch that was one.
# From this version on the API server sets a pod's zone and region labels (PodTopologyLabelsAdmission, beta and on).
TOPOLOGY_SINCE = (1, 35)


class Followed:
    """One resource by name, each object reduced by ``part``. ``changed`` hears of every change, once the list is whole."""

    def __init__(
        self, path: str, part: Callable[[Any], Mapping[str, Any]], changed: Callable[[], None] = lambda: None
    ) -> None:
        self.objects: dict[str, Mapping[str, Any]] = {}
        self.whole = False
        self.fault = "not read yet"
        self.alive = time.monotonic()  # When the API server last said anything about it.
        self.name = path.rpartition("/")[2]
        self._path = path
        self._part = part
        self._changed = changed
        self._log: Any = structlog.get_logger()

    async def follow(self, api: ApiServer) -> None:
        """List and watch, for ever."""
        failures = 0
        version = ""
        while True:
            began = time.monotonic()
            watched = bool(version)
            fault = Failed("the watch ended at once")
            try:
                version = await self._watch(api, version) if version else await self._list(api)
            except Failed as error:
                fault = error
                # Whatever the trouble was, a list puts it right; 410 says that the watch came too late.
                version = ""
                if error.status != HTTPStatus.GONE:
                    self._report(error)
            else:
                # A list that comes proves nothing, and a watch that ends as it begins is none.
                if not watched or time.monotonic() - began > SHORTEST:
                    failures = failures if not watched else 0
                    continue
            failures += 1
            if fault.status != HTTPStatus.GONE or failures > 1:
                await asyncio.sleep(pause(fault, failures))

    async def _list(self, api: ApiServer) -> str:
        found: dict[str, Mapping[str, Any]] = {}
        page = {"limit": PAGE}
        while True:
            answer = await api.get(self._path, **page)
            found.update((each["metadata"]["name"], self._part(each)) for each in answer.get("items") or ())
            self.alive = time.monotonic()
            following = answer["metadata"].get("continue")
            if not following:
                break
            page["continue"] = following
        # The same dict: reviews hold on to it.
        self.objects.clear()
        self.objects.update(found)
        self.whole, self.fault = True, ""
        self._changed()
        return str(answer["metadata"]["resourceVersion"])

    async def _watch(self, api: ApiServer, version: str) -> str:
        """Follow the events from ``version`` on; return the version that the next watch begins with."""
        # Not all replicas at once, nor at the same moment for ever.
        seconds = str(random.randint(300, 600))  # noqa: S311
        async for event in api.watch(self._path, resourceVersion=version, timeoutSeconds=seconds):
            self.alive = time.monotonic()
            self.fault = ""
            tree = event["object"]
            if event["type"] == "ERROR":
                raise Failed(str(tree.get("message")), int(tree.get("code") or 0))
            version = tree["metadata"]["resourceVersion"]
            if event["type"] == "BOOKMARK":
                continue
            name = tree["metadata"]["name"]
            part = None if event["type"] == "DELETED" else self._part(tree)
            if part == self.objects.get(name):
                continue  # A heartbeat.
            if part is None:
                self.objects.pop(name, None)
            else:
                self.objects[name] = part
            self._changed()
        self.alive = time.monotonic()
        return version

    def _report(self, error: Failed) -> None:
        if str(error) != self.fault:
            self._log.warning("not followed", resource=self.name, status=error.status, detail=str(error))
        self.fault = str(error)


def pause(error: Failed, failures: int) -> float:
    """How long to wait after so many failures; a right that is missing will not be there in a second."""
    longest = SLOWEST if error.status == HTTPStatus.FORBIDDEN else 0.5 * 2 ** min(failures, 6)
    return min(SLOWEST, longest) * random.uniform(0.8, 1.2)  # noqa: S311 - nothing secret about it


class Picture:
    """What reviews go by. ``world`` is replaced as a whole when the profiles change, never altered."""

    def __init__(self, files: Mapping[str, Profile], *, admit_unknown: bool) -> None:
        self._files = files
        self._admit_unknown = admit_unknown
        self._topology_labels = True
        self._profiles = Followed("/apis/podfacts.dev/v1alpha1/profiles", lambda tree: tree, self._catalogued)
        nodes = Followed("/api/v1/nodes", node_part)
        namespaces = Followed("/api/v1/namespaces", namespace_part)
        self.followed = (self._profiles, nodes, namespaces)
        self._around = Surroundings(nodes.objects, namespaces.objects)
        self._log: Any = structlog.get_logger()
        self._tasks: tuple[asyncio.Task[None], ...] = ()
        self.catalogue = Catalogue({})
        self._take(catalogue([], files))

    def start(self, api: ApiServer, stack: AsyncExitStack) -> None:
        """Follow the cluster until the stack is closed."""
        asking = asyncio.create_task(self._follow(api))
        stack.callback(asking.cancel)
        self._tasks = (asking,)

    def lacks(self) -> str | None:
        """Why reviews cannot be answered yet; ``None`` without a cluster to follow."""
        if not self._tasks:
            return None
        missing = [f"{each.name}: {each.fault}" for each in self.followed if not each.whole]
        return f"the cluster is not known yet: {'; '.join(missing)}" if missing else None

    def broken(self) -> str | None:
        """Why the process is to be started anew."""
        return next(("the cluster is no longer followed" for each in self._tasks if each.done()), None)

    async def _follow(self, api: ApiServer) -> None:
        self._topology_labels = await self._version(api) >= TOPOLOGY_SINCE
        async with asyncio.TaskGroup() as group:
            for each in self.followed:
                group.create_task(each.follow(api))

    async def _version(self, api: ApiServer) -> tuple[int, int]:
        while True:
            try:
                said = await api.get("/version")
                return int(said["major"]), int(str(said["minor"]).rstrip("+"))
            except (Failed, KeyError, ValueError) as error:
                self._log.warning("the API server's version is not known", detail=str(error))
                await asyncio.sleep(2)

    def _catalogued(self) -> None:
        trees = self._profiles.objects.values()
        found = catalogue(trees, self._files, self.catalogue, topology_labels=self._topology_labels)
        for name, verdict in found.verdicts.items():
            before = self.catalogue.verdicts.get(name)
            if before is None or before[:4] != verdict[:4]:
                self._log.info(
                    "profile",
                    profile=name,
                    reason=verdict.reason,
                    generation=verdict.generation,
                    detail=verdict.message,
                )
        self._take(found)

    def _take(self, found: Catalogue) -> None:
        self.catalogue = found
        self.world = World(
            found.profiles, found.node_facts, found.topology, self._around, self._admit_unknown
        )
