"""How new values are written beside what stands there: as the document is laid out.

Text is quoted where any reader of YAML, old or new, could take it for something else.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from podfacts.yamltext.nodes import Kind, Node
from podfacts.yamltext.places import column, indentation
from podfacts.yamltext.scalars import NoMeaning, resolve

# Plain in a block: no indicator first, nothing that could end it. In brackets even less. All else is quoted.
PLAIN = re.compile(r"[A-Za-z0-9_./][A-Za-z0-9_./\[\]'@%+=,()$-]*")
PLAIN_IN_FLOW = re.compile(r"[A-Za-z0-9_./][A-Za-z0-9_./@%+=()$-]*")
# What some reader of YAML takes for a number, a date or base 60, whatever Kubernetes makes of it.
NUMBER_LIKE = re.compile(r"[-+.]?[0-9][0-9a-fA-FxXoO_.:+TtZz-]*")
# What YAML reads unescaped; the newline is among it, and needs quotes that know an escape for it all the same.
READABLE = r"\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff"
WIDEST = 8


@dataclass(frozen=True, slots=True)
class Layout:
    """Measures of a document, in spaces.

    ``step``: by which a mapping stands under its key; ``dash``: by which a dash does; ``gap``: from a dash to what it
    holds. ``newline`` ends lines. ``is_json`` keeps a JSON file JSON, and ``indent`` is its indentation.
    """

    step: int = 2
    dash: int = 0
    gap: int = 2
    newline: str = "\n"
    is_json: bool = False
    indent: str = "  "


def layout_of(text: str, root: Node, *, is_json: bool) -> Layout:
    """The layout most used in the document."""
    steps: Counter[int] = Counter()
    dashes: Counter[int] = Counter()
    gaps: Counter[int] = Counter()
    for node in _walk(root):
        if node.kind is not Kind.MAPPING or node.flow:
            continue
        here = column(text, node.pairs[0].key.start) if node.pairs else 0
        for pair in node.pairs:
            inner = pair.value
            if inner.flow or inner.kind not in (Kind.MAPPING, Kind.SEQUENCE):
                continue
            if inner.kind is Kind.MAPPING:
                steps[column(text, inner.pairs[0].key.start) - here] += 1
            elif text.startswith("- ", inner.start):
                dashes[column(text, inner.start) - here] += 1
                gaps[column(text, inner.items[0].start) - column(text, inner.start)] += 1
    line = text.find("\n", root.start)
    return Layout(
        step=_most(steps, 2),
        dash=_most(dashes, 0),
        gap=_most(gaps, 2),
        newline="\r\n" if line > 0 and text[line - 1] == "\r" else "\n",
        is_json=is_json,
        indent=(indentation(text, root.pairs[0].key.start) if is_json and root.pairs else "") or "  ",
    )


def block(tree: Any, layout: Layout) -> list[str]:
    """The lines of a mapping or list that is not empty, not indented."""
    lines = []
    if isinstance(tree, dict):
        for name, inner in tree.items():
            lines += entry(name, inner, layout)
    else:
        for inner in tree:
            lines += item(inner, layout)
    return lines


def entry(name: str, tree: Any, layout: Layout) -> list[str]:
    """The lines of one entry of a mapping."""
    if not tree or not isinstance(tree, dict | list):
        return [f"{_scalar(name, PLAIN)}: {inline(tree)}"]
    indent = " " * (layout.step if isinstance(tree, dict) else layout.dash)
    return [f"{_scalar(name, PLAIN)}:", *(indent + line for line in block(tree, layout))]


def item(tree: Any, layout: Layout) -> list[str]:
    """The lines of one item of a list, its dash first."""
    dash = "-".ljust(layout.gap)
    if not tree or not isinstance(tree, dict | list):
        return [dash + inline(tree)]
    first, *rest = block(tree, layout)
    return [dash + first, *(" " * layout.gap + line for line in rest)]


def inline(tree: Any) -> str:
    """A scalar, or an empty collection, for a block."""
    return _scalar(tree, PLAIN)


def flow(tree: Any, layout: Layout) -> str:
    """Anything, on one line, for a collection in brackets."""
    if layout.is_json:
        return _json(tree)
    if isinstance(tree, dict):
        return "{" + ", ".join(flow_entry(name, inner, layout) for name, inner in tree.items()) + "}"
    if isinstance(tree, list):
        return "[" + ", ".join(flow(inner, layout) for inner in tree) + "]"
    return _scalar(tree, PLAIN_IN_FLOW)


def flow_entry(name: str, tree: Any, layout: Layout) -> str:
    """One entry of a mapping in brackets."""
    written = _json(name) if layout.is_json else _scalar(name, PLAIN_IN_FLOW)
    return f"{written}: {flow(tree, layout)}"


def spread(tree: Any, layout: Layout, indent: str) -> str:
    """As ``flow``, for what stands on lines of its own, ``indent`` before them: JSON goes over many."""
    if not layout.is_json:
        return flow(tree, layout)
    return _json(tree, layout.indent).replace("\n", layout.newline + indent)


def _scalar(value: Any, plain: re.Pattern[str]) -> str:
    # Numbers, true, false, null, {} and [] are the same in YAML.
    if not isinstance(value, str) or not _printable(value):
        return _json(value)
    if plain.fullmatch(value) and not NUMBER_LIKE.fullmatch(value) and _is_text(value):
        return value
    if "'" in value and '"' not in value and "\\" not in value:
        return f'"{value}"'
    return "'" + value.replace("'", "''") + "'"


def _is_text(plain: str) -> bool:
    try:
        return isinstance(resolve(plain), str)
    except NoMeaning:
        return False


def _json(tree: Any, indent: str | None = None) -> str:
    written = json.dumps(tree, ensure_ascii=False, indent=indent)
    # YAML reads fewer characters unescaped than JSON does; the escapes are the same in both.
    if written.isascii() and "\x7f" not in written:
        return written
    return _other_than(f"\t\n{READABLE}").sub(lambda match: f"\\u{ord(match[0]):04x}", written)


def _printable(value: str) -> bool:
    """Whether YAML reads every character unescaped."""
    if value.isascii():
        return value.isprintable()
    return not _other_than(READABLE).search(value)


@cache
def _other_than(characters: str) -> re.Pattern[str]:
    """Made when it is first needed: with ranges that wide it takes 7 ms."""
    return re.compile(f"[^{characters}]")


def _walk(node: Node) -> Iterator[Node]:
    yield node
    for each in node.items:
        yield from _walk(each)
    for pair in node.pairs:
        yield from _walk(pair.value)


def _most(counted: Counter[int], otherwise: int) -> int:
    # Explicit keys (? key) make columns that no plain style has.
    sound = [(column, times) for column, times in counted.most_common() if 0 <= column <= WIDEST]
    return sound[0][0] if sound else otherwise
