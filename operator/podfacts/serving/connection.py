"""One HTTP/1.1 connection that always knows where it waits: aiohttp's protocol, which has no deadlines of its own.

A connection waits in four places only: in the TLS handshake, idle between two requests, while its request is read,
while its reply is written. The listener gives each of them a bound.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from http import HTTPStatus
from typing import Any, Protocol

from aiohttp import web

TEXT = "text/plain; charset=utf-8"
JSON = "application/json"

SERVER = {"Server": "podfacts"}  # aiohttp's own names its version and Python's.

READ_AHEAD = 64 * 1024  # aiohttp stops reading a socket at twice this.
WRITE_AHEAD = 64 * 1024


@dataclass(frozen=True, slots=True)
class Request:
    """One request, read whole."""

    method: str
    path: str
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Reply:
    """What to send. Never with Retry-After: an API server would call up to ten times again for it."""

    status: int
    body: bytes = b""
    content_type: str = TEXT
    headers: Mapping[str, str] = field(default_factory=dict)


class Phase(Enum):
    """Where a connection waits."""

    HANDSHAKE = "handshake"
    IDLE = "idle"
    READING = "reading"
    WRITING = "writing"


class Keeper(Protocol):
    """Who bounds the waiting: the listener."""

    def waits(self, connection: "Connection", phase: Phase) -> None:
        """It begins to wait here."""

    def forget(self, connection: "Connection") -> None:
        """It is gone."""

    def failed(self, status: int, cause: BaseException | None) -> None:
        """It was no HTTP (400), or answering it failed (500)."""


async def write(reply: Reply, request: web.BaseRequest, *, last: bool) -> web.StreamResponse:
    """Write it, and return when hardly more than ``WRITE_AHEAD`` of it is not yet sent.

    A long body goes in slices: in asyncio's TLS one long write counts as done while all of it is still in memory.
    """
    headers = {**reply.headers, **SERVER, "Content-Type": reply.content_type}
    if len(reply.body) <= WRITE_AHEAD or request.method == "HEAD":
        response: web.StreamResponse = web.Response(status=reply.status, body=reply.body, headers=headers)
    else:
        response = web.StreamResponse(status=reply.status, headers=headers)
        response.content_length = len(reply.body)
    if last:
        response.force_close()
    await response.prepare(request)
    if not isinstance(response, web.Response):
        view = memoryview(reply.body)
        for start in range(0, len(view), WRITE_AHEAD):
            await response.write(view[start : start + WRITE_AHEAD])
    await response.write_eof()
    return response


class Connection(web.RequestHandler):
    """A connection, from the moment it is accepted: before the handshake it has no transport yet."""

    __slots__ = ("deadline", "handshake", "held", "keeper", "phase", "served")

    def __init__(
        self, keeper: Keeper, server: web.Server, loop: asyncio.AbstractEventLoop, *, linger: float
    ) -> None:
        options: dict[str, Any] = {
            "access_log": None,
            # A few compressed bytes could become gigabytes, and no API server compresses.
            "auto_decompress": False,
            # Out of the way: aiohttp's idle timer does not see that a request has begun to arrive.
            "keepalive_timeout": 365 * 86400.0,
        }
        super().__init__(server, loop=loop, lingering_time=linger, read_bufsize=READ_AHEAD, **options)
        self.keeper = keeper
        self.phase = Phase.HANDSHAKE
        self.deadline = float("inf")  # The event loop bounds the handshake.
        self.handshake: asyncio.Task[None] | None = None
        self.held = 0  # Bytes of the body read so far.
        self.served = False  # A request was answered with 200.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """After the handshake."""
        super().connection_made(transport)
        if self.transport is not None:
            self.transport.set_write_buffer_limits(WRITE_AHEAD)
        self.keeper.waits(self, Phase.IDLE)

    def connection_lost(self, exc: BaseException | None) -> None:
        """At the end, whoever brought it about."""
        self.keeper.forget(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """The first byte of a request starts its deadline."""
        if data and self.phase is Phase.IDLE:
            self.keeper.waits(self, Phase.READING)
        super().data_received(data)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 - it repeats what was sent
    ) -> web.StreamResponse:
        """Answer what the parser refused, or a failure of ours; either way the connection ends."""
        if isinstance(exc, ConnectionError):
            raise exc  # The client is gone, or was cut: nobody is left to answer, and nothing of ours failed.
        self.keeper.failed(status, exc)
        if request.writer.output_size > 0:
            raise ConnectionError("a part of the reply is sent already")
        bad = status == HTTPStatus.BAD_REQUEST
        text = "this is not HTTP/1.1\n" if bad else "podfacts failed: see its log\n"
        response = web.Response(status=status, text=text, headers=SERVER)
        response.force_close()
        return response
