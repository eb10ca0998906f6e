"""An API server's audit log: who asked for what, and whether the authorizer allowed it.

One line after the other, nothing is kept: a log may be larger than the memory. Metadata is all that is read, so every
audit level will do.
"""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import orjson

from podfacts.rights.questions import DENIED, UNASKED, questions
from podfacts.rights.request import Request
from podfacts.rights.urls import requested

VERSION = "audit.k8s.io/v1"
DECISION = "authorization.k8s.io/decision"
REASON = "authorization.k8s.io/reason"
LONGEST = 80
USERNAME = re.compile(rb'"username":"([^"\\]+)"')


@dataclass(frozen=True, slots=True)
class Recorded:
    """One question to the authorizer. ``user`` is the one it was asked about; ``impersonator`` who acted as that user."""

    user: str
    request: Request
    allowed: bool
    reason: str
    impersonator: str = ""

    @property
    def lent(self) -> bool:
        """Whether somebody else made the call (``--as``): it tells nothing of what the user does."""
        return self.impersonator not in ("", self.user)


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A line, counted from 1, that is no audit event, and why."""

    line: int
    reason: str


def recorded(lines: Iterable[bytes], about: str = "") -> Iterator[Recorded | Unreadable]:
    """What a log says, a JSON text a line: Events as the log backend writes them, EventLists as webhooks get them.

    ``about`` one user, it is all told of that user, and of any other at least one call; most lines are not read then.
    """
    needle, others = json.dumps(about).encode(), set[bytes]()
    for number, line in enumerate(lines, 1):
        if line.isspace():
            continue
        other = USERNAME.search(line) if about and needle not in line else None
        if other and other[1] in others:
            continue
        found = _told(number, line)
        if other and found:
            others.add(other[1])
        yield from found


def _told(number: int, line: bytes) -> list[Recorded] | list[Unreadable]:
    try:
        tree = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        return [Unreadable(number, f"is no JSON, and an audit log has one event a line: {error.msg}")]
    if reason := _refused(tree):
        return [Unreadable(number, reason)]
    try:
        return [each for event in _events(tree) for each in _answered(event)]
    except (AttributeError, LookupError, TypeError):
        reason = f"is no whole {tree['kind']} of {VERSION}: a field is missing or has the wrong type"
        return [Unreadable(number, reason)]


def _refused(tree: Any) -> str:
    if not isinstance(tree, dict) or not str(tree.get("apiVersion")).startswith("audit.k8s.io/"):
        return f"is no audit event: its apiVersion must be {VERSION}"
    if tree["apiVersion"] != VERSION or tree.get("kind") not in ("Event", "EventList"):
        found = f"{tree.get('kind')} of {tree['apiVersion']}"[:LONGEST]
        return f"must be an Event or EventList of {VERSION}, not {found!r}"
    return ""


def _events(tree: dict[str, Any]) -> list[dict[str, Any]]:
    if tree["kind"] == "Event":
        return [tree]
    items: list[dict[str, Any]] = tree.get("items") or []
    return items


def _answered(event: dict[str, Any]) -> Iterator[Recorded]:
    """What the event tells; nothing as long as nothing is decided."""
    code = (event.get("responseStatus") or {}).get("code", 0)
    annotations = event.get("annotations") or {}
    decision, reason = annotations.get(DECISION, ""), annotations.get(REASON, "")
    if event["stage"] == "RequestReceived" or (code == UNASKED and not decision):
        return
    request = _request(event)
    if request is None:
        return
    allowed = decision == "allow" if decision else code not in DENIED
    user, impersonator = event["user"].get("username", ""), ""
    if impersonated := event.get("impersonatedUser"):
        user, impersonator = impersonated.get("username", ""), user
    if not all(isinstance(each, str) for each in (user, impersonator, reason)):
        raise TypeError
    for each in questions(request, code) if allowed else (request,):
        yield Recorded(user, each, allowed, reason, impersonator)


def _request(event: dict[str, Any]) -> Request | None:
    verb, uri, target = event["verb"], event["requestURI"], event.get("objectRef")
    if not target:
        seen = requested(verb.upper(), uri)
        return seen if seen and seen.path else None
    if verb == "create":
        # What the URL does not say is filled in from the body, which no authorizer sees (apiserver/pkg/audit/request.go,
        # LogRequestObject): so the URL is asked.
        return requested("POST", uri)
    if not verb:
        return None  # An OPTIONS or TRACE of a resource: no rule can name it.
    names = [target.get(key) or "" for key in ("apiGroup", "resource", "subresource", "namespace", "name")]
    if verb == "deletecollection":
        names[-1] = ""
    if not all(isinstance(each, str) for each in (verb, *names)):
        raise TypeError
    return Request(verb, *names)
