"""What somebody wants to be granted, in the words of the command line. Raises ``Refused`` with what to write instead."""

import re
from collections.abc import Sequence

from podfacts.core.refusal import Refused
from podfacts.core.resources import cluster_scoped, kind
from podfacts.rights.request import Account, Request
from podfacts.rights.urls import requested

LABEL = re.compile(r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?")
SUBDOMAIN = re.compile(r"(?=.{1,253}\Z)[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*")


def account(word: str) -> Account:
    """The service account that ``NAMESPACE/NAME`` means."""
    namespace, slash, name = word.partition("/")
    if not slash:
        raise Refused((), f"{word!r} is no service account: write NAMESPACE/NAME, such as shop/web")
    if not SUBDOMAIN.fullmatch(name):
        raise Refused((), f"{name!r} cannot be the name of a service account: {_legal('subdomain')}")
    return Account(namespace_name(namespace), name)


def namespace_name(word: str) -> str:
    """The word, when a namespace can have that name."""
    if not LABEL.fullmatch(word):
        raise Refused((), f"{word!r} cannot be the name of a namespace: {_legal('label')}")
    return word


def reads(word: str, names: Sequence[str], namespace: str, *, watch: bool) -> list[Request]:
    """The requests that reading a resource takes: one object is got, all are listed too, and a watch is both and itself."""
    group, resource, subresource = kind(word)
    if subresource and watch:
        raise Refused((), f"{word}: a subresource cannot be watched: use --read")
    verbs = ["get", "list", "watch"] if watch else ["get", "list"]
    if subresource or (names and not watch):
        verbs = ["get"]
    return [
        Request(verb, group, resource, subresource, _place(verb, group, resource, name, namespace), name)
        for verb in verbs
        for name in [_object_name(each) for each in names] or [""]
    ]


def url(path: str) -> Request:
    """A GET of a URL that is no resource."""
    if not path.startswith("/") or "?" in path:
        raise Refused((), f"{path!r} is no path: write it from its /, without a query, such as /metrics")
    request = requested("GET", path)
    if request is None or not request.path:
        raise Refused((), f"{path}: is the URL of a resource: use --read")
    if request.path.endswith("*"):
        raise Refused((), f"{path}: would be every path that begins so: write each path that is needed")
    return request


def _place(verb: str, group: str, resource: str, name: str, namespace: str) -> str:
    # A namespace lies in itself: to get one of them, a Role there is enough (requestinfo.go). A list or a watch has the name
    # in its query, which says no place.
    if (group, resource) == ("", "namespaces"):
        return name if verb == "get" else ""
    return "" if cluster_scoped(group, resource) else namespace


def _object_name(word: str) -> str:
    # As the API server checks every name that comes in a URL (IsPathSegmentName).
    if not word or word in (".", "..") or "/" in word or "%" in word or not word.isprintable():
        raise Refused((), f"{word!r} cannot be the name of an object")
    return word


def _legal(kind: str) -> str:
    dots = ", dots" if kind == "subdomain" else ""
    most = 253 if kind == "subdomain" else 63
    return f"1 to {most} of lower-case letters, digits{dots} and dashes, which stand inside only"
