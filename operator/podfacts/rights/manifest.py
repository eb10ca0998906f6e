"""Objects as YAML for a reviewer, in the hand of ``rbac/``: short lists on their line, and quotes only where they are needed.

The same objects are the same bytes. What stands in names and comments came from a log, so nothing in it may become YAML of
its own.
"""

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

WIDTH = 100
SHOWN = 20  # Of what is told about a whole cluster.
# A letter first, so that it is no number and no date; and none of the words that YAML 1.1 means otherwise.
PLAIN = re.compile(r"[a-zA-Z/][-a-zA-Z0-9_./]*(?::[-a-zA-Z0-9_./]+)*")
WORDS = frozenset(("y", "n", "yes", "no", "on", "off", "true", "false", "null"))


def text(objects: Iterable[Any], heading: Sequence[str]) -> str:
    """One document for each object, under the heading as comments."""
    comments = "".join(f"# {visible(line)}".rstrip() + "\n" for line in heading)
    documents = ["".join(f"{line}\n" for line in _mapping(each)) for each in objects]
    return comments + "---\n".join(documents)


def _mapping(tree: dict[str, Any]) -> Iterator[str]:
    for key, value in tree.items():
        if isinstance(value, dict) and value:
            yield f"{_scalar(key)}:"
            yield from (f"  {line}" for line in _mapping(value))
        elif isinstance(value, list) and value:
            yield from _sequence(_scalar(key), value)
        else:
            yield f"{_scalar(key)}: {_scalar(value)}"


def _sequence(key: str, values: list[Any]) -> Iterator[str]:
    if not any(isinstance(each, dict | list) for each in values):
        short = f"{key}: [{', '.join(map(_scalar, values))}]"
        if len(short) <= WIDTH:
            yield short
            return
    yield f"{key}:"
    for each in values:
        first, *rest = _mapping(each) if isinstance(each, dict) else [_scalar(each)]
        yield f"  - {first}"
        yield from (f"    {line}" for line in rest)


def _scalar(value: Any) -> str:
    if not isinstance(value, str):
        return json.dumps(value)
    if PLAIN.fullmatch(value) and value.lower() not in WORDS:
        return value
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{visible(escaped)}"'


def visible(value: str) -> str:
    """The text on one line, with an escape of YAML's for whatever is not printed."""
    if value.isprintable():
        return value
    return "".join(each if each.isprintable() else f"\\U{ord(each):08X}" for each in value)


def listed(words: Sequence[str], most: int) -> str:
    """The words in a sentence, the first of them when they are many."""
    more = f" and {len(words) - most} more" if len(words) > most else ""
    return ", ".join(words[:most]) + more
