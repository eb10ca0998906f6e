"""Where in a text something new may stand: on which line, behind which comments, before which dash."""

import re
from collections.abc import Iterator

from podfacts.yamltext.nodes import Kind, Node

# From the start of a list, or the end of an item, to the next dash: anchor and tag, space and comments.
TO_DASH = re.compile(r"(?:[&!][^ \t\r\n]*|[ \t\r\n]+|#.*)*")
PROPERTIES = re.compile(r"(?:[&!][^ \t\r\n]*[ \t]*)*")
BLANK_OR_COMMENT = re.compile(r"[ \t\r]*(?:#.*)?")
COMMENT = re.compile(r"( *)#.*")


def column(text: str, offset: int) -> int:
    """How far into its line the offset is."""
    return offset - line_start(text, offset)


def line_start(text: str, offset: int) -> int:
    """Where the line of the offset begins."""
    return text.rfind("\n", 0, offset) + 1


def next_line(text: str, offset: int, end: int) -> int:
    """The line behind what ends at ``offset``: its beginning, or ``end`` when there is none."""
    if offset and text[offset - 1] == "\n":
        return offset
    found = text.find("\n", offset, end)
    return end if found < 0 else found + 1


def indentation(text: str, offset: int) -> str | None:
    """What stands before the offset on its line; ``None`` when that is more than space."""
    found = text[line_start(text, offset) : offset]
    return None if found.strip(" \t") else found


def behind_comments(text: str, line: int, end: int, least: int) -> int:
    """The first line from ``line`` on that is no comment indented by ``least`` or more: such a one belongs above."""
    while line < end and (match := COMMENT.match(text, line, end)) and len(match[1]) >= least:
        line = next_line(text, match.end(), end)
    return line


def above_comments(text: str, line: int) -> int:
    """The line behind the last content before ``line``: comments in between belong below."""
    while line:
        above = line_start(text, line - 1)
        if not BLANK_OR_COMMENT.fullmatch(text, above, line - 1):
            break
        line = above
    return line


def dashes(text: str, node: Node) -> Iterator[int]:
    """Where the dash of each item of a block sequence stands."""
    offset = node.start
    for each in node.items:
        match = TO_DASH.match(text, offset)
        yield match.end() if match else offset
        offset = each.end


def body(text: str, node: Node) -> tuple[int, str]:
    """Where what a node holds begins, and what must stay before it: an anchor stays, and a tag says what was there."""
    if node.kind is Kind.ALIAS:
        return node.start, ""
    if node.kind is Kind.MAPPING and not node.flow:
        return node.pairs[0].key.start, ""
    if node.kind is Kind.SEQUENCE and not node.flow:
        return next(dashes(text, node)), ""
    match = PROPERTIES.match(text, node.start, node.end)
    if match is None or "!" in match[0]:
        return node.start, f"&{node.anchor} " if node.anchor else ""
    return match.end(), ""
