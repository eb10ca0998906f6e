"""A listener on a real TLS socket, and a client that sends exactly the bytes it is told to."""

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from podfacts.admission.tls import tls_context
from podfacts.authority.certificates import Authority, new_authority, sign_leaf
from podfacts.serving.listener import Limits, Listener, bind
from podfacts.serving.messages import Reply, Request

HOST = "127.0.0.1"
NAME = "podfacts-webhook.podfacts-system.svc"

AUTHORITY: Authority = new_authority(datetime.now(UTC), timedelta(days=1))
LEAF = sign_leaf(AUTHORITY.certificate_pem, AUTHORITY.key_pem, [NAME], datetime.now(UTC), timedelta(hours=12))


@dataclass(frozen=True)
class Replied:
    """A reply as it came."""

    status: int
    headers: dict[str, str]
    body: bytes


class Client:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, data: bytes) -> None:
        """Send exactly this."""
        self.writer.write(data)
        await self.writer.drain()

    async def reply(self) -> Replied:
        """The next reply."""
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
        first, *lines = head.strip().split("\r\n")
        headers = {key.lower(): value for key, value in (line.split(": ", 1) for line in lines)}
        body = await self.reader.readexactly(int(headers.get("content-length", "0")))
        return Replied(int(first.split()[1]), headers, body)

    async def ask(self, body: bytes, path: str = "/mutate") -> Replied:
        """Post it."""
        await self.send(post(body, path))
        return await self.reply()

    async def ended(self, within: float) -> bool:
        """Whether the other side ends the connection in that time, with nothing more to read."""
        try:
            async with asyncio.timeout(within):
                return await self.reader.read(1) == b""
        except TimeoutError:
            return False
        except (ConnectionError, ssl.SSLError):
            return True

    async def drip(self, data: bytes, pause: float) -> float:
        """Send byte by byte until the other side has had enough; return how long that took."""
        began = time.monotonic()
        ended = asyncio.create_task(self.ended(60.0))
        with suppress(ConnectionError):
            for byte in data:
                if ended.done():
                    break
                await self.send(bytes([byte]))
                await asyncio.sleep(pause)
        taken = time.monotonic() - began
        assert await ended
        return taken

    async def close(self) -> None:
        """Leave politely."""
        self.writer.close()
        with suppress(ConnectionError, ssl.SSLError):
            await self.writer.wait_closed()


@dataclass
class Serving:
    """A running listener, and all it has told."""

    listener: Listener
    port: int
    cut: list[str] = field(default_factory=list)
    rejected: list[str] = field(default_factory=list)
    clients: list[Client] = field(default_factory=list)

    async def connect(self) -> Client:
        """Connect and shake hands."""
        return await self._keep(ssl=trusting(AUTHORITY.certificate_pem), server_hostname=NAME)

    async def connect_raw(self) -> Client:
        """TCP, and not one byte of TLS."""
        return await self._keep()

    async def _keep(self, **options: object) -> Client:
        client = Client(*await asyncio.open_connection(HOST, self.port, **options))  # type: ignore[arg-type]
        self.clients.append(client)
        return client

    async def still_serves(self) -> None:
        """Show that the next client is served."""
        client = await self.connect()
        assert (await client.ask(b"are you there?")).status == 200
        await client.close()


@asynccontextmanager
async def serving(
    answer: Callable[[Request], Reply] | None = None,
    limits: Limits | None = None,
    mine: Callable[[int], bool] = lambda _open: True,
) -> AsyncIterator[Serving]:
    """A listener that says what it was told, unless ``answer`` says otherwise."""
    bound = bind(HOST, 0)
    context = tls_context(LEAF.chain, LEAF.key, "1.3")
    cut: list[str] = []
    rejected: list[str] = []
    listener = Listener(
        bound,
        answer or (lambda request: Reply(200, request.body)),
        limits=limits or Limits(),
        context=lambda: context,
        cut=lambda reason, _cause: cut.append(reason),
        rejected=lambda reason, _cause: rejected.append(reason),
        mine=mine,
    )
    listener.start()
    running = Serving(listener, bound.getsockname()[1], cut, rejected)
    try:
        yield running
    finally:
        for client in running.clients:
            client.writer.transport.abort()
        await listener.stop(grace=0.2)
        await asyncio.sleep(0.01)  # For the aborted transports to close their sockets.


def post(body: bytes, path: str = "/mutate", *headers: str) -> bytes:
    head = [f"POST {path} HTTP/1.1", "Host: podfacts", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body


def chunked(*chunks: bytes) -> bytes:
    head = b"POST /mutate HTTP/1.1\r\nHost: podfacts\r\nTransfer-Encoding: chunked\r\n\r\n"
    return head + b"".join(b"%x\r\n%b\r\n" % (len(each), each) for each in (*chunks, b""))


def trusting(*certificates: bytes) -> ssl.SSLContext:
    """What an API server does with a caBundle."""
    context = ssl.create_default_context(cadata=b"".join(certificates).decode())
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    return context
