"""From a document's text to a text that means something else, touching as few characters as can be.

The text is led to the wanted tree, node by node: what means what is wanted already is not touched, so comments, quotes,
indentation and blank lines stay. An alias stays where its anchor comes to mean what is wanted there too, and is written
out where it does not. Whoever calls reads the result back and compares: nothing here may change a file's meaning unseen.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from difflib import SequenceMatcher
from typing import Any, NamedTuple

from podfacts.yamltext.layout import Layout, block, entry, flow, flow_entry, inline, item, spread
from podfacts.yamltext.nodes import Kind, Node, Pair, merged, value
from podfacts.yamltext.places import (
    above_comments,
    behind_comments,
    body,
    column,
    dashes,
    indentation,
    line_start,
    next_line,
)


class Edit(NamedTuple):
    """``text[start:end]`` becomes ``new``."""

    start: int
    end: int
    new: str


@dataclass(frozen=True, slots=True)
class Writing:
    """One document being rewritten: the file's ``text``, where in it the document ends, and how it is laid out.

    ``led`` is what the nodes that were led already mean by now.
    """

    text: str
    end: int
    layout: Layout
    led: dict[int, Any] = field(default_factory=dict)


def edited(text: str, edits: Iterable[Edit]) -> str:
    """The text with the edits made; of edits at one place, the first goes first."""
    pieces, position = [], 0
    for edit in sorted(edits, key=lambda each: each.start):
        pieces += [text[position : edit.start], edit.new]
        position = max(position, edit.end)
    return "".join((*pieces, text[position:]))


def same(one: Any, other: Any) -> bool:
    """Whether two trees are the same JSON. To Python itself, ``True`` is 1."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def lead(writing: Writing, node: Node, wanted: Any) -> list[Edit]:
    """The edits after which ``node`` means ``wanted``."""
    edits: list[Edit] | None = None
    if node.kind is Kind.MAPPING and isinstance(wanted, dict):
        edits = _mapping(writing, node, wanted)
    elif node.kind is Kind.SEQUENCE and isinstance(wanted, list):
        edits = _sequence(writing, node, wanted)
    elif same(_meaning(writing, node), wanted):
        edits = []
    writing.led[id(node)] = wanted
    return _rewritten(writing, node, wanted) if edits is None else edits


def _meaning(writing: Writing, node: Node) -> Any:
    """What the node means by now: an alias follows its anchor wherever that was led."""
    return writing.led[id(node.meant)] if id(node.meant) in writing.led else value(node)


def _rewritten(writing: Writing, node: Node, wanted: Any) -> list[Edit]:
    """What stands there goes; its comments go with it."""
    text, layout = writing.text, writing.layout
    start, anchor = body(text, node)
    before = (" " if start == node.end and text[start - 1] not in " \t\n" else "") + anchor
    if node.inside or node.flow:
        return [Edit(start, node.end, before + flow(wanted, layout))]
    if not _is_tall(wanted):
        return [Edit(start, node.end, before + inline(wanted))]
    margin = layout.newline + " " * (column(text, start) + len(before) - len(anchor))
    # An anchor stands on the line above the collection it names.
    return [Edit(start, node.end, before + (margin if anchor else "") + margin.join(block(wanted, layout)))]


def _is_tall(tree: Any) -> bool:
    """Whether the tree takes lines of its own in a block."""
    return isinstance(tree, dict | list) and bool(tree)


def _mapping(writing: Writing, node: Node, wanted: dict[str, Any]) -> list[Edit] | None:
    """``None`` when it cannot be done key by key."""
    if not node.pairs:
        return None if wanted else []
    edits: list[Edit] = []
    brought: dict[str, Any] = {}
    kept = None
    for pair in node.pairs:
        if pair.name is None:
            for source in merged(pair):
                brought.update(_meaning(writing, source))
        elif pair.name in wanted:
            brought.pop(pair.name, None)
            edits += _entry(writing, node, pair, wanted[pair.name])
        elif (gone := _without(writing, node, pair.key.start, pair.value.end)) is not None:
            edits.append(gone)
            continue
        else:
            return None
        kept = pair
    if kept is None or not brought.keys() <= wanted.keys():
        return None  # Nothing to add to; or a merge brings in what no key can take out.
    own = {pair.name for pair in node.pairs}
    changed = {name for name in brought if not same(brought[name], wanted[name])}
    if changed & own:
        return None  # A merge below the key wins over it.
    added = {name: wanted[name] for name in wanted if name in changed or not (name in own or name in brought)}
    return edits + _added_entries(writing, node, added) if added else edits


def _entry(writing: Writing, parent: Node, pair: Pair, wanted: Any) -> list[Edit]:
    """As ``lead``, for the value of a key: it may have to move from the key's line to those below."""
    node = pair.value
    text, layout = writing.text, writing.layout
    if (node.items or node.pairs) and not (parent.flow or node.flow or _is_tall(wanted)):
        # From the lines below to the key's own: an empty list may not stand where the dashes of a full one may.
        writing.led[id(node)] = wanted
        return [Edit(text.index(":", pair.key.end) + 1, node.end, f" {inline(wanted)}")]
    spreads = not parent.flow or (layout.is_json and indentation(text, pair.key.start) is not None)
    if (
        not spreads
        or node.items
        or node.pairs
        or not _is_tall(wanted)
        or same(_meaning(writing, node), wanted)
    ):
        return lead(writing, node, wanted)
    writing.led[id(node)] = wanted
    start, anchor = body(text, node)
    if parent.flow:
        return [Edit(start, node.end, spread(wanted, layout, indentation(text, pair.key.start) or ""))]
    while text[start - 1] in " \t":
        start -= 1
    margin = column(text, pair.key.start) + (layout.step if isinstance(wanted, dict) else layout.dash)
    below = next_line(text, node.end, writing.end)
    return [
        Edit(start, node.end, f" {anchor}".rstrip()),
        _lines(writing, below, margin, block(wanted, layout)),
    ]


