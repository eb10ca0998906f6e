"""What the manifests install for the controller, in a namespace of a test's own, and controllers as processes on it.

The rules are those of rbac/controller.yaml, for other names: a controller that needs more than they give fails here.
"""

import base64
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any

import yaml

from podfacts.authority.certificates import parse_authority, unusable
from tests.cluster import Cluster
from tests.e2e.api import Api
from tests.e2e.conftest import ADMISSION, REPOSITORY, wait_for

WEBHOOK = "pods.podfacts.dev"
NODES = "nodes.podfacts.dev"
NAMED = ("secrets", "leases", "mutatingwebhookconfigurations")
PROGRAM = """
import asyncio, json, sys
from datetime import timedelta
from podfacts.serving import logs
from podfacts.controller.controller import Settings, run
logs.configure()
given = {key: timedelta(seconds=value) if isinstance(value, float) else value for key, value in json.loads(sys.argv[1]).items()}
sys.exit(asyncio.run(run(Settings(**given))))
"""


class Replica:
    """One `podfacts controller` process."""

    def __init__(self, process: "subprocess.Popen[bytes]", log: Path) -> None:
        self.process = process
        self._log = log

    @property
    def log(self) -> list[dict[str, Any]]:
        """What it has logged so far, one event a line."""
        return [json.loads(line) for line in self._log.read_text().splitlines()]

    def events(self, event: str) -> list[dict[str, Any]]:
        """Those of its log lines that tell of one thing."""
        return [each for each in self.log if each["event"] == event]

    @property
    def probe_port(self) -> int:
        """The port that it took."""
        return int(wait_for(lambda: self.events("standing by"))[0]["probe_port"])

    def ask(self, path: str) -> tuple[int, str]:
        """What one of its probes says."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.probe_port}{path}", timeout=3) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def metric(self, name: str) -> float:
        """The value of a metric; 0 while it has none."""
        lines = self.ask("/metrics")[1].splitlines()
        return next((float(line.split()[-1]) for line in lines if line.startswith(f"{name} ")), 0.0)

    def stop(self, signum: int = signal.SIGTERM) -> int:
        """End it and return its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signum)
        return self.process.wait(20)


