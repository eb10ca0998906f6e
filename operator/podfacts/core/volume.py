"""Facts as files: one downwardAPI volume for the pod, one mount for each chosen container.

The volume is ours when nothing in it is anybody else's. Then what is missing is added to it: a second pass sees
containers that another webhook put in after the first.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from podfacts.core.env import same_source
from podfacts.core.mounts import Mount, taken
from podfacts.core.patch import Operation, pointer
from podfacts.core.pod import Container, Item, Tree, mapping, objects

VOLUME = "podfacts"


class VolumePlan(NamedTuple):
    """What to add: mounts, the volume unless it is there, the files that it lacks; and what was kept."""

    mounts: tuple[Mount, ...] = ()
    volumes: tuple[Tree, ...] = ()
    grown: tuple[Operation, ...] = ()
    injected: int = 0
    kept: tuple[str, ...] = ()
    shown: bool = False  # Whether a container sees the files in the end.


def volume_plan(pod: Tree, chosen: Sequence[Container], files: Sequence[Item], mount_path: str) -> VolumePlan:
    """The plan to show ``files`` at ``mount_path`` in the ``chosen`` containers."""
    volumes = objects(mapping(pod, "spec"), "volumes", ("spec",))
    at = next((index for index, each in enumerate(volumes) if each.get("name") == VOLUME), None)
    if not files or not chosen:
        return VolumePlan()
    present = None if at is None else _items_if_ours(volumes[at], files)
    if at is not None and present is None:
        told = f"volume {VOLUME} is there and holds something else: it is left so, and no mount is added"
        return VolumePlan(kept=(told,))
    mounts, kept, shown = [], [], False
    for container in chosen:
        other = taken(container, mount_path, VOLUME)
        if other:
            kept.append(f"{container.name}: {other}, so nothing is mounted at {mount_path}")
            continue
        shown = True
        if other is None:
            mounts.append(Mount(container, VOLUME, mount_path))
    if not shown:
        return VolumePlan(kept=tuple(kept))
    if at is None:
        volume = {"name": VOLUME, "downwardAPI": {"items": list(files)}}
        return VolumePlan(tuple(mounts), (volume,), (), len(files), tuple(kept), shown=True)
    missing = [each for each in files if each["path"] not in (present or ())]
    where = pointer("spec", "volumes", at, "downwardAPI", "items", "-")
    grown = tuple(Operation(op="add", path=where, value=each) for each in missing)
    return VolumePlan(tuple(mounts), (), grown, len(missing), tuple(kept), shown=True)


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
