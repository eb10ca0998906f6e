"""A method and a URL become what the authorizer sees: requestinfo.go, rule by rule."""

import pytest

from podfacts.rights.request import Request
from podfacts.rights.urls import requested

IN = {"resource": "pods", "namespace": "shop"}
CASES = [
    ("GET", "/", Request("get", path="/")),
    ("GET", "", Request("get", path="/")),
    ("GET", "/metrics?x=y", Request("get", path="/metrics")),
    ("HEAD", "/metrics", Request("head", path="/metrics")),
    ("OPTIONS", "/metrics", Request("options", path="/metrics")),
    ("GET", "/api/v1", Request("get", path="/api/v1")),
    ("GET", "/api/v1/", Request("get", path="/api/v1/")),
    ("GET", "/apis/apps/v1", Request("get", path="/apis/apps/v1")),
    ("GET", "/logs/a%20b%C3%A9", Request("get", path="/logs/a bé")),
    ("GET", "https://10.96.0.1:443", Request("get", path="/")),
    ("GET", "https://10.96.0.1:443/metrics", Request("get", path="/metrics")),
    ("GET", "/api/v1/pods", Request("list", resource="pods")),
    ("GET", "/api/v1/nodes/n", Request("get", resource="nodes", name="n")),
    ("GET", "https://[fd00::1]:443/api/v1/namespaces/shop/pods", Request("list", **IN)),
    ("HEAD", "/api/v1/namespaces/shop/pods/web", Request("get", **IN, name="web")),
    ("HEAD", "/api/v1/namespaces/shop/pods", Request("list", **IN)),
    ("GET", "/api/v1/namespaces/shop/pods/", Request("list", **IN)),
    ("GET", "/api/v1/namespaces/shop/pods/web/log?tailLines=1", Request("get", **IN, subresource="log", name="web")),
    ("GET", "/api/v1/namespaces/shop/services/web/proxy/a/b", Request("get", "", "services", "proxy", "shop", "web")),
    ("GET", "/apis/apps/v1/namespaces/shop/deployments/web/scale", Request("get", "apps", "deployments", "scale", "shop", "web")),
    ("POST", "/api/v1/namespaces/shop/pods", Request("create", **IN)),
    ("POST", "/api/v1/namespaces/shop/pods/web/exec?command=id", Request("create", **IN, subresource="exec", name="web")),
    ("PUT", "/api/v1/namespaces/shop/pods/web", Request("update", **IN, name="web")),
    ("PATCH", "/api/v1/namespaces/shop/pods/web/status", Request("patch", **IN, subresource="status", name="web")),
    ("DELETE", "/api/v1/namespaces/shop/pods/web", Request("delete", **IN, name="web")),
    ("DELETE", "/api/v1/namespaces/shop/pods", Request("deletecollection", **IN)),
    # A namespace lies in itself.
    ("GET", "/api/v1/namespaces", Request("list", resource="namespaces")),
    ("GET", "/api/v1/namespaces/shop", Request("get", resource="namespaces", namespace="shop", name="shop")),
    ("PUT", "/api/v1/namespaces/shop/finalize", Request("update", "", "namespaces", "finalize", "shop", "shop")),
    ("GET", "/api/v1/namespaces/shop/status", Request("get", "", "namespaces", "status", "shop", "shop")),
    ("POST", "/api/v1/namespaces", Request("create", resource="namespaces")),
    # watch=, and the deprecated prefix.
    ("GET", "/api/v1/namespaces/shop/pods?watch=true", Request("watch", **IN)),
    ("GET", "/api/v1/namespaces/shop/pods?watch=1&watch=0", Request("watch", **IN)),
    ("GET", "/api/v1/namespaces/shop/pods?watch", Request("watch", **IN)),
    ("GET", "/api/v1/namespaces/shop/pods?watch=False", Request("list", **IN)),
    ("GET", "/api/v1/namespaces/shop/pods?watch=0", Request("list", **IN)),
    ("GET", "/api/v1/namespaces/shop/pods/web?watch=true", Request("get", **IN, name="web")),
    ("GET", "/api/v1/watch/namespaces/shop/pods", Request("watch", **IN)),
    ("GET", "/api/v1/watch/namespaces/shop/pods/web", Request("watch", **IN, name="web")),
    ("GET", "/apis/apps/v1/watch/deployments", Request("watch", "apps", "deployments")),
    ("GET", "/api/v1/proxy/namespaces/shop/pods/web/x", Request("proxy", **IN, name="web")),
    ("GET", "/api/v1/watch", None),
    # Field selectors.
    ("GET", "/api/v1/namespaces/shop/pods?fieldSelector=metadata.name%3Dweb&limit=5", Request("list", **IN, name="web")),
    ("GET", "/api/v1/namespaces/shop/pods?fieldSelector=status.phase%3DRunning,metadata.name==web&watch=1", Request("watch", **IN, name="web")),
    ("GET", "/api/v1/namespaces/shop/pods?fieldSelector=metadata.name!=web", Request("list", **IN)),
    ("GET", "/api/v1/namespaces/shop/pods?fieldSelector=metadata.name%3Da%2Fb", Request("list", **IN)),
    ("GET", "/api/v1/namespaces/shop/pods?fieldSelector=metadata.name%3Dweb,nonsense", Request("list", **IN)),
    ("GET", "/api/v1/namespaces/shop/pods?fieldSelector=metadata.name%3D..", Request("list", **IN)),
    ("GET", "/api/v1/namespaces/shop/pods?fieldSelector=a%3Db&fieldSelector=metadata.name%3Dweb", Request("list", **IN)),
    ("GET", "/api/v1/namespaces/shop/pods?labelSelector=metadata.name%3Dweb", Request("list", **IN)),
    # No rule can name these.
    ("OPTIONS", "/api/v1/namespaces/shop/pods", None),
    ("FOO", "/api/v1/pods", None),
    # The path is decoded before it is split.
    ("GET", "/api/v1/namespaces/shop/pods%2Fweb", Request("get", **IN, name="web")),
    ("GET", "/api/v1/namespaces/shop/pods/%ff", Request("get", **IN, name="\udcff")),
]  # fmt: skip


@pytest.mark.parametrize(("method", "url", "request_"), CASES, ids=[f"{each[0]} {each[1]}" for each in CASES])
def test_what_the_authorizer_sees(method: str, url: str, request_: Request | None) -> None:
    assert requested(method, url) == request_
