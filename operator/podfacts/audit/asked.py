"""A question in the words of the command line: who, and what. Raises ``Refused`` with what to write instead.

Any verb and any resource may be asked of, as the authorizer may. Refused is what certainly means something else; what only
looks so is asked as it was written, and a warning says so.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from podfacts.audit.subjects import ANONYMOUS, GROUP_NAMES, MASTERS, OF_NAMESPACE, UNAUTHENTICATED, groups_of
from podfacts.core.refusal import Refused
from podfacts.core.resources import BUILT_IN, cluster_scoped, groups_with, kind, word
from podfacts.rights.holders import account_named
from podfacts.rights.request import NAMELESS, PREFIX, Request
from podfacts.rights.rules import Key
from podfacts.rights.urls import requested

RESOURCE = re.compile(
    r"(?P<resource>\*|[a-z][-a-z0-9]*)(?:\.(?P<group>\*|[a-z0-9][-a-z0-9.]*))?(?:/(?P<subresource>.+))?"
)
SUBJECT = "write system:serviceaccount:NAMESPACE:NAME, user:NAME or group:NAME"

# Known to no discovery: what is asked of them is asked by the API server itself. Those of the cluster, and of a namespace.
UNLISTED = {
    ("", "users"),
    ("", "groups"),
    ("authentication.k8s.io", "selfsubjectreviews"),
    ("authentication.k8s.io", "tokenreviews"),
    ("authentication.k8s.io", "uids"),
    ("authentication.k8s.io", "userextras"),
    ("authorization.k8s.io", "selfsubjectaccessreviews"),
    ("authorization.k8s.io", "selfsubjectrulesreviews"),
    ("authorization.k8s.io", "subjectaccessreviews"),
    ("certificates.k8s.io", "signers"),
}
UNLISTED_IN_A_NAMESPACE = {("", "bindings"), ("authorization.k8s.io", "localsubjectaccessreviews")}


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# kubectl's (kubectl/pkg/cmd/auth/cani.go), and 1.36's own.
VERBS = _words(
    "get list watch create update patch delete deletecollection use bind impersonate approve sign escalate attest *"
)
METHODS = _words("get put post head options delete patch *")
# What people type for what kubectl does (pkg/cmd).
COMMANDS = {
    "exec": "create pods/exec",
    "attach": "create pods/attach",
    "port-forward": "create pods/portforward",
    "logs": "get pods/log",
    "scale": "patch deployments.apps/scale",
    "evict": "create pods/eviction",
    "drain": "create pods/eviction",
    "edit": "get, and patch",
    "describe": "get",
    "apply": "get, create and patch",
    "read": "get, list and watch",
    "write": "create, update and patch",
}
SUBRESOURCES = _words(
    "approval attach binding ephemeralcontainers eviction exec finalize log portforward proxy resize scale status token"
)
LISTED = frozenset(("list", "watch"))
# Asked in the namespace of the binding, or without one for a ClusterRoleBinding (registry/rbac/escalation_check.go).
BIND_CLUSTER_ROLE = ("bind", "rbac.authorization.k8s.io", "clusterroles")


@dataclass(frozen=True, slots=True)
class Who:
    """Somebody as the authorizer sees them. ``user`` is "" for just anybody who is in the groups."""

    user: str
    groups: tuple[str, ...]

    @property
    def is_master(self) -> bool:
        """Whether they are let through before RBAC is asked (``pkg/kubeapiserver/authorizer/reload.go``)."""
        return MASTERS in self.groups

    def __str__(self) -> str:
        if self.user:
            return f"the user {self.user}"
        return f"whoever is in the group {self.groups[0]}" if self.groups else "a user without a name"


@dataclass(frozen=True, slots=True)
class Asked:
    """The request, and what whoever asks should know of how it was understood."""

    request: Request
    warnings: tuple[str, ...] = ()


def who(subject: str, groups: Sequence[str] = ()) -> Who:
    """Who is meant, with the groups that they are in without a word, and those given beside."""
    if not all(groups):
        raise Refused((), "--as-group: a group has a name")
    kind, name = meant(subject)
    user, given = (name, tuple(groups)) if kind == "User" else ("", (name, *groups))
    return Who(user, tuple(dict.fromkeys((*given, *_implied(user, given)))))


def meant(subject: str) -> Key:
    """The user or the group, as the command line takes one. Raises ``Refused`` with what to write instead."""
    if subject.startswith(PREFIX):
        if not account_named(subject):
            raise Refused((), f"{subject!r} is no service account: write {PREFIX}NAMESPACE:NAME")
        return "User", subject
    what, colon, name = subject.partition(":")
    if not colon or what not in ("user", "group") or not name:
        raise Refused((), f"{subject!r} is no subject: {_instead(subject)}")
    return what.capitalize(), name


def _instead(subject: str) -> str:
    namespace, slash, name = subject.partition("/")
    if slash and namespace and name:
        return f"write {PREFIX}{namespace}:{name}"
    if subject in GROUP_NAMES or subject.startswith(OF_NAMESPACE):
        return f"write group:{subject}"
    if (subject and ":" not in subject) or subject.startswith("system:"):
        return f"write user:{subject}" + (
            "" if subject.startswith("system:") else f", or {PREFIX}NAMESPACE:{subject}"
        )
    return SUBJECT


def _implied(user: str, given: Sequence[str]) -> Iterator[str]:
    """The groups that come by themselves with the user, or with being in the groups."""
    # Whoever is not logged in is in this group, and in no other but those that somebody says.
    if user == ANONYMOUS or (not user and UNAUTHENTICATED in given):
        yield UNAUTHENTICATED
        return
    for each in given:
        yield from groups_of(("Group", each))
    if user:
        yield from groups_of(("User", user))


def asked(verb: str, what: str, name: str = "", *, namespace: str = "", given: bool = False) -> Asked:
    """The request that the words mean, in this namespace ("": in all of them); ``given`` when somebody wrote that.

    What lies in no namespace, and URLs, are asked without one.
    """
    for each, written in (("verb", verb), ("resource", what)):
        if not written or not written.isprintable() or " " in written:
            raise Refused((), f"{written!r} is no {each}")
    if what.startswith("/"):
        return _of_url(verb, what, name, given=given and bool(namespace))
    match = RESOURCE.fullmatch(what)
    if not match:
        raise Refused(
            (), f"{what!r} is no resource: write RESOURCE[.GROUP][/SUB], such as pods or deployments.apps"
        )
    if not name.isprintable():  # A slash may be in one: that of a signer, or of a group.
        raise Refused((), f"{name!r} cannot be the name of an object")
    parts = match.groupdict(default="")
    group, resource, subresource = parts["group"], parts["resource"], parts["subresource"]
    warnings = [*_doubts(group, resource, subresource), *_of_verb(verb, VERBS)]
    if (reason := _nameless(verb, subresource)) and name:
        warnings.append(reason)
        name = ""
    if name and verb in LISTED:
        warnings.append(
            f"a {verb} of one object is one with --field-selector metadata.name={name}: asked as that"
        )
    place = _place(verb, group, resource, name, namespace, given=given)
    if given and namespace and not place and (group, resource) != ("", "namespaces"):
        warnings.append(f"{word(group, resource, '')} lie in no namespace: -n is not looked at")
    return Asked(Request(verb, group, resource, subresource, place, name), tuple(warnings))


def _of_url(verb: str, path: str, name: str, *, given: bool) -> Asked:
    if name:
        raise Refused((), f"{path} is a URL, and has no objects: leave out {name}")
    if "?" in path:
        raise Refused((), f"{path!r} is no path: write it without a query, such as /metrics")
    found = requested("GET", path)
    if found is None or not found.path:
        meant = word(found.group, found.resource, found.subresource) if found else "RESOURCE"
        raise Refused((), f"{path} is the URL of a resource: ask for {meant}")
    warnings = [
        *_of_verb(verb, METHODS, "of a URL: its verbs are methods in lower case, such as get and post")
    ]
    if given:
        warnings.append("a URL lies in no namespace: -n is not looked at")
    return Asked(Request(verb, path=path), tuple(warnings))


def _doubts(group: str, resource: str, subresource: str) -> Iterator[str]:
    """What may be wrong with the resource. Raises ``Refused`` when it is certain that another one is meant."""
    if resource == "*":
        if not group:
            yield "* is asked of the core group, as kubectl asks it: for every group write *.*"
    elif group != "*" and (group, resource) not in UNLISTED | UNLISTED_IN_A_NAMESPACE:
        try:
            kind(word(group, resource, ""))
        except Refused as refused:
            plurals = (resource, f"{resource}s", f"{resource}es", f"{resource.removesuffix('y')}ies")
            if group not in BUILT_IN or any(True for each in plurals for _ in groups_with(each)):
                raise
            yield f"{refused.reason} (asked as written)"
    if (
        subresource
        and subresource not in SUBRESOURCES
        and (group, resource) != ("authentication.k8s.io", "userextras")
    ):
        yield (
            f"{subresource} is asked as a subresource of {resource}: the name of an object stands apart, "
            f"as in {word(group, resource, '')} {subresource}"
        )


def _of_verb(verb: str, known: frozenset[str], of: str = "that Kubernetes itself asks for") -> Iterator[str]:
    if verb.startswith(("impersonate:", "impersonate-on:")):
        return
    if verb in COMMANDS and known is VERBS:
        yield f"{verb} is no verb of the API: kubectl's {verb} asks for {COMMANDS[verb]} (asked as written)"
    elif verb not in known:
        yield f"{verb} is no verb {of} (asked as written)"


def _nameless(verb: str, subresource: str) -> str:
    if verb == "deletecollection" or (verb == "create" and not subresource):
        return f"the authorizer knows no name in a {verb}: asked without one"
    return ""


def _place(verb: str, group: str, resource: str, name: str, namespace: str, *, given: bool) -> str:
    if (verb, group, resource) == BIND_CLUSTER_ROLE:
        return namespace if given else ""
    if (group, resource) == ("", "namespaces"):
        # A namespace lies in itself (requestinfo.go), where its name is in the path.
        return name if verb not in LISTED | NAMELESS else ""
    return "" if cluster_scoped(group, resource) or (group, resource) in UNLISTED else namespace
