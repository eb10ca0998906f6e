"""Clients of a webhook: real ones that ask at a steady rate, and those that only take up room."""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from tests.faults.webhook import HOST, POD, Webhook, asked

PATIENCE = 20.0  # Of a real client: the longest that a test accepts on a busy machine, not what is usual.
HELLO = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"  # The beginning of a ClientHello.
HEAD = b"POST /mutate HTTP/1.1\r\nHost: podfacts\r\nContent-Length: 9000\r\nX-Slow: "
BEGUN = HEAD + b"\r\n\r\n"

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


def post(body: bytes) -> bytes:
    """The request, as an API server makes it."""
    return (
        b"POST /mutate?timeout=3s HTTP/1.1\r\nHost: podfacts\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    )


@dataclass
class Asked:
    """What became of the real ones."""

    seconds: list[float] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)

    @property
    def all_answered(self) -> bool:
        """Whether there were any, and none failed."""
        return bool(self.seconds) and not self.failed


class Clients:
    """Ask as an API server does: on kept connections, which it looks at before it uses one again, and on new ones."""

    def __init__(self, webhook: Webhook, body: bytes | None = None) -> None:
        self._port = webhook.port
        self._context = webhook.trusting()
        self._request = post(body or asked(POD))
        self._idle: list[Streams] = []
        self.asked = Asked()

    async def ask(self, *, kept: bool = True) -> None:
        """Ask once; again on a new connection if a kept one turns out to have ended.

        Go's client sees the end of an idle connection as it comes; this event loop may be late for it.
        """
        began = time.monotonic()
        reused = bool(kept and self._idle)
        try:
            async with asyncio.timeout(PATIENCE):
                try:
                    await self._once(kept=kept)
                except (ConnectionError, asyncio.IncompleteReadError):
                    if not reused:
                        raise
                    await self._once(kept=False)
        except (OSError, asyncio.IncompleteReadError, TimeoutError, AssertionError) as error:
            self.asked.failed.append(f"{type(error).__name__} {error}")
        else:
            self.asked.seconds.append(time.monotonic() - began)

    async def _once(self, *, kept: bool) -> None:
        streams = await self._connection(kept=kept)
        try:
            await answered(streams, self._request)
        except BaseException:
            kept = False
            raise
        finally:
            if kept:
                self._idle.append(streams)
            else:
                streams[1].transport.abort()

    async def _connection(self, *, kept: bool) -> Streams:
        while kept and self._idle:
            reader, writer = self._idle.pop()
            if not reader.at_eof() and not writer.transport.is_closing():
                return reader, writer
            writer.transport.abort()
        return await asyncio.open_connection(HOST, self._port, ssl=self._context)

    async def steadily(self, per_second: float, until: Callable[[], bool]) -> Asked:
        """Ask so often, every fifth time on a new connection, until it is so."""
        number = 0
        async with asyncio.TaskGroup() as group:
            while not until():
                group.create_task(self.ask(kept=bool(number % 5)))
                number += 1
                await asyncio.sleep(1 / per_second)
        self.leave()
        return self.asked

    def leave(self) -> None:
        """End the connections that are kept."""
        while self._idle:
            _, writer = self._idle.pop()  # Held while it is ended, or it complains.
            writer.transport.abort()


async def answered(streams: Streams, request: bytes) -> bytes:
    """The body of the answer; an AssertionError unless it is a 200."""
    reader, writer = streams
    writer.write(request)
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length:")[2].split()[0])
    body = await reader.readexactly(length)
    assert head.startswith(b"HTTP/1.1 200"), head
    return body


async def drip(webhook: Webhook, sent: bytes, rest: bytes, *, tls: bool) -> float:
    """Connect, send the one at once and the other byte by byte; return after how many seconds it was cut."""
    context = webhook.trusting() if tls else None
    began = time.monotonic()
    with suppress(OSError):  # On a busy machine its handshake may be too slow already.
        reader, writer = await asyncio.open_connection(HOST, webhook.port, ssl=context)
        began = time.monotonic()
        ended = asyncio.create_task(reader.read())
        try:
            writer.write(sent)
            for byte in rest:
                if ended.done():
                    break
                await asyncio.wait([ended], timeout=0.5)
                writer.write(bytes([byte]))
            await ended
        finally:
            writer.transport.abort()
    return time.monotonic() - began


async def without_handshake(webhook: Webhook) -> float:
    """One that begins TLS and goes no further."""
    return await drip(webhook, HELLO, bytes(100), tls=False)


async def with_slow_headers(webhook: Webhook) -> float:
    """One whose headers never end."""
    return await drip(webhook, HEAD, b"x" * 100, tls=True)


async def with_slow_body(webhook: Webhook) -> float:
    """One whose body does not come."""
    return await drip(webhook, BEGUN, b" " * 100, tls=True)
