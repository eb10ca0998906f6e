"""Words become a question: who is meant, and which request the authorizer would see."""

import pytest

from podfacts.audit.asked import Who, asked, who
from podfacts.core.refusal import Refused
from podfacts.rights.request import Request

EVERYBODY = ("system:authenticated",)


@pytest.mark.parametrize(
    ("word", "user", "groups"),
    [
        (
            "system:serviceaccount:shop:web",
            "system:serviceaccount:shop:web",
            ("system:serviceaccounts", "system:serviceaccounts:shop", "system:authenticated"),
        ),
        ("user:alice", "alice", EVERYBODY),
        ("user:oidc:alice", "oidc:alice", EVERYBODY),
        ("user:system:anonymous", "system:anonymous", ("system:unauthenticated",)),
        (
            "user:system:serviceaccount:shop:web",
            "system:serviceaccount:shop:web",
            ("system:serviceaccounts", "system:serviceaccounts:shop", "system:authenticated"),
        ),
        ("group:dev", "", ("dev", "system:authenticated")),
        ("group:system:unauthenticated", "", ("system:unauthenticated",)),
        (
            "group:system:serviceaccounts:shop",
            "",
            ("system:serviceaccounts:shop", "system:serviceaccounts", "system:authenticated"),
        ),
    ],
)
def test_a_subject_is_in_the_groups_that_kubernetes_adds(
    word: str, user: str, groups: tuple[str, ...]
) -> None:
    assert who(word) == Who(user, groups)


def test_groups_can_be_added_and_none_is_there_twice() -> None:
    assert who("user:alice", ["dev", "dev", "system:authenticated"]).groups == ("dev", "system:authenticated")


@pytest.mark.parametrize(
    ("word", "says"),
    [
        ("alice", "write user:alice, or system:serviceaccount:NAMESPACE:alice"),
        ("shop/web", "write system:serviceaccount:shop:web"),
        ("system:serviceaccount:shop", "write system:serviceaccount:NAMESPACE:NAME"),
        ("system:serviceaccounts", "write group:system:serviceaccounts"),
        ("system:serviceaccounts:shop", "write group:system:serviceaccounts:shop"),
        ("system:anonymous", "write user:system:anonymous"),
        ("user:", "write system:serviceaccount:NAMESPACE:NAME, user:NAME or group:NAME"),
        ("robot:r2d2", "write system:serviceaccount:NAMESPACE:NAME, user:NAME or group:NAME"),
        ("", "write system:serviceaccount:NAMESPACE:NAME, user:NAME or group:NAME"),
    ],
)
def test_what_is_no_subject_is_refused_with_what_to_write(word: str, says: str) -> None:
    with pytest.raises(Refused, match=says):
        who(word)


@pytest.mark.parametrize(
    ("words", "request_"),
    [
        (("get", "pods"), Request("get", "", "pods", "", "shop")),
        (("get", "pods/log", "a"), Request("get", "", "pods", "log", "shop", "a")),
        (("patch", "deployments.apps/scale"), Request("patch", "apps", "deployments", "scale", "shop")),
        (("get", "nodes"), Request("get", "", "nodes")),
        (("get", "widgets.example.com"), Request("get", "example.com", "widgets", "", "shop")),
        (("get", "/metrics"), Request("get", path="/metrics")),
        (("*", "*.*"), Request("*", "*", "*", "", "shop")),
        (("impersonate", "users", "alice"), Request("impersonate", "", "users", name="alice")),
        (
            ("impersonate", "userextras.authentication.k8s.io/scopes", "x"),
            Request("impersonate", "authentication.k8s.io", "userextras", "scopes", name="x"),
        ),
        (
            ("approve", "signers.certificates.k8s.io", "a.io/b"),
            Request("approve", "certificates.k8s.io", "signers", name="a.io/b"),
        ),
        (
            ("create", "serviceaccounts/token", "web"),
            Request("create", "", "serviceaccounts", "token", "shop", "web"),
        ),
        # A namespace lies in itself, where its name is in the path.
        (("get", "namespaces", "b"), Request("get", "", "namespaces", "", "b", "b")),
        (("update", "namespaces/status", "b"), Request("update", "", "namespaces", "status", "b", "b")),
        (("list", "namespaces"), Request("list", "", "namespaces")),
        (("impersonate:user-info", "users"), Request("impersonate:user-info", "", "users")),
    ],
)
def test_words_become_the_request_that_the_authorizer_would_see(
    words: tuple[str, ...], request_: Request
) -> None:
    found = asked(*words, namespace="shop")
    assert found.request == request_
    assert found.warnings == ()


