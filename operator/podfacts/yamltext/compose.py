"""From text to nodes: libyaml finds the events, at C speed, and what Kubernetes makes of them is decided here.

PyYAML's own nodes do not do: they forget where an alias stands, and hold the end of a block collection to be behind
the comments that follow it.
"""

import json
import math
import re
from collections.abc import Callable
from typing import Any

import yaml

from podfacts.yamltext.nodes import Broken, Kind, Node, Pair
from podfacts.yamltext.scalars import MERGE, NoMeaning, Scalar, key, resolve

# libyaml itself stops at 1000, where Python's own stack would end; nothing in Kubernetes nests a tenth of this.
DEEPEST = 200
# go-yaml lets aliases make 400,000 values at most; an API object of 1.5 MiB has no use for a quarter of that.
MOST_ALIASED = 100_000
# With `taken`, of all that is kept at once. An API object of 3 MiB, the most that one request may bring, has fewer.
MOST_KEPT = 1_000_000
# A long text counts as one value for each so many characters.
LONG_TEXT = 100
# libyaml passes over it, as if it were not there; to go-yaml it is the first character of a key.
MISPLACED_MARK = re.compile(r"^[ \t]*\ufeff", re.MULTILINE)

# Offered an object of a list: its index, the object, and the scalars that stand above at the top.
Taken = Callable[[int, Node, dict[str, Scalar]], bool]


def compose(
    text: str, start: int, end: int, *, is_json: bool = False, taken: Taken | None = None
) -> Node | None:
    """The root node of the document at ``text[start:end]``; ``None`` when there is nothing but comments.

    Raises ``Broken``. Offsets count from the start of ``text``. Each object below ``items`` at the top is offered to
    ``taken`` as soon as it is read; of what is taken only a null stays in its place.
    """
    reader = _Reader(text, start, end, is_json, taken)
    # kubectl ends every line it reads, so a block scalar in the last one has its newline, written or not.
    ending = "" if is_json or text[start:end].endswith("\n") else "\n"
    part = _without_surrogates(text[start:end]) if is_json else text[start:end] + ending
    if mark := MISPLACED_MARK.search(part):
        raise Broken(start + mark.end() - 1, "a byte order mark in the middle of the text: remove it")
    try:
        _read(part, reader)
    except yaml.MarkedYAMLError as error:
        at = error.problem_mark or error.context_mark
        reason = " ".join(each for each in (error.context, error.problem) if each)
        raise Broken(start + (at.index if at is not None else 0), f"not YAML: {reason}") from None
    except yaml.reader.ReaderError as error:
        raise Broken(start + error.position, f"not YAML: {error.reason}") from None
    return reader.root


def _read(part: str, reader: "_Reader") -> None:
    # As yaml.parse, without its generator and its looking ahead, which cost a sixth of the time.
    loader = yaml.CSafeLoader(part)
    next_event = loader.get_event
    try:
        while event := next_event():
            reader.read(event)
    finally:
        loader.dispose()


