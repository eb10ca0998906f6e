"""What a method and a URL ask for, as the API server's authorizer sees it.

The rules are those of ``k8s.io/apiserver/pkg/endpoints/request/requestinfo.go`` (1.36), in its order.
"""

import re
from collections.abc import Iterator

from podfacts.rights.request import Request

VERBS = {
    "POST": "create",
    "GET": "get",
    "HEAD": "get",
    "PUT": "update",
    "PATCH": "patch",
    "DELETE": "delete",
}
# These stand behind a namespace's name without being resources in it (namespaceSubresources).
OF_A_NAMESPACE = ("status", "finalize")
SPECIAL = ("watch", "proxy")
GROUPED = 4
ESCAPED = re.compile(rb"%([0-9A-Fa-f]{2})")
# One term of a field selector: the first operator wins (apimachinery/pkg/fields, splitTerm), a backslash escapes.
TERM = re.compile(r"(?P<field>.*?)(?P<operator>!=|==|=)(?P<value>.*)", re.DOTALL)


def requested(method: str, url: str) -> Request | None:
    """The request; ``None`` for one that no rule can name: a method without a verb, a URL that is refused unasked.

    ``url`` may be whole (``https://10.96.0.1:443/api``) or begin with its path.
    """
    target = url.split("://", 1)[-1] if not url.startswith("/") else url
    before, _, query = target.partition("?")
    _, slash, rest = before.partition("/")
    path = decoded(slash + rest) or "/"
    parts = path.strip("/").split("/")
    if len(parts) >= GROUPED and parts[0] == "apis":
        return _resource(method, parts[1], parts[3:], query)
    if len(parts) >= GROUPED - 1 and parts[0] == "api":
        return _resource(method, "", parts[2:], query)
    return Request(method.lower(), path=path)


def decoded(text: str) -> str:
    """The text without percent-encoding; bytes that are no UTF-8 are kept as lone surrogates."""
    plain = ESCAPED.sub(lambda match: bytes.fromhex(match[1].decode()), text.encode(errors="surrogateescape"))
    return plain.decode(errors="surrogateescape")


def _resource(method: str, group: str, parts: list[str], query: str) -> Request | None:
    verb = VERBS.get(method, "")
    if parts[0] in SPECIAL:
        verb, parts = parts[0], parts[1:]
    if not verb or not parts:
        return None
    namespace = ""
    if parts[0] == "namespaces" and len(parts) > 1:
        namespace = parts[1]
        if len(parts) > 2 and parts[2] not in OF_A_NAMESPACE:  # noqa: PLR2004 - namespaces/NAME/RESOURCE
            parts = parts[2:]
    resource, name, subresource = (*parts[:3], "", "")[:3]
    if verb == "proxy":
        subresource = ""
    if not name and verb == "get":
        verb, name = _listed(query)
    if not name and verb == "delete":
        verb = "deletecollection"
    return Request(verb, group, resource, subresource, namespace, name)


def _listed(query: str) -> tuple[str, str]:
    """``list`` or ``watch``, and the one name that the field selector leaves."""
    watch = name = None
    for key, value in _pairs(query):
        if key == "watch" and watch is None:
            # Whatever is not "0" or "false", even nothing (apimachinery/pkg/runtime, Convert_Slice_string_To_bool).
            watch = value != "0" and value.lower() != "false"
        elif key == "fieldSelector" and name is None:
            name = _selected(value)
    return ("watch" if watch else "list"), name or ""


def _pairs(query: str) -> Iterator[tuple[str, str]]:
    for pair in query.split("&"):
        if ";" not in pair:  # Go drops it (net/url, ParseQuery).
            key, _, value = pair.replace("+", " ").partition("=")
            yield decoded(key), decoded(value)


def _selected(selector: str) -> str:
    """The name that ``metadata.name=NAME`` selects; "" where there is none, or none that could be a path segment."""
    name = ""
    for term in sorted(re.split(r"(?<!\\),", selector), reverse=True):  # So that the first one stays.
        match = TERM.fullmatch(term)
        if term and not match:
            return ""
        if match and match["field"] == "metadata.name" and match["operator"] != "!=":
            name = re.sub(r"\\(.)", r"\1", match["value"])
    # A selector with a name that is none does not restrict (apimachinery/pkg/api/validation/path, IsPathSegmentName).
    return "" if name in (".", "..") or "/" in name or "%" in name else name
