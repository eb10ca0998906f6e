"""Every printed grant on a real API server: enough for each recorded call, and without any one word too little."""

import http.client
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from podfacts.core.resources import BUILT_IN
from podfacts.rights.audit_log import Recorded, recorded
from podfacts.rights.everyone import EVERYONES_REVIEWS, EVERYONES_URLS
from podfacts.rights.request import Request
from tests.cluster import Cluster
from tests.e2e.api import Api
from tests.e2e.conftest import wait_for
from tests.e2e.grantee import APPLY, RBAC, Call, Grantee, audited, grantee
from tests.e2e.kubectl_proxy import proxying
from tests.rights.test_urls import CASES as URLS

pytestmark = pytest.mark.api

WIDE = [
    {"apiGroups": ["", "apps", "authorization.k8s.io"], "resources": [
        "pods", "pods/log", "pods/status", "pods/exec", "pods/eviction", "configmaps", "services", "namespaces",
        "nodes", "events", "serviceaccounts/token", "deployments", "deployments/scale", "selfsubjectaccessreviews",
    ], "verbs": ["*"]},
    {"nonResourceURLs": ["*"], "verbs": ["*"]},
]  # fmt: skip
MADE_UP = "web-7d9f8b6c5-x2x4z"
MAP = {"apiVersion": "v1", "kind": "ConfigMap"}


@pytest.fixture
def web(cluster: Cluster, api: Api, request: pytest.FixtureRequest) -> Iterator[Grantee]:
    number = request.session.items.index(request.node)
    with grantee(cluster, api, f"grants-{os.getpid()}-{number}", "web.v1") as found:
        yield found


def printed(web: Grantee, *words: str) -> tuple[str, str]:
    """What the command says on stdout and stderr."""
    command = [sys.executable, "-m", "podfacts", "grant", "--to", str(web.account), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return done.stdout, done.stderr


def recorded_calls(here: str, there: str) -> list[Call]:
    """One of each kind that there is; each can be made again, and has the same answer then."""
    own, maps = f"/api/v1/namespaces/{here}", f"/api/v1/namespaces/{here}/configmaps"
    deployments = f"/apis/apps/v1/namespaces/{here}/deployments"

    def asks(verb: str, word: str, name: str = "", namespace: str = here) -> Request:
        kind, _, sub = word.partition("/")
        kind, _, group = kind.partition(".")
        return Request(verb, group, kind, sub, namespace, name)

    review = {"spec": {"resourceAttributes": {"verb": "list", "resource": "pods"}}}
    metadata = {"name": "applied", "namespace": here}
    return [
        Call("GET", f"{own}/pods", 200, (asks("list", "pods"),)),
        Call("GET", f"{own}/pods/{MADE_UP}", 404, (asks("get", "pods", MADE_UP), asks("get", "pods", "web-7d9f8b6c5-zzzzz"))),
        Call("GET", f"{own}/pods/web-0/log", 404, (asks("get", "pods/log", "web-0"),)),
        Call("GET", f"{own}/pods/web-0/exec?command=id&stdout=1", 404, (asks("get", "pods/exec", "web-0"), asks("create", "pods/exec", "web-0"))),
        Call("PATCH", f"{own}/pods/web-0/status", 404, (asks("patch", "pods/status", "web-0"),), {}, {"Content-Type": "application/merge-patch+json"}),
        Call("POST", f"{own}/pods/web-0/eviction", 404, (asks("create", "pods/eviction", "web-0"),), {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "web-0"}}),
        Call("GET", f"{deployments}?watch=1&timeoutSeconds=1", 200, (asks("watch", "deployments.apps"),)),
        Call("GET", f"{own}/services?fieldSelector=metadata.name%3Dshop", 200, (asks("list", "services", "shop"),)),
        Call("GET", f"{own}/services?watch=1&timeoutSeconds=1&fieldSelector=metadata.name%3Dbasket", 200, (asks("watch", "services", "basket"),)),
        Call("PATCH", f"{maps}/applied?fieldManager=test", 201, (asks("patch", "configmaps", "applied"), asks("create", "configmaps", "applied")), {**MAP, "metadata": metadata}, APPLY),
        Call("PUT", f"{maps}/applied", 200, (asks("update", "configmaps", "applied"),), {**MAP, "metadata": metadata, "data": {"a": "b"}}),
        Call("DELETE", f"{maps}/applied", 200, (asks("delete", "configmaps", "applied"),)),
        Call("DELETE", maps, 200, (asks("deletecollection", "configmaps"),)),
        Call("GET", f"{deployments}/web", 404, (asks("get", "deployments.apps", "web"),)),
        Call("GET", f"{deployments}/api", 404, (asks("get", "deployments.apps", "api"),)),
        Call("GET", f"{deployments}/web/scale", 404, (asks("get", "deployments.apps/scale", "web"),)),
        Call("POST", f"{own}/serviceaccounts/web.v1/token", 201, (asks("create", "serviceaccounts/token", "web.v1"),), {"spec": {"audiences": ["x"]}}),
        Call("GET", own, 200, (asks("get", "namespaces", here),)),
        Call("GET", f"/api/v1/namespaces/{there}", 200, (asks("get", "namespaces", there, there),)),
        Call("POST", f"/api/v1/namespaces/{there}/configmaps", 201, (asks("create", "configmaps", "", there),), {**MAP, "metadata": {"generateName": "made-"}}),
        Call("GET", "/api/v1/nodes?limit=1", 200, (asks("list", "nodes", "", ""),)),
        Call("GET", "/api/v1/events?limit=1", 200, (asks("list", "events", "", ""), asks("list", "events"))),
        # Covered by the one before, so not a word of its own.
        Call("GET", f"{own}/events?limit=1", 200, (asks("list", "events"),)),
        Call("GET", "/metrics", 200, (Request("get", path="/metrics"),)),
        Call("HEAD", "/metrics", 200, (Request("head", path="/metrics"),)),
        Call("GET", "/logs/a%20%22b%C3%A9:%20x", 404, (Request("get", path='/logs/a "bé: x'),)),
        # Everyone may do these.
        Call("GET", "/version", 200, (Request("get", path="/version"),)),
        Call("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", 201, (), review),
    ]  # fmt: skip


