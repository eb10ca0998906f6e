"""What the admission server asks the API server: lists, and watches that keep them current. Never a single object.

A client of its own, of three calls: the official one costs 55 MB and 0.8 s, for objects that stay the JSON they are
here. The account is the pod's, by the files that the kubelet mounts; the token is read anew for each call, because the
kubelet renews it.
"""

import os
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any

import aiohttp
import orjson

from podfacts import __version__

Tree = dict[str, Any]

PAGE = "500"  # As client-go's reflector and kubectl list.
ANSWER = 30.0  # Seconds for a page, and for the beginning of a watch.
# A watch that is well says something about every minute, if only how far it has come (a bookmark).
SILENCE = 150.0


class Failed(Exception):  # noqa: N818 - it says what became of a call
    """No answer, or another one than was asked for. ``status`` is 0 without an answer."""

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


class ApiServer:
    """The calls. Made by ``connect``. Each may raise ``Failed``."""

    def __init__(self, session: aiohttp.ClientSession, token: Path) -> None:
        self._session = session
        self._token = token

    async def get(self, path: str, **query: str) -> Tree:
        """The JSON object at a path."""
        async with self._asked(path, query, ANSWER) as response:
            return _tree(await response.read())

    async def watch(self, path: str, **query: str) -> AsyncIterator[Tree]:
        """The events of a watch as they come: ``{"type", "object"}``. It ends when the API server ends it."""
        query = {"watch": "true", "allowWatchBookmarks": "true", **query}
        async with self._asked(path, query, None) as response:
            rest = b""
            async for chunk in response.content.iter_any():
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    yield _tree(line)

    @asynccontextmanager
    async def _asked(
        self, path: str, query: Mapping[str, str], total: float | None
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        timeout = aiohttp.ClientTimeout(total=total, sock_connect=ANSWER, sock_read=SILENCE)
        try:
            headers = {"Authorization": f"Bearer {self._token.read_text().strip()}"}
            async with self._session.get(path, params=query, headers=headers, timeout=timeout) as response:
                if response.status != HTTPStatus.OK:
                    raise Failed(_message(await response.read()) or str(response.reason), response.status)
                yield response
        except TimeoutError:
            raise Failed("no answer in time") from None
        except (aiohttp.ClientError, OSError) as error:
            raise Failed(str(error) or type(error).__name__) from error


@asynccontextmanager
async def connect(account: Path) -> AsyncIterator[ApiServer | None]:
    """The API server of the cluster that this pod runs in; ``None`` outside of one, or without a token.

    ``account`` is the folder of the service account: ``token`` and ``ca.crt``.
    """
    host, port = (os.environ.get(f"KUBERNETES_SERVICE_{each}") for each in ("HOST", "PORT"))
    if not host or not (account / "token").exists():
        yield None
        return
    name = f"[{host}]" if ":" in host else host
    tls = ssl.create_default_context(cafile=str(account / "ca.crt"))
    headers = {"Accept": "application/json", "User-Agent": f"podfacts-webhook/{__version__}"}
    connector = aiohttp.TCPConnector(ssl=tls)
    base = f"https://{name}:{port or 443}"
    async with aiohttp.ClientSession(base, connector=connector, headers=headers) as session:
        yield ApiServer(session, account / "token")


def _tree(content: bytes) -> Tree:
    try:
        found = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise Failed(f"the answer is not JSON: {error}") from None
    if not isinstance(found, dict):
        raise Failed("the answer is no object")
    return found


def _message(content: bytes) -> str:
    try:
        return str(_tree(content).get("message") or "")
    except Failed:
        return ""
