"""An audit log, event by event: whose call it was, what the authorizer saw, and what it said."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podfacts.rights.audit_log import Recorded, Unreadable, recorded
from podfacts.rights.request import Request
from tests.rights.events import USER, event, line

PODS = "/api/v1/namespaces/shop/pods"
POD: dict[str, Any] = {"resource": "pods", "namespace": "shop"}
IN = {"resource": "pods", "namespace": "shop"}


def read(*trees: Any) -> list[Recorded | Unreadable]:
    return list(recorded(line(each) for each in trees))


def requests(*trees: Any) -> list[Request]:
    found = []
    for each in read(*trees):
        assert isinstance(each, Recorded), each
        found.append(each.request)
    return found


def test_who_what_and_why() -> None:
    tree = event("get", f"{PODS}/a", **POD, name="a")
    assert read(tree) == [Recorded(USER, Request("get", **IN, name="a"), True, "why")]
    assert read(event("list", PODS, 403, **POD)) == [Recorded(USER, Request("list", **IN), False, "why")]


def test_the_decision_wins_and_without_it_the_code() -> None:
    # Admission says 403 to what the authorizer allowed.
    admission = event("create", PODS, 403, **POD)
    admission["annotations"]["authorization.k8s.io/decision"] = "allow"
    assert [each.allowed for each in read(admission) if isinstance(each, Recorded)] == [True]
    for code, allowed in ((200, True), (404, True), (401, False), (403, False)):
        bare = event("list", PODS, code, **POD, annotations=None)
        assert [each.allowed for each in read(bare) if isinstance(each, Recorded)] == [allowed]
    assert read(event("list", PODS, 429, **POD, annotations=None)) == []


def test_stages() -> None:
    stages = ("RequestReceived", "ResponseStarted", "ResponseComplete", "Panic")
    assert [len(read(event("list", PODS, **POD, stage=each))) for each in stages] == [0, 1, 1, 1]


def test_impersonation() -> None:
    tree = event("list", PODS, user="admin", **POD, impersonatedUser={"username": USER})
    assert read(tree) == [Recorded(USER, Request("list", **IN), True, "why", "admin")]


CASES = [
    # A plain create and a deletecollection have no name; a name and a namespace from the body count for nothing.
    (event("create", PODS, 201, **POD, name="made"), [Request("create", **IN)]),
    (event("create", "/api/v1/nodes", 201, resource="nodes", namespace="shop", name="n"), [Request("create", resource="nodes")]),
    (event("deletecollection", PODS, **POD, name="x"), [Request("deletecollection", **IN)]),
    # On a subresource the name is in the URL.
    (event("create", f"{PODS}/a/eviction", 201, **POD, name="a", subresource="eviction"), [Request("create", **IN, subresource="eviction", name="a")]),
    (event("list", f"{PODS}?fieldSelector=metadata.name%3Da", **POD, name="a"), [Request("list", **IN, name="a")]),
    (event("watch", f"{PODS}?watch=true", **POD), [Request("watch", **IN)]),
    # What was not there was created.
    (event("patch", f"{PODS}/a", 201, **POD, name="a"), [Request("patch", **IN, name="a"), Request("create", **IN, name="a")]),
    (event("update", f"{PODS}/a", 201, **POD, name="a"), [Request("update", **IN, name="a"), Request("create", **IN, name="a")]),
    (event("patch", f"{PODS}/a", 200, **POD, name="a"), [Request("patch", **IN, name="a")]),
    (event("patch", "/api/v1/namespaces/n", 201, resource="namespaces", namespace="n", name="n"),
     [Request("patch", resource="namespaces", name="n"), Request("create", resource="namespaces", name="n")]),
    (event("patch", "/api/v1/namespaces/n", 200, resource="namespaces", namespace="n", name="n"),
     [Request("patch", resource="namespaces", namespace="n", name="n")]),
    # A websocket needs create too.
    (event("get", f"{PODS}/a/exec?command=id", 101, **POD, name="a", subresource="exec"),
     [Request("get", **IN, subresource="exec", name="a"), Request("create", **IN, subresource="exec", name="a")]),
    (event("get", f"{PODS}/a/log", 200, **POD, name="a", subresource="log"), [Request("get", **IN, subresource="log", name="a")]),
    (event("get", "/apis/apps/v1/namespaces/shop/deployments/d", apiGroup="apps", resource="deployments", namespace="shop", name="d"),
     [Request("get", "apps", "deployments", "", "shop", "d")]),
    # No resource.
    (event("get", "/metrics?x=1"), [Request("get", path="/metrics")]),
    (event("post", "/logs/%2A"), [Request("post", path="/logs/*")]),
    (event("", PODS, 405, **POD), []),
]  # fmt: skip


@pytest.mark.parametrize(("tree", "expected"), CASES)
def test_what_the_authorizer_saw(tree: Any, expected: list[Request]) -> None:
    assert requests(tree) == expected


def test_a_websocket_that_was_denied_create() -> None:
    tree = event("get", f"{PODS}/a/exec", 403, **POD, name="a", subresource="exec")
    tree["annotations"]["authorization.k8s.io/decision"] = "allow"
    assert requests(tree) == [Request("get", **IN, subresource="exec", name="a")]


def test_lists_of_events_and_blank_lines() -> None:
    items = [event("list", PODS, **POD), event("get", "/metrics")]
    for each in items:
        del each["kind"], each["apiVersion"]
    tree = {"kind": "EventList", "apiVersion": "audit.k8s.io/v1", "items": items}
    found = list(recorded([b"\n", b"  \r\n", line(tree)]))
    assert len(found) == 2
    assert read({**tree, "items": None}) == []


UNREADABLE = [
    (b"{", "is no JSON, and an audit log has one event a line: "),
    (b"\xff\n", "is no JSON"),
    (b"[" * 100_000, "is no JSON"),
    (b"[]", "is no audit event: its apiVersion must be audit.k8s.io/v1"),
    (b'{"kind":"Pod","apiVersion":"v1"}', "is no audit event"),
    (b'{"kind":"Event","apiVersion":"audit.k8s.io/v1beta1"}', "must be an Event or EventList of audit.k8s.io/v1, not 'Event of audit.k8s.io/v1beta1'"),
    (b'{"kind":"Policy","apiVersion":"audit.k8s.io/v1"}', "must be an Event or EventList of audit.k8s.io/v1, not 'Policy of"),
    (b'{"kind":"Event","apiVersion":"audit.k8s.io/v1"}', "is no whole Event of audit.k8s.io/v1"),
    (line({**event("get", PODS, **POD), "user": 1}), "is no whole Event"),
    (line({**event("get", PODS, **POD), "verb": 1}), "is no whole Event"),
    (line({**event("get", PODS, **POD), "user": {"username": 1}}), "is no whole Event"),
    (line({**event("get", PODS, **POD), "objectRef": {"resource": 1}}), "is no whole Event"),
    (line({**event("get", PODS), "requestURI": None}), "is no whole Event"),
    (b'{"kind":"EventList","apiVersion":"audit.k8s.io/v1","items":[1]}', "is no whole EventList"),
    (b'{"kind":"EventList","apiVersion":"audit.k8s.io/v1","items":3}', "is no whole EventList"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "reason"), UNREADABLE, ids=[each[1] for each in UNREADABLE])
def test_what_is_no_audit_event_is_told_by_line(text: bytes, reason: str) -> None:
    (found,) = recorded([b"\n", text])
    assert isinstance(found, Unreadable)
    assert found.line == 2
    assert found.reason.startswith(reason)


def test_about_one_user_of_the_others_only_that_they_are_there() -> None:
    log = [
        event("list", PODS, **POD),
        *(event("list", PODS, user=user, **POD) for user in ("other", "other", "another", USER)),
        event("get", f"{PODS}/a", user="other", **POD, name="a", impersonatedUser={"username": USER}),
        event("list", PODS, user="late", **POD, stage="RequestReceived"),
        event("list", PODS, user="late", **POD),
    ]
    lines = [line(each).replace(b'": ', b'":') for each in log]  # As Go writes it.
    found = [each.user for each in recorded(lines, USER) if isinstance(each, Recorded)]
    assert found == [USER, "other", "another", USER, USER, "late"]
    (broken,) = recorded([b"{\n"], USER)
    assert isinstance(broken, Unreadable)


VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(0, 500), st.text(max_size=5), st.just(USER)),
    lambda inner: st.one_of(st.lists(inner, max_size=2), st.dictionaries(st.sampled_from(["username", "code", "name"]), inner)),
    max_leaves=4,
)  # fmt: skip
FIELDS = [
    "verb",
    "requestURI",
    "user",
    "objectRef",
    "stage",
    "annotations",
    "responseStatus",
    "impersonatedUser",
    "kind",
    "apiVersion",
]


@given(st.dictionaries(st.sampled_from(FIELDS), VALUES, max_size=3))
def test_whatever_a_line_says_is_told_or_read(changed: dict[str, Any]) -> None:
    for each in recorded([line({**event("list", PODS, **POD), **changed})]):
        if isinstance(each, Recorded):
            assert isinstance(each.user + each.impersonator + str(each.request), str)
        else:
            assert each.reason.isprintable()