@pytest.mark.parametrize(
    ("words", "request_", "warns"),
    [
        (
            ("create", "pods", "a"),
            Request("create", "", "pods", "", "shop"),
            "the authorizer knows no name in a create",
        ),
        (
            ("deletecollection", "pods", "a"),
            Request("deletecollection", "", "pods", "", "shop"),
            "knows no name",
        ),
        (
            ("list", "pods", "a"),
            Request("list", "", "pods", "", "shop", "a"),
            "--field-selector metadata.name=a",
        ),
        (("list", "namespaces", "b"), Request("list", "", "namespaces", "", "", "b"), "--field-selector"),
        (("get", "nodes", "a"), Request("get", "", "nodes", "", "", "a"), "nodes lie in no namespace"),
        (("get", "/metrics"), Request("get", path="/metrics"), "a URL lies in no namespace"),
        (("get", "pods/web-0"), Request("get", "", "pods", "web-0", "shop"), "as in pods web-0"),
        (("exec", "pods"), Request("exec", "", "pods", "", "shop"), "asks for create pods/exec"),
        (("lst", "pods"), Request("lst", "", "pods", "", "shop"), "lst is no verb"),
        (("list", "/metrics"), Request("list", path="/metrics"), "list is no verb of a URL"),
        (("get", "*"), Request("get", "", "*", "", "shop"), "write *.*"),
        (
            ("get", "deploymnts.apps"),
            Request("get", "apps", "deploymnts", "", "shop"),
            "did you mean deployments.apps",
        ),
    ],
)
def test_what_is_asked_another_way_or_looks_wrong_is_said(
    words: tuple[str, ...], request_: Request, warns: str
) -> None:
    found = asked(*words, namespace="shop", given=True)
    assert found.request == request_
    assert any(warns in each for each in found.warnings), found.warnings


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("get", "deployments"), "write deployments.apps"),
        (("get", "pod"), "write pods"),
        (("get", "pods.v1"), "write pods"),
        (("get", "deployments.v1.apps"), "write deployments.apps"),
        (("get", "Pods"), "is no resource"),
        (("get", "pods log"), "is no resource"),
        (("", "pods"), "is no verb"),
        (("get", "/api/v1/pods"), "is the URL of a resource: ask for pods"),
        (("get", "/metrics?a=b"), "without a query"),
        (("get", "/metrics", "a"), "leave out a"),
        (("get", "pods", "a\nb"), "cannot be the name"),
    ],
)
def test_what_certainly_means_something_else_is_refused(words: tuple[str, ...], says: str) -> None:
    with pytest.raises(Refused, match=says):
        asked(*words, namespace="shop")


def test_whether_a_cluster_role_may_be_bound_is_asked_where_the_binding_would_be() -> None:
    what = "clusterroles.rbac.authorization.k8s.io"
    there, everywhere = (
        asked("bind", what, "edit", namespace="shop", given=each).request.namespace for each in (True, False)
    )
    assert (there, everywhere) == ("shop", "")
    assert not asked("bind", what, "edit", namespace="shop", given=True).warnings
    assert asked("get", what, "edit", namespace="shop", given=True).request.namespace == ""
