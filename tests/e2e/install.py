"""Podfacts as deploy/install.yaml installs it on the real node: not a line of it changed, the image built from this checkout.

It is watched from outside for as long as it is there: every line that its containers print is kept, also those of pods that
are gone by now, and the API server's audit log says what its service accounts asked for.
"""

import base64
import contextlib
import os
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
import urllib3
from cryptography import x509

from tests.cluster import Cluster
from tests.cluster.progress import quiet
from tests.e2e.api import Api
from tests.e2e.conftest import ADMISSION, REPOSITORY, wait_for
from tests.e2e.install_lines import Lines
from tests.e2e.install_load import not_injected
from tests.image import product

SYSTEM = "podfacts-system"
MANIFEST = REPOSITORY / "deploy/install.yaml"
COMPONENTS = ("webhook", "controller")
DEPLOYED = ("webhook", "webhook-spare", "controller")
OURS = "app.kubernetes.io/part-of=podfacts"
CONFIGURATION = f"{ADMISSION}/podfacts"
SECRET = f"/api/v1/namespaces/{SYSTEM}/secrets/podfacts-ca"

Tree = dict[str, Any]


class Installed:
    """The installation."""

    def __init__(self, cluster: Cluster, api: Api, folder: Path) -> None:
        self.cluster = cluster
        self.api = api
        self.folder = folder
        self.before = self.cluster_wide()
        self.lines = Lines(cluster, SYSTEM, "podfacts-ca", folder)
        self.ready_after = 0.0
        self.audited = cluster.audit_log.stat().st_size
        self._http = urllib3.PoolManager(retries=False, timeout=5)

    # -- what an administrator types -----------------------------------------------------------------------------

    def kubectl(self, *words: str) -> str:
        """Return what kubectl prints."""
        return self.cluster.kubectl(*words).stdout

    def apply(self) -> list[str]:
        """Apply the manifest and return what kubectl says of each object."""
        return self.kubectl("apply", "-f", str(MANIFEST)).splitlines()

    def wait_available(self) -> float:
        """Wait until the Deployments are whole and of their newest revision; return the seconds."""
        start = time.monotonic()
        wait_for(lambda: all(map(self.whole, DEPLOYED)), 120, 0.2)
        return time.monotonic() - start

    def whole(self, component: str) -> bool:
        """Whether a Deployment is Available, with every replica ready and new."""
        path = f"/apis/apps/v1/namespaces/{SYSTEM}/deployments/podfacts-{component}"
        tree = self.api.call("GET", path).body
        status = tree.get("status", {})
        if status.get("observedGeneration") != tree.get("metadata", {}).get("generation"):
            return False
        wanted = tree["spec"]["replicas"]
        counts = {status.get(f"{kind}Replicas") for kind in ("updated", "ready", "available")}
        available = ("Available", "True") in [
            (each["type"], each["status"]) for each in status.get("conditions", [])
        ]
        return available and counts | {status.get("replicas")} == {wanted}

    def uninstall(self) -> None:
        """Remove what is left of it, in the README's order; its pods at once, for nobody looks any more."""
        self.kubectl("delete", "mutatingwebhookconfiguration", "podfacts", "--ignore-not-found")
        # A namespace waits half of its pods' grace period at a time until it looks again.
        for kinds, how in (("deployments", "--wait"), ("pods", "--force")):
            self.kubectl("delete", kinds, "--all", "-n", SYSTEM, how)
        self.kubectl("delete", "--ignore-not-found", "-f", str(MANIFEST))

    # -- what is there -------------------------------------------------------------------------------------------

    def pods(self, component: str) -> list[Tree]:
        """The pods of a Deployment, those that end too."""
        selector = f"{OURS},app.kubernetes.io/component={component}"
        path = f"/api/v1/namespaces/{SYSTEM}/pods"
        found: list[Tree] = self.api.call("GET", path, labelSelector=selector).body["items"]
        return found

    def restarts(self) -> int:
        """How often a container of ours was started again."""
        statuses = [
            status
            for component in DEPLOYED
            for pod in self.pods(component)
            for status in pod["status"].get("containerStatuses", [])
        ]
        return sum(status["restartCount"] for status in statuses)

    def secret(self) -> dict[str, bytes]:
        """What the CA's Secret holds."""
        data = self.api.call("GET", SECRET).body.get("data") or {}
        return {key: base64.b64decode(value) for key, value in data.items()}

    def bundle(self) -> bytes:
        """The caBundle in force; nothing while the webhooks have different ones."""
        webhooks = self.api.call("GET", CONFIGURATION).body["webhooks"]
        found = {each["clientConfig"].get("caBundle", "") for each in webhooks}
        return base64.b64decode(found.pop()) if len(found) == 1 else b""

    def trusts(self) -> bool:
        """Whether the CA that signs is there, and is trusted."""
        ca = self.secret().get("ca.crt", b"")
        return bool(ca) and ca in self.bundle()

    def asked(self) -> int:
        """How many requests the replicas have answered, by their own counters."""
        return sum(map(self.answered, self.pods("webhook")))

    def answered(self, pod: Tree) -> int:
        """How many requests one replica has answered."""
        text = self._http.request("GET", f"http://{pod['status']['podIP']}:8080/metrics").data.decode()
        assert "# TYPE podfacts_admission_requests_total counter" in text
        counted = [
            line for line in text.splitlines() if line.startswith("podfacts_admission_requests_total{")
        ]
        return sum(int(float(line.split()[-1])) for line in counted)

    def probe(self, pod: Tree, path: str) -> tuple[int, str]:
        """Return what one of our pods answers to the kubelet's probe."""
        said = self._http.request("GET", f"http://{pod['status']['podIP']}:8080{path}")
        return said.status, said.data.decode()

    def cluster_wide(self) -> set[str]:
        """Every object without a namespace that has our label or our name."""
        kinds = self.kubectl("api-resources", "--namespaced=false", "--verbs=list", "-o", "name").split()
        labelled = self.kubectl("get", ",".join(kinds), "-o", "name", "-l", OURS).split()
        named = self.kubectl("get", ",".join(kinds), "-o", "name").split()
        return {*labelled, *(each for each in named if "podfacts" in each)}


