"""The words of the command line: what they ask for, and what to write instead of those that ask for nothing."""

import pytest

from podfacts.core.refusal import Refused
from podfacts.rights import wanted
from podfacts.rights.request import Account, Request


def asked(word: str, *names: str, watch: bool = False) -> list[str]:
    return [str(each) for each in wanted.reads(word, names, "shop", watch=watch)]


def test_read_and_watch() -> None:
    assert asked("pods") == ["get pods in shop", "list pods in shop"]
    assert asked("pods", "a", "b") == ["get pods a in shop", "get pods b in shop"]
    assert asked("pods", watch=True) == ["get pods in shop", "list pods in shop", "watch pods in shop"]
    assert asked("pods", "a", watch=True) == [
        "get pods a in shop",
        "list pods a in shop",
        "watch pods a in shop",
    ]
    assert asked("pods/log", "a") == ["get pods/log a in shop"]
    assert asked("deployments.apps/scale") == ["get deployments.apps/scale in shop"]


def test_the_place() -> None:
    assert asked("nodes", "n") == ["get nodes n"]
    assert asked("clusterroles.rbac.authorization.k8s.io") == [
        f"{verb} clusterroles.rbac.authorization.k8s.io" for verb in ("get", "list")
    ]
    # A namespace lies in itself.
    assert asked("namespaces", "other") == ["get namespaces other in other"]
    assert asked("namespaces") == ["get namespaces", "list namespaces"]
    # But nobody lists or watches from inside of it.
    assert asked("namespaces", "other", watch=True) == [
        "get namespaces other in other",
        "list namespaces other",
        "watch namespaces other",
    ]
    # Nobody can know a custom resource: most lie in namespaces.
    assert asked("widgets.example.com") == [f"{verb} widgets.example.com in shop" for verb in ("get", "list")]


def test_urls_and_accounts() -> None:
    assert wanted.url("/metrics") == Request("get", path="/metrics")
    assert wanted.url("/logs/a%20b") == Request("get", path="/logs/a b")
    assert wanted.account("shop/web.v1") == Account("shop", "web.v1")


@pytest.mark.parametrize(
    ("word", "sentence"),
    [
        ("pod", "pod: is no resource: write pods"),
        ("pod/log", "pod/log: is no resource: write pods/log"),
        ("ingress", "ingress: is in the group networking.k8s.io: write ingresses.networking.k8s.io"),
        ("networkpolicy.networking.k8s.io", "write networkpolicies.networking.k8s.io"),
        ("deployment", "deployment: is in the group apps: write deployments.apps"),
        ("deployments", "deployments: is in the group apps: write deployments.apps"),
        ("deployment.apps", "is no resource: write deployments.apps"),
        ("pods.apps", "pods.apps: is in the group core: write pods"),
        ("pods.v1", "pods.v1: v1 is a version: write pods"),
        ("deployments.v1.apps/scale", "v1 is a version: write deployments.apps/scale"),
        ("deployments.v1", "v1 is a version: write deployments.apps"),
        ("widgets.v1beta2", "v1beta2 is a version: write widgets.GROUP"),
        ("confgmaps", "is no resource of the core group that can be read: did you mean configmaps?"),
        ("po", "is no resource of the core group that can be read: "),
        ("bindings", "is no resource of the core group that can be read: "),
        ("Pods", "'Pods' is no resource: write RESOURCE[.GROUP][/SUB], such as pods or deployments.apps"),
        ("*", "'*' is no resource"),
        ("", "'' is no resource"),
        ("pods/exec", "pods/exec: exec is more than reading: grant it by a Role of your own"),
        ("services/proxy", "proxy is more than reading"),
    ],
)
def test_what_to_write_instead_of_a_resource(word: str, sentence: str) -> None:
    with pytest.raises(Refused) as refused:
        asked(word)
    assert sentence in refused.value.reason


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a%", "a\nb"])
def test_no_name_of_an_object(name: str) -> None:
    with pytest.raises(Refused, match="cannot be the name of an object"):
        asked("pods", name)


def test_a_subresource_is_not_watched() -> None:
    with pytest.raises(Refused, match="a subresource cannot be watched: use --read"):
        asked("pods/status", watch=True)


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        ("metrics", "'metrics' is no path: write it from its /, without a query, such as /metrics"),
        ("/metrics?a=b", "is no path"),
        ("/logs/*", "/logs/*: would be every path that begins so: write each path that is needed"),
        ("/logs/%2A", "would be every path"),
        ("/api/v1/pods", "/api/v1/pods: is the URL of a resource: use --read"),
        ("/api/v1/watch", "is the URL of a resource"),
    ],
)
def test_no_url(path: str, sentence: str) -> None:
    with pytest.raises(Refused) as refused:
        wanted.url(path)
    assert sentence in refused.value.reason


@pytest.mark.parametrize(
    "word",
    [
        "web",
        "/web",
        "shop/",
        "Shop/web",
        "shop/-web",
        "shop/a..b",
        "x" * 64 + "/web",
        "shop/" + "x" * 254,
        "shop/web\n",
    ],
)
def test_no_account(word: str) -> None:
    with pytest.raises(Refused):
        wanted.account(word)
