"""From text to nodes: libyaml finds the events, at C speed, and what Kubernetes makes of them is decided here.

PyYAML's own nodes do not do: they forget where an alias stands, and hold the end of a block collection to be behind
the comments that follow it.
"""

import json
import re
from typing import Any

import yaml

from podfacts.yamltext.nodes import Broken, Kind, Node, Pair
from podfacts.yamltext.scalars import MERGE, NoMeaning, key, resolve

# libyaml itself stops at 1000, where Python's own stack would end; nothing in Kubernetes nests a tenth of this.
DEEPEST = 200
# go-yaml lets aliases make 400,000 values at most; an API object of 1.5 MiB has no use for a quarter of that.
MOST_ALIASED = 100_000
# A long text counts as one value for each so many characters.
LONG_TEXT = 100
# libyaml passes over it, as if it were not there; to go-yaml it is the first character of a key.
MISPLACED_MARK = re.compile(r"^[ \t]*\ufeff", re.MULTILINE)


def compose(text: str, start: int, end: int, *, is_json: bool = False) -> Node | None:
    """The root node of the document at ``text[start:end]``; ``None`` when there is nothing but comments.

    Raises ``Broken``. Offsets count from the start of ``text``.
    """
    reader = _Reader(text, start, end, is_json)
    # kubectl ends every line it reads, so a block scalar in the last one has its newline, written or not.
    ending = "" if is_json or text[start:end].endswith("\n") else "\n"
    part = _without_surrogates(text[start:end]) if is_json else text[start:end] + ending
    if mark := MISPLACED_MARK.search(part):
        raise Broken(start + mark.end() - 1, "a byte order mark in the middle of the text: remove it")
    try:
        for event in yaml.parse(part, Loader=yaml.CSafeLoader):
            reader.read(event)
    except yaml.MarkedYAMLError as error:
        at = error.problem_mark or error.context_mark
        reason = " ".join(each for each in (error.context, error.problem) if each)
        raise Broken(start + (at.index if at is not None else 0), f"not YAML: {reason}") from None
    except yaml.reader.ReaderError as error:
        raise Broken(start + error.position, f"not YAML: {error.reason}") from None
    return reader.root


class _Reader:
    """Builds the tree, one event after another. No recursion: depth is the sender's to choose."""

    def __init__(self, text: str, base: int, limit: int, is_json: bool) -> None:
        self.text = text
        self.base = base
        self.limit = limit
        self.is_json = is_json
        self.root: Node | None = None
        self.open: list[tuple[Node, list[Node]]] = []
        self.aliased = 0
        self.anchors: dict[str, Node] = {}

    def read(self, event: Any) -> None:
        if isinstance(event, yaml.ScalarEvent):
            self.add(self.scalar(event))
        elif isinstance(event, yaml.CollectionStartEvent):
            kind = Kind.MAPPING if isinstance(event, yaml.MappingStartEvent) else Kind.SEQUENCE
            node = self.node(kind, event)
            node.flow = bool(event.flow_style)
            if len(self.open) >= DEEPEST:
                raise Broken(node.start, f"nested deeper than {DEEPEST} levels")
            self.open.append((node, []))
        elif isinstance(event, yaml.CollectionEndEvent):
            self.close(event)
        elif isinstance(event, yaml.AliasEvent):
            self.add(self.alias(event))
        elif isinstance(event, yaml.DocumentStartEvent) and self.root is not None:
            mark: Any = event.start_mark
            raise Broken(self.base + mark.index, "a second document without a line of --- before it")

    def node(self, kind: Kind, event: Any) -> Node:
        start = min(self.base + event.start_mark.index, self.limit)
        end = min(self.base + event.end_mark.index, self.limit)
        inside = bool(self.open) and self.open[-1][0].flow
        node = Node(kind, start, end, event.anchor, inside=inside)
        if event.anchor is not None and kind is not Kind.ALIAS:
            self.anchors[event.anchor] = node
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
        parent.depth = max(parent.depth, node.depth + 1)
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
        self.add(node)

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
