"""Accepts connections and gives every one of them a bound, so that nobody can stop admission by being slow.

A request is read whole before anybody looks at it, and the reply is computed without waiting: between "read" and
"written" nothing interrupts it.

Above the cap of connections nobody is turned away while somebody waits: the connection that has waited longest in its
place, other than to be written to, makes room; one that was never served goes before one that was. An API server's own
handshake and request take milliseconds, so in a flood it is the flood that is cut, and a client that opened every
connection and went to sleep cannot stop admission. When all are being answered, new ones queue in the kernel's
backlog, which is bounded as well.
"""

import asyncio
import socket
import ssl
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from aiohttp import web

from podfacts.serving.connection import Connection, Phase, Reply, Request, write

BACKLOG = 4096  # The kernel takes the smaller of this and net.core.somaxconn.


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds and sizes.

    ``keep_alive`` must stay above the 90 s after which an API server closes an idle connection itself, or now and then
    both sides act at once and an admission fails; that holds for a connection that was never used as well, because Go
    dials ahead. ``write`` is the longest timeoutSeconds a webhook can have: nobody waits for a reply beyond it.
    """

    body: int = 8 * 1024 * 1024
    bodies: int = 32 * 1024 * 1024  # All bodies being read, together: beyond it their sockets wait.
    connections: int = 1024
    handshake: float = 5.0
    read: float = 10.0  # From the first byte of a request to its last.
    write: float = 30.0
    keep_alive: float = 150.0
    linger: float = 1.0  # For a client that still sends what nobody wants, to see its answer.
    goodbye: float = 1.0  # For the other side to say goodbye in TLS.


class CannotBind(OSError):  # noqa: N818 - the sentence is the name
    """A port that cannot be had."""


class Listener:
    """Answers on a bound socket until it is stopped.

    ``context`` gives the TLS context of the next handshake, so a new certificate touches no open connection; without
    it the listener speaks plain HTTP. ``cut`` hears of each connection ended without an answer, ``rejected`` of each
    request refused before ``answer`` saw it: a slug of a small fixed set, and the cause.
    """

    def __init__(
        self,
        bound: socket.socket,
        answer: Callable[[Request], Reply],
        *,
        limits: Limits,
        context: Callable[[], ssl.SSLContext] | None = None,
        cut: Callable[[str, str], None] = lambda _reason, _cause: None,
        rejected: Callable[[str, BaseException | None], None] = lambda _reason, _cause: None,
    ) -> None:
        self.limits = limits
        self.draining = False
        self._socket = bound
        self._answer = answer
        self._context = context
        self._cut = cut
        self._rejected = rejected
        self._bounds = {
            Phase.IDLE: limits.keep_alive,
            Phase.READING: limits.read,
            Phase.WRITING: limits.write,
        }
        self._open: dict[Connection, None] = {}  # In the order in which they began to wait.
        self._held = 0  # Bytes of all bodies being read.
        self._changed = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._accepting: asyncio.Task[None] | None = None
        self._server = web.Server(self._serve)

    @property
    def open_connections(self) -> int:
        """How many there are, those in their handshake too."""
        return len(self._open)

    @property
    def in_flight(self) -> int:
        """How many requests are being read or answered."""
        return sum(each.phase in (Phase.READING, Phase.WRITING) for each in self._open)

    @property
    def accepting(self) -> bool:
        """Whether new connections are taken."""
        return self._accepting is not None and not self._accepting.done()

    def start(self) -> None:
        """Listen and accept."""
        self._socket.setblocking(False)
        self._socket.listen(BACKLOG)
        self._accepting = self._task(self._accept())
        self._task(self._sweep())

    def drain(self) -> None:
        """Go on accepting and answering, but let every reply be the last on its connection."""
        self.draining = True

    async def stop(self, grace: float) -> int:
        """Stop accepting, finish within ``grace`` seconds what has begun; return how many requests were cut."""
        self.draining = True
        if self._accepting is not None and self._accepting.cancel():
            await asyncio.wait([self._accepting])
        self._socket.close()
        end = time.monotonic() + grace
        await asyncio.sleep(0)  # What has arrived already counts as begun.
        while self._open and (left := end - time.monotonic()) > 0:
            for connection in list(self._open):
                if connection.phase is Phase.IDLE:
                    self._close(connection)
            await self._change(left)
        unfinished = [each for each in self._open if each.phase in (Phase.READING, Phase.WRITING)]
        for connection in list(self._open):
            self._end(connection, "stopped", "the server stopped")
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        return len(unfinished)

    # What the connections tell.

    def waits(self, connection: Connection, phase: Phase) -> None:
        """It begins to wait: it goes to the end of the queue of those that could make room."""
        if connection.transport is None:
            return  # Lost in the meantime.
        connection.phase = phase
        connection.deadline = time.monotonic() + self._bounds[phase]
        self._open.pop(connection, None)
        self._open[connection] = None
        self._changed.set()

    def forget(self, connection: Connection) -> None:
        """Count it no more; it may have been forgotten before."""
        self._open.pop(connection, None)
        self._release(connection)
        self._changed.set()

    def failed(self, status: int, cause: BaseException | None) -> None:
        """Tell of a request that ended in aiohttp's or our own failure."""
        self._rejected("not_http" if status == HTTPStatus.BAD_REQUEST else "failed", cause)

    # Accepting.

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                accepted, _ = await loop.sock_accept(self._socket)
            except OSError as error:  # No descriptor left, or the client is gone: neither may end the loop.
                self._cut("accept", str(error))
                await asyncio.sleep(0.05)
                continue
            try:
                while len(self._open) >= self.limits.connections:
                    await self._make_room()
            except asyncio.CancelledError:
                accepted.close()
                raise
            connection = Connection(self, self._server, loop, linger=self.limits.linger)
            self._open[connection] = None
            connection.handshake = self._task(self._handshake(accepted, connection))
            await asyncio.sleep(0)  # sock_accept does not yield while the backlog holds more.

    async def _make_room(self) -> None:
        for strangers_only in (True, False):
            for each in self._open:
                if each.phase is not Phase.WRITING and not (strangers_only and each.served):
                    self._end(each, "crowded_out", f"it waited longest: {each.phase.value}")
                    return
        await self._change(None)

    async def _handshake(self, accepted: socket.socket, connection: Connection) -> None:
        connect = asyncio.get_running_loop().connect_accepted_socket
        limits = self.limits
        try:
            if self._context is None:
                await connect(lambda: connection, accepted)
            else:
                await connect(
                    lambda: connection,
                    accepted,
                    ssl=self._context(),
                    ssl_handshake_timeout=limits.handshake,
                    ssl_shutdown_timeout=limits.goodbye,
                )
        except OSError as error:
            self._cut("handshake", str(error))
        finally:
            connection.handshake = None
            if connection.transport is None:
                self.forget(connection)

    # Answering.

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        connection = request.protocol
        assert isinstance(connection, Connection)  # noqa: S101 - all of them are: for the type checker
        if connection.phase is Phase.IDLE:  # Its bytes came along with those of the request before.
            self.waits(connection, Phase.READING)
        body = await self._read(request, connection)
        reply = body if isinstance(body, Reply) else self._answer(Request(request.method, request.path, body))
        self._release(connection)
        self.waits(connection, Phase.WRITING)
        response = await write(reply, request, last=self.draining or reply is body)
        connection.served = connection.served or reply.status == HTTPStatus.OK
        self.waits(connection, Phase.IDLE)
        return response

    async def _read(self, request: web.BaseRequest, connection: Connection) -> bytes | Reply:
        """The whole body, or the refusal."""
        if (request.content_length or 0) > self.limits.body:
            return self._too_large()
        if request.headers.get("Expect", "").lower() == "100-continue":
            await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            request.writer.output_size = 0
        chunks: list[bytes] = []
        try:
            while chunk := await request.content.readany():
                chunks.append(chunk)
                connection.held += len(chunk)
                self._held += len(chunk)
                if connection.held > self.limits.body:
                    return self._too_large()
                await self._turn(connection)
        except web.RequestPayloadError as error:  # From aiohttp's parser in Python; that in C says nothing.
            self._rejected("not_http", error)
            return Reply(HTTPStatus.BAD_REQUEST, b"the body does not follow HTTP/1.1\n")
        return b"".join(chunks)

    def _too_large(self) -> Reply:
        self._rejected("too_large", None)
        return Reply(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE, b"the body is larger than %d bytes\n" % self.limits.body
        )

    async def _turn(self, connection: Connection) -> None:
        """Wait while all bodies together take too much memory. The one that began first always goes on."""
        while self._held > self.limits.bodies and connection in self._open:
            if connection is next(each for each in self._open if each.held):
                return
            await self._change(None)

    def _release(self, connection: Connection) -> None:
        self._held -= connection.held
        connection.held = 0

    # Ending.

    async def _sweep(self) -> None:
        limits = self.limits
        pause = min(0.25, min(limits.read, limits.write, limits.keep_alive) / 4)
        while True:
            await asyncio.sleep(pause)
            now = time.monotonic()
            for connection in [each for each in self._open if each.deadline <= now]:
                if connection.phase is Phase.IDLE:
                    self._close(connection)
                else:
                    self._end(connection, connection.phase.value, "it took too long")

    def _close(self, connection: Connection) -> None:
        """A clean end for an idle connection, after the last bytes of its last reply."""
        self.forget(connection)
        connection.force_close()

    def _end(self, connection: Connection, reason: str, cause: str) -> None:
        self.forget(connection)
        self._cut(reason, cause)
        if connection.phase is Phase.IDLE:
            self._close(connection)
        elif connection.transport is not None:
            connection.transport.abort()
        elif connection.handshake is not None:
            connection.handshake.cancel()

    async def _change(self, seconds: float | None) -> None:
        """Wait until a connection changes, or for so long."""
        self._changed.clear()
        try:
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        except TimeoutError:
            pass

    def _task(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def bind(host: str, port: int) -> socket.socket:
    """Return a bound socket that does not listen yet. ``::`` is every address of both families, where there are two.

    Bound early, so that a port already taken stops the process at once and not when the certificate comes.
    """
    both = host == "::" and socket.has_dualstack_ipv6()
    if host == "::" and not both:
        host = "0.0.0.0"  # noqa: S104 - a node without IPv6
    bound = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if both:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        bound.bind((host, port))
    except OSError as error:
        bound.close()
        raise CannotBind(f"port {port} of {host}: {error.strerror}") from None
    return bound
