"""A file as documents, split where kubectl splits it, each knowing where it stands in the text.

kubectl cuts at lines that begin with ``---`` (``k8s.io/apimachinery/pkg/util/yaml/decoder.go``, ``YAMLReader``) and then
reads one document from each piece, as JSON when it begins with a brace. Two of its silences are refused here: text after
``...``, which it drops, and a directive, which it cannot read, is kept with the document it stands before.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from podfacts.yamltext.compose import Taken, compose
from podfacts.yamltext.glance import is_sound_object
from podfacts.yamltext.nodes import Broken, Node, value

MARKER = re.compile(r"^(?:---|\.\.\.(?=[ \t\r\n]|\Z))(.*)$", re.MULTILINE)
# Blank lines and comments; with a % at its beginning, a line is a directive.
NOTHING = re.compile(r"(?:[ \t\r]*(?:#.*)?(?:\n|\Z))*")
DIRECTIVES = re.compile(r"(?:(?:[ \t\r]*(?:#.*)?|%.*)(?:\n|\Z))*")
DIRECTIVE = re.compile(r"^%", re.MULTILINE)
BLANK = re.compile(r"[ \t\r\n]*")


@dataclass(frozen=True, slots=True)
class Document:
    """One document that holds something: ``text[start:end]``, its root, and what it means as JSON."""

    start: int
    end: int
    root: Node
    tree: Any
    is_json: bool


@dataclass(frozen=True, slots=True)
class Glanced:
    """A document that needed no reading: an object with nothing wrong, and nothing that was looked for."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Piece:
    """Where a document stands, with its directives and its ``---``; ``body`` is behind them."""

    start: int
    body: int
    end: int


def documents(text: str, taken: Taken | None = None) -> Iterator[Document | Broken]:
    """The documents of a file in their order, those that hold nothing left out; for a broken one, what is wrong.

    What ``compose`` says of ``taken`` is so here: a list as long as a cluster is never there as a whole.
    """
    for each in documents_with(text, "", taken):
        if not isinstance(each, Glanced):
            yield each


def documents_with(
    text: str, words: str, taken: Taken | None = None
) -> Iterator[Document | Glanced | Broken]:
    """As ``documents``, but those without the ``words`` in them are only glanced at where that is enough."""
    for piece in pieces(text):
        if isinstance(piece, Broken):
            yield piece
            continue
        for start, end, is_json in _values(text, piece):
            part = text[start:end]
            if words not in part and is_sound_object(part):
                yield Glanced(start, end)
            else:
                yield from _read(text, start, end, is_json, taken)


def _read(text: str, start: int, end: int, is_json: bool, taken: Taken | None) -> Iterator[Document | Broken]:
    try:
        root = compose(text, start, end, is_json=is_json, taken=taken)
    except Broken as broken:
        yield broken
        return
    # null is nothing, to kubectl too.
    if root is not None and (tree := value(root)) is not None:
        yield Document(start, end, root, tree, is_json)


def pieces(text: str) -> Iterator[Piece | Broken]:
    """The text cut at its document markers."""
    start = body = int(text.startswith("\ufeff"))
    # Between ... and the next --- only directives and comments may stand; what is broken is not read a second time.
    ended = refused = False
    for marker in MARKER.finditer(text):
        behind = min(marker.end() + 1, len(text))
        if ended and (dropped := _dropped(text, body, marker.start())):
            yield dropped
        if marker[0].startswith("..."):
            if not ended and not refused:
                yield Piece(start, body, behind)
            start = body = behind
            ended, refused = True, False
            continue
        if not (start == body and _directives(text, body, marker.start())):
            if not ended and not refused:
                yield Piece(start, body, marker.start())
            start = marker.start()
        body = marker.end()
        rest = marker[1].strip()
        ended, refused = False, bool(rest) and not (rest.startswith("#") and marker[1][0] in " \t")
        if refused:
            yield Broken(
                marker.start(), "kubectl reads nothing behind --- on its line: begin the document below"
            )
    if ended and (dropped := _dropped(text, body, len(text))):
        yield dropped
    elif not ended and not refused:
        yield Piece(start, body, len(text))


def _directives(text: str, start: int, end: int) -> bool:
    """Whether directives, such as ``%YAML 1.1``, are all that stands there."""
    return bool(DIRECTIVES.fullmatch(text, start, end)) and bool(DIRECTIVE.search(text, start, end))


def _dropped(text: str, start: int, end: int) -> Broken | None:
    """What is wrong with text between ``...`` and the next ``---``: anything but comments and directives."""
    if DIRECTIVES.fullmatch(text, start, end):
        return None
    match = NOTHING.match(text, start, end)
    offset = match.end() if match else start
    return Broken(offset, "kubectl drops what stands behind a line of ... : begin the document with ---")


def _values(text: str, piece: Piece) -> Iterator[tuple[int, int, bool]]:
    """The piece, or the JSON values that stand in it one after another: start, end, and whether it is JSON."""
    first = BLANK.match(text, piece.body, piece.end)
    position = first.end() if first else piece.body
    found = []
    if text.startswith("{", position):
        decoder = json.JSONDecoder(parse_constant=_no_constant)
        try:
            while position < piece.end:
                _, end = decoder.raw_decode(text, position)
                blank = BLANK.match(text, end, piece.end)
                found.append((position, end, True))
                position = blank.end() if blank else end
        except (ValueError, RecursionError):
            found = []  # Not JSON after all: YAML has braces too.
    if found:
        yield from found
    else:
        yield piece.start, piece.end, False


def _no_constant(name: str) -> Any:
    raise ValueError(name)
