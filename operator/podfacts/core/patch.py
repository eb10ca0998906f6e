"""JSON Patch operations, written by hand and never found by comparing two trees.

A diff costs 75 times what writing the operations down costs (240 ms against 3 ms on a pod of 811 KB), and Kubernetes
answers 500, whatever the failure policy, when an operation cannot be applied: so parents come first, and what is taken
out goes after all that is put in, from the end of a list to its beginning, so that no index moves under another one.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Literal, NotRequired, TypedDict


class Operation(TypedDict):
    """One operation of RFC 6902, on a path of RFC 6901. ``remove`` has no value."""

    op: Literal["add", "replace", "remove"]
    path: str
    value: NotRequired[Any]


def pointer(*path: str | int) -> str:
    """The JSON pointer to ``path``: ``/metadata/annotations/podfacts.dev~1injected``."""
    return "".join([f"/{escaped(str(key))}" for key in path])


def escaped(key: str) -> str:
    """One key as a pointer holds it. ``~`` goes first, or ``/`` would be escaped twice (RFC 6901, section 3)."""
    return key.replace("~", "~0").replace("/", "~1")


def segments(path: str) -> list[str]:
    """The segments of a JSON pointer, unescaped; ``[]`` for the whole document."""
    if not path:
        return []
    if not path.startswith("/"):
        raise ValueError(f"a JSON pointer starts with '/': {path!r}")
    return [key.replace("~1", "/").replace("~0", "~") for key in path[1:].split("/")]


def below(prefix: Sequence[str | int], patch: Iterable[Operation]) -> tuple[Operation, ...]:
    """The same patch for a tree in which the pod stands at ``prefix``."""
    root = pointer(*prefix)
    return tuple(Operation(**{**each, "path": root + each["path"]}) for each in patch)


def apply(tree: Any, patch: Iterable[Operation]) -> Any:
    """A new tree with the patch applied; ``tree`` is not touched, and what the patch leaves alone is shared.

    Raises ``ValueError`` when an operation has no place to go, as the API server would.
    """
    for operation in patch:
        tree = _written(tree, segments(operation["path"]), operation)
    return tree


def _written(node: Any, path: list[str], operation: Operation) -> Any:
    if not path:
        return operation["value"]
    key, rest = path[0], path[1:]
    if isinstance(node, dict):
        if (rest or operation["op"] != "add") and key not in node:
            raise ValueError(f"{operation['op']} {operation['path']}: no {key!r} there")
        if operation["op"] == "remove" and not rest:
            return {each: node[each] for each in node if each != key}
        return {**node, key: _written(node[key], rest, operation) if rest else operation["value"]}
    if isinstance(node, list):
        return _written_in_list(node, key, rest, operation)
    raise ValueError(f"{operation['op']} {operation['path']}: {key!r} has no parent")


def _written_in_list(node: list[Any], key: str, rest: list[str], operation: Operation) -> list[Any]:
    inserting = not rest and operation["op"] == "add"
    index = len(node) if key == "-" and inserting else int(key)
    if not 0 <= index < len(node) + inserting:
        raise ValueError(f"{operation['op']} {operation['path']}: no item {key}")
    if inserting:
        return [*node[:index], operation["value"], *node[index:]]
    if operation["op"] == "remove" and not rest:
        return [*node[:index], *node[index + 1 :]]
    return [*node[:index], _written(node[index], rest, operation), *node[index + 1 :]]
