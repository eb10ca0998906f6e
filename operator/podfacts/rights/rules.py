"""Which bindings allow a request: RBAC's own evaluation, over lists of its four kinds.

**One rule must match whole** (verb, API group, resource and name), strings are exact, and there is no "deny". Read from
Kubernetes 1.36: ``pkg/apis/rbac/v1/evaluation_helpers.go``, ``plugin/pkg/auth/authorizer/rbac/rbac.go`` and
``pkg/registry/rbac/validation/rule.go``. RBAC is not the only authorizer: the group ``system:masters`` is let through
before it, nodes have one of their own, webhooks may follow. None of those is known here.

An aggregated ClusterRole is believed: its ``rules`` are what the aggregating controller wrote last.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from podfacts.rights.request import Account, Request

Tree = Mapping[str, Any]
Key = tuple[str, str]  # A user or a group, as ("User", name) or ("Group", name).


@dataclass(frozen=True, order=True, slots=True)
class Ref:
    """A binding by its address; without a namespace it is a ClusterRoleBinding."""

    namespace: str
    name: str

    @property
    def kind(self) -> str:
        """As Kubernetes spells it."""
        return "RoleBinding" if self.namespace else "ClusterRoleBinding"

    def __str__(self) -> str:
        return f"{self.kind} {self.name}" + (f" in {self.namespace}" if self.namespace else "")


def allows(rule: Tree, request: Request) -> bool:
    """Whether this one rule allows it."""
    verbs = rule.get("verbs") or ()
    if "*" not in verbs and request.verb not in verbs:
        return False
    if request.path:
        return any(url_matches(each, request.path) for each in rule.get("nonResourceURLs") or ())
    groups = rule.get("apiGroups") or ()
    # An empty list of names is no restriction; in one that is not empty "*" is a name like any other.
    names = rule.get("resourceNames") or (request.name,)
    return (
        ("*" in groups or request.group in groups)
        and any(_resource_matches(each, request) for each in rule.get("resources") or ())
        and request.name in names
    )


def _resource_matches(written: str, request: Request) -> bool:
    """``*`` takes every subresource too; ``pods`` takes none; ``pods/*`` is a literal, and matches nothing real."""
    if not request.subresource:
        return written in ("*", request.resource)
    return written in ("*", f"{request.resource}/{request.subresource}", f"*/{request.subresource}")


def url_matches(written: str, path: str) -> bool:
    """Whether a URL of a rule is, or begins, the path."""
    # All trailing stars go (strings.TrimRight), and what is left is a prefix: /foo* matches /foobar.
    return written in ("*", path) or (written.endswith("*") and path.startswith(written.rstrip("*")))


@dataclass(frozen=True, slots=True)
class _Bound:
    ref: Ref
    rules: Sequence[Tree]


class Rights:
    """What the roles and bindings of a cluster give, looked up by who asks and where."""

    def __init__(
        self,
        *,
        roles: Iterable[Tree],
        cluster_roles: Iterable[Tree],
        role_bindings: Iterable[Tree],
        cluster_role_bindings: Iterable[Tree],
    ) -> None:
        self._rules: dict[tuple[str, str, str], Sequence[Tree]] = {}
        for kind, trees in (("Role", roles), ("ClusterRole", cluster_roles)):
            for tree in trees:
                namespace, name = _address(tree) if kind == "Role" else ("", tree["metadata"]["name"])
                self._rules[kind, namespace, name] = tree.get("rules") or ()
        # By the binding's namespace and its subject: a question looks at the bindings of those who ask, and no other.
        self._bound: dict[tuple[str, Key], list[_Bound]] = defaultdict(list)
        for tree in cluster_role_bindings:
            self._bind(tree, Ref("", tree["metadata"]["name"]))
        for tree in role_bindings:
            self._bind(tree, Ref(*_address(tree)))

    def granting(self, user: str, groups: Iterable[str], request: Request) -> list[Ref]:
        """The bindings that allow it, cluster-wide ones first; none when RBAC does not."""
        keys = [("User", user), *(("Group", each) for each in groups)]
        # Without a namespace no RoleBinding is looked at; so list in all namespaces, and every URL, need the wide ones.
        scopes = {"", "" if request.path else request.namespace}
        found = {
            bound.ref
            for scope in scopes
            for key in keys
            for bound in self._bound.get((scope, key), ())
            if any(allows(rule, request) for rule in bound.rules)
        }
        return sorted(found)

    def rules(self, role_ref: Tree, namespace: str) -> Sequence[Tree]:
        """What the role gives to which a binding of this namespace ("": cluster-wide) refers; nothing if it is not there.

        A ClusterRoleBinding to a Role is an error, and gives nothing: no Role is without a namespace.
        """
        kind, name = str(role_ref.get("kind")), str(role_ref.get("name"))
        return self._rules.get((kind, namespace if kind == "Role" else "", name), ())

    def _bind(self, tree: Tree, ref: Ref) -> None:
        bound = _Bound(ref, self.rules(tree["roleRef"], ref.namespace))
        if bound.rules:
            for key in {subject_key(each, ref.namespace) for each in tree.get("subjects") or ()}:
                if key:
                    self._bound[ref.namespace, key].append(bound)


def subject_key(subject: Tree, namespace: str) -> Key | None:
    """Who is meant by a subject of a binding in this namespace; ``None`` when nobody can be.

    An account is a user by its full name, so a subject of kind User with that name means it too.
    """
    name = str(subject.get("name", ""))
    match subject.get("kind"):
        case "User" | "Group" as kind:
            return (kind, name)
        case "ServiceAccount":
            home = subject.get("namespace") or namespace
            return ("User", Account(home, name).user) if home else None
        case _:
            return None


def _address(tree: Tree) -> tuple[str, str]:
    return tree["metadata"]["namespace"], tree["metadata"]["name"]