def _added_entries(writing: Writing, node: Node, added: dict[str, Any]) -> list[Edit]:
    text, layout = writing.text, writing.layout
    first, last = node.pairs[0].key.start, node.pairs[-1].value.end
    if node.flow:
        margin = indentation(text, first)
        if margin is None or not layout.is_json:
            written = [flow_entry(name, tree, layout) for name, tree in added.items()]
        else:
            written = [f"{json.dumps(name)}: {spread(tree, layout, margin)}" for name, tree in added.items()]
        return [Edit(last, last, "".join(_comma(layout, margin) + each for each in written))]
    margin_width = column(text, first)
    lines = [line for name, tree in added.items() for line in entry(name, tree, layout)]
    below = behind_comments(text, next_line(text, last, writing.end), writing.end, margin_width)
    return [_lines(writing, below, margin_width, lines)]


def _sequence(writing: Writing, node: Node, wanted: list[Any]) -> list[Edit] | None:
    """``None`` when it cannot be done item by item."""
    if not node.items or not wanted:
        return [] if not node.items and not wanted else None
    edits: list[Edit] = []
    new: list[Any] = []
    above: Node | None = None
    starts = [each.start for each in node.items] if node.flow else list(dashes(writing.text, node))
    for old, index in _aligned(writing, node, wanted):
        if old is None:
            new.append(wanted[index])
            continue
        if new:
            edits.append(_added_items(writing, node, starts, above, new))
            new = []
        above = node.items[old]
        if index is not None:
            edits += lead(writing, above, wanted[index])
        elif (gone := _without(writing, node, starts[old], above.end)) is not None:
            edits.append(gone)
        else:
            return None
    return [*edits, _added_items(writing, node, starts, above, new)] if new else edits


def _added_items(writing: Writing, node: Node, starts: list[int], above: Node | None, new: list[Any]) -> Edit:
    """New items, below the item ``above`` or before the first."""
    text, layout = writing.text, writing.layout
    first = starts[0]
    margin = indentation(text, first)
    if node.flow:
        comma = _comma(layout, margin)
        written = [flow(each, layout) if margin is None else spread(each, layout, margin) for each in new]
        if above is None:
            return Edit(first, first, "".join(each + comma for each in written))
        return Edit(above.end, above.end, "".join(comma + each for each in written))
    width = column(text, first)
    gap = node.items[0].start - first
    layout = replace(layout, gap=gap) if "\n" not in text[first : first + gap] and gap > 1 else layout
    lines = [line for each in new for line in item(each, layout)]
    if above is not None:
        below = next_line(text, above.end, writing.end)
        return _lines(writing, behind_comments(text, below, writing.end, width + 1), width, lines)
    if margin is None:
        # The dash of a list in a list stands behind another dash.
        break_ = layout.newline + " " * width
        return Edit(first, first, "".join(line + break_ for line in lines))
    return _lines(writing, above_comments(text, line_start(text, first)), width, lines)


def _aligned(writing: Writing, node: Node, wanted: list[Any]) -> Iterator[tuple[int | None, Any]]:
    """Which old item becomes which new one: pairs of indices, where ``None`` is none."""
    if len(node.items) == len(wanted):
        yield from ((index, index) for index in range(len(wanted)))
        return
    old = [_meaning(writing, each) for each in node.items]
    matcher = SequenceMatcher(None, *_identities(old, wanted), autojunk=False)
    for _, start, end, new_start, new_end in matcher.get_opcodes():
        if end - start == new_end - new_start:
            yield from zip(range(start, end), range(new_start, new_end), strict=True)
        else:
            yield from ((index, None) for index in range(start, end))
            yield from ((None, index) for index in range(new_start, new_end))


def _identities(old: list[Any], new: list[Any]) -> tuple[list[Any], list[Any]]:
    """By what an item is known again: its name, as in env, containers and volumes, else all that it is."""
    names = [[each.get("name") if isinstance(each, dict) else None for each in items] for items in (old, new)]
    if all(isinstance(each, str) for each in (*names[0], *names[1])):
        return names[0], names[1]
    return [json.dumps(each, sort_keys=True) for each in old], [
        json.dumps(each, sort_keys=True) for each in new
    ]


def _without(writing: Writing, parent: Node, start: int, end: int) -> Edit | None:
    """The lines of an entry or item go; ``None`` when they are not its own."""
    if parent.flow or indentation(writing.text, start) is None:
        return None
    return Edit(line_start(writing.text, start), next_line(writing.text, end, writing.end), "")


def _comma(layout: Layout, margin: str | None) -> str:
    return ", " if margin is None else "," + layout.newline + margin


def _lines(writing: Writing, at: int, width: int, lines: list[str]) -> Edit:
    """New lines at the beginning of a line, or behind a last one that does not end."""
    newline = writing.layout.newline
    indented = [" " * width + line for line in lines]
    if writing.text[at - 1] != "\n":
        return Edit(at, at, "".join(newline + line for line in indented))
    return Edit(at, at, "".join(line + newline for line in indented))
