"""What Podfacts runs on when it is measured: the image's own files and Python, or with ``--here`` this Python.

A machine's Python can be any. One that was built without the compiler's optimizations, as pyenv does by default, takes 1.3
times as long for the same pod; what counts is the one that is shipped.
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.cluster.progress import timed
from tests.image import contents
from tests.image.errors import ImageError
from tests.image.product import CHECKOUT, build

OPERATOR = CHECKOUT / "operator"


class Runtime:
    """A Python with Podfacts and all that it needs: ``command`` and ``environment`` start it."""

    def __init__(self, image: contents.Image | None, folders: list[Path]) -> None:
        self._image = image
        self._folders = folders

    def command(self, *words: str, source: Path | None = None) -> list[str]:
        """What runs ``python WORDS``. Paths are the same inside: what ``folders`` and ``source`` are is mounted there."""
        if self._image is None:
            return [sys.executable, *words]
        volumes = {folder: str(folder) for folder in [*self._folders, *([source] if source else [])]}
        for folder in volumes:
            (self._image.root / str(folder).lstrip("/")).mkdir(parents=True, exist_ok=True)
        # Whom the folders belong to: a temporary one is for nobody else.
        user = f"{os.geteuid()}:{os.getegid()}"
        return self._image.command("python3", *words, user=user, volumes=volumes)

    def environment(self, source: Path | None = None) -> dict[str, str]:
        """Its environment; ``source`` is another copy of operator/."""
        if self._image is None:
            return {**os.environ, "PYTHONPATH": str(source or OPERATOR)}
        found = self._image.environment()
        if source:
            found["PYTHONPATH"] = f"{source}:{found['PYTHONPATH']}"
        return found

    def described(self) -> str:
        """Which Python it is, for the table."""
        words = "-c", "import platform; print(platform.python_version())"
        said = subprocess.run(
            self.command(*words), env=self.environment(), check=True, capture_output=True, text=True
        ).stdout.strip()
        return f"{said} of the image" if self._image else said


def option(parser: argparse.ArgumentParser) -> None:
    """Add ``--here``."""
    parser.add_argument("--here", action="store_true", help="this Python and checkout, instead of the image")


@contextmanager
def opened(here: bool, *folders: Path) -> Iterator[Runtime]:
    """The image, built if need be, or this Python; the process may read the folders."""
    if here:
        yield Runtime(None, [])
        return
    try:
        built = build(timed())
    except ImageError as error:
        raise SystemExit(f"{error}\n(--here measures this Python and checkout instead)") from None
    with contents.opened(built) as image:
        yield Runtime(image, [folder.resolve() for folder in folders])
