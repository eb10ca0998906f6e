"""``podfacts webhook`` as a process seen from outside: asked over its sockets, watched in /proc."""

import http.client
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from podfacts.authority.certificates import Authority, new_authority
from tests.e2e.conftest import wait_for
from tests.server.folder import MountedSecret

HOST = "127.0.0.1"
MIB = 1024 * 1024

POD: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"generateName": "web-", "labels": {"podfacts.dev/inject": "true"}},
    "spec": {"containers": [{"name": "main", "image": "app"}]},
}


class Reply(NamedTuple):
    """One answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def response(self) -> dict[str, Any]:
        """The response in the review."""
        found: dict[str, Any] = json.loads(self.body)["response"]
        return found


class Webhook:
    """A running one."""

    def __init__(
        self, process: "subprocess.Popen[bytes]", log: Path, secret: MountedSecret, authority: Authority
    ) -> None:
        self.process = process
        self._log = log
        self._secret = secret
        self.take(authority)

    def take(self, authority: Authority) -> None:
        """Let it have this CA from now on."""
        self.authority = authority
        self._secret.write_authority(authority)

    @property
    def log(self) -> list[dict[str, Any]]:
        """What it has logged so far: an error unless every line is one JSON object."""
        whole, _, _ = self._log.read_text().rpartition("\n")
        return [json.loads(line) for line in whole.split("\n") if line]

    def events(self, name: str) -> list[dict[str, Any]]:
        """Those of its log lines that tell of one thing."""
        return [each for each in self.log if each["event"] == name]

    @property
    def port(self) -> int:
        """Where it answers reviews, once it does."""
        return int(wait_for(lambda: self.events("serving"), 20, 0.05)[0]["port"])

    @property
    def probe_port(self) -> int:
        """Where it answers probes."""
        return int(wait_for(lambda: self.events("probing"), 20, 0.05)[0]["port"])

    def trusting(self) -> ssl.SSLContext:
        """What an API server does with the caBundle."""
        return ssl.create_default_context(cadata=self.authority.certificate_pem.decode())

    def connection(self, timeout: float = 10.0) -> http.client.HTTPSConnection:
        """A connection of the standard library's client."""
        return http.client.HTTPSConnection(HOST, self.port, context=self.trusting(), timeout=timeout)

    def ask(self, body: bytes, connection: http.client.HTTPSConnection | None = None) -> Reply:
        """What comes of a review; on a connection of its own if none is given."""
        used = connection or self.connection()
        try:
            used.request("POST", "/mutate", body)
            said = used.getresponse()
            return Reply(said.status, {key.lower(): value for key, value in said.getheaders()}, said.read())
        finally:
            if connection is None:
                used.close()

    def probe(self, path: str) -> Reply:
        """What a probe says."""
        try:
            with urllib.request.urlopen(f"http://{HOST}:{self.probe_port}{path}", timeout=10) as said:
                return Reply(said.status, dict(said.headers), said.read())
        except urllib.error.HTTPError as error:
            return Reply(error.code, dict(error.headers), error.read())

    def metric(self, name: str) -> float:
        """The sum of a metric's values; 0 while it has none."""
        return sum(self.values(name))

    def values(self, name: str) -> list[float]:
        """All values of a metric, of whatever labels."""
        lines = self.probe("/metrics").body.decode().splitlines()
        return [float(line.split()[-1]) for line in lines if line.partition(" ")[0].partition("{")[0] == name]

    @property
    def processes(self) -> list[Path]:
        """It, and those that it started, in /proc."""
        own = Path(f"/proc/{self.process.pid}")
        children = (own / "task" / own.name / "children").read_text().split()
        return [own, *(Path(f"/proc/{each}") for each in children)]

    @property
    def resident(self) -> int:
        """Bytes; what processes share counts once."""
        return sum(kilobytes(each / "smaps_rollup", "Pss") for each in self.processes) * 1024

    @property
    def most_resident(self) -> int:
        """Bytes, the most that there ever were."""
        return sum(kilobytes(each / "status", "VmHWM") for each in self.processes) * 1024

    @property
    def descriptors(self) -> int:
        """How many are open."""
        return sum(len(list((each / "fd").iterdir())) for each in self.processes)

    def is_well(self) -> bool:
        """Whether it runs, is alive and ready by its own probes, and has logged no failure of its own."""
        assert self.process.poll() is None, self._log.read_text()[-2000:]
        assert (self.probe("/healthz").status, self.probe("/readyz").status) == (200, 200)
        assert "Traceback" not in self._log.read_text()
        assert [each for each in self.log if each["level"] in ("error", "critical")] == []
        return True


def kilobytes(path: Path, key: str) -> int:
    """What a file of /proc says."""
    lines = path.read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{key}:"))


@contextmanager
def running(
    folder: Path,
    *options: str,
    name: str = HOST,
    environment: Mapping[str, str] | None = None,
    authority: Authority | None = None,
    before: tuple[str, ...] = (),
) -> Iterator[Webhook]:
    """Start one and end it, by SIGTERM if it still runs. ``before`` are the words before its command."""
    folder.mkdir(exist_ok=True)
    secret = MountedSecret(folder / "certificates")
    command = [*before, sys.executable, "-m", "podfacts", "webhook", "--port", "0", "--probe-port", "0"]
    command += ["--certificates", str(secret.path), "--dns-name", name, "--drain", "1s", *options]

    log = folder / "log"
    with log.open("wb") as stream:
        process = subprocess.Popen(command, stderr=stream, env={**os.environ, **(environment or {})})
    authority = authority or new_authority(datetime.now(UTC), timedelta(days=1))
    webhook = Webhook(process, log, secret, authority)
    try:
        wait_for(lambda: process.poll() is not None or webhook.events("serving"), 30, 0.05)
        assert process.poll() is None, log.read_text()
        yield webhook
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def asked(pod: Mapping[str, Any]) -> bytes:
    """The review of a pod that is created."""
    kind = {"group": "", "version": "v1", "kind": "Pod"}
    request = {"uid": "705ab4f5", "kind": kind, "operation": "CREATE", "namespace": "shop", "object": pod}
    review = {"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": request}
    return json.dumps(review).encode()


def sized(review: bytes, size: int) -> bytes:
    """The review with white space at its end, so that it is exactly this long."""
    assert len(review) <= size
    return review + b" " * (size - len(review))


def raw(port: int) -> socket.socket:
    """TCP, and nothing more."""
    return socket.create_connection((HOST, port), timeout=20)
