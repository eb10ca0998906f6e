"""The flags of kubectl proxy: what they let through, as kubectl reads them."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podfacts.core.proxyfilter import ACCEPTED, METHODS, NEVER, accepted, parse_accept_paths, rejected_methods

SOME = st.sets(st.sampled_from(METHODS), min_size=1)
# Near misses: what only begins like a method, or goes on behind it.
ANYTHING = st.one_of(
    st.sampled_from([*METHODS, "CONNECT", "TRACE", ""]),
    st.text("GETHADPOSUCLNIR", max_size=8),
    st.builds(lambda word, end: word[:end], st.sampled_from(METHODS), st.integers(0, 7)),
    st.builds(
        lambda word, more: word + more, st.sampled_from(METHODS), st.text("ETX ", min_size=1, max_size=2)
    ),
)


@pytest.mark.fault("T38")
@given(SOME, ANYTHING)
def test_every_method_but_the_allowed_ones_is_rejected(allowed: set[str], method: str) -> None:
    assert bool(re.search(rejected_methods(allowed), method)) == (method not in allowed)


def lets_through(path: str) -> bool:
    """As kubectl decides (proxy_server.go, accept)."""
    path = "" if path == "/" else path
    if any(re.search(each, path) for each in NEVER):
        return False
    return any(re.search(each, path) for each in accepted(ACCEPTED))


@pytest.mark.parametrize(
    "path",
    ["/", "/version", "/readyz", "/api", "/api/v1", "/apis", "/apis/apps", "/apis/apps/v1"]
    + [
        f"/api/v1/namespaces/shop/{kind}{name}"
        for kind in ("pods", "services", "endpoints")
        for name in ("", "/x")
    ]
    + ["/apis/discovery.k8s.io/v1/namespaces/shop/endpointslices", "/api/v1/namespaces/proxy/pods/exec"],
)
def test_the_built_in_paths_let_through(path: str) -> None:
    assert lets_through(path)


@pytest.mark.fault("T38")
@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/pods",
        "/api/v1/namespaces",
        "/api/v1/namespaces/shop",
        "/api/v1/namespaces/shop/secrets",
        "/api/v1/namespaces/shop/secrets/x",
        "/api/v1/namespaces/shop/pods/x/log",
        "/api/v1/namespaces/shop/podsx",
        "/apis/apps/v1/namespaces/shop/deployments",
        "/metrics",
        "/versionx",
        "/healthz",
    ],
)
def test_the_built_in_paths_do_not_let_through(path: str) -> None:
    assert not lets_through(path)


@pytest.mark.fault("T38")
@pytest.mark.parametrize("subresource", ["exec", "attach", "portforward", "proxy", "proxy/metrics", "token"])
def test_no_profile_can_open_the_ways_into_other_containers(subresource: str) -> None:
    for kind in ("pods", "services", "serviceaccounts"):
        path = f"/api/v1/namespaces/shop/{kind}/x/{subresource}"
        assert any(re.search(each, path) for each in NEVER), path
    assert any(re.search(each, "/api/v1/nodes/a/proxy/run") for each in NEVER)
    assert any(re.search(each, "/api/v1/proxy/nodes/a") for each in NEVER)


@pytest.mark.parametrize(
    "expression",
    [
        *ACCEPTED,
        r"^/apis/example\.com/v1/",
        "^/api/v1/namespaces/(a|b)/pods?$",
        "^/api/v1/[a-z]+$",
        "^/x.*y$",
        "^/x[|]y$",
        r"^/x\|y$",
        "^/x[(]y$|^/z$",
    ],
)
def test_ordinary_expressions_are_taken(expression: str) -> None:
    assert parse_accept_paths((expression,), ()) == (expression,)
