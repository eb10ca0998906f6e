"""Two images that pods of the tests and of the demo use, made here under the names of the public ones.

curl comes from Debian, with the libraries that it is linked to; kubectl is the cluster's own binary, alone in its image as
in the official one. On somebody else's cluster the same names are pulled.
"""

import hashlib
import re
import subprocess
from pathlib import Path

import certifi

from tests.cluster import build, folders
from tests.cluster.errors import ClusterError
from tests.cluster.images import Image, busybox_layer, program_layer, write_archive

CURL = "curlimages/curl:8.11.1"
KUBECTL = f"registry.k8s.io/kubectl:{build.pinned('k8s.io/kubernetes')}"
PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
AUTHORITIES = "etc/ssl/certs/ca-certificates.crt"
# What glibc loads by name when it looks a host up.
RESOLVING = ("libnss_dns.so.2", "libnss_files.so.2", "libresolv.so.2")


def images(binaries: Path) -> Path:
    """Return the archive with both images, made when it is not there yet."""
    program = Path(_found("curl"))
    kubectl = (binaries / "kubectl").resolve()
    key = hashlib.sha256(
        f"{CURL} {_told(program)} {KUBECTL} {_told(kubectl)} {_told(Path(__file__))}".encode()
    )
    path = folders.cache() / "image" / f"tools-{key.hexdigest()[:16]}.tar"
    if path.exists():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    for old in path.parent.glob("tools-*.tar"):
        old.unlink()
    # The public web's CAs, as the official image has them: they do not know a cluster's own.
    files = {"bin/curl": program.read_bytes(), AUTHORITIES: Path(certifi.where()).read_bytes()}
    curl = Image((CURL,), busybox_layer(files | _libraries(program)), _run_as("100:101"))
    alone = Image((KUBECTL,), program_layer("kubectl", kubectl.read_bytes()), _run_as("0", "/bin/kubectl"))
    unfinished = path.with_suffix(".part")
    write_archive(unfinished, [curl, alone])
    return unfinished.rename(path)


def _run_as(user: str, *entrypoint: str) -> dict[str, object]:
    config: dict[str, object] = {"Env": [PATH], "User": user}
    return {**config, "Entrypoint": [*entrypoint]} if entrypoint else {**config, "Cmd": ["sh"]}


def _libraries(program: Path) -> dict[str, bytes]:
    """The loader and the libraries, each under the path where the loader looks for it."""
    said = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
    paths = {Path(each) for each in re.findall(r"(/\S+) \(0x", said)}
    libc = next(each for each in paths if each.name == "libc.so.6")
    paths |= {libc.parent / name for name in RESOLVING}
    # /usr is a link to / in the image, and a tar file may not write through a link.
    return {str(each).removeprefix("/usr").lstrip("/"): each.read_bytes() for each in sorted(paths)}


def _found(name: str) -> str:
    done = subprocess.run(
        ["/bin/sh", "-c", f"command -v {name}"], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise ClusterError(f"{name} is missing: bring the cluster up first, which installs it")
    return done.stdout.strip()


def _told(path: Path) -> str:
    status = path.stat()
    return f"{path} {status.st_size} {status.st_mtime_ns}"
