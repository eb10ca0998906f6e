"""Elects one active controller by a Lease, with client-go's rules.

The law: **whoever stops renewing stops writing before anybody else may start.** A leader counts the time from before
it sent the last renewal that came through, and gives up after 10 s; a candidate counts from when it saw the Lease
change last, by its own clock, and waits 15 s. No clock is compared with another machine's, so a skewed one harms
nothing, and a Lease left behind is adopted 15 s after it was first seen. What the leader writes is guarded by
compare-and-swap as well, because a process that was stopped in the middle of a write believes what it believed before.

The election that comes with the `kubernetes` package (37.0, `kubernetes.aio.leaderelection`) was read and not taken:
it lets any network error (aiohttp's, a timeout) end the election, as it expects `ApiException` only; puts no deadline on
a renewal, so that a connection that hangs leaves a leader that leads for ever; measures with the wall clock and
writes local time marked as UTC; asks for the right to create; and does not give the Lease back at the end, which makes
each upgrade wait 15 s.

The Lease is shipped empty, so that `get` and `update` of one named object are all the rights that this needs.
"""

import asyncio
import contextlib
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

import structlog

from podfacts.controller.apiserver import ApiServer, Failed, Resource, Tree

Action = Literal["renew", "take", "wait"]


@dataclass(frozen=True)
class Timing:
    """client-go's defaults, in seconds."""

    duration: float = 15.0
    deadline: float = 10.0
    retry: float = 2.0


@dataclass(frozen=True)
class Sighting:
    """A Lease as it was seen last, and when it was first seen so, by the clock that never jumps."""

    holder: str = ""
    renewed: Any = None
    at: float = 0.0


def sight(lease: Tree, before: Sighting | None, now: float) -> Sighting:
    """Return what is seen of a Lease; its time is that of the first look that saw it so."""
    spec = lease.get("spec") or {}
    seen = Sighting(spec.get("holderIdentity") or "", spec.get("renewTime"), now)
    if before and (before.holder, before.renewed) == (seen.holder, seen.renewed):
        return before
    return seen


def action(seen: Sighting, identity: str, now: float, timing: Timing) -> Action:
    """Return what a candidate does about the Lease that it sees."""
    if seen.holder == identity:
        return "renew"
    if not seen.holder or now - seen.at >= timing.duration:
        return "take"
    return "wait"


def held(lease: Tree, identity: str, now: datetime, timing: Timing) -> Tree:
    """Return the Lease as held by the identity from now on; with identity "" given back."""
    spec = lease.get("spec") or {}
    before = spec.get("holderIdentity") or ""
    stamp = now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    changed: Tree = {
        "holderIdentity": identity,
        # What is given back may be taken at once, also by client-go's rules.
        "leaseDurationSeconds": int(timing.duration) if identity else 1,
        "renewTime": stamp,
    }
    if identity and before != identity:
        changed |= {
            "acquireTime": stamp,
            "leaseTransitions": (spec.get("leaseTransitions") or 0) + bool(before),
        }
    return {**lease, "spec": {**spec, **changed}}


class Election:
    """One candidate. `run` keeps trying, and runs the work while it leads."""

    def __init__(self, api: ApiServer, lease: Resource, identity: str, timing: Timing | None = None) -> None:
        self.identity = identity
        self.beat = time.monotonic()  # When the last try ended, however it ended.
        self.fault: Failed | None = None  # Of the last try.
        self.answered = False  # Whether the Lease has ever been read.
        self._api = api
        self._resource = lease
        self._timing = timing or Timing()
        self._lease: Tree | None = None  # As it was answered last; None: to be read.
        self._seen: Sighting | None = None
        self._until = 0.0
        self._log = structlog.get_logger(identity=identity, lease=lease.name)

    def leads(self) -> bool:
        """Whether this candidate may write now."""
        return time.monotonic() < self._until

    async def run(self, work: Callable[[], Awaitable[None]]) -> None:
        """Lead whenever it can be, for ever. The work is cancelled when the Lease is lost, and started anew later.

        Returns only if the work returns by itself, and raises what it raises.
        """
        while True:
            if not await self._try():
                await asyncio.sleep(self._pause())
                continue
            self._log.info("leading")
            working = asyncio.ensure_future(work())
            try:
                await self._renew_beside(working)
            finally:
                working.cancel()
                await asyncio.wait([working])
            if not working.cancelled():
                return working.result()
            self._log.warning(
                "not leading any more", reason=str(self.fault or "the Lease has another holder")
            )

    async def release(self) -> None:
        """Give the Lease back, if it is ours, so that the next one need not wait."""
        if not self.leads():
            return
        self._until = 0.0
        with contextlib.suppress(Failed):  # Then it runs out by itself.
            lease = self._lease or await self._api.get(self._resource)
            if sight(lease, None, 0.0).holder == self.identity:
                await self._api.update(self._resource, held(lease, "", datetime.now(UTC), self._timing))
                self._log.info("lease given back")

    async def _renew_beside(self, working: "asyncio.Future[None]") -> None:
        """Renew until the Lease is lost, or the work ends."""
        while self.leads() and not working.done():
            await asyncio.wait(
                [working], timeout=min(self._pause(), max(0.0, self._until - time.monotonic()))
            )
            if not working.done():
                # A renewal that comes too late is none: the work must have stopped by then.
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(max(0.0, self._until - time.monotonic())):
                        await self._try()

    async def _try(self) -> bool:
        """Take or renew the Lease if it can be had; return whether it is ours now."""
        sent = time.monotonic()
        try:
            # A leader goes by the answer to its last renewal: a conflict tells it when it is wrong.
            lease, self._lease = self._lease, None
            if lease is None or not self.leads():
                lease = await self._api.get(self._resource)
                self.answered = True
            self._seen = sight(lease, self._seen, time.monotonic())
            if action(self._seen, self.identity, time.monotonic(), self._timing) == "wait":
                self._until = 0.0
                self.fault = None
                return False
            sent = time.monotonic()
            self._lease = await self._api.update(
                self._resource, held(lease, self.identity, datetime.now(UTC), self._timing)
            )
        except Failed as error:
            self._report(error)
            return False
        else:
            self._until = sent + self._timing.deadline
            self.fault = None
            return True
        finally:
            self.beat = time.monotonic()

    def _report(self, error: Failed) -> None:
        if error.reason != "conflict" and str(error) != str(self.fault):
            self._log.warning("lease not available", reason=error.reason, detail=str(error))
        self.fault = error

    def _pause(self) -> float:
        """Candidates started together must not ask together."""
        return self._timing.retry * random.uniform(1.0, 1.2)  # noqa: S311  nothing secret about it