class Installation:
    """One installed Podfacts without its Deployments: the empty Secret and Lease, the rights, the configuration."""

    def __init__(self, cluster: Cluster, api: Api, name: str, folder: Path) -> None:
        self.api = api
        self.name = name
        self._cluster = cluster
        self._folder = folder
        self._replicas: list[Replica] = []
        self.secret_path = f"/api/v1/namespaces/{name}/secrets/podfacts-ca"
        self.lease_path = f"/apis/coordination.k8s.io/v1/namespaces/{name}/leases/podfacts-controller"
        self.configuration_path = f"{ADMISSION}/{name}"

    # -- set up --------------------------------------------------------------------------------------------------

    def install(self) -> None:
        """Create everything, as empty as it is shipped."""
        self.api.create(
            "/api/v1/namespaces",
            {"metadata": {"name": self.name, "labels": {"podfacts.test/door": self.name}}},
        )
        self._cluster.kubectl("apply", "-f", str(REPOSITORY / "deploy/base/05-profiles.yaml"))
        for path in ("rbac/controller.yaml", "deploy/base/10-state.yaml", "deploy/base/40-admission.yaml"):
            for tree in yaml.safe_load_all((REPOSITORY / path).read_text()):
                self._create(self._renamed(tree))
        token = self._cluster.kubectl(
            "create", "token", "podfacts-controller", "-n", self.name
        ).stdout.strip()
        admin = yaml.safe_load(self._cluster.kubeconfig.read_text())
        admin["users"] = [{"name": admin["users"][0]["name"], "user": {"token": token}}]
        self.kubeconfig = self._folder / "kubeconfig"
        self.kubeconfig.write_text(yaml.safe_dump(admin))
        account = Api(self._cluster.kubeconfig, token)  # The API server takes a moment to know new rules.
        for path in (self.secret_path, self.lease_path, self.configuration_path):
            wait_for(lambda path=path: account.call("GET", path).status == HTTPStatus.OK)

    def _renamed(self, tree: dict[str, Any]) -> dict[str, Any]:
        metadata = tree["metadata"]
        if "namespace" in metadata:
            metadata["namespace"] = self.name
        else:
            metadata["name"] = self._own(metadata["name"])
        for rule in tree.get("rules", []):
            if "resourceNames" in rule:
                rule["resourceNames"] = [
                    self.name if each == "podfacts" else each for each in rule["resourceNames"]
                ]
        if tree["kind"] == "ClusterRoleBinding":
            tree["roleRef"]["name"] = self._own(tree["roleRef"]["name"])
        for subject in tree.get("subjects", []):
            subject["namespace"] = self.name
        for webhook in tree.get("webhooks", []):
            webhook["namespaceSelector"] = {"matchLabels": {"podfacts.test/door": self.name}}
        return tree

    def _own(self, name: str) -> str:
        """The name that an object without a namespace has here."""
        return self.name + name.removeprefix("podfacts").removeprefix("-controller")

    def _create(self, tree: dict[str, Any]) -> None:
        group, _, version = tree["apiVersion"].rpartition("/")
        root = f"/apis/{group}/{version}" if group else f"/api/{version}"
        scope = f"/namespaces/{self.name}" if "namespace" in tree["metadata"] else ""
        self.api.create(f"{root}{scope}/{tree['kind'].lower()}s", tree)

    def remove(self) -> None:
        """End the controllers and delete everything."""
        for replica in self._replicas:
            replica.stop(signal.SIGKILL)
        rbac = "/apis/rbac.authorization.k8s.io/v1"
        for path in (
            self.configuration_path,
            *(
                f"{rbac}/{kind}/{self.name}{end}"
                for kind in ("clusterrolebindings", "clusterroles")
                for end in ("", "-ca")
            ),
            f"/api/v1/namespaces/{self.name}",
        ):
            self.api.call("DELETE", path)

    # -- controllers ---------------------------------------------------------------------------------------------

    def start(self, kubeconfig: Path | None = None, **settings: Any) -> Replica:
        """Start one controller. Floats are seconds."""
        given = {
            "namespace": self.name,
            "webhook_configuration": self.name,
            "probe_port": 0,
            "host": "127.0.0.1",
            **settings,
        }
        log = self._folder / f"controller-{len(self._replicas)}.log"
        environment = {**os.environ, "KUBECONFIG": str(kubeconfig or self.kubeconfig)}
        with log.open("wb") as stream:
            process = subprocess.Popen(
                [sys.executable, "-c", PROGRAM, json.dumps(given)], stderr=stream, env=environment
            )
        replica = Replica(process, log)
        self._replicas.append(replica)
        return replica

    # -- what is there -------------------------------------------------------------------------------------------

    @property
    def secret(self) -> dict[str, bytes]:
        """The Secret's data."""
        data = self.api.call("GET", self.secret_path).body.get("data") or {}
        return {key: base64.b64decode(value) for key, value in data.items()}

    def write_secret(self, data: Mapping[str, bytes]) -> None:
        """Replace the Secret's data as an administrator would."""
        secret = self.api.call("GET", self.secret_path).body
        secret["data"] = {key: base64.b64encode(value).decode() for key, value in data.items()}
        del secret["metadata"]["resourceVersion"]
        said = self.api.call("PUT", self.secret_path, secret)
        assert said.status == HTTPStatus.OK, said.body

    def rotate(self) -> None:
        """Ask for another CA."""
        request = {"metadata": {"annotations": {"podfacts.dev/rotate-ca": "now"}}}
        said = self.api.call("PATCH", self.secret_path, request)
        assert said.status == HTTPStatus.OK, said.body

    @property
    def configuration(self) -> dict[str, Any]:
        """The webhook configuration."""
        return self.api.call("GET", self.configuration_path).body

    def edit_configuration(self, change: Callable[[dict[str, Any]], None]) -> None:
        """Change the webhook configuration as an administrator would: again when somebody else was quicker."""
        while True:
            tree = self.configuration
            change(tree)
            said = self.api.call("PUT", self.configuration_path, tree)
            if said.status != HTTPStatus.CONFLICT:
                assert said.status == HTTPStatus.OK, said.body
                return

    @property
    def bundle(self) -> bytes:
        """The caBundle of our webhook for pods."""
        return self.bundle_of(WEBHOOK)

    def bundle_of(self, name: str) -> bytes:
        """The caBundle of a webhook."""
        webhooks = self.configuration["webhooks"]
        found = next(each for each in webhooks if each["name"] == name)
        return base64.b64decode(found["clientConfig"].get("caBundle", ""))

    def write_bundle(self, bundle: bytes) -> None:
        """Overwrite the caBundle of our webhook."""

        def change(tree: dict[str, Any]) -> None:
            ours = next(each for each in tree["webhooks"] if each["name"] == WEBHOOK)
            ours["clientConfig"]["caBundle"] = base64.b64encode(bundle).decode()

        self.edit_configuration(change)

    @property
    def lease(self) -> dict[str, Any]:
        """The Lease's spec."""
        return self.api.call("GET", self.lease_path).body.get("spec") or {}

    def leader(self) -> str:
        """Who holds the Lease."""
        return str(self.lease.get("holderIdentity") or "")

    def trusted(self, name: str = WEBHOOK) -> bytes:
        """The CA that signs, once the bundle holds it too and nothing is under way; else nothing."""
        data = self.secret
        settled = set(data) == {"ca.crt", "ca.key"} and self.bundle_of(name) == data["ca.crt"]
        return data["ca.crt"] if settled else b""

    def signing(self) -> bytes:
        """The CA that signs, if it is sound and the bundle holds it; else nothing."""
        data = self.secret
        try:
            ca = parse_authority(data.get("ca.crt", b""), data.get("ca.key", b""))
        except ValueError:
            return b""
        now = datetime.now(UTC)
        sound = not unusable(ca.certificate, now) and ca.certificate_pem in self.bundle
        return ca.certificate_pem if sound else b""

    def requests(self) -> list[tuple[str, str, int]]:
        """What its service account has asked about the CA and the Lease, from the audit log: verb, resource, status."""
        user = f"system:serviceaccount:{self.name}:podfacts-controller"
        events = [
            json.loads(line) for line in self._cluster.audit_log.read_text().splitlines() if user in line
        ]
        return [
            (each["verb"], each["objectRef"]["resource"], each["responseStatus"]["code"])
            for each in events
            if each["stage"] == "ResponseComplete"
            and each["user"]["username"] == user
            and each.get("objectRef", {}).get("resource") in NAMED
        ]


@contextmanager
def installed(cluster: Cluster, api: Api, folder: Path) -> Iterator[Installation]:
    """An installation for one test."""
    made = Installation(cluster, api, f"authority-{os.getpid()}-{time.monotonic_ns() % 10**9}", folder)
    try:
        made.install()
        yield made
    finally:
        made.remove()