def beyond(here: str, there: str) -> list[Request]:
    """What was not done, and so must not be allowed."""
    return [
        *(Request(verb, resource="secrets", namespace=here) for verb in ("get", "list", "watch")),
        *(Request(verb, resource="pods", namespace=here) for verb in ("watch", "create", "delete", "patch")),
        Request("list", resource="pods"),
        Request("list", resource="pods", namespace=there),
        Request("get", "", "pods", "log", here, "web-1"),
        Request("create", "", "pods", "exec", here, "web-1"),
        Request("create", "", "pods", "attach", here, "web-0"),
        Request("list", "", "services", "", here),
        Request("watch", "", "services", "", here),
        Request("watch", "", "services", "", here, "shop"),
        Request("create", "", "configmaps", "", here),
        Request("create", "", "configmaps", "", here, "other"),
        Request("delete", "", "configmaps", "", here, "other"),
        Request("get", "", "configmaps", "", there, "made-x"),
        Request("list", "apps", "deployments", "", here),
        Request("get", "apps", "deployments", "", here, "other"),
        Request("create", "", "serviceaccounts", "token", here, "default"),
        Request("list", resource="namespaces"),
        Request("get", "", "nodes", "", "", "n"),
        Request("watch", resource="nodes"),
        Request("watch", resource="events"),
        Request("get", path="/logs/"),
        Request("get", path="/metrics/slis"),
        Request("post", path="/metrics"),
    ]


def test_an_audit_log(web: Grantee, cluster: Cluster, tmp_path: Path) -> None:
    here, there = web.account.namespace, web.other
    calls = recorded_calls(here, there)
    forbidden = [
        Call("GET", f"/api/v1/namespaces/{here}/secrets", 403, ()),
        Call("GET", "/api/v1/secrets", 403, ()),
    ]
    start = cluster.audit_log.stat().st_size
    with web.widely_allowed(WIDE):
        for each in (*calls, *forbidden):
            assert web.sends(each) == each.status, each
    log = audited(cluster, start, web.account.user, len(calls) + len(forbidden), tmp_path / "audit.log")
    text, warnings = printed(web, "--from-audit-log", str(log))
    assert (
        warnings
        == f"warning: 2 requests were denied to {web.account}, and not granted: list secrets, list secrets in {here}\n"
    )
    assert f"# get pods in {here}: any name, for the next rollout will have others than {MADE_UP}\n" in text
    # A log of an account that may do nothing yet.
    assert web.sends(calls[0]) == 403
    granted = [request for each in calls for request in each.asks]
    with web.applied(text) as objects:
        wait_for(lambda: not web.denied(granted), 10)
        for each in calls:
            assert web.sends(each) == each.status, each
        allowed = [str(each) for each in beyond(here, there) if web.may(each)]
        assert not allowed
        needed = [each for each in granted if each != Request("get", path="/version")]
        assert web.needs_every_word(objects, needed) > 60
        for each in forbidden:
            assert web.sends(each) == 403


