"""Two base images made on this machine, in the shape of the public ones that the Dockerfile names by default.

The build base is Debian with Python and pip. The runtime base is what a distroless image is: the files of a dozen Debian
packages, without a shell, a package manager or pip, and with a record of each package where scanners look for it. It is
put together from the files of the first, so nothing is fetched twice.
"""

import hashlib
import platform
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from tests.cluster.progress import Say
from tests.image.buildah import buildah, exists, mounted, run
from tests.image.errors import ImageError

SUITE = "trixie"  # Debian 13, with Python 3.13
BUILD_PACKAGES = ("python3", "python3-pip")
# As gcr.io/distroless/python3-debian13 has it: no libffi, so no ctypes, which keeps us honest about not needing it.
RUNTIME_PACKAGES = (
    "base-files",
    "gcc-14-base",
    "libbz2-1.0",
    "libc6",
    "libcrypt1",
    "libexpat1",
    "libgcc-s1",
    "liblzma5",
    "libpython3.13-minimal",
    "libpython3.13-stdlib",
    "libsqlite3-0",
    "libssl3t64",
    "libuuid1",
    "libzstd1",
    "media-types",
    "netbase",
    "python3-minimal",
    "python3.13-minimal",
    "tzdata",
    "zlib1g",
)
# Translations, package lists, and what Debian's own packaging runs; of the documentation only the licences are kept.
UNNEEDED = (
    "dev/*",
    "usr/share/info/*",
    "usr/share/locale/*",
    "usr/share/man/*",
    "var/cache/apt/*",
    "var/lib/apt/lists/*",
    "var/log/*",
)
SKIPPED = (
    "etc/update-motd.d/",
    "usr/bin/py3",
    "usr/sbin/",
    "usr/share/lintian/",
    "usr/share/locale/",
    "usr/share/man/",
)
USERS = (
    "root:x:0:0:root:/root:/sbin/nologin\n"
    "nobody:x:65534:65534:nobody:/nonexistent:/sbin/nologin\n"
    "nonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin\n"
)
GROUPS = "root:x:0:\nnobody:x:65534:\nnonroot:x:65532:\n"


class Bases(NamedTuple):
    """The names of the two images in our storage, and the key of what they are made of."""

    build: str
    runtime: str
    key: str


def make(say: Say) -> Bases:
    """Return the bases, making those that our storage does not have."""
    key = hashlib.sha256(Path(__file__).read_bytes() + platform.machine().encode()).hexdigest()[:12]
    bases = Bases(f"localhost/podfacts-build-base:{key}", f"localhost/podfacts-runtime-base:{key}", key)
    if not exists(bases.build):
        _forget_others()
        _make_build(bases.build, say)
    if not exists(bases.runtime):
        with mounted(bases.build) as (_, source):
            _make_runtime(bases.runtime, source)
        say(f"made the runtime base from the files of {len(RUNTIME_PACKAGES)} packages")
    return bases


def _forget_others() -> None:
    """Drop everything that stands on bases of another key."""
    if found := buildah("images", "--all", "--quiet").split():
        buildah("rmi", "--force", *found)


def _make_build(image: str, say: Say) -> None:
    container = buildah("from", "scratch")
    try:
        root = Path(buildah("mount", container))
        packages = ",".join(BUILD_PACKAGES)
        command = ["debootstrap", "--variant=minbase", f"--include={packages}", SUITE, str(root), *_mirror()]
        run(command, say, f"making the build base: Debian {SUITE} with {packages} (usually under a minute)")
        for path in _unneeded(root):
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        buildah("umount", container)
        buildah("commit", "--quiet", container, image)
    finally:
        buildah("rm", container)


def _unneeded(root: Path) -> list[Path]:
    found = [path for pattern in UNNEEDED for path in root.glob(pattern)]
    folders = [path for path in (root / "usr/share/doc").iterdir() if not path.is_symlink()]
    return [*found, *(path for each in folders for path in each.iterdir() if path.name != "copyright")]


def _mirror() -> list[str]:
    """Return the mirror that this machine's apt uses for Debian; without one debootstrap has its own."""
    if not shutil.which("apt-get"):
        return []
    pattern = "$(REPO_URI) $(ORIGIN) $(LABEL)"
    lines = run(
        ["apt-get", "indextargets", "--format", pattern, "Created-By: Packages"], None, ""
    ).splitlines()
    found = [words[0] for words in map(str.split, lines) if words[1:] == ["Debian", "Debian"]]
    return found[:1]


def _make_runtime(image: str, source: Path) -> None:
    container = buildah("from", "scratch")
    try:
        root = Path(buildah("mount", container))
        _copy(source, root, _files_of(source, RUNTIME_PACKAGES))
        _record(source, root)
        for name, text in (("passwd", USERS), ("group", GROUPS)):
            (root / "etc" / name).write_text(text)
        (root / "home/nonroot").mkdir(parents=True, exist_ok=True)
        buildah("umount", container)
        path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        buildah("config", "--env", path, "--user", "65532", container)
        buildah("commit", "--quiet", container, image)
    finally:
        buildah("rm", container)


def _record(source: Path, root: Path) -> None:
    """Write what Debian knows of each package as distroless images have it: a file a package, and its checksums."""
    entries = (source / "var/lib/dpkg/status").read_text().split("\n\n")
    known = {entry.partition("\n")[0].removeprefix("Package: "): entry for entry in entries}
    folder = root / "var/lib/dpkg/status.d"
    folder.mkdir(parents=True)
    for package in RUNTIME_PACKAGES:
        (folder / package).write_text(known[package] + "\n")
        (folder / f"{package}.md5sums").write_text(_info(source, package, "md5sums").read_text())


def _info(root: Path, package: str, kind: str) -> Path:
    """Return one of Debian's records of a package; those of several architectures have it in their names."""
    info = root / "var/lib/dpkg/info"
    found = [*info.glob(f"{package}.{kind}"), *info.glob(f"{package}:*.{kind}")]
    if not found:
        raise ImageError(f"Debian {SUITE} has no package {package} in the build base")
    return found[0]


def _files_of(root: Path, packages: Iterable[str]) -> list[str]:
    """Return the files of the packages, as Debian's own records list them."""
    paths: set[str] = set()
    for package in packages:
        paths |= {line.strip("/") for line in _info(root, package, "list").read_text().splitlines()}
    return sorted(path for path in paths if path and path != "." and not path.startswith(SKIPPED))


def _copy(source: Path, target: Path, paths: list[str]) -> None:
    """Copy exactly these paths, with modes and links; tar knows how."""
    present = "\0".join(path for path in paths if (source / path).is_symlink() or (source / path).exists())
    pack = ["tar", "-C", str(source), "--no-recursion", "--null", "-T", "-", "-cf", "-"]
    packed = subprocess.run(pack, input=present.encode(), capture_output=True, check=True).stdout
    subprocess.run(["tar", "-C", str(target), "-xpf", "-"], input=packed, check=True)
