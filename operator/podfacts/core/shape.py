"""What an admin's object must look like, key by key: a wrong one is refused with the place and what to write."""

from collections.abc import Mapping, Sequence
from typing import Any

from podfacts.core.refusal import Refused, Segment

Place = tuple[Segment, ...]


def keyed(
    tree: Any,
    path: Place,
    *,
    required: Sequence[str] = (),
    allowed: Sequence[str] = (),
    open_: bool = False,
) -> Mapping[str, Any]:
    """The object, when it has the keys that it must have and, unless it is ``open_``, no unknown one."""
    if not isinstance(tree, dict):
        raise Refused(path, "must be an object")
    for key in required:
        if key not in tree:
            raise Refused(path, f"needs the key {key}")
    for key in tree:
        if not open_ and key not in required and key not in allowed:
            raise Refused((*path, str(key)), f"is not known here: write {', '.join((*required, *allowed))}")
    return tree


def text(tree: Mapping[str, Any], key: str, path: Place, *, empty: bool = False) -> str:
    """The string under the key."""
    value = tree[key]
    if not isinstance(value, str) or not (value or empty):
        raise Refused((*path, key), "must be a string" if empty else "must be a string, not empty")
    return value


def texts(tree: Mapping[str, Any], key: str, path: Place, example: str) -> tuple[str, ...]:
    """The strings of the list under the key; at least one, and none twice."""
    value = tree[key]
    if not isinstance(value, list) or not value:
        raise Refused((*path, key), f"must be a list of at least one string, such as [{example}]")
    for index, each in enumerate(value):
        if not isinstance(each, str) or not each:
            raise Refused((*path, key, index), "must be a string, not empty")
        if each in value[:index]:
            raise Refused((*path, key, index), f"{each} stands there twice")
    return tuple(value)


def switch(tree: Mapping[str, Any], key: str, path: Place) -> bool:
    """The boolean under the key; an absent one is off."""
    value = tree.get(key, False)
    if not isinstance(value, bool):
        raise Refused((*path, key), "must be true or false")
    return value
