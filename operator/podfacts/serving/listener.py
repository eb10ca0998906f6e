"""Accepts connections and gives every one of them a bound, so that nobody can stop admission by being slow.

A request is read whole before anybody looks at it, and the reply is computed without waiting: between "read" and
"written" nothing interrupts it.

Above the cap of connections nobody is turned away while somebody waits: the connection that has waited longest in its
place, other than to be written to, makes room; one that was never served goes before one that was, but for a quarter of
the places, where newcomers shake hands in peace. An API server's own handshake and request take milliseconds, so in a
flood it is the flood that is cut, and a client that opened every connection and went to sleep cannot stop admission. When all are being answered, new ones queue in the kernel's
backlog, which is bounded as well.
"""

import asyncio
import select
import socket
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass

from podfacts.serving.connection import Connection, Phase
from podfacts.serving.messages import Reply, Request
from podfacts.serving.sockets import Plain, Secured

BACKLOG = 4096  # The kernel takes the smaller of this and net.core.somaxconn.
ACCEPTS = 32  # Then those who are connected have their turn.
STRANGERS = 4  # A quarter of the places is theirs even when all others have been served.
YIELD = 0.002  # Seconds in which another process may take a connection that is rather for it,
YIELDS = 10  # and so often. Then that one hangs, and everybody is for us until it has caught up.


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
    linger: float = 1.0  # For a client to see its last answer and end the connection, too.


class CannotBind(OSError):  # noqa: N818 - the sentence is the name
    """A port that cannot be had."""


