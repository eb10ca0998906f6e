"""Manifests as they were given: files, folders and stdin become texts, and what is wrong with them is said by line.

All or nothing: whoever reads manifests gathers every problem of a run and raises them together, before a byte is
written. Folders are read as ``kubectl apply -R`` reads them, less hidden files.
"""

import os
import stat
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import IO

from podfacts.core.refusal import BadInput

STDIN = "<stdin>"
SUFFIXES = (".yaml", ".yml", ".json")
# An endless file must end. The API server itself takes 3 MiB in one request.
LARGEST = 64 * 2**20
SHOWN = 20

BOM = "\ufeff"
UTF16 = (b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True, order=True, slots=True)
class Problem:
    """What is wrong, and where. Line 0 is the file as a whole."""

    name: str
    line: int
    reason: str

    def __str__(self) -> str:
        place = f"{self.name}:{self.line}" if self.line else self.name
        return f"{place}: {self.reason}"


def refusal(problems: Iterable[Problem]) -> BadInput:
    """All that is wrong in a run, a line each, by file and line; after the first 20, how many more there are."""
    lines = [str(each) for each in sorted(set(problems))]
    if len(lines) > SHOWN:
        lines[SHOWN:] = [f"... and {len(lines) - SHOWN} more"]
    return BadInput("\n".join(lines))


@dataclass(frozen=True)
class Manifest:
    """One file: its ``text`` without the byte order mark, which ``bom`` remembers."""

    name: str
    text: str = field(repr=False)
    bom: str = ""

    def problem(self, offset: int, reason: str) -> Problem:
        """What is wrong at the offset."""
        return Problem(self.name, self.line(offset), reason)

    def line(self, offset: int) -> int:
        """The number of the line that the offset is on, counted as editors count."""
        return bisect_left(self._breaks, offset) + 1

    @cached_property
    def _breaks(self) -> list[int]:
        found, position = [], self.text.find("\n")
        while position >= 0:
            found.append(position)
            position = self.text.find("\n", position + 1)
        return found


def read(sources: Sequence[str], stdin: IO[bytes]) -> Iterator[Manifest | Problem]:
    """The manifests of files, folders and ``-`` for stdin, in the order given; instead of one, what is wrong with it."""
    if sources.count("-") > 1:
        yield Problem(STDIN, 0, "can be read only once: give - once")
        return
    for source in sources:
        if source == "-":
            yield _decoded(STDIN, stdin.read(LARGEST + 1))
        elif Path(source).is_dir():
            yield from _folder(source)
        else:
            yield _file(source)


def _folder(top: str) -> Iterator[Manifest | Problem]:
    problems: list[Problem] = []

    def unreadable(error: OSError) -> None:
        problems.append(Problem(str(error.filename), 0, _why(error)))

    found = []
    # Links to folders are not followed, so none can lead in a circle.
    for folder, folders, names in os.walk(top, onerror=unreadable):
        folders[:] = [each for each in folders if not each.startswith(".")]
        found += [
            Path(folder, name) for name in names if name.endswith(SUFFIXES) and not name.startswith(".")
        ]
    if not found and not problems:
        problems.append(Problem(top, 0, "there is no *.yaml, *.yml or *.json file in this folder"))
    yield from problems
    for path in sorted(found):
        yield _file(str(path), only_regular=True)


def _file(name: str, *, only_regular: bool = False) -> Manifest | Problem:
    try:
        # Whoever names a pipe means it: <(helm template ...). One that lies in a folder would be waited for in vain.
        if only_regular and not stat.S_ISREG(Path(name).stat().st_mode):
            return Problem(name, 0, "is no regular file")
        with Path(name).open("rb") as file:
            return _decoded(name, file.read(LARGEST + 1))
    except OSError as error:
        return Problem(name, 0, _why(error))
    except ValueError as error:  # A NUL in the name itself.
        return Problem(name, 0, str(error))


def _decoded(name: str, read_bytes: bytes) -> Manifest | Problem:
    if len(read_bytes) > LARGEST:
        return Problem(name, 0, f"is larger than {LARGEST // 2**20} MiB: split it")
    # As kubectl: UTF-16 only with its mark (cli-runtime/pkg/resource/visitor.go, BOMOverride).
    encoding = "utf-16" if read_bytes.startswith(UTF16) else "utf-8"
    if encoding == "utf-8" and b"\0" in read_bytes:
        line = read_bytes.count(b"\n", 0, read_bytes.index(b"\0")) + 1
        return Problem(name, line, "holds a NUL byte: this is no text")
    try:
        text = read_bytes.decode(encoding)
    except UnicodeDecodeError as error:
        line = read_bytes.count(b"\n", 0, error.start) + 1 if encoding == "utf-8" else 0
        return Problem(name, line, f"is no {encoding.upper()} text: {error.reason}")
    if encoding == "utf-16":
        return Manifest(name, text)  # It goes out as UTF-8, like all else.
    return Manifest(name, text.removeprefix(BOM), BOM if text.startswith(BOM) else "")


def _why(error: OSError) -> str:
    return f"cannot be read: {error.strerror or error}"
