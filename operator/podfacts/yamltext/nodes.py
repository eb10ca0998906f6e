"""A document as nodes that know where they stand in the text.

So what is wrong is reported by line, and what is changed is changed in place.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from podfacts.core.refusal import Segment
from podfacts.yamltext.scalars import Scalar


class Kind(Enum):
    """What a node is."""

    SCALAR = auto()
    SEQUENCE = auto()
    MAPPING = auto()
    ALIAS = auto()


class Broken(ValueError):  # noqa: N818 - it says what the text is
    """Text that is not YAML as Kubernetes reads it: ``offset`` is where in the text, ``reason`` one sentence."""

    def __init__(self, offset: int, reason: str) -> None:
        self.offset = offset
        self.reason = reason
        super().__init__(reason)


@dataclass(slots=True, eq=False)
class Node:
    """One node. ``start`` counts an anchor and a tag in; ``end`` counts nothing that is not content.

    ``items`` are a sequence's, ``pairs`` a mapping's, ``target`` an alias's. A ``flow`` collection has brackets, what
    is ``inside`` stands between some. A key that ``merges`` is ``<<``. ``size`` and ``depth`` are what they become when
    each alias is written out.
    """

    kind: Kind
    start: int
    end: int
    anchor: str | None = None
    flow: bool = False
    inside: bool = False
    merges: bool = False
    scalar: Scalar = None
    items: Sequence["Node"] = ()
    pairs: Sequence["Pair"] = ()
    target: "Node | None" = None
    size: int = 1
    depth: int = 1

    @property
    def meant(self) -> "Node":
        """The node itself, or the one an alias stands for."""
        return self.target if self.target is not None else self


@dataclass(slots=True, frozen=True)
class Pair:
    """One entry of a mapping. ``name`` is ``None`` for a merge key, whose value's entries become the mapping's own."""

    name: str | None
    key: Node
    value: Node


def value(node: Node) -> Any:
    """What the node means, as JSON: fresh dicts and lists, aliases written out, merge keys carried out."""
    node = node.meant
    if node.kind is Kind.SCALAR:
        return node.scalar
    if node.kind is Kind.SEQUENCE:
        return [value(each) for each in node.items]
    tree: dict[str, Any] = {}
    for pair in node.pairs:
        if pair.name is not None:
            tree[pair.name] = value(pair.value)
            continue
        # In the order written: go-yaml v2 lets a merge win over what stands above it, against the YAML specification.
        for source in merged(pair):
            tree.update(value(source))
    return tree


def merged(pair: Pair) -> Iterator[Node]:
    """The mappings that a merge key brings in; of two that say the same, the later one here wins."""
    source = pair.value.meant
    if source.kind is Kind.MAPPING:
        yield pair.value
    else:
        yield from reversed(source.items)


def locate(root: Node, path: tuple[Segment, ...]) -> int:
    """Where in the text the value at ``path`` stands: at its key, or its dash's content. As near as it can be found."""
    node, offset = root.meant, root.start
    for segment in path:
        if isinstance(segment, int):
            if node.kind is not Kind.SEQUENCE or segment >= len(node.items):
                break
            found = node.items[segment]
            offset = found.start
        else:
            entry = _entry(node, segment)
            if entry is None:
                break
            found, offset = entry.value, entry.key.start
        node = found.meant
    return offset


def _entry(node: Node, name: str) -> Pair | None:
    for pair in reversed(node.pairs):
        if pair.name == name:
            return pair
        if pair.name is None:
            for source in reversed(list(merged(pair))):
                if found := _entry(source.meant, name):
                    return found
    return None
