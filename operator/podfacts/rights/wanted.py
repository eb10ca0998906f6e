"""What somebody wants to be granted, in the words of the command line. Raises ``Refused`` with what to write instead."""

import re
from collections.abc import Sequence
from difflib import get_close_matches

from podfacts.core.names import RESOURCE_WORD
from podfacts.core.refusal import Refused
from podfacts.rights.request import Account, Request
from podfacts.rights.resources import BUILT_IN, cluster_scoped, groups_with
from podfacts.rights.urls import requested

LABEL = re.compile(r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?")
SUBDOMAIN = re.compile(r"(?=.{1,253}\Z)[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*")
# They answer a GET, and let the caller do what it likes behind it.
MORE_THAN_READING = ("attach", "exec", "portforward", "proxy")


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
    group, resource, subresource = _kind(word)
    if subresource and watch:
        raise Refused((), f"{word}: a subresource cannot be watched: use --read")
    verbs = ["get", "list", "watch"] if watch else ["get", "list"]
    if subresource or (names and not watch):
        verbs = ["get"]
    return [
        Request(verb, group, resource, subresource, _place(group, resource, name, namespace), name)
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


def _place(group: str, resource: str, name: str, namespace: str) -> str:
    # A namespace lies in itself: for one of them, a Role there is enough (requestinfo.go).
    if (group, resource) == ("", "namespaces"):
        return name
    return "" if cluster_scoped(group, resource) else namespace


def _object_name(word: str) -> str:
    # As the API server checks every name that comes in a URL (IsPathSegmentName).
    if not word or word in (".", "..") or "/" in word or "%" in word or not word.isprintable():
        raise Refused((), f"{word!r} cannot be the name of an object")
    return word


def _kind(word: str) -> tuple[str, str, str]:
    match = RESOURCE_WORD.fullmatch(word)
    if not match:
        raise Refused(
            (), f"{word!r} is no resource: write RESOURCE[.GROUP][/SUB], such as pods or deployments.apps"
        )
    group, resource, subresource = match["group"] or "", match["resource"], match["subresource"] or ""
    if subresource in MORE_THAN_READING:
        raise Refused((), f"{word}: {subresource} is more than reading: grant it by a Role of your own")
    scoped = BUILT_IN.get(group)
    if scoped and resource not in scoped.namespaced | scoped.cluster:
        raise Refused((), f"{word}: {_correction(group, resource, subresource)}")
    return group, resource, subresource


def _correction(group: str, resource: str, subresource: str) -> str:
    """What to write instead of a resource that a built-in group does not have."""
    for plural in (resource, f"{resource}s", f"{resource}es", f"{resource.removesuffix('y')}ies"):
        found = list(groups_with(plural))
        words = " or ".join(_word(each, plural, subresource) for each in found)
        if group in found:
            return f"is no resource: write {_word(group, plural, subresource)}"
        if found and (plural == resource or not group):
            return f"is in the group {' or '.join(each or 'core' for each in found)}: write {words}"
    known = sorted(BUILT_IN[group].namespaced | BUILT_IN[group].cluster)
    near = get_close_matches(resource, known, n=1)
    hint = f"did you mean {_word(group, near[0], subresource)}?" if near else "write its plural and its group"
    return f"is no resource of {group or 'the core group'} that can be read: {hint}"


def _word(group: str, resource: str, subresource: str) -> str:
    return resource + (f".{group}" if group else "") + (f"/{subresource}" if subresource else "")


def _legal(kind: str) -> str:
    dots = ", dots" if kind == "subdomain" else ""
    most = 253 if kind == "subdomain" else 63
    return f"1 to {most} of lower-case letters, digits{dots} and dashes, which stand inside only"
