"""Images without a registry: docker-archive files written here, around Debian's static busybox."""

import hashlib
import io
import json
import platform
import subprocess
import tarfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from tests.cluster.errors import ClusterError

BUSYBOX = Path("/bin/busybox")
PAUSE_IMAGE = "podfacts.test/pause:1"
BUSYBOX_IMAGES = ("busybox:stable", "busybox:latest")

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
USERS = "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/home:/bin/false\n"
GROUPS = "root:x:0:\nnobody:x:65534:\n"


class Image(NamedTuple):
    """One image of an archive: its tags, its only layer and its configuration."""

    tags: tuple[str, ...]
    layer: bytes
    config: Mapping[str, Any]


def write_basics(path: Path) -> None:
    """Write the images that every test needs: busybox with its applets, and the pause image of each pod."""
    layer = busybox_layer()
    shell = {"Cmd": ["sh"], "Env": ["PATH=/bin:/usr/bin"]}
    pause = {"Entrypoint": ["/bin/sleep", "2147483647"], "Env": ["PATH=/bin"], "User": "65534:65534"}
    write_archive(path, [Image(BUSYBOX_IMAGES, layer, shell), Image((PAUSE_IMAGE,), layer, pause)])


def busybox_layer(more: Mapping[str, bytes] | None = None, users: str = USERS, groups: str = GROUPS) -> bytes:
    """Return a root file system: busybox under the names of its applets, users, /tmp, and more programs by path."""
    program = BUSYBOX.read_bytes()
    if b"/ld-" in program[:4096]:  # the path of the dynamic loader stands near the start
        raise ClusterError(f"{BUSYBOX} is not the static one: install busybox-static")
    applets = subprocess.run([BUSYBOX, "--list"], capture_output=True, text=True, check=True).stdout.split()
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for folder, mode in (
            ("bin", 0o755),
            ("etc", 0o755),
            ("home", 0o755),
            ("root", 0o700),
            ("tmp", 0o1777),
        ):
            tar.addfile(_entry(folder, tarfile.DIRTYPE, mode))
        _file(tar, "bin/busybox", program, 0o755)
        _file(tar, "etc/passwd", users.encode(), 0o644)
        _file(tar, "etc/group", groups.encode(), 0o644)
        _file(tar, "etc/nsswitch.conf", b"hosts: files dns\n", 0o644)
        for applet in sorted({*applets} - {"busybox"}):
            link = _entry(f"bin/{applet}", tarfile.SYMTYPE, 0o777)
            link.linkname = "busybox"
            tar.addfile(link)
        link = _entry("usr", tarfile.SYMTYPE, 0o777)  # so that /usr/bin/env is there too
        link.linkname = "."
        tar.addfile(link)
        for name, content in (more or {}).items():
            _file(tar, name, content, 0o755)
    return buffer.getvalue()


def program_layer(name: str, program: bytes) -> bytes:
    """Return a root file system with one static program and nothing else but users and /tmp, as distroless images are."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for folder, mode in (("bin", 0o755), ("etc", 0o755), ("tmp", 0o1777)):
            tar.addfile(_entry(folder, tarfile.DIRTYPE, mode))
        _file(
            tar,
            "etc/passwd",
            b"root:x:0:0:root:/root:/sbin/nologin\nnonroot:x:65532:65532::/:/sbin/nologin\n",
            0o644,
        )
        _file(tar, f"bin/{name}", program, 0o755)
    return buffer.getvalue()


def write_archive(path: Path, images: Iterable[Image]) -> None:
    """Write the images as one docker-archive."""
    manifest = []
    files: dict[str, bytes] = {}
    for image in images:
        digest = hashlib.sha256(image.layer).hexdigest()
        config = {
            "architecture": ARCHITECTURES.get(platform.machine(), platform.machine()),
            "os": "linux",
            "config": image.config,
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
        }
        text = json.dumps(config).encode()
        name = f"{hashlib.sha256(text).hexdigest()}.json"
        files |= {f"{digest}/layer.tar": image.layer, name: text}
        manifest.append({"Config": name, "RepoTags": list(image.tags), "Layers": [f"{digest}/layer.tar"]})
    files["manifest.json"] = json.dumps(manifest).encode()
    with tarfile.open(path, "w") as tar:
        for name, content in files.items():
            _file(tar, name, content, 0o644)


def _file(tar: tarfile.TarFile, name: str, content: bytes, mode: int) -> None:
    entry = _entry(name, tarfile.REGTYPE, mode)
    entry.size = len(content)
    tar.addfile(entry, io.BytesIO(content))


def _entry(name: str, kind: bytes, mode: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode = kind, mode
    return entry