DECLARED = [
    (("--read", "pods"), ["get pods", "get pods x", "list pods"], ["watch pods", "get secrets", "get pods/log x"]),
    (("--read", "pods", "--name", "x"), ["get pods x"], ["list pods", "list pods x", "get pods y"]),
    (("--read", "pods", "--name", MADE_UP), [f"get pods {MADE_UP}"], ["get pods x"]),
    (("--watch", "pods"), ["get pods", "list pods", "watch pods"], ["delete pods x"]),
    (("--watch", "pods", "--name", "x"), ["get pods x", "list pods x", "watch pods x"], ["watch pods", "list pods"]),
    (("--read", "pods/log", "--read", "services", "--watch", "deployments.apps"),
     ["get pods/log x", "get services x", "list services", "get deployments.apps x", "list deployments.apps", "watch deployments.apps"],
     ["get pods x", "watch services", "list pods/log"]),
]  # fmt: skip


def asked(words: str, namespace: str) -> Request:
    verb, kind, *name = words.split()
    kind, _, sub = kind.partition("/")
    resource, _, group = kind.partition(".")
    return Request(verb, group, resource, sub, namespace, *name)


@pytest.mark.parametrize("elsewhere", [False, True])
def test_what_is_declared(web: Grantee, elsewhere: bool) -> None:
    place, apart = (web.other, web.account.namespace) if elsewhere else (web.account.namespace, web.other)
    for words, allowed, not_allowed in DECLARED:
        text, warnings = printed(web, *words, *(("-n", place) if elsewhere else ()))
        assert not warnings
        requests = [asked(each, place) for each in allowed]
        with web.applied(text) as objects:
            wait_for(lambda: not web.denied(requests), 10)  # noqa: B023 - called here
            assert web.needs_every_word(objects, requests)
            others = [asked(each, place) for each in not_allowed]
            others += [asked(each, where) for each in allowed for where in (apart, "")]
            assert len(web.denied(others)) == len(others)
        wait_for(lambda: len(web.denied(requests)) == len(requests), 10)  # noqa: B023


def test_what_is_declared_for_the_cluster(web: Grantee) -> None:
    words = ("--read", "nodes", "--read", "namespaces", "--url", "/metrics", "--url", "/logs/a%20b")
    text, _ = printed(web, *words)
    requests = [Request(verb, resource=each) for verb in ("get", "list") for each in ("nodes", "namespaces")]
    requests += [Request("get", path=each) for each in ("/metrics", "/logs/a b")]
    with web.applied(text) as objects:
        wait_for(lambda: not web.denied(requests), 10)
        assert web.needs_every_word(objects, requests) == 8
        others = [
            Request("watch", resource="nodes"),
            Request("get", path="/logs"),
            Request("head", path="/metrics"),
        ]
        assert len(web.denied(others)) == 3
    # One namespace is in itself, so no ClusterRole is needed for it.
    text, _ = printed(web, "--read", "namespaces", "--name", web.other)
    requests = [Request("get", "", "namespaces", "", web.other, web.other)]
    with web.applied(text) as objects:
        assert [each["kind"] for each in objects] == ["Role", "RoleBinding"]
        wait_for(lambda: not web.denied(requests), 10)
        assert web.sends(Call("GET", f"/api/v1/namespaces/{web.other}", 200, ())) == 200
        assert web.sends(Call("GET", f"/api/v1/namespaces/{web.account.namespace}", 403, ())) == 403


def test_an_ambassadors_log(web: Grantee, cluster: Cluster, tmp_path: Path) -> None:
    here = web.account.namespace
    calls = [each for each in recorded_calls(here, web.other) if "/exec" not in each.url]
    forbidden = Call("GET", f"/api/v1/namespaces/{here}/secrets", 403, ())
    with proxied(web, cluster, tmp_path) as (url, log):
        with web.widely_allowed(WIDE):
            for each in (*calls, forbidden):
                assert web.sends(each, url) == each.status, each
            # A HEAD of a list is asked for as the list, and then not answered.
            head = Call("HEAD", f"/api/v1/namespaces/{here}/pods", 405, ())
            assert web.sends(head, url) == head.status
        wait_for(lambda: b"/secrets" in log.read_bytes(), 5)
        recorded = tmp_path / "ambassador.log"
        recorded.write_bytes(log.read_bytes())
    text, warnings = printed(web, "--from-ambassador-log", str(recorded))
    assert (
        warnings
        == f"warning: 1 request was denied to {web.account}, and not granted: list secrets in {here}\n"
    )
    granted = [request for each in calls for request in each.asks]
    with web.applied(text) as objects:
        wait_for(lambda: not web.denied(granted), 10)
        for each in calls:
            assert web.sends(each) == each.status, each
        assert len(web.denied(beyond(here, web.other))) == len(beyond(here, web.other))
        assert web.needs_every_word(objects, [each for each in granted if each.path != "/version"]) > 50


