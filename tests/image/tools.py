"""Two images that pods of the tests and of the demo use, made here under the names of the public ones.

On somebody else's cluster the same names are pulled, so these behave alike: the same user, variables and entrypoint. curl
comes from Debian, with the libraries that it is linked to; kubectl is the cluster's own binary, alone in its image.
"""

import hashlib
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import certifi

from tests.cluster import build, locks
from tests.cluster.images import GROUPS, USERS, Image, busybox_layer, program_layer, write_archive
from tests.cluster.progress import Say, quiet
from tests.image.buildah import folder
from tests.image.errors import ImageError

CURL = "curlimages/curl:8.11.1"
KUBECTL = f"registry.k8s.io/kubectl:{build.pinned('k8s.io/kubernetes')}"
PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# The public web's CAs, where curl's image has them and says so, and where its curl looks without being told. They do
# not know a cluster's own: https://kubernetes is refused by exit code 60, not by 77 for a missing file.
AUTHORITIES = ("cacert.pem", "etc/ssl/certs/ca-certificates.crt")
# A name, as curl's image has it (curl/curl-container, create_appliance_image.sh): so the kubelet refuses it with
# runAsNonRoot and no runAsUser, here as elsewhere.
CURL_USER = "curl_user"
CURL_CONFIG = {
    "Entrypoint": ["/entrypoint.sh"],
    "Cmd": ["curl"],
    "Env": [PATH, f"CURL_CA_BUNDLE=/{AUTHORITIES[0]}"],
    "User": CURL_USER,
}
# Options and URLs are curl's; what is a command here runs instead of it.
ENTRYPOINT = b"""#!/bin/sh
case $1 in -*) set -- curl "$@" ;; esac
command -v "$1" >/dev/null || set -- curl "$@"
exec "$@"
"""
# As build/server-image/kubectl/Dockerfile of Kubernetes has it, on a base that says no other user.
KUBECTL_CONFIG = {"Entrypoint": ["/bin/kubectl"], "Env": [PATH], "User": "0"}
# What glibc loads by name when it looks a host up; newer ones have it inside.
RESOLVING = ("libnss_dns.so.2", "libnss_files.so.2", "libresolv.so.2")


def images(binaries: Path, say: Say = quiet) -> Path:
    """Return the archive with both images for ``Cluster.load_image``, written anew when what goes in has changed."""
    made = (
        Image((CURL,), _curl_layer(), CURL_CONFIG),
        Image((KUBECTL,), program_layer("kubectl", (binaries / "kubectl").read_bytes()), KUBECTL_CONFIG),
    )
    path = folder() / f"tools-{_key(made)}.tar"
    with (folder() / "tools.lock").open("w") as file:
        locks.take(file, say, "waiting for another run that writes the images with curl and kubectl")
        if not path.exists():
            for old in folder().glob("tools-*"):
                old.unlink()
            unfinished = path.with_suffix(".part")
            write_archive(unfinished, made)
            unfinished.rename(path)
    return path


def _key(made: Sequence[Image]) -> str:
    digest = hashlib.sha256()
    for image in made:
        digest.update(f"{image.tags} {image.config} {len(image.layer)}\n".encode())
        digest.update(image.layer)
    return digest.hexdigest()[:16]


def _curl_layer() -> bytes:
    found = shutil.which("curl")
    if not found:
        raise ImageError("curl is missing: install it, or bring the test cluster up first, which does")
    program = Path(found)
    authorities = Path(certifi.where()).read_bytes()
    files = {"bin/curl": program.read_bytes(), "entrypoint.sh": ENTRYPOINT}
    return busybox_layer(
        files | dict.fromkeys(AUTHORITIES, authorities) | _libraries(program),
        users=f"{USERS}{CURL_USER}:x:100:101::/tmp:/bin/sh\n",
        groups=f"{GROUPS}curl_group:x:101:\n",
    )


def _libraries(program: Path) -> dict[str, bytes]:
    """The loader and the libraries, each under the path where the loader looks for it."""
    said = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
    paths = {Path(each) for each in re.findall(r"(/\S+) \(0x", said)}
    libc = next(each for each in paths if each.name == "libc.so.6")
    paths |= {libc.parent / name for name in RESOLVING if (libc.parent / name).exists()}
    # /usr is a link to / in the image, and a tar file may not write through a link.
    return {str(each).removeprefix("/usr").lstrip("/"): each.read_bytes() for each in sorted(paths)}