class _Reader:
    """Builds the tree, one event after another. No recursion: depth is the sender's to choose."""

    def __init__(self, text: str, base: int, limit: int, is_json: bool, taken: Taken | None) -> None:
        self.text = text
        self.base = base
        self.limit = limit
        self.is_json = is_json
        self.taken = taken
        self.most = MOST_KEPT if taken is not None else math.inf
        self.count = self.settled = 0  # Nodes that are there, and those of them that stay.
        self.root: Node | None = None
        self.open: list[tuple[Node, list[Node]]] = []
        self.aliased = 0
        self.anchors: dict[str, Node] = {}

    def read(self, event: Any) -> None:
        kind_of_event = type(
            event
        )  # libyaml's binding makes no others, and it is asked for each word of a file.
        if kind_of_event is yaml.ScalarEvent:
            self.add(self.scalar(event))
        elif kind_of_event in (yaml.MappingStartEvent, yaml.SequenceStartEvent):
            kind = Kind.MAPPING if kind_of_event is yaml.MappingStartEvent else Kind.SEQUENCE
            node = self.node(kind, event)
            node.flow = bool(event.flow_style)
            if len(self.open) >= DEEPEST:
                raise Broken(node.start, f"nested deeper than {DEEPEST} levels")
            self.open.append((node, []))
        elif kind_of_event in (yaml.MappingEndEvent, yaml.SequenceEndEvent):
            self.close(event)
        elif kind_of_event is yaml.AliasEvent:
            self.add(self.alias(event))
        elif kind_of_event is yaml.DocumentStartEvent and self.root is not None:
            mark: Any = event.start_mark
            raise Broken(self.base + mark.index, "a second document without a line of --- before it")

    def node(self, kind: Kind, event: Any) -> Node:
        start, end = self.base + event.start_mark.index, self.base + event.end_mark.index
        if end > self.limit:
            start, end = min(start, self.limit), self.limit
        self.count += 1
        if self.count > self.most:
            raise Broken(
                start, f"more than {self.most} values in one object: no API server takes that: split it"
            )
        anchor = event.anchor
        node = Node(kind, start, end, anchor, False, self.open[-1][0].flow if self.open else False)
        if anchor is not None and kind is not Kind.ALIAS:
            self.anchors[anchor] = node
        return node

    def scalar(self, event: Any) -> Node:
        node = self.node(Kind.SCALAR, event)
        if event.style in ("|", ">"):
            node.end = _block_end(self.text, node)
        node.size += (node.end - node.start) // LONG_TEXT
        plain = event.implicit[0] and event.tag is None
        try:
            if self.is_json and event.style == '"':
                node.scalar = json.loads(self.text[node.start : node.end])
            elif plain or event.tag is not None:
                node.scalar = resolve(event.value, event.tag)
            else:
                node.scalar = event.value
            if isinstance(node.scalar, str):
                node.scalar.encode()
        except NoMeaning as error:
            raise Broken(node.start, str(error)) from None
        except UnicodeEncodeError:
            raise Broken(node.start, "half of a surrogate pair is no text") from None
        # As isMerge in go-yaml's decode.go: "<<" in quotes is a key like any other.
        node.merges = event.value == "<<" and (plain or event.tag == MERGE)
        return node

    def alias(self, event: Any) -> Node:
        node = self.node(Kind.ALIAS, event)
        target = self.anchors.get(event.anchor)
        if target is None:
            raise Broken(node.start, f"the alias *{event.anchor} has no anchor above it")
        if any(target is opened for opened, _ in self.open):
            raise Broken(node.start, f"the anchor &{event.anchor} holds itself")
        node.target, node.size, node.depth = target, target.size, target.depth
        self.aliased += node.size
        if self.aliased > MOST_ALIASED:
            raise Broken(node.start, f"its aliases stand for more than {MOST_ALIASED} values")
        return node

    def add(self, node: Node) -> None:
        if not self.open:
            self.root = node
            return
        parent, children = self.open[-1]
        children.append(node)
        parent.size += node.size
        if node.depth >= parent.depth:
            parent.depth = node.depth + 1
        if parent.depth + len(self.open) > DEEPEST:
            raise Broken(node.start, f"nested deeper than {DEEPEST} levels")

    def close(self, event: Any) -> None:
        node, children = self.open.pop()
        # libyaml puts the end of a block collection before the next token, behind comments that are not part of it.
        if node.flow:
            node.end = self.base + event.end_mark.index
        elif children:
            node.end = children[-1].end
        if node.kind is Kind.SEQUENCE:
            node.items = children
        else:
            node.pairs = self.pairs(children)
        self.add(self.left_of(node) if self.taken is not None else node)

    def left_of(self, node: Node) -> Node:
        """The node, or a null in its place when it is an object of a list and was taken."""
        if len(self.open) == 2 and node.kind is Kind.MAPPING and self.taken is not None:  # noqa: PLR2004 - top, items
            (top, above), (listed, before) = self.open
            is_list = (
                top.kind is Kind.MAPPING and listed.kind is Kind.SEQUENCE and above[-1].scalar == "items"
            )
            if is_list and self.taken(len(before), node, _scalars(above)):
                self.count = self.settled
                return Node(Kind.SCALAR, node.start, node.end)
            self.settled = self.count
        return node

    def pairs(self, children: list[Node]) -> list[Pair]:
        pairs = []
        names: dict[str, Node] = {}
        for at, content in zip(children[::2], children[1::2], strict=True):
            if at.kind is Kind.SCALAR and at.merges:
                pair = Pair(None, at, content)
                if not _mergeable(content):
                    raise Broken(at.start, "<< merges a mapping or a list of mappings, and this is neither")
                pairs.append(pair)
                continue
            if at.meant.kind is not Kind.SCALAR:
                raise Broken(at.start, "a list or a mapping cannot be a key")
            try:
                name = key(at.meant.scalar)
            except NoMeaning as error:
                raise Broken(at.start, str(error)) from None
            if name in names:
                line = self.text.count("\n", 0, names[name].start) + 1
                raise Broken(at.start, f"the key {name!r} stands here a second time, after line {line}")
            names[name] = at
            pairs.append(Pair(name, at, content))
        return pairs


def _scalars(children: list[Node]) -> dict[str, Scalar]:
    """The entries of a mapping that is being read whose values are scalars."""
    both = zip(children[:-1:2], children[1::2], strict=True)
    return {str(at.scalar): content.scalar for at, content in both if content.kind is Kind.SCALAR}


def _mergeable(node: Node) -> bool:
    if node.kind is Kind.SEQUENCE:
        return all(each.meant.kind is Kind.MAPPING for each in node.items)
    return node.meant.kind is Kind.MAPPING


def _block_end(text: str, node: Node) -> int:
    """Behind the last line of content of a ``|`` or ``>`` scalar: blank lines after it count only with ``+``."""
    header = text[node.start : node.end].partition("\n")[0]
    if "+" in header.partition(" #")[0].split()[-1]:
        return node.end
    end = node.end
    while end > node.start and text[end - 1] in "\r\n":
        end -= 1
    return end


def _without_surrogates(text: str) -> str:
    """The JSON text with other escapes in place of surrogate pairs, which YAML does not know; no offset moves."""
    pieces = text.split("\\u")
    for index in range(1, len(pieces)):
        if pieces[index][:2].lower() in ("d8", "d9", "da", "db", "dc", "dd", "de", "df"):
            pieces[index] = "0041" + pieces[index][4:]
    return "\\u".join(pieces)
