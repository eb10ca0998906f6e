"""One term of the leader: everything about pods and profiles, in an event loop of a thread of its own.

The law: **nothing of a term outlives it, and nothing in it can hold up the Lease.** kopf cancels all younger tasks of its loop when
it ends, and installs handlers for the process's signals when it finds itself in the main thread; and reading ten
thousand pods keeps a loop busy for seconds. So the Lease, the CA and the probes stay in the main thread's loop. What crosses
is a cancellation one way, and the end the other way.
"""

import asyncio
import concurrent.futures
import threading
from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus

import structlog

from podfacts.controller.apiserver import ApiServer, Failed, Resource, connect
from podfacts.controller.hearing import Hearing, Terms
from podfacts.controller.metrics import ControllerMetrics
from podfacts.controller.vitals import WATCHED, Vitals
from podfacts.controller.watches import watches

REQUEST_SECONDS = 5.0
AGAIN = 5.0  # Seconds until the next try, while a right or the API server is missing.
# Seconds that a thread has to end in: a Lease is lost five seconds before another may take it.
FAREWELL = 4.0
# From this version on the API server sets a pod's zone and region labels (PodTopologyLabelsAdmission, beta and on).
TOPOLOGY_SINCE = (1, 35)


class WatchesEnded(Exception):  # noqa: N818 - the sentence is the name
    """The watches ended by themselves, and nobody would notice anything any more."""


class Term:
    """The work of a leader. ``hold`` runs it until it is cancelled, and raises what broke it."""

    def __init__(self, terms: Terms, metrics: ControllerMetrics, *, leads: Callable[[], bool]) -> None:
        self.vitals = Vitals()
        self._terms = terms
        self._metrics = metrics
        self._over = False
        self._leads = leads
        self._refused: Failed | None = None  # By the API server, before there was anything to watch.
        self._hearing: Hearing | None = None
        self._log = structlog.get_logger()

    @property
    def fault(self) -> Failed | None:
        """What was missing at the last try, if anything."""
        works = self._hearing.works if self._hearing else ()
        return self._refused or next((each.fault for each in works if each.fault), None)

    async def hold(self) -> None:
        """Run in a thread until cancelled."""
        ended: concurrent.futures.Future[None] = concurrent.futures.Future()
        loop = asyncio.new_event_loop()
        task = loop.create_task(self._run())

        def run() -> None:
            asyncio.set_event_loop(loop)
            with suppress(asyncio.CancelledError):
                try:
                    loop.run_until_complete(task)
                except Exception as error:  # noqa: BLE001 - it is raised again in the main thread
                    ended.set_exception(error)
            if not ended.done():
                ended.set_result(None)
            loop.close()

        threading.Thread(target=run, name="term", daemon=True).start()
        waiting = asyncio.wrap_future(ended)
        try:
            await asyncio.shield(waiting)
        finally:
            # A thread that hangs must not write in the next term of the same process.
            self._over = True
            if not ended.done():
                loop.call_soon_threadsafe(task.cancel)
                await asyncio.wait([waiting], timeout=FAREWELL)
            self._metrics.forget_term()
        raise WatchesEnded("the term ended by itself")

    def _holds(self) -> bool:
        return not self._over and self._leads()

    async def _run(self) -> None:
        async with connect(REQUEST_SECONDS) as api:
            while True:
                try:
                    topology_labels = await self._served(api) >= TOPOLOGY_SINCE
                    self._refused = None
                    await self._keep(api, topology_labels=topology_labels)
                except Failed as error:
                    if str(error) != str(self._refused):
                        self._log.warning("cannot watch", reason=error.reason, detail=str(error))
                    self._refused = error
                # What cannot be watched is said in /readyz; to start the process anew would change nothing.
                self.vitals.revive()
                await asyncio.sleep(AGAIN)

    async def _served(self, api: ApiServer) -> tuple[int, int]:
        """Ask for everything once, as kopf tries what it may not do for a minute. Return the API server's version."""
        for each in WATCHED:
            await api.can_list(each)
        return await api.version()

    async def _keep(self, api: ApiServer, *, topology_labels: bool) -> None:
        """Watch and write. Raises Failed when a watch is refused, and anything else when something broke."""
        hearing = Hearing(self._terms, api, self._metrics, self._holds, topology_labels=topology_labels)
        self._hearing = hearing
        self._metrics.show_term(self.vitals, hearing.works, hearing.table)
        tasks = [asyncio.create_task(each.run()) for each in hearing.works]
        tasks.append(asyncio.create_task(hearing.forget_unlisted(self.vitals)))
        tasks += [asyncio.create_task(each) for each in watches(hearing, self.vitals)]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for each in done:
                _raise(each)
        finally:
            for each in tasks:
                each.cancel()
            await asyncio.wait(tasks)
        raise WatchesEnded("the watches ended by themselves")


def _raise(task: "asyncio.Task[None]") -> None:
    """Raise what a task ended with; what the API server refused, as our own exception."""
    error = task.exception()
    if error is None:
        return
    status = getattr(error, "status", None)  # kopf's exceptions of the API are not in its public names.
    if status in (HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND, HTTPStatus.UNAUTHORIZED):
        raise Failed("list", Resource("", "v1", "the watched resources", ""), status, str(error)) from error
    raise error
