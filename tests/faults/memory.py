"""A cap on a process's memory, as a container has one: a cgroup of its own, of either version."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

ROOT = Path("/sys/fs/cgroup")


class Cap:
    """A cgroup with a limit."""

    def __init__(self, folder: Path, *, old: bool) -> None:
        self.folder = folder
        self._old = old

    @property
    def before(self) -> tuple[str, ...]:
        """The words that start a command inside."""
        return ("sh", "-c", f'echo $$ > {self.folder}/cgroup.procs && exec "$@"', "sh")

    @property
    def killed(self) -> int:
        """How many processes the kernel has killed for it."""
        name = "memory.oom_control" if self._old else "memory.events"
        words = (self.folder / name).read_text().split()
        return int(words[words.index("oom_kill") + 1])

    @property
    def most(self) -> int:
        """The most bytes that were used, page cache included."""
        name = "memory.max_usage_in_bytes" if self._old else "memory.peak"
        return int((self.folder / name).read_text())


@contextmanager
def capped(size: int) -> Iterator[Cap]:
    """Give one of this size, and remove it once it is empty; a skip with the reason where none can be had."""
    old = not (ROOT / "cgroup.controllers").exists()
    folder = (ROOT / "memory" if old else ROOT) / f"podfacts-faults-{os.getpid()}"
    try:
        folder.mkdir()
        (folder / ("memory.limit_in_bytes" if old else "memory.max")).write_text(str(size))
    except OSError as error:
        with suppress(OSError):
            folder.rmdir()
        pytest.skip(f"a memory cgroup cannot be had here: {error}")
    try:
        yield Cap(folder, old=old)
    finally:
        folder.rmdir()