@contextmanager
def proxied(web: Grantee, cluster: Cluster, folder: Path) -> Iterator[tuple[str, Path]]:
    """A real kubectl proxy as the account, with the ambassador's log flags: its URL, and its log."""
    config: dict[str, Any] = yaml.safe_load(cluster.kubeconfig.read_text())
    config["users"][0]["user"] = {"token": web.token}
    kubeconfig = folder / "kubeconfig"
    kubeconfig.write_text(yaml.safe_dump(config))
    flags = ("--accept-paths=^.*", "--vmodule=round_trippers=6")
    with proxying(cluster, folder, *flags, kubeconfig=kubeconfig) as found:
        yield found


def test_urls_are_read_as_the_api_server_reads_them(web: Grantee, cluster: Cluster, tmp_path: Path) -> None:
    """The cases of the unit test, sent as they are: what the real authorizer was asked stands in the audit log."""
    start, asked = cluster.audit_log.stat().st_size, []
    context = web.api._pool.connection_pool_kw["ssl_context"]
    host, port = web.api.server.removeprefix("https://").split(":")
    for method, url, request in URLS:
        target = re.sub("^https://[^/]*", "", url) or "/"
        if request is None or not str(request).isascii():
            continue  # Nothing to compare: it is refused, or the log cannot hold it.
        connection = http.client.HTTPSConnection(host, int(port), context=context, timeout=10)
        connection.request(method, target, headers={"Authorization": f"Bearer {web.token}"})
        connection.getresponse().close()
        connection.close()
        asked.append(request)
    log = audited(cluster, start, web.account.user, len(asked), tmp_path / "audit.log")
    # Of a watch or a proxied call there are two stages.
    answers = [each for each in log.read_bytes().splitlines() if b'"stage":"ResponseComplete"' in each]
    told = [each for each in recorded(answers) if isinstance(each, Recorded)]
    assert [each.request for each in told if each.user == web.account.user] == asked


def test_everyones_rights_are_those_of_the_real_roles(api: Api) -> None:
    names = ("basic-user", "discovery", "public-info-viewer", "service-account-issuer-discovery")
    urls: set[str] = set()
    reviews: set[tuple[str, str]] = set()
    for name in names:
        for rule in api.call("GET", f"{RBAC}/clusterroles/system:{name}").body["rules"]:
            if "nonResourceURLs" in rule:
                assert rule["verbs"] == ["get"]
                urls.update(rule["nonResourceURLs"])
            else:
                assert rule["verbs"] == ["create"]
                reviews.update((group, each) for group in rule["apiGroups"] for each in rule["resources"])
    assert (urls, reviews) == (set(EVERYONES_URLS), set(EVERYONES_REVIEWS))
    # And no other role is everybody's.
    everyone = {"system:authenticated", "system:serviceaccounts"}
    bound = {
        each["roleRef"]["name"]
        for each in api.call("GET", f"{RBAC}/clusterrolebindings").body["items"]
        for subject in each.get("subjects", ())
        if subject["name"] in everyone
        and each["metadata"].get("labels", {}).get("kubernetes.io/bootstrapping")
    }
    assert bound == {f"system:{name}" for name in names}


def test_the_built_in_resources_are_the_real_ones(cluster: Cluster) -> None:
    custom = cluster.kubectl("get", "crd", "-o", "jsonpath={.items[*].spec.group}").stdout.split()
    real: dict[str, tuple[set[str], set[str]]] = {}
    for index, namespaced in enumerate(("true", "false")):
        words = ("api-resources", "--verbs=list", f"--namespaced={namespaced}", "-o", "name")
        for word in cluster.kubectl(*words).stdout.split():
            resource, _, group = word.partition(".")
            if group not in custom:
                real.setdefault(group, (set(), set()))[index].add(resource)
    assert real == {group: tuple(map(set, scoped)) for group, scoped in BUILT_IN.items()}
