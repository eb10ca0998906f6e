"""Several processes on one port, because one process of Python uses one core.

The first one forks the others before anything runs, so they share its listening socket and most of its memory. Each then
does all of an admission server's work for itself, following the cluster too. The first speaks for all of them: it
hears the signals, and answers the probes and Prometheus, for which it asks the others over a pair of sockets. None
outlives another: where one ends, all end in order, and the kubelet starts the container anew.
"""

import asyncio
import mmap
import os
import signal
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import orjson

from podfacts.admission.numbers import Counted

TELL, STOP, AT_ONCE = b"tell", b"stop", b"at once"

ANSWER = 0.5  # Seconds in which a worker tells how it is. In the meantime nobody is answered.
LONGEST = 128 * 1024  # Bytes of what it tells.


@dataclass(frozen=True, slots=True)
class State:
    """How a worker is: why it is not live, why not ready, and all it has counted."""

    live: str | None
    ready: str | None
    counted: Counted


class Worker:
    """Another process, as the first one sees it."""

    def __init__(self, link: socket.socket, pid: int) -> None:
        link.settimeout(ANSWER)
        self.link = link
        self.pid = pid
        self._asked = 0
        self._counted: Counted = []

    def state(self) -> State:
        """Ask it, and wait for the answer."""
        self._asked += 1
        try:
            self.link.send(b"%b %d" % (TELL, self._asked))
            while True:  # What came too late for the question before is no answer to this one.
                told = orjson.loads(self.link.recv(LONGEST) or b"[]")
                if not told:
                    return State("a worker ended", "a worker ended", self._counted)
                if told["to"] == self._asked:
                    break
        except OSError:
            return State("a worker does not answer", "a worker does not answer", self._counted)
        self._counted = told["counted"]
        return State(told["live"], told["ready"], self._counted)

    def tell(self, what: bytes) -> None:
        """Tell it to stop."""
        with suppress(OSError):
            self.link.send(what)

    def ended(self) -> bool:
        """Whether it is gone; late answers are thrown away."""
        try:
            return not self.link.recv(LONGEST, socket.MSG_DONTWAIT)
        except (BlockingIOError, TimeoutError):
            return False
        except ConnectionError:  # It left with something unread.
            return True

    def code(self, patience: float) -> int:
        """Its exit code, waited for; it is killed when it takes too long."""
        end = time.monotonic() + patience
        while (found := os.waitpid(self.pid, os.WNOHANG))[0] == 0:
            if time.monotonic() > end:
                os.kill(self.pid, signal.SIGKILL)
            time.sleep(0.02)
        return os.waitstatus_to_exitcode(found[1])


class Team:
    """All processes, as one of them sees it: ``workers`` are the others, and empty in all but the first."""

    def __init__(self, count: int = 1) -> None:
        self.workers: list[Worker] = []
        self._first: socket.socket | None = None
        # How many connections each has, in memory that all of them see.
        self._connections = memoryview(mmap.mmap(-1, 4 * count)).cast("i")
        self._place = 0

    @property
    def leads(self) -> bool:
        """Whether this is the first process."""
        return self._first is None

    def follow(self, first: socket.socket, place: int) -> None:
        """Become the one in that place, in a process of its own."""
        for each in self.workers:
            each.link.close()
        self.workers = []
        self._first, self._place = first, place
        first.settimeout(ANSWER)
        # A terminal sends them to all processes. The first one passes them on.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)

    def join(
        self,
        *,
        stop: Callable[[], None],
        at_once: Callable[[], None],
        state: Callable[[], State],
        lost: Callable[[int], None],
    ) -> None:
        """Take part, on the running loop: hear what the first one says, or, as that, of each worker that is ``lost``."""
        loop = asyncio.get_running_loop()
        for each in self.workers:
            loop.add_reader(each.link.fileno(), self._look, each, lost)
        first = self._first
        if first is not None:
            loop.add_reader(first.fileno(), self._hear, first, stop, at_once, state)

    def tell(self, what: bytes) -> None:
        """Tell all others."""
        for each in self.workers:
            each.tell(what)

    def states(self) -> list[State]:
        """How all others are."""
        return [each.state() for each in self.workers]

    def mine(self, connections: int) -> bool:
        """With so many of its own, whether the next connection is for this process: none has fewer."""
        self._connections[self._place] = connections
        return connections <= min(self._connections)

    def code(self, own: int, patience: float) -> int:
        """The exit code of all, once all have ended: the first that is not 0. Who takes longer is killed."""
        codes = [own, *(each.code(patience) for each in self.workers)]
        return next((1 if code < 0 else code for code in codes if code), 0)

    def _look(self, worker: Worker, lost: Callable[[int], None]) -> None:
        if worker.ended():
            asyncio.get_running_loop().remove_reader(worker.link.fileno())
            lost(worker.pid)

    def _hear(
        self,
        first: socket.socket,
        stop: Callable[[], None],
        at_once: Callable[[], None],
        state: Callable[[], State],
    ) -> None:
        try:
            said, _, number = first.recv(100).partition(b" ")
        except ConnectionError:  # It left with something unread.
            said = b""
        if said == TELL:
            found = state()
            told = {"to": int(number), "live": found.live, "ready": found.ready, "counted": found.counted}
            with suppress(OSError):
                first.send(orjson.dumps(told))
            return
        stop()
        if said != STOP:  # At once, or the first process is gone.
            at_once()
        if not said:
            asyncio.get_running_loop().remove_reader(first.fileno())


def forked(count: int) -> Team:
    """Fork so many less one, and return in each of them: before any loop or thread runs, which no fork survives."""
    team = Team(count)
    for place in range(1, count):
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        pid = os.fork()
        if pid == 0:
            ours.close()
            team.follow(theirs, place)
            return team
        theirs.close()
        team.workers.append(Worker(ours, pid))
    return team
