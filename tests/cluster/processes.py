"""A process is a pid and its start time: a pid alone may be somebody else's by the time it is stopped.

What was started is written down at once, so a cluster that came up halfway can still be taken down.
"""

import contextlib
import os
import signal
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

POLL = 0.05
PATIENCE = 10


class Process(NamedTuple):
    """One process that was started here."""

    name: str
    pid: int
    started: int  # clock ticks since boot, field 22 of /proc/PID/stat


def start_time(pid: int) -> int | None:
    """Return when the process started, or None when it is gone (a zombie is)."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    state, *fields = stat.rpartition(") ")[2].split()  # the command before it may hold anything
    return None if state in "ZX" else int(fields[18])


def alive(process: Process) -> bool:
    """Tell whether this very process still runs."""
    return start_time(process.pid) == process.started


def spawn(
    name: str, argv: Sequence[str | Path], state: Path, environment: Mapping[str, str] | None = None
) -> Process:
    """Start a process in a session of its own, its output in logs/NAME.log, and write it down."""
    log = state / "logs" / f"{name}.log"
    log.parent.mkdir(exist_ok=True)
    # Not subprocess: its object would have to live as long as the process, which outlives this one.
    pid = os.posix_spawnp(
        str(argv[0]),
        [str(word) for word in argv],
        dict(environment if environment is not None else os.environ),
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(log), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,
    )
    return record(name, pid, state)


def record(name: str, pid: int, state: Path) -> Process:
    """Write a process down."""
    process = Process(name, pid, start_time(pid) or 0)
    folder = state / "pids"
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"{process.pid} {process.started}\n")
    return process


def recorded(state: Path) -> tuple[Process, ...]:
    """Return every process that was started for this cluster."""
    found = []
    for path in sorted((state / "pids").glob("*")):
        pid, _, started = path.read_text().partition(" ")
        if pid.isdigit() and started.strip().isdigit():  # cut short when the machine went down
            found.append(Process(path.name, int(pid), int(started)))
    return tuple(found)


def stop(processes: Iterable[Process]) -> None:
    """End the processes at once: nothing of a test cluster is worth a graceful end."""
    left = [process for process in processes if alive(process)]
    for process in left:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGKILL)
    deadline = time.monotonic() + PATIENCE
    while left and time.monotonic() < deadline:
        for process in left:
            with contextlib.suppress(ChildProcessError):  # ours to reap only when this very run started it
                os.waitpid(process.pid, os.WNOHANG)
        left = [process for process in left if alive(process)]
        time.sleep(POLL if left else 0)


def last_words(state: Path, name: str) -> str:
    """Return the end of a process' log, for the message that says it died."""
    try:
        lines = (state / "logs" / f"{name}.log").read_text(errors="replace").strip().splitlines()
    except OSError:
        lines = []
    return lines[-1] if lines else "it said nothing"
