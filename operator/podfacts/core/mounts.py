"""Volumes and mounts as they are written into a pod: where there is room for one, and the operations that add it.

All of one pod's are written together, because the first one makes the list that the next ones are appended to.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from podfacts.core.mountpath import overlap
from podfacts.core.patch import Operation
from podfacts.core.pod import Container, Tree, mapping, objects, text


class Mount(NamedTuple):
    """A read-only mount of a volume, for one container; of a part of it where there is an ``expression``."""

    container: Container
    volume: str
    path: str
    expression: str = ""

    @property
    def tree(self) -> dict[str, Any]:
        """As it is written into the container."""
        part = {"subPathExpr": self.expression} if self.expression else {}
        return {"name": self.volume, "mountPath": self.path, "readOnly": True, **part}


def taken(container: Container, mount_path: str, volume: str) -> str | None:
    """Who has the place: ``None`` is nobody, "" is this volume's own mount, else a phrase about the author's."""
    found = None
    for index, mount in enumerate(objects(container.spec, "volumeMounts", container.path)):
        path = mount.get("mountPath")
        if type(path) is not str:
            path = text(mount, "mountPath", (*container.path, "volumeMounts", index))
        # A subPath mount is a copy that never follows.
        part = mount.get("subPath") or mount.get("subPathExpr")
        if path == mount_path and mount.get("name") == volume and not part:
            return ""
        if found is None and overlap(path, mount_path):
            found = f"the author mounts {path}"
    if found:
        return found
    for index, device in enumerate(objects(container.spec, "volumeDevices", container.path)):
        path = text(device, "devicePath", (*container.path, "volumeDevices", index))
        if overlap(path, mount_path):
            return f"the author's device is {path}"
    # The kubelet mounts this file into the container too.
    message = text(container.spec, "terminationMessagePath", container.path)
    return f"the termination message is {message}" if message and overlap(message, mount_path) else None


def mounted(pod: Tree, mounts: Sequence[Mount], volumes: Sequence[Tree]) -> list[Operation]:
    """The operations that add the mounts, container by container, and then the volumes."""
    patch: list[Operation] = []
    by_container: dict[str, list[Mount]] = {}
    for each in mounts:
        by_container.setdefault(each.container.pointer, []).append(each)
    for where, wanted in by_container.items():
        there = bool(wanted[0].container.spec.get("volumeMounts"))
        patch += _appended(f"{where}/volumeMounts", [each.tree for each in wanted], there=there)
    there = bool(objects(mapping(pod, "spec"), "volumes", ("spec",)))
    return patch + _appended("/spec/volumes", volumes, there=there)


def _appended(where: str, trees: Sequence[Any], *, there: bool) -> list[Operation]:
    if there:
        return [{"op": "add", "path": f"{where}/-", "value": each} for each in trees]
    return [{"op": "add", "path": where, "value": list(trees)}] if trees else []
