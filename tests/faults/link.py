"""The way between an API server and a webhook, in each state in which a network or what stands in it can be."""

import asyncio
import itertools
import socket
import struct
import threading
from contextlib import suppress
from types import TracebackType
from typing import Literal, Self

RESET = struct.pack("ii", 1, 0)  # SO_LINGER for no time at all: closing sends a RST.

State = Literal["open", "reset", "half", "no tls"]


class Link:
    """TCP, byte for byte, with what the test says added to it.

    ``delay`` is the seconds that each byte takes in each direction. ``reset`` answers with a RST whatever is sent;
    ``half`` lets the request through and cuts its answer after 100 bytes; ``no tls`` answers with something else.
    """

    def __init__(self, host: str, target: int) -> None:
        self.delay = 0.0
        self.state: State = "open"
        self.target = target
        self.host = host
        self._listening = socket.create_server((host, 0))
        self.port: int = self._listening.getsockname()[1]
        self._loop = asyncio.new_event_loop()
        self._writers: set[asyncio.StreamWriter] = set()
        self._due: dict[asyncio.StreamWriter, float] = {}  # When what was sent last arrives.
        self._thread = threading.Thread(target=self._run, daemon=True)

    def turn(self, state: State) -> None:
        """Be in this state from here on: for connections that are open as well."""
        self.state = state

    def lead_to(self, port: int) -> None:
        """Lead there from here on; what led elsewhere is cut."""
        self.target = port
        asyncio.run_coroutine_threadsafe(self._cut(), self._loop).result(10)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(asyncio.start_server(self._connect, sock=self._listening))
        self._loop.run_forever()
        self._loop.run_until_complete(self._cut())
        tasks = asyncio.all_tasks(self._loop)
        for task in tasks:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        self._listening.close()
        self._loop.close()

    async def _cut(self) -> None:
        for writer in list(self._writers):
            writer.transport.abort()
        await asyncio.sleep(0.05)

    def _later(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        """Write it when it has been on its way, and not before what left earlier: timers alone have no order."""
        due = self._due[writer] = max(self._loop.time() + self.delay, self._due.get(writer, 0.0) + 1e-6)
        self._loop.call_at(due, writer.write, data)

    async def _connect(self, near: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        self._writers.add(back)
        there = None
        with suppress(OSError):
            far, there = await asyncio.open_connection("127.0.0.1", self.target)
            self._writers.add(there)
            pumps = [
                self._loop.create_task(each) for each in (self._ask(near, there, back), self._pass(far, back))
            ]
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            await asyncio.sleep(self.delay)
            for each in pumps:
                each.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
        for writer in (back, there):
            if writer is not None:
                writer.transport.abort() if self.state in ("reset", "half") else writer.close()
                self._writers.discard(writer)
                self._due.pop(writer, None)

    async def _ask(
        self, near: asyncio.StreamReader, there: asyncio.StreamWriter, back: asyncio.StreamWriter
    ) -> None:
        while data := await near.read(65536):
            if self.state == "reset":
                for writer in (back, there):
                    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                return
            if self.state == "no tls":
                back.write(b"HTTP/1.0 400 Bad Request\r\n\r\nspeak plainly\n" * 9)
                await back.drain()
                return
            self._later(there, data)

    async def _pass(self, far: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        for number in itertools.count():
            data = await far.read(65536)
            if not data:
                return
            if self.state == "half" and (
                number or len(data) < 1000
            ):  # Not the handshake: it would be no answer.
                back.write(data[:100])
                await back.drain()
                return
            self._later(back, data)
