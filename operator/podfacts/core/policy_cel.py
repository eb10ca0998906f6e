"""The words of CEL that the policies are made of.

A list or map of CEL may hold one type only, in Kubernetes' dialect: where an entry of env holds a string and an object,
``dyn()`` stands around both.
"""

import json
from typing import Any

from podfacts.core.mountpath import LENGTH

# A folder's path as the runtime takes it, with "/" at both ends (mountpath.py): /a//b is /a/b/.
NORMAL = '"/" + {path}.split("/").filter(part, part != "" && part != ".").map(part, part + "/").join("")'


def literal(value: Any) -> str:
    """The value as a literal: strings, and lists and maps of them, are written in CEL as in JSON."""
    return json.dumps(value, ensure_ascii=False)


def rows(values: list[dict[str, str]]) -> str:
    """A list of maps, one a line."""
    return "[" + ",".join(f"\n  {literal(each)}" for each in values) + "\n]"


def normal(path: str) -> str:
    """The expression of the folder that the expression ``path`` means. It knows no ``..``."""
    return NORMAL.format(path=path)


def overlap(one: str, other: str) -> str:
    """Whether one of two folders, written as ``normal`` does, is or holds the other."""
    return f"{one}.startsWith({other}) || {other}.startsWith({one})"


def climbs(path: str) -> str:
    """Whether ``..`` is in the path."""
    return f'("/" + {path} + "/").contains("/../")'


def meets(path: str, folder: str) -> str:
    """Whether ``path`` may touch ``folder``. One with ``..`` could be anywhere, and Linux knows none above 4096 bytes."""
    return (
        f"size({path}) > {LENGTH} || {climbs(path)}\n"
        f"      || [{normal(path)}].exists(its, {overlap('its', folder)})"
    )


def optional(owner: str, key: str, empty: str) -> str:
    """What stands under ``key``, or ``empty``."""
    return f"has({owner}.{key}) ? {owner}.{key} : {empty}"


def field_ref(path: str) -> str:
    """The reference as the API server shows it, with its defaults, so that it equals what is there."""
    return f'{{"apiVersion": "v1", "fieldPath": {path}}}'
