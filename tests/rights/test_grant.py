"""The least rules: what was asked for is in them, nothing else is, and nothing can be taken away."""

import itertools
from dataclasses import replace
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from podfacts.rights.everyone import everyone_may
from podfacts.rights.grant import grants, left_out, text
from podfacts.rights.request import Account, Request
from tests.rights.reductions import smaller

WEB = Account("shop", "web")


def pods(
    verb: str, name: str = "", namespace: str = "shop", resource: str = "pods", sub: str = ""
) -> Request:
    return Request(verb, "", resource, sub, namespace, name)


def rules(*requests: Request, as_named: tuple[Request, ...] = ()) -> list[Any]:
    """The rules of each Role, as short as they can be told."""
    return [
        [
            "{}: {}{}".format(
                " ".join(rule["verbs"]),
                " ".join(rule.get("nonResourceURLs") or [f"{each}.{rule['apiGroups'][0]}".rstrip(".") for each in rule["resources"]]),
                " = " + " ".join(rule["resourceNames"]) if "resourceNames" in rule else "",
            )
            for rule in tree["rules"]
        ]
        for tree in grants(WEB, requests, as_named)
        if "rules" in tree
    ]  # fmt: skip


def test_requests_of_equal_verbs_share_a_rule() -> None:
    both = [pods(verb, resource=each) for verb in ("list", "get") for each in ("services", "pods")]
    assert rules(*both) == [["get list: pods services"]]
    assert rules(*both, pods("watch")) == [["get list watch: pods", "get list: services"]]
    assert rules(pods("get"), replace(pods("get"), group="apps")) == [["get: pods", "get: pods.apps"]]


def test_names_share_a_rule_only_with_equal_verbs() -> None:
    assert rules(pods("get", "a"), pods("get", "b")) == [["get: pods = a b"]]
    assert rules(pods("get", "a"), pods("get", "b"), pods("delete", "b")) == [
        ["get: pods = a", "get delete: pods = b"]
    ]
    assert rules(pods("get", "a"), pods("get", "a", resource="services")) == [
        ["get: pods = a", "get: services = a"]
    ]


def test_what_is_covered_is_not_said_again() -> None:
    assert rules(pods("get"), pods("get", "a"), pods("delete", "a")) == [["get: pods", "delete: pods = a"]]
    assert rules(pods("list"), pods("list", namespace="")) == [["list: pods"]]
    assert rules(pods("list", "a"), pods("list", "a", namespace="")) == [["list: pods = a"]]
    assert rules(pods("list", "a"), pods("list", namespace="")) == [["list: pods"]]
    assert rules(pods("list"), pods("watch", namespace="")) == [["list: pods"], ["watch: pods"]]


def test_list_is_no_watch_and_a_subresource_its_own() -> None:
    assert rules(pods("list"), pods("get", "a", sub="log"), pods("create", "a", sub="exec")) == [
        ["list: pods", "create: pods/exec = a", "get: pods/log = a"]
    ]


def test_what_everyone_may_is_not_granted() -> None:
    review = Request("create", "authorization.k8s.io", "selfsubjectaccessreviews")
    assert grants(WEB, [review, Request("get", path="/apis/apps"), Request("get", path="/healthz")]) == []
    assert rules(Request("head", path="/healthz"), Request("get", path="/healthz/ping")) == [
        ["head: /healthz", "get: /healthz/ping"]
    ]


@pytest.mark.parametrize(
    "request_",
    [
        Request("get", path="/logs/*"),
        Request("*", path="/logs"),
        Request("*", "", "pods", "", "shop"),
        Request("get", "*", "pods", "", "shop"),
        Request("get", "", "*", "", "shop"),
        Request("get", "", "*", "scale", "shop", "x"),
        Request("get", "", "", "", "shop", "x"),
        Request("get", "", "pods", "", "shop", "\udcff"),
    ],
)
def test_what_a_rule_would_say_otherwise_is_left_out(request_: Request) -> None:
    assert grants(WEB, [request_]) == []
    (note,) = left_out([request_])
    assert note.startswith("Not granted, for no rule can say it and nothing more: ")


def test_a_star_as_a_name_is_only_a_name() -> None:
    assert rules(pods("get", "*"), Request("get", path="/a*b")) == [["get: pods = *"], ["get: /a*b"]]


NAMES = [
    ("", "pods", "web-7d9f8b6c5-x2x4z", True),
    ("", "pods", "web-0", False),
    ("", "pods", "web-nginx", False),
    ("", "pods", "web-a1b2c", False),
    ("", "secrets", "web-x2x4z", False),
    ("apps", "replicasets", "web-7d9f8b6c5", True),
    ("apps", "deployments", "web-7d9f8b6c5", False),
    ("apps", "controllerrevisions", "web-59c7d5bd4b", True),
    ("batch", "jobs", "backup-28384756", True),
    ("batch", "jobs", "backup-2838475", False),
    ("batch", "jobs", "backup-x2x4z", True),
    ("batch", "cronjobs", "backup-28384756", False),
    ("discovery.k8s.io", "endpointslices", "web-x2x4z", True),
    ("", "events", "web.17a3f00d0badcafe", True),
    ("", "events", "web", False),
    ("metrics.k8s.io", "pods", "web-7d9f8b6c5-x2x4z", True),
]  # fmt: skip


