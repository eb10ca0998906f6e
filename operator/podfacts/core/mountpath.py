"""Where a mount may go. The API server compares paths byte by byte, the container runtime by what they mean.

``/a`` and ``/a/`` pass validation and collide later, on the node. A mount inside somebody else's read-only mount makes
the runtime fail to create its directory, and the container never starts; so any overlap counts as taken.
"""

import posixpath

LENGTH = 4096
# The runtime and the kubelet mount these into every container themselves. A read-only mount over, under or in place of
# one of them, and so in place of /etc, keeps the container from starting.
RESERVED = ("/proc", "/sys", "/dev", "/etc/hosts", "/etc/hostname", "/etc/resolv.conf")


def mount_path_fault(path: str) -> str | None:
    """What is wrong with ``path`` as a mount path, as a sentence that says what to write; ``None`` if it is fine."""
    if not path.startswith("/"):
        return f"must be an absolute path such as /etc/downward, not {path!r}"
    if ":" in path or not path.isprintable():
        return "must not hold ':' or control characters: write a path such as /etc/downward"
    if normal(path) == "/" or ".." in path.split("/"):
        return "must be a folder of its own without '..': write a path such as /etc/downward"
    if taken := [each for each in RESERVED if overlap(path, each)]:
        return f"must not touch {taken[0]}, which every container needs: write a path such as /etc/downward"
    if len(path.encode()) > LENGTH:
        return f"must be at most {LENGTH} bytes"
    return None


def normal(path: str) -> str:
    """The path as the runtime takes it: ``/a//b/`` is ``/a/b``."""
    return posixpath.normpath("/" + path.lstrip("/"))


def overlap(one: str, other: str) -> bool:
    """Whether one path is the other, lies under it, or holds it."""
    one, other = _folder(one), _folder(other)
    return one.startswith(other) or other.startswith(one)


def _folder(path: str) -> str:
    """The normal path with a "/" at its end."""
    if path[:1] == "/" and "//" not in path and "/." not in path:  # As nearly all are written.
        return path if path[-1] == "/" else f"{path}/"
    return normal(path).rstrip("/") + "/"
