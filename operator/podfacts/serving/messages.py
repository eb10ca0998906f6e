"""A request and a reply as plain data, and the bytes of a reply in HTTP/1.1."""

import time
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from typing import NamedTuple

TEXT = "text/plain; charset=utf-8"
JSON = "application/json"

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Request(NamedTuple):
    """One request, read whole. ``last``: its sender wants no other on this connection."""

    method: str
    path: str
    body: bytes = b""
    last: bool = False


class Reply(NamedTuple):
    """What to send. Never with Retry-After: an API server would call up to ten times again for it."""

    status: int
    body: bytes = b""
    content_type: str = TEXT
    headers: tuple[tuple[str, str], ...] = ()  # Names and values.


def rendered(reply: Reply, *, last: bool = False, bodiless: bool = False) -> bytes:
    """All bytes of it. ``bodiless``: a reply to HEAD has the length of a body and none."""
    status, body, content_type, headers = reply
    head = _head(status, content_type, headers, last)
    date = _date(int(time.time()))
    return b"%bDate: %b\r\nContent-Length: %d\r\n\r\n%b" % (head, date, len(body), b"" if bodiless else body)


@lru_cache(maxsize=64)
def _head(status: int, content_type: str, headers: tuple[tuple[str, str], ...], last: bool) -> bytes:
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", "Server: podfacts"]
    lines += [f"{name}: {value}" for name, value in (*headers, ("Content-Type", content_type))]
    lines += ["Connection: close"] if last else []
    return "".join(f"{line}\r\n" for line in lines).encode("latin-1")


@lru_cache(maxsize=1)
def _date(second: int) -> bytes:
    return formatdate(second, usegmt=True).encode()
