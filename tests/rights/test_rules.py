"""RBAC's evaluation, edge by edge. Random questions put to the real authorizer: tests/e2e/test_rules_on_the_api_server.py."""

from typing import Any

import pytest

from podfacts.rights.request import Account, Request
from podfacts.rights.rules import Ref, Rights, allows

Tree = dict[str, Any]

GROUP = "rbac.authorization.k8s.io"
WEB = Account("shop", "web")


def of(verbs: str, groups: str, resources: str, *names: str) -> Tree:
    """A rule; lists are words, and ``core`` is the group without a name."""
    return {
        "verbs": verbs.split(),
        "apiGroups": ["" if each == "core" else each for each in groups.split()],
        "resources": resources.split(),
        **({"resourceNames": [*names]} if names else {}),
    }


def urls(verbs: str, paths: str) -> Tree:
    return {"verbs": verbs.split(), "nonResourceURLs": paths.split()}


def pods(
    verb: str, subresource: str = "", name: str = "", group: str = "", namespace: str = "shop"
) -> Request:
    return Request(verb, group, "pods", subresource, namespace, name)


def get(path: str, verb: str = "get") -> Request:
    return Request(verb, path=path)


RULES = [
    # Verbs and groups: * or equal, nothing in between.
    (of("get", "core", "pods"), pods("get"), True),
    (of("get", "core", "pods"), pods("list"), False),
    (of("*", "core", "pods"), pods("anything"), True),
    (of("GET", "core", "pods"), pods("get"), False),
    (of("get*", "core", "pods"), pods("get"), False),
    (of("get", "core", "pods"), pods("get", group="metrics.k8s.io"), False),
    (of("get", "*", "pods"), pods("get", group="metrics.k8s.io"), True),
    (of("get", "*.k8s.io", "pods"), pods("get", group="metrics.k8s.io"), False),
    (of("get", "", "pods"), pods("get"), False),
    # Resources: a * takes the subresources too, a name does not, */x takes x of every resource, x/* nothing.
    (of("get", "core", "*"), pods("get", "log"), True),
    (of("get", "core", "pods"), pods("get", "log"), False),
    (of("get", "core", "pods/log"), pods("get", "log"), True),
    (of("get", "core", "pods/log"), pods("get"), False),
    (of("get", "core", "*/log"), pods("get", "log"), True),
    (of("get", "core", "*/log"), pods("get", "logs"), False),
    (of("get", "core", "*/log"), pods("get"), False),
    (of("get", "core", "pods/*"), pods("get", "log"), False),
    (of("get", "core", "pods/*"), pods("get"), False),
    (of("get", "core", "*/*"), pods("get", "log"), False),
    (of("get", "core", "pod*"), pods("get"), False),
    (of("get", "core", ""), pods("get"), False),
    # Names: none is all; one that is there must be that of the request, and a * is only a name.
    (of("get", "core", "pods", "a"), pods("get", name="a"), True),
    (of("get", "core", "pods", "a", "b"), pods("get", name="b"), True),
    (of("get", "core", "pods", "a"), pods("get", name="ab"), False),
    (of("list", "core", "pods", "a"), pods("list"), False),
    (of("list", "core", "pods", "a"), pods("list", name="a"), True),
    (of("create", "core", "pods", "a"), pods("create"), False),
    (of("create", "core", "pods/exec", "a"), pods("create", "exec", "a"), True),
    (of("get", "core", "pods", "*"), pods("get", name="a"), False),
    (of("get", "core", "pods", "*"), pods("get", name="*"), True),
    # URLs: equal, or up to the stars at the end.
    (urls("get", "*"), get("/anything"), True),
    (urls("get", "/api"), get("/api"), True),
    (urls("get", "/api"), get("/api/v1"), False),
    (urls("get", "/apis/*"), get("/apis/x"), True),
    (urls("get", "/apis/*"), get("/apis"), False),
    (urls("get", "/apis*"), get("/apisx"), True),
    (urls("get", "/apis/**"), get("/apis/x/y"), True),
    (urls("get", "/*/v1"), get("/api/v1"), False),
    (urls("post", "/api"), get("/api"), False),
    # A rule is for one or the other.
    (of("*", "*", "*"), get("/api"), False),
    (urls("*", "*"), pods("get"), False),
    ({"verbs": ["get"]}, pods("get"), False),
    ({"verbs": None, "apiGroups": None, "resources": None}, pods("get"), False),
]


@pytest.mark.parametrize(("rule", "request_", "allowed"), RULES, ids=str)
def test_one_rule(rule: Tree, request_: Request, allowed: bool) -> None:
    assert allows(rule, request_) == allowed


def role(name: str, *rules: Tree, namespace: str = "") -> Tree:
    return {"metadata": {"name": name, **({"namespace": namespace} if namespace else {})}, "rules": [*rules]}


def subject(kind: str, name: str, namespace: str = "") -> Tree:
    return {"kind": kind, "name": name, **({"namespace": namespace} if namespace else {})}


def binding(name: str, to: str, *subjects: Tree, namespace: str = "") -> Tree:
    kind, _, target = to.partition("/")
    tree = role(name, namespace=namespace)
    return {**tree, "roleRef": {"apiGroup": GROUP, "kind": kind, "name": target}, "subjects": [*subjects]}


