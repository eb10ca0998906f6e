"""A CA is rotated under admission servers that serve, and nobody notices.

Two real `podfacts webhook` processes with a "kubelet" each: a thread that shows them the Secret as a kubelet does, at
once or late. The API server asks the first one for every pod (failurePolicy Fail). A client verifies the leaf of
both against the caBundle in force, some tens of times a second.
"""

import contextlib
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from http import HTTPStatus
from pathlib import Path
from typing import Any, Self

import pytest
from cryptography import x509

from podfacts.authority.secret import read_bundle
from tests.cluster import Cluster
from tests.e2e.api import Api
from tests.e2e.conftest import wait_for
from tests.e2e.installation import Installation, installed

pytestmark = pytest.mark.api

PORT = 18543
HOST = "podfacts-webhook.test.svc"


class Mount:
    """The volume of one replica: what the Secret held `lag` seconds ago, swapped in by one symbolic link."""

    def __init__(self, here: Installation, folder: Path, lag: float) -> None:
        self.folder = folder
        self._here = here
        self._lag = lag
        self._versions: list[tuple[float, dict[str, bytes]]] = []
        folder.mkdir()
        for key in ("ca.crt", "ca.key"):
            (folder / key).symlink_to(f"..data/{key}")

    def look(self) -> None:
        """Show what is due, if both keys are there."""
        secret = self._here.secret
        if not self._versions or self._versions[-1][1] != secret:
            self._versions.append((time.monotonic(), secret))
        due = [data for at, data in self._versions if at <= time.monotonic() - self._lag]
        if due and {"ca.crt", "ca.key"} <= set(due[-1]):
            self._show(due[-1])

    def _show(self, data: dict[str, bytes]) -> None:
        fresh = self.folder / f"..{time.monotonic_ns()}"
        fresh.mkdir()
        for key in ("ca.crt", "ca.key"):
            (fresh / key).write_bytes(data[key])
        (self.folder / "..data_tmp").symlink_to(fresh.name)
        (self.folder / "..data_tmp").replace(self.folder / "..data")


class Repeated:
    """Something done again and again beside the test; what it raised is raised at the end."""

    def __init__(self, action: Callable[[], None], pause: float) -> None:
        self.rounds = 0
        self._action = action
        self._pause = pause
        self._error: Exception | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        if self._error:
            raise self._error

    def _run(self) -> None:
        try:
            while not self._ended.wait(self._pause):
                self._action()
                self.rounds += 1
        except Exception as error:  # noqa: BLE001  raised by __exit__
            self._error = error


@contextlib.contextmanager
def serving(mount: Mount, address: str, port: int) -> Iterator[None]:
    """One admission server on a mount."""
    command = [sys.executable, "-m", "podfacts", "webhook", "--port", str(port), "--probe-port", "0"]
    command += ["--certificates", str(mount.folder), "--dns-name", HOST, "--dns-name", address]
    command += ["--leaf-lifetime", "3s", "--drain", "1s"]
    with (mount.folder.parent / f"{port}.log").open("wb") as log:
        process = subprocess.Popen(command, stderr=log, env=os.environ)
    try:
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)


def handshake(address: str, port: int, bundle: bytes) -> x509.Certificate:
    """Connect as the API server does, verify, and return the leaf; raises ssl.SSLError."""
    context = ssl.create_default_context(cadata=bundle.decode())
    with (
        socket.create_connection((address, port), timeout=5) as connection,
        context.wrap_socket(connection, server_hostname=HOST) as secured,
    ):
        der = secured.getpeercert(binary_form=True)
        assert der
        return x509.load_der_x509_certificate(der)


class Served:
    """The leaves that one admission server has shown, each verified against the caBundle in force."""

    def __init__(self, here: Installation, address: str, port: int) -> None:
        self.leaves: list[x509.Certificate] = []
        self._here = here
        self._address = address
        self._port = port

    def listens(self) -> bool:
        """Whether it serves already."""
        with contextlib.suppress(ConnectionError):
            handshake(self._address, self._port, self._here.bundle)
            return True
        return False

    def verify(self) -> None:
        """Raise ssl.SSLError unless the leaf is good for the bundle, also one that was changed in between."""
        before = self._here.bundle
        try:
            leaf = handshake(self._address, self._port, before)
        except ssl.SSLError:
            if self._here.bundle == before:
                raise
            leaf = handshake(self._address, self._port, self._here.bundle)
        self.leaves.append(leaf)


def admitted(api: Api, namespace: str) -> bool:
    """Whether the API server takes a pod, with its facts."""
    pod = {
        "metadata": {"name": "asks", "labels": {"podfacts.dev/inject": "true"}},
        "spec": {"containers": [{"name": "main", "image": "app"}]},
    }
    said = api.call("POST", f"/api/v1/namespaces/{namespace}/pods", pod, dryRun="All")
    if said.status != HTTPStatus.CREATED:
        return False
    return "podfacts.dev/injected" in said.body["metadata"].get("annotations", {})


@pytest.mark.fault("T14", "T15")
def test_no_admission_fails_while_the_ca_is_rotated(cluster: Cluster, api: Api, tmp_path: Path) -> None:
    replicas: list[Served] = []
    with ExitStack() as stack:
        here = stack.enter_context(installed(cluster, api, tmp_path))

        def pointed(tree: dict[str, Any]) -> None:
            first = tree["webhooks"][0]
            first["clientConfig"] = {"url": f"https://{cluster.node_ip}:{PORT}/mutate"}
            first.update(failurePolicy="Fail", timeoutSeconds=3)  # No spare hides a call that fails.

        def admit() -> None:
            assert admitted(api, here.name), "an admission failed"

        here.edit_configuration(pointed)
        here.start(poll=0.5, settle=3.0, leaf_lifetime=3.0, slack=4.0)
        old = wait_for(here.trusted)
        for port, lag in ((PORT, 0.0), (PORT + 1, 2.5)):
            mount = Mount(here, tmp_path / f"mount-{port}", lag)
            wait_for(lambda mount=mount: mount.look() or (mount.folder / "ca.crt").exists())
            stack.enter_context(serving(mount, cluster.node_ip, port))
            stack.enter_context(Repeated(mount.look, 0.2))
            replicas.append(Served(here, cluster.node_ip, port))
            wait_for(replicas[-1].listens)
        wait_for(lambda: admitted(api, here.name))
        load = stack.enter_context(Repeated(admit, 0.03))
        for replica in replicas:
            stack.enter_context(Repeated(replica.verify, 0.06))
        time.sleep(1)
        here.rotate()
        new = wait_for(lambda: here.trusted() not in (b"", old) and here.trusted(), seconds=40)
        time.sleep(1)

    (issuer,) = read_bundle(new)
    assert load.rounds > 50
    for replica in replicas:
        assert len(replica.leaves) > 50
        assert len({each.serial_number for each in replica.leaves}) >= 3, "renewed on the way"
        assert len({each.issuer for each in replica.leaves}) == 2
        assert replica.leaves[-1].issuer == issuer.subject
