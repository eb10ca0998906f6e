"""When each watch last showed a sign of life, seen from below: in the HTTP client, not in what kopf makes of it.

A watch whose task has died quietly, or hangs for ever, says nothing and fails nowhere (nolar/kopf#1276, #1145). But each
watch request is asked to end after a while, so a watch that lives begins another one, and the answer's first line is seen
here whether anything happens in the cluster or not.
"""

import time
from collections.abc import Callable
from types import SimpleNamespace

import aiohttp

from podfacts.controller.apiserver import Resource

WATCH_SECONDS = 40
SILENCE = (
    WATCH_SECONDS + 10.0
)  # After which a watch is dead, and is begun anew: within a minute of its last word.
PODS = Resource("", "v1", "pods", "")
NODES = Resource("", "v1", "nodes", "")
NAMESPACES = Resource("", "v1", "namespaces", "")
PROFILES = Resource("podfacts.dev", "v1alpha1", "profiles", "")
WATCHED = (PODS, NODES, NAMESPACES, PROFILES)


class Vitals:
    """The last sign of life of each resource's watch, by the clock that never jumps.

    ``listed`` is when its last list began, ``watched`` when a watch was last answered.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.seen = {each.plural: clock() for each in WATCHED}
        self.listed: dict[str, float] = {}
        self.watched: dict[str, float] = {}
        self._paths = {each.path: each.plural for each in WATCHED}

    def age(self, plural: str) -> float:
        """Seconds since the last sign of life."""
        return self._clock() - self.seen[plural]

    def silent(self, limit: float) -> str | None:
        """The resource that has been silent for longer than ``limit`` seconds."""
        return next((each for each in self.seen if self.age(each) > limit), None)

    def relisted(self, plural: str, grace: float) -> float | None:
        """When the last list began, if all that it held has been seen by now: the watch after it is so old."""
        began, watched = self.listed.get(plural), self.watched.get(plural)
        done = began is not None and watched is not None and watched > began
        return began if done and began is not None and self._clock() - began > grace else None

    def revive(self) -> None:
        """Count from now."""
        self.seen = {each: self._clock() for each in self.seen}

    def trace(self) -> aiohttp.TraceConfig:
        """What an HTTP client reports to."""
        trace = aiohttp.TraceConfig()
        trace.on_request_start.append(self._asked)
        trace.on_request_end.append(self._answered)
        return trace

    async def _asked(
        self,
        _session: aiohttp.ClientSession,
        _context: SimpleNamespace,
        params: aiohttp.TraceRequestStartParams,
    ) -> None:
        plural = self._paths.get(params.url.path)
        if plural and "watch" not in params.url.query and "continue" not in params.url.query:
            self.listed[plural] = self._clock()

    async def _answered(
        self,
        _session: aiohttp.ClientSession,
        _context: SimpleNamespace,
        params: aiohttp.TraceRequestEndParams,
    ) -> None:
        plural = self._paths.get(params.url.path)
        if plural and params.response.ok:
            self.seen[plural] = self._clock()
            if "watch" in params.url.query:
                self.watched[plural] = self._clock()
