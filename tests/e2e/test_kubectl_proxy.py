"""The ambassador's command is kubectl's own: a real kubectl proxy takes its flags, and answers as they are meant."""

import os
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import urllib3

from podfacts.core.ambassador import PROBE, Ambassador
from podfacts.core.proxyfilter import ACCEPTED, METHODS, parse_accept_paths
from tests.cluster import Cluster
from tests.e2e.kubectl_proxy import proxying

pytestmark = pytest.mark.api

HTTP = urllib3.PoolManager(retries=False, timeout=5)
# Whatever stands in this list is taken in a profile; so kubectl, and Go's regular expressions, must take it too.
ODD = (
    "^/a*b+c?$",
    "^/x[a-z.-]+/[^/.]*$",
    r"^/a\.b\-c\$",
    "^/(a|b|)c$",
    "^/()x$",
    "^/x[a|b]$",
    "^/[.$()^]x$",
    "^/aa$|^/b$",
    "^/x(y(z)?)?$",
    "^/~a:b_c$",
    "^/a^b$c",
)


@contextmanager
def proxy(cluster: Cluster, folder: Path, settings: Ambassador, kubeconfig: Path) -> Iterator[str]:
    """A real kubectl proxy with the sidecar's own flags, and a page to probe; gives its URL."""
    (folder / "alive").mkdir(exist_ok=True)
    (folder / "alive/namespace").write_text("here")
    flags = (*settings.command[2:], f"--www={folder / 'alive'}")
    with proxying(cluster, folder, *flags, kubeconfig=kubeconfig) as (url, _):
        yield url


def probe(cluster: Cluster, url: str) -> int:
    """The exit code of the sidecar's probe."""
    words = [str(cluster.binaries / "kubectl"), *PROBE[1:]]
    words = [re.sub("^--server=.*", f"--server={url}", word) for word in words]
    environment = {"PATH": os.defpath, "HOME": "/nonexistent"}
    return subprocess.run(words, env=environment, capture_output=True, check=False).returncode


def status(url: str, path: str, method: str = "GET") -> int:
    return HTTP.request(method, f"{url}{path}").status


def test_the_built_in_flags(cluster: Cluster, tmp_path: Path) -> None:
    with proxy(cluster, tmp_path, Ambassador(), cluster.kubeconfig) as url:
        for path in ("/", "/version", "/readyz", "/api", "/api/v1", "/apis", "/apis/apps", "/apis/apps/v1"):
            assert status(url, path) == 200, path
        for path in ("pods", "services", "endpoints"):
            assert status(url, f"/api/v1/namespaces/default/{path}") == 200, path
        assert status(url, "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices") == 200
        for path in ("/metrics", "/api/v1/nodes", "/api/v1/namespaces/default/secrets", "/logs/", "/healthz"):
            assert status(url, path) == 403, path
        for method in (*METHODS, "TRACE", "GETS", "GE", "X"):
            expected = {"GET": 200, "HEAD": 405}.get(method, 403)  # The API server knows no HEAD of a list.
            assert status(url, "/api/v1/namespaces/default/pods", method) == expected, method


def test_a_profiles_methods(cluster: Cluster, tmp_path: Path) -> None:
    settings = Ambassador(
        methods=("GET", "POST", "DELETE"), accept_paths=("^/apis/authorization.k8s.io/v1/",)
    )
    with proxy(cluster, tmp_path, settings, cluster.kubeconfig) as url:
        path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
        got = {method: status(url, path, method) for method in METHODS}
    # 405 and 400 are the API server's own words: it was asked.
    assert got == {
        "GET": 405, "POST": 400, "DELETE": 405, "HEAD": 403, "OPTIONS": 403, "PUT": 403, "PATCH": 403
    }  # fmt: skip


def test_what_a_profile_may_say_kubectl_takes(cluster: Cluster, tmp_path: Path) -> None:
    settings = Ambassador(accept_paths=parse_accept_paths((*ACCEPTED, *ODD), ()))
    with proxy(cluster, tmp_path, settings, cluster.kubeconfig) as url:
        assert status(url, "/version") == 200


def test_the_probe_asks_the_proxy_and_not_the_api_server(cluster: Cluster, tmp_path: Path) -> None:
    """When the API server is away, no pod's sidecar may be ended for it."""
    away = tmp_path / "kubeconfig"
    away.write_text(cluster.kubeconfig.read_text().replace(cluster.server, "https://127.0.0.1:1"))
    with proxy(cluster, tmp_path, Ambassador(), away) as url:
        assert status(url, "/version") in (500, 502)
        start = time.monotonic()
        assert probe(cluster, url) == 0
        assert time.monotonic() - start < 5
    assert probe(cluster, url) != 0
