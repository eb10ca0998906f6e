"""Nobody should wonder whether a long step still works: it says what it does and for how long."""

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Say = Callable[[str], None]


def quiet(_line: str) -> None:
    """Say nothing."""


def timed() -> Say:
    """Return a printer that puts the elapsed time before each line."""
    start = time.monotonic()

    def say(line: str) -> None:
        try:
            print(f"[{elapsed(time.monotonic() - start)}] {line}", flush=True)
        except BrokenPipeError:
            # Nobody reads on (`| head`): no reason to stop half-way.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

    return say


def elapsed(seconds: float) -> str:
    """Return the time as a person reads it: 12.3s, 4m05s."""
    if round(seconds, 1) < 60:
        return f"{seconds:4.1f}s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}m{rest:02}s"


@contextmanager
def ticking(say: Say, status: Callable[[], str], every: float = 15) -> Iterator[None]:
    """Say the status every few seconds until the block ends."""
    done = threading.Event()

    def tick() -> None:
        while not done.wait(every):
            say(status())

    thread = threading.Thread(target=tick, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
