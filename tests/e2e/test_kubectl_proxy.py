"""The ambassador's command is kubectl's own: a real kubectl proxy takes its flags, and answers as they are meant."""

import os
import re
import signal
import socket
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
from tests.e2e.conftest import wait_for

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
def proxy(cluster: Cluster, folder: Path, settings: Ambassador, kubeconfig: Path) -> Iterator[int]:
    """A real kubectl proxy with the sidecar's own flags, on a free port, with a page to probe; gives the port."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    (folder / "alive").mkdir(exist_ok=True)
    (folder / "alive/namespace").write_text("here")
    words = [str(cluster.binaries / "kubectl"), *settings.command[1:]]
    words = [re.sub("^--port=.*", f"--port={port}", word) for word in words]
    words = [re.sub("^--www=.*", f"--www={folder / 'alive'}", word) for word in words]
    environment = {**os.environ, "KUBECONFIG": str(kubeconfig)}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(words, env=environment, stdout=log, stderr=log)
    try:
        wait_for(lambda: b"Starting to serve" in (folder / "log").read_bytes() or process.poll() is not None)
        assert process.poll() is None, (folder / "log").read_text()
        yield port
        assert process.poll() is None, (folder / "log").read_text()
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait(10)


def probe(cluster: Cluster, port: int) -> int:
    """The exit code of the sidecar's probe."""
    words = [str(cluster.binaries / "kubectl"), *PROBE[1:]]
    words = [re.sub("^--server=.*", f"--server=http://127.0.0.1:{port}", word) for word in words]
    environment = {"PATH": os.defpath, "HOME": "/nonexistent"}
    return subprocess.run(words, env=environment, capture_output=True, check=False).returncode


def status(port: int, path: str, method: str = "GET") -> int:
    return HTTP.request(method, f"http://127.0.0.1:{port}{path}").status


def test_the_built_in_flags(cluster: Cluster, tmp_path: Path) -> None:
    with proxy(cluster, tmp_path, Ambassador(), cluster.kubeconfig) as port:
        for path in ("/", "/version", "/readyz", "/api", "/api/v1", "/apis", "/apis/apps", "/apis/apps/v1"):
            assert status(port, path) == 200, path
        for path in ("pods", "services", "endpoints"):
            assert status(port, f"/api/v1/namespaces/default/{path}") == 200, path
        assert status(port, "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices") == 200
        for path in ("/metrics", "/api/v1/nodes", "/api/v1/namespaces/default/secrets", "/logs/", "/healthz"):
            assert status(port, path) == 403, path
        for method in (*METHODS, "TRACE", "GETS", "GE", "X"):
            expected = {"GET": 200, "HEAD": 405}.get(method, 403)  # The API server knows no HEAD of a list.
            assert status(port, "/api/v1/namespaces/default/pods", method) == expected, method


def test_a_profiles_methods(cluster: Cluster, tmp_path: Path) -> None:
    settings = Ambassador(
        methods=("GET", "POST", "DELETE"), accept_paths=("^/apis/authorization.k8s.io/v1/",)
    )
    with proxy(cluster, tmp_path, settings, cluster.kubeconfig) as port:
        path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
        got = {method: status(port, path, method) for method in METHODS}
    # 405 and 400 are the API server's own words: it was asked.
    assert got == {
        "GET": 405, "POST": 400, "DELETE": 405, "HEAD": 403, "OPTIONS": 403, "PUT": 403, "PATCH": 403
    }  # fmt: skip


def test_what_a_profile_may_say_kubectl_takes(cluster: Cluster, tmp_path: Path) -> None:
    settings = Ambassador(accept_paths=parse_accept_paths((*ACCEPTED, *ODD), ()))
    with proxy(cluster, tmp_path, settings, cluster.kubeconfig) as port:
        assert status(port, "/version") == 200


def test_the_probe_asks_the_proxy_and_not_the_api_server(cluster: Cluster, tmp_path: Path) -> None:
    """When the API server is away, no pod's sidecar may be ended for it."""
    away = tmp_path / "kubeconfig"
    away.write_text(cluster.kubeconfig.read_text().replace(cluster.server, "https://127.0.0.1:1"))
    with proxy(cluster, tmp_path, Ambassador(), away) as port:
        assert status(port, "/version") in (500, 502)
        start = time.monotonic()
        assert probe(cluster, port) == 0
        assert time.monotonic() - start < 5
    assert probe(cluster, port) != 0
