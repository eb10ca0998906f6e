"""Facts as files: one downwardAPI volume for the pod, one mount for each chosen container.

The volume is ours when nothing in it is anybody else's. Then what is missing is added to it: a second pass sees
containers that another webhook put in after the first.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from podfacts.core.env import same_source
from podfacts.core.mountpath import overlap
from podfacts.core.patch import Operation, pointer
from podfacts.core.pod import Container, Item, Tree, mapping, objects, text

VOLUME = "podfacts"


class VolumePlan(NamedTuple):
    """What to do to the pod's volumes and mounts: how many files that adds, and what was kept."""

    patch: tuple[Operation, ...]
    injected: int
    kept: tuple[str, ...]
    shown: bool  # Whether a container sees the files in the end.


def volume_plan(pod: Tree, chosen: Sequence[Container], files: Sequence[Item], mount_path: str) -> VolumePlan:
    """The plan to show ``files`` at ``mount_path`` in the ``chosen`` containers."""
    spec = mapping(pod, "spec")
    volumes = objects(spec, "volumes", ("spec",))
    at = next((index for index, each in enumerate(volumes) if each.get("name") == VOLUME), None)
    if not files or not chosen:
        return VolumePlan((), 0, (), shown=False)
    present = None if at is None else _items_if_ours(volumes[at], files)
    if at is not None and present is None:
        told = f"volume {VOLUME} is there and holds something else: it is left so, and no mount is added"
        return VolumePlan((), 0, (told,), shown=False)
    mounts, kept, shown = [], [], False
    for container in chosen:
        taken = _taken(container, mount_path)
        if taken == "":
            shown = True
        elif taken:
            kept.append(f"{container.name}: {taken}, so nothing is mounted at {mount_path}")
        else:
            shown = True
            mounts.append(_mount(container, mount_path))
    if not shown:
        return VolumePlan((), 0, tuple(kept), shown=False)
    if at is None:
        volume = {"name": VOLUME, "downwardAPI": {"items": list(files)}}
        where = pointer("spec", "volumes", "-") if volumes else pointer("spec", "volumes")
        added = [Operation(op="add", path=where, value=volume if volumes else [volume])]
        return VolumePlan((*mounts, *added), len(files), tuple(kept), shown=True)
    missing = [each for each in files if each["path"] not in (present or ())]
    where = pointer("spec", "volumes", at, "downwardAPI", "items", "-")
    grown = [Operation(op="add", path=where, value=each) for each in missing]
    return VolumePlan((*mounts, *grown), len(missing), tuple(kept), shown=True)


def _items_if_ours(volume: Tree, files: Iterable[Item]) -> frozenset[str] | None:
    """The paths of the volume's items when each of them is one of ``files``; else ``None``: it is the author's."""
    source = volume.get("downwardAPI")
    items = source.get("items") if isinstance(source, dict) else None
    if not isinstance(items, list) or not items:
        return None
    wanted = {each["path"]: each for each in files}
    paths = []
    for item in items:
        path = item.get("path") if isinstance(item, dict) else None
        if not isinstance(path, str) or path not in wanted or not same_source(item, wanted[path]):
            return None
        paths.append(path)
    return frozenset(paths)


def _taken(container: Container, mount_path: str) -> str | None:
    """Who has the place: ``None`` is nobody, "" is our own mount, else a phrase about the author's."""
    taken = None
    for index, mount in enumerate(objects(container.spec, "volumeMounts", container.path)):
        path = text(mount, "mountPath", (*container.path, "volumeMounts", index))
        # A subPath mount is a copy that never follows.
        part = mount.get("subPath") or mount.get("subPathExpr")
        if path == mount_path and mount.get("name") == VOLUME and not part:
            return ""
        if taken is None and overlap(path, mount_path):
            taken = f"the author mounts {path}"
    if taken:
        return taken
    for index, device in enumerate(objects(container.spec, "volumeDevices", container.path)):
        path = text(device, "devicePath", (*container.path, "volumeDevices", index))
        if overlap(path, mount_path):
            return f"the author's device is {path}"
    # The kubelet mounts this file into the container too.
    message = text(container.spec, "terminationMessagePath", container.path)
    return f"the termination message is {message}" if message and overlap(message, mount_path) else None


def _mount(container: Container, mount_path: str) -> Operation:
    mount = {"name": VOLUME, "mountPath": mount_path, "readOnly": True}
    if container.spec.get("volumeMounts"):
        return Operation(op="add", path=pointer(*container.path, "volumeMounts", "-"), value=mount)
    return Operation(op="add", path=pointer(*container.path, "volumeMounts"), value=[mount])
