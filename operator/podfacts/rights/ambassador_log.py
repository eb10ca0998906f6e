"""The ambassador's log: what ``kubectl proxy`` asked of the API server, and what that answered.

It is written by a flag that every ambassador has: ``--vmodule=round_trippers=6``. An app can cause lines only for requests
that it really made through the proxy, and so with any path that it likes: what is made of them is for review, as all that
an app says of itself. It cannot forge a line: the URL in one is quoted, and only the head that a line begins with counts.
Under ``proxy_server=3`` it could, for that prints paths as they are, with their line breaks.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from podfacts.rights.questions import DENIED, UNASKED, questions
from podfacts.rights.request import Request
from podfacts.rights.urls import requested

EXPECTED = (
    "holds no answered request: give the log of a podfacts-ambassador container, "
    "or of a kubectl proxy run with --vmodule=round_trippers=6"
)
# In front what kubectl logs puts there (--prefix, --timestamps), then klog's head (klog/v2, header), then the keys in their
# order (client-go/transport/round_trippers.go). A call without an answer has an empty status.
ANSWER = re.compile(
    rb"(?:\[pod/[^\]\[\s]+\] )?(?:\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d) )?"
    rb"[IWEF]\d{4} \d\d:\d\d:\d\d\.\d+ +\d+ round_trippers\.go:\d+\] \"Response\" "
    rb'verb="(?P<method>[^"\\]+)" url="(?P<url>(?:[^"\\]|\\.)*)" status="(?P<code>\d{3})\b'
)
# Go's strconv.Quote.
ESCAPE = re.compile(r"\\(?:x([0-9a-f]{2})|u([0-9a-f]{4})|U([0-9a-f]{8})|(.))")
VALID, ASTRAL = range(0xD800), range(0xE000, 0x110000)
CONTROL = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}


@dataclass(frozen=True, slots=True)
class Answered:
    """One question to the authorizer."""

    request: Request
    allowed: bool


def answered(lines: Iterable[bytes]) -> Iterator[Answered]:
    """What the log says; lines of other kinds are passed over. Nothing at all means that it is no such log."""
    for line in lines:
        match = ANSWER.match(line)
        code = int(match["code"]) if match else UNASKED
        if not match or code == UNASKED:
            continue
        request = requested(
            match["method"].decode(), _unquoted(match["url"].decode(errors="surrogateescape"))
        )
        if request is None:
            continue
        if code in DENIED:
            yield Answered(request, allowed=False)
        else:
            yield from (Answered(each, allowed=True) for each in questions(request, code))


def _unquoted(text: str) -> str:
    def meant(match: re.Match[str]) -> str:
        code = match[1] or match[2] or match[3]
        if match[1]:
            return bytes.fromhex(code).decode(errors="surrogateescape")
        if code:
            # Go writes U+FFFD for what is no character; a forged line may say anything.
            number = int(code, 16)
            return chr(number) if number in VALID or number in ASTRAL else "\ufffd"
        return CONTROL.get(match[4], match[4])

    return ESCAPE.sub(meant, text) if "\\" in text else text
