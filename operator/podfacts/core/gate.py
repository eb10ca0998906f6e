"""Holds a container back until the facts it cannot run without are there.

A node's facts are told when the pod is bound, by a webhook that may be away, and a node may lack the label. The kubelet
knows one rule that a pod can use: it does not start a container whose ``subPathExpr`` has an empty variable
(``missing value for ZONE``, ``pkg/kubelet/container/helpers.go``, ``ExpandContainerVolumeMounts``), says so in the
container's status, and tries again. So the pod stays Pending with a reason, and starts by itself once the fact is written.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from podfacts.core.mountpath import overlap
from podfacts.core.mounts import Mount
from podfacts.core.pod import Container, Tree, holds, mapping, objects, text
from podfacts.core.refusal import Refused

VOLUME = "podfacts-required"
PLACE = "/run/podfacts/required"


class Gate(NamedTuple):
    """What to add."""

    mounts: tuple[Mount, ...] = ()
    volumes: tuple[Tree, ...] = ()


def gate(pod: Tree, chosen: Sequence[Container], names: Sequence[str], mount_path: str) -> Gate:
    """What keeps each of ``chosen`` from starting while one of the variables ``names`` is empty.

    Raises ``Refused`` when there is no room for it: a pod that might run wrong is not let through.
    """
    if not names or not chosen:
        return Gate()
    if overlap(mount_path, PLACE):
        raise Refused((), f"{mount_path} meets {PLACE}, where required facts are held: write another path")
    mounts = []
    for container in chosen:
        mount = Mount(container, VOLUME, PLACE, expression(names))
        if not _there(mount):
            mounts.append(mount)
    ours = {"name": VOLUME, "emptyDir": {}}
    volumes = objects(mapping(pod, "spec"), "volumes", ("spec",))
    at = next((index for index, each in enumerate(volumes) if each.get("name") == VOLUME), None)
    if at is not None and not holds(volumes[at], ours):
        raise Refused(
            ("spec", "volumes", at), f"the name {VOLUME} is kept for required facts: rename the volume"
        )
    return Gate(tuple(mounts), () if at is not None else (ours,))


def expression(names: Sequence[str]) -> str:
    """What the kubelet cannot expand while one of the variables is empty.

    A folder for each: a file's name has 255 bytes at most, and a fact may be longer than one. The first is fixed, because
    the kubelet takes no path that is absolute, as a value may be.
    """
    return "/".join(("held", *(f"$({name})" for name in names)))


def passable(value: str) -> bool:
    """Whether the kubelet starts a container with it: each part is the name of a folder."""
    longest = 255
    return all(part != ".." and len(part.encode()) <= longest for part in value.split("/"))


def _there(wanted: Mount) -> bool:
    container = wanted.container
    for index, mount in enumerate(objects(container.spec, "volumeMounts", container.path)):
        place: tuple[Any, ...] = (*container.path, "volumeMounts", index)
        path = text(mount, "mountPath", place)
        if holds(mount, wanted.tree):
            return True
        if overlap(path, PLACE):
            raise Refused(place, f"meets {PLACE}, where required facts are held: mount it elsewhere")
    return False