@pytest.mark.parametrize(("group", "resource", "name", "made_up"), NAMES)
def test_names_that_do_not_hold(group: str, resource: str, name: str, made_up: bool) -> None:
    request = Request("get", group, resource, "", "shop", name)
    word = resource + (f".{group}" if group else "")
    assert rules(request) == [[f"get: {word}" if made_up else f"get: {word} = {name}"]]
    assert rules(request, as_named=(request,)) == [[f"get: {word} = {name}"]]
    noted = [f"get {word} in shop: any name, for the next rollout will have others than {name}"]
    assert left_out([request]) == (noted if made_up else [])
    assert left_out([request], [request]) == []


def test_many_names_are_told_as_some() -> None:
    (note,) = left_out(pods("get", f"web-7d9f8b6c5-x2x4{each}") for each in "bcdfg")
    assert note.endswith(
        "others than web-7d9f8b6c5-x2x4b, web-7d9f8b6c5-x2x4c, web-7d9f8b6c5-x2x4d and 2 more"
    )


def test_whose_and_where() -> None:
    asked = [
        pods("get"),
        pods("get", namespace="other"),
        pods("list", namespace=""),
        Request("get", path="/metrics"),
    ]
    found = [
        (each["kind"], each["metadata"]["name"], each["metadata"].get("namespace"))
        for each in grants(WEB, asked)
    ]
    assert found == [
        ("Role", "podfacts:shop:web", "other"),
        ("RoleBinding", "podfacts:shop:web", "other"),
        ("Role", "podfacts-web", "shop"),
        ("RoleBinding", "podfacts-web", "shop"),
        ("ClusterRole", "podfacts:shop:web", None),
        ("ClusterRoleBinding", "podfacts:shop:web", None),
    ]
    for each in grants(WEB, asked)[1::2]:
        assert each["subjects"] == [{"kind": "ServiceAccount", "name": "web", "namespace": "shop"}]
        assert each["roleRef"] == {
            "apiGroup": "rbac.authorization.k8s.io",
            "kind": each["kind"].removesuffix("Binding"),
            "name": each["metadata"]["name"],
        }


def test_no_two_accounts_share_an_object() -> None:
    asked = [pods("get", namespace=each) for each in ("shop", "other", "")]
    keys = [
        (each["kind"], each["metadata"]["name"], each["metadata"].get("namespace"))
        for account in (WEB, Account("other", "web"), Account("shop", "other-web"))
        for each in grants(account, asked)
    ]
    assert len(keys) == len(set(keys))


WORDS = st.sampled_from(
    [
        "a",
        "b",
        "yes",
        "1.0",
        "web-7d9f8b6c5-x2x4z",
        'q"\\',
        "é",
        "x: y",
        "#",
        "\n- z",
        "\x85",
        "*",
        "~",
        "on",
        "null",
        "0x1f",
        "1e3",
    ]
)
REQUESTS = st.one_of(
    st.builds(Request, st.sampled_from(["get", "list", "watch", "delete"]), st.sampled_from(["", "apps"]), st.sampled_from(["pods", "services"]),
              st.sampled_from(["", "status"]), st.sampled_from(["", "shop", "other"]), st.one_of(st.just(""), WORDS)),
    st.builds(lambda verb, word: Request(verb, path=f"/{word}"), st.sampled_from(["get", "post"]), WORDS),
)  # fmt: skip


def allows(tree: dict[str, Any], request: Request) -> bool:
    """One rule of one object, as rbac.go decides."""
    if tree["metadata"].get("namespace", request.namespace) != request.namespace:
        return False
    resource = request.resource + (f"/{request.subresource}" if request.subresource else "")
    for rule in tree.get("rules", ()):
        if request.verb not in rule["verbs"]:
            continue
        if request.path and any(_url(each, request.path) for each in rule.get("nonResourceURLs", ())):
            return True
        named = request.name in rule.get("resourceNames", [request.name])
        if (
            not request.path
            and request.group in rule.get("apiGroups", ())
            and resource in rule["resources"]
            and named
        ):
            return True
    return False


def _url(written: str, path: str) -> bool:
    return written == path or (written.endswith("*") and path.startswith(written.rstrip("*")))


@given(st.lists(REQUESTS, max_size=12))
def test_exactly_what_was_asked(requests: list[Request]) -> None:
    objects = grants(WEB, requests, requests)
    sayable = [each for each in requests if not each.path.endswith("*")]
    assert all(any(allows(tree, each) for tree in objects) for each in sayable if not everyone_may(each))
    for less in smaller(objects):
        assert not all(any(allows(tree, each) for tree in less) for each in sayable if not everyone_may(each))
    # Nothing beyond: whatever is allowed is covered by a request that was made.
    kinds = {(each.group, each.resource, each.subresource) for each in sayable if not each.path}
    names = {each.name for each in sayable}
    for verb, kind, namespace, name in itertools.product(
        ("get", "list", "watch", "delete"), kinds, ("", "shop", "other"), names | {"", "new"}
    ):
        request = Request(verb, *kind, namespace, name)
        if any(allows(tree, request) for tree in objects):
            wider = {replace(request, name=n, namespace=s) for n in ("", name) for s in ("", namespace)}
            assert wider & set(sayable)


@given(st.lists(REQUESTS, max_size=12), st.lists(st.text(max_size=8), max_size=3))
def test_the_text_means_the_objects_and_order_means_nothing(
    requests: list[Request], heading: list[str]
) -> None:
    objects = grants(WEB, requests)
    written = text(objects, heading)
    assert [each for each in yaml.safe_load_all(written) if each] == objects
    assert text(grants(WEB, reversed(requests)), heading) == written
    assert all(line == line.rstrip() or "#" in line for line in written.splitlines())
