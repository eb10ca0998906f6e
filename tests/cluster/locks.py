"""One run at a time where several share a cache, and whoever waits is told so."""

import fcntl
from typing import IO, Any

from tests.cluster.progress import Say


def take(handle: IO[Any], say: Say, waiting: str) -> None:
    """Hold the lock of an open file until it is closed; say what is waited for when somebody else has it."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        say(waiting)
        fcntl.flock(handle, fcntl.LOCK_EX)