class Listener:
    """Answers on a bound socket until it is stopped.

    ``context`` gives the TLS context of the next handshake, so a new certificate touches no open connection; without
    it the listener speaks plain HTTP. ``cut`` hears of each connection ended without an answer, ``rejected`` of each
    request refused before ``answer`` saw it: a slug of a small fixed set, and the cause. ``mine`` hears how many connections
    there are, whenever that changes, and says whether the next one is for this process rather than for another one on
    the same socket.
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
        mine: Callable[[int], bool] = lambda _open: True,
    ) -> None:
        self.limits = limits
        self.draining = False
        self.accepting = False  # New connections are taken.
        self.answer = answer
        self._socket = bound
        self._context = context
        self._cut = cut
        self.failed = rejected
        self._bounds = {
            Phase.HANDSHAKE: limits.handshake,
            Phase.IDLE: limits.keep_alive,
            Phase.READING: limits.read,
            Phase.WRITING: limits.write,
            Phase.LINGERING: limits.linger,
        }
        self._open: dict[Connection, None] = {}  # In the order in which they began to wait.
        self._strangers: dict[Connection, None] = {}  # Those of them that were never served.
        self._leaving: dict[Connection, None] = {}  # They linger.
        self._holding: dict[
            Connection, None
        ] = {}  # Those of whose bodies a part is here, in the order of the first part.
        self._held = 0  # Bytes of all those.
        self._stalled: dict[Connection, None] = {}  # They may not read on.
        self._mine = mine
        self._yielded = 0  # So often to another process, which has not taken anything since.
        self._full = False  # Everybody is being answered: whoever comes waits in the kernel's backlog.
        self._changed = asyncio.Event()
        self._sweeping: asyncio.Task[None] | None = None

    @property
    def open_connections(self) -> int:
        """How many there are, those in their handshake too."""
        return len(self._open)

    @property
    def in_flight(self) -> int:
        """How many requests are being read or answered."""
        return sum(each.phase in (Phase.READING, Phase.WRITING) for each in self._open)

    def start(self) -> None:
        """Listen and accept."""
        self._socket.setblocking(False)
        # Connections have it from here: a reply does not wait for more to send.
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.listen(BACKLOG)
        self._loop = asyncio.get_running_loop()
        self._sweeping = self._loop.create_task(self._sweep())
        self.accepting = True
        self._resume()

    def drain(self) -> None:
        """Go on accepting and answering, but let every reply be the last on its connection."""
        self.draining = True

    async def stop(self, grace: float) -> int:
        """Stop accepting, finish within ``grace`` seconds what has begun; return how many requests were cut."""
        self.draining = True
        self._refuse()
        end = time.monotonic() + grace
        for _ in range(2):
            await asyncio.sleep(0)  # What has arrived already counts as begun.
        while self._open and (left := end - time.monotonic()) > 0:
            for connection in [each for each in self._open if each.phase is Phase.IDLE]:
                connection.goodbye()
            await self._change(left)
        unfinished = [each for each in self._open if each.phase in (Phase.READING, Phase.WRITING)]
        for connection in list(self._open):
            self._end(connection, "stopped", "the server stopped")
        if self._sweeping is not None:
            self._sweeping.cancel()
            await asyncio.wait([self._sweeping])
        for connection in list(self._leaving):
            connection.end()
        return len(unfinished)

    # What the connections tell.

    def waits(self, connection: Connection, phase: Phase) -> None:
        """It begins to wait: it goes to the end of the queue of those that could make room."""
        connection.phase = phase
        connection.deadline = time.monotonic() + self._bounds[phase]
        if phase is Phase.LINGERING:
            self.forget(connection)
            self._leaving[connection] = None
            return
        self._open.pop(connection, None)
        self._open[connection] = None
        self._strangers.pop(connection, None)
        if not connection.served:
            self._strangers[connection] = None
        self._tell()

    def holds(self, connection: Connection, size: int) -> bool:
        """So much of a body is in memory now. While all together are too much, only that which began first goes on."""
        self._held += size - connection.held
        connection.held = size
        if not size:
            self._release(connection)
            return True
        self._holding[connection] = None
        if self._held <= self.limits.bodies or connection is next(iter(self._holding)):
            return True
        self._stalled[connection] = None
        return False

    def forget(self, connection: Connection) -> None:
        """Count it no more; it may have been forgotten before."""
        self._open.pop(connection, None)
        self._strangers.pop(connection, None)
        self._leaving.pop(connection, None)
        self._stalled.pop(connection, None)
        self._held -= connection.held
        connection.held = 0
        self._release(connection)
        self._mine(len(self._open))
        self._tell()

    def broke(self, cause: OSError) -> None:
        """Tell of a handshake that came to nothing."""
        self._cut("handshake", str(cause))

    def _release(self, connection: Connection) -> None:
        self._holding.pop(connection, None)
        for each in list(self._stalled):
            if self._held <= self.limits.bodies or each is next(iter(self._holding)):
                del self._stalled[each]
                each.go_on()

    def _tell(self) -> None:
        self._changed.set()
        if self._full and self.accepting:
            self._full = False
            self._resume()

    # Accepting.

    def _resume(self) -> None:
        if not self.accepting:
            return
        if 0 < self._yielded < YIELDS and not _pending(self._socket):
            self._yielded = 0  # The other one took it.
        self._loop.add_reader(self._socket.fileno(), self._accept)

    def _pause(self, seconds: float | None = None) -> None:
        self._loop.remove_reader(self._socket.fileno())
        if seconds is not None:
            self._loop.call_later(seconds, self._resume)

    def _refuse(self) -> None:
        if self.accepting:
            self.accepting = False
            self._pause()
        self._socket.close()

    def _accept(self) -> None:
        for _ in range(ACCEPTS):
            if self._mine(len(self._open)):
                self._yielded = 0
            elif self._yielded < YIELDS:
                self._yielded += 1
                self._pause(YIELD)
                return
            full = len(self._open) >= self.limits.connections
            leaves = self._longest() if full else None
            if full and leaves is None:
                self._full = True
                self._pause()
                return
            try:
                accepted, _ = self._socket.accept()
            except BlockingIOError:
                return
            except OSError as error:  # No descriptor left, or the client is gone: neither may end this.
                self._cut("accept", str(error))
                self._pause(0.05)
                return
            if leaves is not None:
                self._end(leaves, "crowded_out", f"it waited longest: {leaves.phase.value}")
            wire = Plain(accepted) if self._context is None else Secured(accepted, self._context)
            connection = Connection(wire, self, self._loop, self.limits.body)
            self.waits(connection, Phase.IDLE if self._context is None else Phase.HANDSHAKE)
            connection.start()

    def _longest(self) -> Connection | None:
        """Who waited longest and may make room: of the strangers, while they are many, or else of the others."""
        many = len(self._strangers) > self.limits.connections // STRANGERS
        ours = (each for each in self._open if each.served)
        for among in (self._strangers if many else ours, self._open):
            for each in among:
                if each.phase is not Phase.WRITING:
                    return each
        return None

    # Ending.

    async def _sweep(self) -> None:
        limits = self.limits
        pause = min(0.25, min(limits.handshake, limits.read, limits.write, limits.keep_alive) / 4)
        while True:
            await asyncio.sleep(pause)
            now = time.monotonic()
            for connection in [each for each in (*self._open, *self._leaving) if each.deadline <= now]:
                if connection.phase is Phase.IDLE:
                    connection.goodbye()
                elif connection.phase is Phase.LINGERING:
                    connection.end()
                else:
                    self._end(connection, connection.phase.value, "it took too long")

    def _end(self, connection: Connection, reason: str, cause: str) -> None:
        self._cut(reason, cause)
        if connection.phase is Phase.IDLE:
            connection.goodbye()
        else:
            connection.end()

    async def _change(self, seconds: float) -> None:
        """Wait until a connection changes, or for so long."""
        self._changed.clear()
        try:
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        except TimeoutError:
            pass


def _pending(bound: socket.socket) -> bool:
    """Whether a connection waits to be accepted."""
    poll = select.poll()
    poll.register(bound, select.POLLIN)
    return bool(poll.poll(0))


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
