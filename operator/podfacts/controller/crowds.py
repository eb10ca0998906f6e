"""The watches of what there may be thousands of, pods and nodes: lists by pages, watches that continue them, no framework.

kopf keeps a task, a queue and a memory for each object, and makes two deep copies of it at each event: with ten thousand
pods more than all that is known of them. Here an object is heard, reduced, and gone. What a list after a gap does not hold
has gone meanwhile, and is forgotten at once.

The law: **a watch never waits longer than ``SILENCE`` for a sign of life.** The API server is asked to end each after a
shorter time, so one that says nothing for longer is dead, whatever its connection looks like.
"""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any

import aiohttp
import orjson
import structlog

from podfacts.controller.apiserver import Failed, Resource
from podfacts.controller.vitals import SILENCE, WATCH_SECONDS

PAGE = 100  # A pod may have 1.5 MB, and a page is in memory as a whole.
ANSWER = 30.0  # Seconds for a page, and for the beginning of a watch.
SHORTEST = 1.0  # Seconds of a watch that was one.
SLOWEST = 10.0  # Seconds between two tries, at most.
# An API server that begins knows its rights a moment later than it answers.
PATIENCE = 10.0
NO_USE = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND)


class Crowd:
    """One resource. ``take`` hears of each object, and whether it is gone; ``listed`` when a list began that is now whole."""

    def __init__(
        self,
        resource: Resource,
        take: Callable[[Any, bool], None],
        listed: Callable[[float], None],
        *,
        selector: str = "",
    ) -> None:
        self.whole = asyncio.Event()  # Once there was a list.
        self._resource = resource
        self._take = take
        self._listed = listed
        self._query = {"labelSelector": selector} if selector else {}
        self._version = ""  # Where the next watch begins; "": with a list.
        self._log = structlog.get_logger()

    async def follow(self, server: str, client: aiohttp.ClientSession) -> None:
        """List and watch, for ever. Raises Failed when there is no right to, and not for a moment only."""
        failures, refused = 0, 0.0
        while True:
            began = time.monotonic()
            try:
                if not self._version:
                    self._version = await self._list(server, client)
                await self._watch(server, client)
            except Failed as error:
                if error.status == HTTPStatus.GONE:
                    self._version = ""
                refused = (refused or began) if error.status in NO_USE else 0.0
                if refused and began - refused > PATIENCE:
                    raise
                self._report(error, failures)
                failures += 1
            else:
                # A watch that ends as it begins is none.
                failures, refused = 0 if time.monotonic() - began > SHORTEST else failures + 1, 0.0
            if failures:
                await asyncio.sleep(pause(failures))

    async def _list(self, server: str, client: aiohttp.ClientSession) -> str:
        began = time.monotonic()
        query = {"limit": str(PAGE)}
        following = ""
        while True:
            page = {"continue": following} if following else {}
            async with self._asked("list", server, client, ANSWER, {**query, **page}) as response:
                answer = orjson.loads(await response.read())
                for each in answer.get("items") or ():
                    self._heard(each, gone=False)
                following = answer["metadata"].get("continue") or ""
                version = str(answer["metadata"]["resourceVersion"])
            if not following:
                break
        self._listed(began)
        self.whole.set()
        return version

    async def _watch(self, server: str, client: aiohttp.ClientSession) -> None:
        query = {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": self._version,
            "timeoutSeconds": str(WATCH_SECONDS),
        }
        async with self._asked("watch", server, client, None, query) as response:
            async for line in _lines(response.content):
                event = orjson.loads(line)
                tree = event["object"]
                if event["type"] == "ERROR":
                    self._version = ""  # Whatever it is, a list puts it right.
                    raise Failed("list", self._resource, int(tree.get("code") or 0), str(tree.get("message")))
                if event["type"] != "BOOKMARK":
                    self._heard(tree, gone=event["type"] == "DELETED")
                self._version = tree["metadata"]["resourceVersion"]

    def _heard(self, tree: Any, *, gone: bool) -> None:
        """The one door: nothing that is wrong with one object ends the watch of the others."""
        try:
            self._take(tree, gone)
        except Exception:  # noqa: BLE001 - of ours, then
            self._log.exception("not understood", resource=self._resource.plural, what=str(tree)[:200])

    @asynccontextmanager
    async def _asked(
        self,
        verb: str,
        server: str,
        client: aiohttp.ClientSession,
        total: float | None,
        query: Mapping[str, str],
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        from kubernetes.aio.config import ConfigException  # noqa: PLC0415  see apiserver.configured

        timeout = aiohttp.ClientTimeout(total=total, sock_connect=ANSWER, sock_read=SILENCE)
        url = f"{server.rstrip('/')}{self._resource.path}"
        try:
            async with client.get(url, params={**self._query, **query}, timeout=timeout) as response:
                if response.status != HTTPStatus.OK:
                    message = (await response.text(errors="replace"))[:500]
                    raise Failed("list", self._resource, response.status, message)
                yield response
        except TimeoutError:
            raise Failed("list", self._resource, 0, f"no sign of life from the {verb}") from None
        # The last is what a token file that is empty for a moment raises.
        except (aiohttp.ClientError, OSError, ConfigException) as error:
            raise Failed("list", self._resource, 0, str(error) or type(error).__name__) from error
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            self._version = ""
            raise Failed("list", self._resource, 0, f"the answer of the {verb} is none: {error!r}") from error

    def _report(self, error: Failed, failures: int) -> None:
        if failures == 1 and error.status != HTTPStatus.GONE:  # A gap of a moment is nothing to speak of.
            self._log.warning("not followed", resource=self._resource.plural, detail=str(error))


def pause(failures: int) -> float:
    """How long to wait after so many failures."""
    return min(SLOWEST, 0.25 * 2.0 ** min(failures, 8)) * random.uniform(0.8, 1.2)  # noqa: S311 - not secret


async def _lines(content: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    rest = b""
    async for chunk in content.iter_any():
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            if line:
                yield line