READS = of("get", "core", "pods")
ROLES = [role("reads", READS, namespace="shop"), role("reads", of("list", "core", "pods"), namespace="bank")]
CLUSTER_ROLES = [
    role("reads", READS),
    role("split", of("get", "core", "secrets"), of("list", "core", "pods")),
    role("urls", urls("get", "/metrics")),
    {"metadata": {"name": "aggregated"}, "aggregationRule": {"clusterRoleSelectors": [{}]}, "rules": None},
    role("namespaces", of("get", "core", "namespaces")),
]


def rights(*, wide: list[Tree] | None = None, narrow: list[Tree] | None = None) -> Rights:
    return Rights(
        roles=ROLES,
        cluster_roles=CLUSTER_ROLES,
        role_bindings=narrow or [],
        cluster_role_bindings=wide or [],
    )


ACCOUNT = subject("ServiceAccount", "web", "shop")
ANYWHERE = Request("get", resource="pods")

# What is bound where, the question, and whether it is allowed.
BINDINGS = [
    (binding("b", "ClusterRole/reads", ACCOUNT), pods("get"), True),
    (binding("b", "ClusterRole/reads", ACCOUNT), ANYWHERE, True),
    (binding("b", "ClusterRole/reads", ACCOUNT, namespace="shop"), pods("get"), True),
    (binding("b", "ClusterRole/reads", ACCOUNT, namespace="shop"), pods("get", namespace="bank"), False),
    (binding("b", "ClusterRole/reads", ACCOUNT, namespace="shop"), ANYWHERE, False),
    # A Role is that of the binding's namespace; a ClusterRoleBinding cannot have one.
    (binding("b", "Role/reads", ACCOUNT, namespace="bank"), pods("list", namespace="bank"), True),
    (binding("b", "Role/reads", ACCOUNT, namespace="bank"), pods("get", namespace="bank"), False),
    (binding("b", "Role/reads", ACCOUNT), pods("get"), False),
    (binding("b", "Role/gone", ACCOUNT, namespace="shop"), pods("get"), False),
    # No union over the rules of a role.
    (binding("b", "ClusterRole/split", ACCOUNT), pods("get"), False),
    (binding("b", "ClusterRole/aggregated", ACCOUNT), pods("get"), False),
    # URLs come by ClusterRoleBindings alone.
    (binding("b", "ClusterRole/urls", ACCOUNT), get("/metrics"), True),
    (binding("b", "ClusterRole/urls", ACCOUNT, namespace="shop"), get("/metrics"), False),
    # A namespace lies in itself.
    (
        binding("b", "ClusterRole/namespaces", ACCOUNT, namespace="shop"),
        Request("get", resource="namespaces", namespace="shop", name="shop"),
        True,
    ),
    # Subjects.
    (binding("b", "ClusterRole/reads", subject("User", WEB.user)), pods("get"), True),
    (binding("b", "ClusterRole/reads", subject("User", "web")), pods("get"), False),
    (binding("b", "ClusterRole/reads", subject("Group", "system:serviceaccounts")), pods("get"), True),
    (binding("b", "ClusterRole/reads", subject("Group", "system:serviceaccounts:shop")), pods("get"), True),
    (binding("b", "ClusterRole/reads", subject("Group", "system:serviceaccounts:bank")), pods("get"), False),
    (binding("b", "ClusterRole/reads", subject("Group", "system:authenticated")), pods("get"), True),
    (binding("b", "ClusterRole/reads", subject("Group", "system:unauthenticated")), pods("get"), False),
    (binding("b", "ClusterRole/reads", subject("Group", WEB.user)), pods("get"), False),
    (binding("b", "ClusterRole/reads", subject("ServiceAccount", "web")), pods("get"), False),
    (binding("b", "ClusterRole/reads", subject("ServiceAccount", "web"), namespace="shop"), pods("get"), True),
    (
        binding("b", "ClusterRole/reads", subject("ServiceAccount", "web"), namespace="bank"),
        pods("get", namespace="bank"),
        False,
    ),
    (binding("b", "ClusterRole/reads", ACCOUNT, namespace="bank"), pods("get", namespace="bank"), True),
    (binding("b", "ClusterRole/reads", subject("Robot", "web")), pods("get"), False),
    (binding("b", "ClusterRole/reads"), pods("get"), False),
]  # fmt: skip


@pytest.mark.parametrize(("bound", "request_", "allowed"), BINDINGS, ids=str)
def test_one_binding(bound: Tree, request_: Request, allowed: bool) -> None:
    narrow = "namespace" in bound["metadata"]
    given = rights(narrow=[bound]) if narrow else rights(wide=[bound])
    found = given.granting(WEB.user, WEB.groups, request_)
    assert found == ([Ref(bound["metadata"].get("namespace", ""), "b")] if allowed else [])


def test_every_binding_is_told_once_and_the_wide_ones_first() -> None:
    both = (subject("Group", "system:serviceaccounts"), ACCOUNT, subject("User", WEB.user))
    given = rights(
        wide=[binding("z", "ClusterRole/reads", *both), binding("no", "ClusterRole/split", *both)],
        narrow=[binding("a", "Role/reads", *both, namespace="shop")],
    )
    assert given.granting(WEB.user, WEB.groups, pods("get")) == [Ref("", "z"), Ref("shop", "a")]
    assert given.granting("alice", ["system:authenticated"], pods("get")) == []


def test_a_binding_is_named_as_people_say_it() -> None:
    assert str(Ref("", "wide")) == "ClusterRoleBinding wide"
    assert str(Ref("shop", "narrow")) == "RoleBinding narrow in shop"