def leaf(pod: Tree, bundle: bytes, host: str = f"podfacts-webhook.{SYSTEM}.svc") -> x509.Certificate:
    """Return what a replica serves, verified as the API server does; raises ssl.SSLError."""
    context = ssl.create_default_context(cadata=bundle.decode())
    with (
        socket.create_connection((pod["status"]["podIP"], 10250), timeout=5) as connection,
        context.wrap_socket(connection, server_hostname=host) as secured,
    ):
        der = secured.getpeercert(binary_form=True)
    assert der
    return x509.load_der_x509_certificate(der)


@contextlib.contextmanager
def installed(cluster: Cluster, api: Api, folder: Path) -> Iterator[Installed]:
    """The installation, from nothing to Available; afterwards gone."""
    if not cluster.has_node:
        pytest.skip(" ".join(cluster.left_out))
    cluster.load_image(product.build(quiet).path)  # Built before this process entered the cluster's network.
    here = Installed(cluster, api, folder)
    try:
        with here.lines:
            start = time.monotonic()
            here.apply()
            here.wait_available()
            here.ready_after = time.monotonic() - start
            # Available means ready; that every node's proxy knows the address comes up to a second later.
            wait_for(lambda: not not_injected(api, "/api/v1/namespaces/default/pods"), 10)
            yield here
    finally:
        here.uninstall()


@contextlib.contextmanager
def namespaced(api: Api, suffix: str = "") -> Iterator[str]:
    """A namespace for a module's pods."""
    name = f"installed-{os.getpid()}{suffix}"
    path = f"/api/v1/namespaces/{name}"
    # The one of the test before may still be on its way out.
    wait_for(lambda: api.call("GET", path).status == HTTPStatus.NOT_FOUND, 90)
    api.create("/api/v1/namespaces", {"metadata": {"name": name}})
    wait_for(lambda: api.call("GET", f"{path}/serviceaccounts/default").status == HTTPStatus.OK)
    yield name
    api.call("DELETE", path)


def seconds(condition: Callable[[], Any], longest: float = 60) -> float:
    """Wait for a condition and return how long it took."""
    start = time.monotonic()
    wait_for(condition, longest)
    return time.monotonic() - start
