"""One call gives the product's image as a file for ``ctr images import``, built by the repository's own Dockerfile.

Beside it lies the bill of what is in it, which is in it too. The file is kept under a key of everything that goes in, so asking twice costs nothing, and a changed source rebuilds only
the layers after it.
"""

import hashlib
import json
import shutil
import subprocess
import time
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.cluster import locks
from tests.cluster.progress import Say, elapsed
from tests.image import bases, pip_settings
from tests.image.buildah import buildah, folder, mounted, need

CHECKOUT = Path(__file__).parents[2]
VERSION = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]["version"]
# The name that deploy/install.yaml runs.
TAG = f"ghcr.io/podfacts/podfacts:{VERSION}"
# What the Dockerfile copies, and what decides the layers of the dependencies.
SOURCES = ("pyproject.toml", "README.md", "LICENSE", "operator", "supply_chain")
LOCKS = (
    "requirements.lock",
    "requirements-build.lock",
    "requirements-sbom.lock",
    "Dockerfile",
    ".dockerignore",
)
BILL = "usr/local/share/sbom/podfacts.cdx.json"


class Built(NamedTuple):
    """The image as a docker-archive, its name in our storage, and its bill of materials."""

    path: Path
    image: str
    megabytes: float
    bill: Path


class Sources(NamedTuple):
    """The commit of what goes into an image, and its time in seconds."""

    revision: str
    epoch: str


def build(say: Say, tag: str = TAG, output: Path | None = None) -> Built:
    """Return the product's image, building what is not there yet; also write it to the output, if there is one."""
    start = time.monotonic()
    need(say)
    with _lock(say):
        made = bases.make(say)
        sources = committed()
        key = _key(f"{made.key} {sources}", tag, SOURCES + LOCKS)
        image = f"localhost/podfacts:{key}"
        path = folder() / f"podfacts-{key}.tar"
        bill = path.with_suffix(".cdx.json")
        if not path.exists():
            _forget_old_layers(_key(made.key, "", LOCKS))
            _build(image, made, sources, say)
            with mounted(image) as (_, root):
                shutil.copyfile(root / BILL, bill)
            _write(image, path, tag, say)
    if output:
        shutil.copyfile(path, output)
        shutil.copyfile(bill, output.with_suffix(".cdx.json"))
    built = Built(path, image, path.stat().st_size / 1e6, bill)
    say(f"{tag}: {built.megabytes:.0f} MB in {output or path}, {elapsed(time.monotonic() - start).strip()}")
    return built


def committed() -> Sources:
    """Return the last commit of what goes in, marked when the files differ from it; nothing where there is no history."""
    found = _git("log", "-1", "--format=%H %ct").split()
    if not found:
        return Sources("", "")
    return Sources(f"{found[0]}-dirty" if _git("status", "--porcelain") else found[0], found[1])


def _git(*words: str) -> str:
    if not shutil.which("git"):
        return ""
    command = ["git", "-C", str(CHECKOUT), *words, "--", *SOURCES, *LOCKS]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def _build(image: str, made: bases.Bases, sources: Sources, say: Say) -> None:
    arguments = [
        f"--build-arg=BUILD_BASE={made.build}",
        f"--build-arg=RUNTIME_BASE={made.runtime}",
        f"--build-arg=REVISION={sources.revision}",
        f"--build-arg=SOURCE_DATE_EPOCH={sources.epoch}",
    ]
    volumes = [f"--volume={volume}" for volume in pip_settings.volumes(folder())]
    buildah(
        *("bud", "--layers", "--pull-never", "--quiet", *arguments, *volumes),
        *("--tag", image, "--file", CHECKOUT / "Dockerfile", CHECKOUT),
        say=say,
        doing="building the image (about a minute when nothing is cached)",
    )


def _write(image: str, path: Path, tag: str, say: Say) -> None:
    unfinished = path.with_suffix(".part")
    unfinished.unlink(missing_ok=True)
    buildah(
        "push", "--quiet", image, f"docker-archive:{unfinished}:{tag}", say=say, doing=f"writing {path.name}"
    )
    for old in folder().glob("podfacts-*"):
        if not old.name.startswith(path.stem):
            old.unlink()
    unfinished.rename(path)


def _forget_old_layers(key: str) -> None:
    """Drop the layers of the last build when none of them can be used again; the bases have names and stay."""
    mark = folder() / "layers.key"
    if mark.exists() and mark.read_text() == key:
        return
    for entry in json.loads(buildah("images", "--json") or "[]"):
        if any(name.startswith("localhost/podfacts:") for name in entry.get("names") or ()):
            buildah("rmi", "--force", entry["id"])
    buildah("rmi", "--prune", "--force")
    mark.write_text(key)


def _key(base: str, tag: str, names: tuple[str, ...]) -> str:
    digest = hashlib.sha256(f"{base} {tag}".encode())
    for path in _files(names):
        content = path.read_bytes()
        digest.update(f"\n{path.relative_to(CHECKOUT)} {len(content)}\n".encode())
        digest.update(content)
    return digest.hexdigest()[:16]


def _files(names: tuple[str, ...]) -> Iterator[Path]:
    for name in names:
        path = CHECKOUT / name
        if path.is_file():
            yield path
        else:
            found = (file for file in path.rglob("*") if file.is_file())
            yield from sorted(file for file in found if "__pycache__" not in file.parts)


@contextmanager
def _lock(say: Say) -> Iterator[None]:
    """Let one build at a time work on the storage."""
    with (folder() / "lock").open("w") as file:
        locks.take(file, say, "waiting for another build of the image")
        yield
