"""Work on keys: each waits once however often it is asked for, and is done by what is known when its turn comes.

A failure comes back later, and later again. The pace is a bucket of tokens: one for each call that writes.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Hashable, Iterable
from typing import Generic, TypeVar

import structlog

from podfacts.controller.apiserver import Failed

K = TypeVar("K", bound=Hashable)

SLOWEST = 60.0  # The longest pause in seconds after failures of one key.
WITHOUT_RIGHT = 30.0  # The shortest, where the right is missing: an administrator is not that quick.


class Pace:
    """So many a second, and at first ``burst`` at once. Whoever comes first goes first."""

    def __init__(self, rate: float, burst: float) -> None:
        self._rate = rate
        self._burst = burst
        self._tokens = burst
        self._then = time.monotonic()
        self._lock = asyncio.Lock()

    async def take(self) -> None:
        """Wait for a turn."""
        async with self._lock:
            self._fill()
            while self._tokens < 1:
                await asyncio.sleep((1 - self._tokens) / self._rate)
                self._fill()
            self._tokens -= 1

    def _fill(self) -> None:
        now = time.monotonic()
        self._tokens = min(self._burst, self._tokens + (now - self._then) * self._rate)
        self._then = now


class Work(Generic[K]):
    """A queue of keys and what is done about one: ``do`` returns whether it has written anything.

    ``fault`` is a right that was missing at the last try. ``pause`` is the first one after a failure, in seconds.
    """

    def __init__(
        self, name: str, do: Callable[[K], Awaitable[bool]], *, workers: int = 1, pause: float = 0.5
    ) -> None:
        self.fault: Failed | None = None
        self.name = name
        self._do = do
        self._workers = workers
        self._pause = pause
        self._queue: asyncio.Queue[K] = asyncio.Queue()
        self._waiting: set[K] = set()
        self._doing: set[K] = set()
        self._again: set[K] = set()
        self._failures: dict[K, int] = {}
        self._timers: dict[K, asyncio.TimerHandle] = {}
        self._log = structlog.get_logger()

    def __len__(self) -> int:
        return len(self._waiting) + len(self._again)

    def add(self, keys: Iterable[K]) -> None:
        """Have them done. One that is being done is done once more afterwards."""
        for key in keys:
            if key in self._doing:
                self._again.add(key)
            elif key not in self._waiting:
                self._waiting.add(key)
                self._queue.put_nowait(key)

    async def run(self) -> None:
        """Do what there is, for ever."""
        async with asyncio.TaskGroup() as group:
            for _ in range(self._workers):
                group.create_task(self._run())

    async def _run(self) -> None:
        while True:
            key = await self._queue.get()
            self._waiting.discard(key)
            self._doing.add(key)
            try:
                await self._try(key)
            finally:
                self._doing.discard(key)
                if key in self._again:
                    self._again.discard(key)
                    self.add([key])

    async def _try(self, key: K) -> None:
        """The one door: nothing that happens to one key ends the work on the others."""
        try:
            written = await self._do(key)
        except Failed as error:
            self._failed(key, error)
        except Exception:  # noqa: BLE001 - of ours, then; it may be gone when the object has changed
            self._log.exception("work broke", work=self.name, key=str(key))
            self._later(key, self._pause)
        else:
            self._failures.pop(key, None)
            self._cancel(key)
            if written or not self._failures:
                self.fault = None

    def _failed(self, key: K, error: Failed) -> None:
        forbidden = error.reason == "forbidden"
        if forbidden and self.fault is None:
            self._log.error(
                "a right is missing", verb=error.verb, resource=str(error.resource), detail=str(error)
            )
        elif not forbidden and key not in self._failures:
            self._log.warning("tried in vain", work=self.name, reason=error.reason, detail=str(error))
        if forbidden:
            self.fault = error
        self._later(key, WITHOUT_RIGHT if forbidden else self._pause)

    def _later(self, key: K, shortest: float) -> None:
        failures = self._failures[key] = self._failures.get(key, 0) + 1
        pause = min(max(SLOWEST, shortest), shortest * 2 ** min(failures - 1, 10))
        pause *= random.uniform(0.8, 1.2)  # noqa: S311 - nothing secret about it
        self._cancel(key)  # However often it is tried in between: one failure, one more try.
        self._timers[key] = asyncio.get_running_loop().call_later(pause, self._due, key)

    def _due(self, key: K) -> None:
        self._timers.pop(key, None)
        self.add([key])

    def _cancel(self, key: K) -> None:
        if timer := self._timers.pop(key, None):
            timer.cancel()
