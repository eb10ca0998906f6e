"""One HTTP/1.1 connection that always knows where it waits.

A connection waits in four places only: in the TLS handshake, idle between two requests, while its request is read,
while its reply is written. The listener gives each of them a bound. In between nothing waits: a request that has come
whole is answered, and its reply handed to the kernel, before anybody else has a turn. After the last reply the
connection only lingers, so that the other side can read it: closed at once, with something unread, TCP would take the
reply back.
"""

import asyncio
from enum import Enum
from http import HTTPStatus
from typing import Protocol

from podfacts.serving.messages import CONTINUE, Reply, Request, rendered
from podfacts.serving.reading import Reader, Refused
from podfacts.serving.sockets import RECORD, Plain

TURN = 64  # Reads, after which others have theirs: a megabyte.
INTO = memoryview(bytearray(RECORD))  # All connections read into it, one after another.

FAILED = Reply(500, b"podfacts failed: see its log\n")


class Phase(Enum):
    """Where a connection waits."""

    HANDSHAKE = "handshake"
    IDLE = "idle"
    READING = "reading"
    WRITING = "writing"
    LINGERING = "lingering"
    ENDED = "ended"


class Keeper(Protocol):
    """Who bounds the waiting, and answers: the listener."""

    draining: bool

    def answer(self, request: Request) -> Reply:
        """The reply. May fail with any exception."""

    def waits(self, connection: "Connection", phase: Phase) -> None:
        """It begins to wait here."""

    def holds(self, connection: "Connection", size: int) -> bool:
        """So much of a body is in memory now; whether it may read on. If not, it is told when it may."""

    def forget(self, connection: "Connection") -> None:
        """It is gone, or says goodbye."""

    def broke(self, cause: OSError) -> None:
        """The handshake came to nothing."""

    def failed(self, reason: str, cause: BaseException | None) -> None:
        """It was no HTTP that could be answered, or answering it failed."""


class Connection:
    """A connection, from the moment it is accepted."""

    __slots__ = (
        "_keeper",
        "_last",
        "_loop",
        "_out",
        "_reader",
        "_wire",
        "deadline",
        "held",
        "phase",
        "served",
    )

    def __init__(self, wire: Plain, keeper: Keeper, loop: asyncio.AbstractEventLoop, body: int) -> None:
        self.phase = Phase.HANDSHAKE
        self.deadline = float("inf")
        self.held = 0  # Bytes of the body read so far, as the keeper counts them.
        self.served = False  # A request was answered with 200.
        self._wire = wire
        self._keeper = keeper
        self._loop = loop
        self._reader = Reader(body)
        self._last = False  # The reply being written is the last one here.
        self._out = memoryview(b"")  # What the kernel has not taken yet.

    def start(self) -> None:
        """Wait for the first bytes."""
        self._loop.add_reader(self._wire.descriptor, self._readable)

    def go_on(self) -> None:
        """Read on, after the keeper said to wait."""
        if self.phase is Phase.READING:
            self._loop.add_reader(self._wire.descriptor, self._readable)

    def goodbye(self) -> None:
        """End it so that the other side reads all that was written; it lingers until that has closed, too."""
        self._keeper.waits(self, Phase.LINGERING)
        self._reader.close()
        self._wire.goodbye()
        self._loop.remove_writer(self._wire.descriptor)
        self._loop.add_reader(self._wire.descriptor, self._readable)

    def end(self) -> None:
        """End it now."""
        if self.phase is Phase.ENDED:
            return
        self.phase = Phase.ENDED
        self._loop.remove_reader(self._wire.descriptor)
        self._loop.remove_writer(self._wire.descriptor)
        self._wire.close()
        self._reader.close()
        self._keeper.forget(self)

    def _readable(self) -> None:
        try:
            if self.phase is not Phase.HANDSHAKE:
                self._read()
            elif self._wire.shaken():
                self._keeper.waits(self, Phase.IDLE)
        except OSError as error:
            self._broke(error)

    def _writable(self) -> None:
        try:
            self._push()
            if not self._out:
                self._loop.remove_writer(self._wire.descriptor)
                self._loop.add_reader(self._wire.descriptor, self._readable)
                self._proceed()
        except OSError as error:
            self._broke(error)

    def _broke(self, error: OSError) -> None:
        """The client is gone, or what it sent is no TLS."""
        if self.phase is Phase.HANDSHAKE:
            self._keeper.broke(error)
        self.end()

    def _read(self) -> None:
        for _ in range(TURN):
            size = self._wire.read(INTO)
            if size is None:
                return
            if size == 0:
                self.end()
                return
            if self.phase is Phase.LINGERING:
                continue
            self._reader.feed(INTO[:size])
            if not self._proceed():
                return

    def _proceed(self) -> bool:
        """Answer what has come whole; whether more should come at once."""
        reader = self._reader
        if reader.requests or reader.refused or self.phase is Phase.WRITING:
            if not self._answered():
                return False
            self._keeper.waits(self, Phase.READING if reader.begun else Phase.IDLE)
        elif reader.begun and self.phase is not Phase.READING:
            self._keeper.waits(self, Phase.READING)
        if reader.asks:
            reader.asks = False
            self._send(CONTINUE)
        return reader.begun and not self._out and self._may_hold(reader.held)

    def _answered(self) -> bool:
        """Whether everything that has come was answered, and another request may come."""
        reader = self._reader
        while not self._out:
            if self._last:
                self.goodbye()
                return False
            if reader.requests:
                self._answer(reader.requests.popleft())
            elif reader.refused is not None:
                self._refuse(reader.refused)
            else:
                return True
        return False

    def _answer(self, request: Request) -> None:
        self._last = request.last or self._keeper.draining
        try:
            reply = self._keeper.answer(request)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is told, and the next one is answered
            self._keeper.failed("failed", error)
            reply, self._last = FAILED, True
        self._let_go()
        self.served = self.served or reply.status == HTTPStatus.OK
        self._send(rendered(reply, last=self._last, bodiless=request.method == "HEAD"))

    def _refuse(self, refused: Refused) -> None:
        self._last = True
        self._let_go()
        self._keeper.failed(refused.reason, refused.__cause__)
        self._send(rendered(refused.reply, last=True))

    def _let_go(self) -> None:
        if self.held:
            self._keeper.holds(self, 0)

    def _may_hold(self, size: int) -> bool:
        if size == self.held or self._keeper.holds(self, size):
            return True
        self._loop.remove_reader(self._wire.descriptor)
        return False

    def _send(self, data: bytes) -> None:
        size = self._wire.write(data)
        if size == len(data):  # As nearly every reply: one record.
            return
        self._out = memoryview(data)[size or 0 :]
        self._push()
        if self._out:
            self._loop.remove_reader(self._wire.descriptor)
            self._loop.add_writer(self._wire.descriptor, self._writable)
            self._keeper.waits(self, Phase.WRITING)

    def _push(self) -> None:
        while self._out and (size := self._wire.write(self._out)) is not None:
            self._out = self._out[size:]
