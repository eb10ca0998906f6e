"""A Pod stays the dict the API server sent: types describe what we read, and never rebuild it.

Next year's fields survive because nothing here knows them. From the API server every shape is right; from a file
anything can come, so each step into the tree says what it found instead of failing on it.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypedDict

from podfacts.core.refusal import Refused, Segment

Tree = Mapping[str, Any]
Path = tuple[Segment, ...]

# What JSON makes, so that a list of hundreds is looked at once and not one by one; YAML makes other kinds of dict too.
TEXTS = frozenset({str})
OBJECTS = frozenset({dict})


class FieldRef(TypedDict, total=False):
    """A reference to a field of the pod."""

    apiVersion: str
    fieldPath: str


class ResourceFieldRef(TypedDict, total=False):
    """A reference to a request or limit of a container."""

    containerName: str
    resource: str
    divisor: str


class Source(TypedDict, total=False):
    """Where a value comes from: exactly one key."""

    fieldRef: FieldRef
    resourceFieldRef: ResourceFieldRef


class EnvVar(TypedDict, total=False):
    """One entry of ``env``."""

    name: str
    value: str
    valueFrom: Source


class Item(TypedDict, total=False):
    """One file of a downwardAPI volume."""

    path: str
    fieldRef: FieldRef
    resourceFieldRef: ResourceFieldRef


class Container(NamedTuple):
    """A container where it stands: ``path`` is ``("spec", "initContainers", 0)``, ``pointer`` the same in JSON's way."""

    path: Path
    name: str
    spec: Tree
    pointer: str


def mapping(tree: Tree, key: str, path: Path = ()) -> Tree:
    """The object under ``key``; an absent one and ``null`` are the empty one."""
    value = tree.get(key)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise Refused((*path, key), f"must be an object, not {_kind(value)}")
    return value


def texts(tree: Tree, key: str, path: Path = ()) -> Mapping[str, str]:
    """The map of strings under ``key``: labels or annotations."""
    found = mapping(tree, key, path)
    if {*map(type, found.values())} <= TEXTS:
        return found
    for name, value in found.items():
        if not isinstance(value, str):
            raise Refused(
                (*path, key, str(name)), f"must be a string, not {_kind(value)}: write it in double quotes"
            )
    return found


def objects(tree: Tree, key: str, path: Path = ()) -> Sequence[Tree]:
    """The list of objects under ``key``; an absent one and ``null`` are the empty one."""
    value = tree.get(key)
    if value is None:
        return ()
    if not isinstance(value, list):
        raise Refused((*path, key), f"must be a list, not {_kind(value)}")
    if {*map(type, value)} <= OBJECTS:
        return value
    for index, item in enumerate(value):
        if not isinstance(item, dict):
            raise Refused((*path, key, index), f"must be an object, not {_kind(item)}")
    return value


def text(tree: Tree, key: str, path: Path = ()) -> str:
    """The string under ``key``; an absent one and ``null`` are the empty one."""
    value = tree.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise Refused((*path, key), f"must be a string, not {_kind(value)}: write it in double quotes")
    return value


def containers(pod: Tree) -> Iterator[Container]:
    """The containers, then the init containers, native sidecars among them.

    Ephemeral containers are not here: they arrive later, through a subresource of their own.
    """
    spec = mapping(pod, "spec")
    for kind in ("containers", "initContainers"):
        for index, container in enumerate(objects(spec, kind, ("spec",))):
            path: Path = ("spec", kind, index)
            name = text(container, "name", path)
            if not name:
                raise Refused((*path, "name"), "a container needs a name")
            yield Container(path, name, container, f"/spec/{kind}/{index}")


def holds(theirs: Any, ours: Any) -> bool:
    """Whether what is there is what we wrote, after the API server has filled in its defaults.

    Objects may have gained keys; lists are of one length.
    """
    if isinstance(ours, dict):
        return isinstance(theirs, dict) and all(
            key in theirs and holds(theirs[key], ours[key]) for key in ours
        )
    if isinstance(ours, list):
        return isinstance(theirs, list) and len(theirs) == len(ours) and all(map(holds, theirs, ours))
    return bool(theirs == ours)


def _kind(value: object) -> str:
    names = {dict: "an object", list: "a list", str: "a string", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")
