"""Buildah builds a Dockerfile without a daemon, and all that it stores is in our cache: nothing of the machine's own is touched."""

import os
import platform
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.cluster import folders
from tests.cluster.progress import Say, ticking
from tests.image.errors import ImageError

PROGRAMS = ("buildah", "debootstrap")
# debootstrap checks what it fetches against Debian's keys, which other distributions do not have.
PACKAGES = (*PROGRAMS, "debian-archive-keyring")
LAST_LINES = 15


def folder() -> Path:
    """Return the folder of everything about images, outside the checkout."""
    path = folders.cache() / "image"
    path.mkdir(parents=True, exist_ok=True)
    return path


def need(say: Say) -> None:
    """Install what is missing, or say in one sentence why no image can be built here."""
    if os.geteuid() != 0:
        raise ImageError("building the image needs root: debootstrap and buildah's chroot isolation do")
    if platform.system() != "Linux":
        raise ImageError("building the image needs Linux")
    if not (missing := [program for program in PROGRAMS if not shutil.which(program)]):
        return
    if not shutil.which("apt-get"):
        raise ImageError(f"{' and '.join(missing)} missing, and there is no apt-get to install them with")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    options = ["-q", "-o", "DPkg::Lock::Timeout=300", "-o", "Acquire::Retries=3"]
    for words in (["update"], ["install", "-y", "--no-install-recommends", *PACKAGES]):
        run(
            ["apt-get", *options, *words],
            say,
            f"apt-get {words[0]}, for {' and '.join(missing)}",
            environment,
        )
    if still := [program for program in PROGRAMS if not shutil.which(program)]:
        raise ImageError(f"apt-get did not install {' and '.join(still)}")


def buildah(*words: str | Path, say: Say | None = None, doing: str = "") -> str:
    """Run one buildah command on our own storage; return what it printed."""
    root, state = folder() / "storage", folder() / "run"
    command = ["buildah", "--root", str(root), "--runroot", str(state), *map(str, words)]
    # chroot isolation needs no runtime and no cgroup, so it works inside a container too.
    environment = {**os.environ, "BUILDAH_ISOLATION": "chroot", "TMPDIR": str(folder())}
    return run(command, say, doing, environment)


def run(
    command: Sequence[str], say: Say | None, doing: str, environment: dict[str, str] | None = None
) -> str:
    """Run a command, saying what it does and for how long; on failure its last lines are the message."""
    if say is None:
        return _run(command, environment)
    say(doing)
    with ticking(say, lambda: f"still at it: {doing}"):
        return _run(command, environment)


def _run(command: Sequence[str], environment: dict[str, str] | None) -> str:
    done = subprocess.run(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        last = "\n  ".join((done.stdout + done.stderr).strip().splitlines()[-LAST_LINES:])
        raise ImageError(f"{' '.join(command[:1])} failed with exit code {done.returncode}:\n  {last}")
    return done.stdout.strip()


def exists(image: str) -> bool:
    """Return whether our storage has the image."""
    return bool(buildah("images", "--quiet", "--filter", f"reference={image}"))


@contextmanager
def mounted(image: str) -> Iterator[tuple[str, Path]]:
    """Give a working container of the image and the folder where its files are; remove it afterwards."""
    container = buildah("from", "--pull-never", image)
    try:
        yield container, Path(buildah("mount", container))
    finally:
        buildah("rm", container)
