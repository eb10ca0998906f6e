"""``podfacts auditor`` as a process on the cluster, with the rights of ``rbac/audit`` and no other."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from tests.cluster import Cluster
from tests.e2e.api import Api
from tests.e2e.conftest import REPOSITORY, wait_for
from tests.e2e.installation import Replica

RBAC = "/apis/rbac.authorization.k8s.io/v1"
CRDS = REPOSITORY / "tests/audit/reports/crds"
PATHS = {"openreports.io": "/apis/openreports.io/v1alpha1", "wgpolicyk8s.io": "/apis/wgpolicyk8s.io/v1alpha2"}
PLURALS = {
    "openreports.io": ("clusterreports", "reports"),
    "wgpolicyk8s.io": ("clusterpolicyreports", "policyreports"),
}


class Running(Replica):
    """One ``podfacts auditor`` process."""

    @property
    def probe_port(self) -> int:
        """The port that it took."""
        return int(wait_for(lambda: self.events("auditing"))[0]["probe_port"])

    def audits(self, more: int) -> None:
        """Wait until so many further audits are through, reports included: until one more has begun and ended."""
        reached = len(self.events("audited")) + more + 1
        wait_for(lambda: len(self.events("audited")) >= reached)

    def findings(self) -> dict[tuple[str, str], int]:
        """How many findings of each rule and severity its metrics tell of."""
        found = {}
        for line in self.ask("/metrics")[1].splitlines():
            name, _, value = line.rpartition(" ")
            if name.startswith("podfacts_audit_findings{") and float(value):
                rule, severity = (each.split('"')[1] for each in name.split(","))
                found[rule, severity] = int(float(value))
        return found


class Auditing:
    """A namespace, an account in it that has the rights of the auditor, and processes that run as it."""

    def __init__(self, cluster: Cluster, api: Api, folder: Path) -> None:
        self.cluster, self.api, self.folder = cluster, api, folder
        self.name = f"auditing-{os.getpid()}"
        self.user = f"system:serviceaccount:{self.name}:podfacts-audit"
        self.ignore = folder / "ignore.yaml"
        self._processes: list[Running] = []

    def install(self) -> None:
        """The account, as rbac/audit has it, under a name of its own; and its kubeconfig."""
        self.api.create("/api/v1/namespaces", {"metadata": {"name": self.name}})
        for tree in yaml.safe_load_all((REPOSITORY / "rbac/audit/audit.yaml").read_text()):
            if tree["kind"] == "ServiceAccount":
                tree["metadata"]["namespace"] = self.name
                self.api.create(f"/api/v1/namespaces/{self.name}/serviceaccounts", tree)
            elif tree["kind"] == "ClusterRole":
                tree["metadata"]["name"] = self.name
                self.api.create(f"{RBAC}/clusterroles", tree)
        self.bind()
        token = self.cluster.kubectl("create", "token", "podfacts-audit", "-n", self.name).stdout.strip()
        config = yaml.safe_load(self.cluster.kubeconfig.read_text())
        config["users"] = [{"name": config["users"][0]["name"], "user": {"token": token}}]
        self.kubeconfig = self.folder / "kubeconfig"
        self.kubeconfig.write_text(yaml.safe_dump(config))
        account = Api(self.cluster.kubeconfig, token)  # The API server takes a moment to know new rules.
        wait_for(lambda: account.call("GET", f"{RBAC}/roles").status == 200)

    def bind(self) -> None:
        """Give the account its rights."""
        self.grant(self.name, "podfacts-audit", self.name)

    def unbind(self) -> None:
        """Take them away."""
        self.api.call("DELETE", f"{RBAC}/clusterrolebindings/{self.name}")

    def grant(self, name: str, account: str, role: str, namespace: str = "") -> None:
        """Bind a ClusterRole to an account of the namespace, in the cluster or in a namespace."""
        where = f"/namespaces/{namespace}/rolebindings" if namespace else "/clusterrolebindings"
        reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role}
        subject = {"kind": "ServiceAccount", "name": account, "namespace": self.name}
        self.api.create(
            f"{RBAC}{where}", {"metadata": {"name": name}, "roleRef": reference, "subjects": [subject]}
        )

    def start(self, every: str = "1s") -> Running:
        """A process."""
        log = self.folder / f"auditor-{len(self._processes)}.log"
        command = [sys.executable, "-m", "podfacts", "auditor", "--every", every, "--probe-port", "0"]
        command += ["--ignore", str(self.ignore)]
        environment = {**os.environ, "KUBECONFIG": str(self.kubeconfig)}
        with log.open("wb") as stream:
            process = subprocess.Popen(command, stderr=stream, env=environment, cwd=self.folder)
        self._processes.append(Running(process, log))
        return self._processes[-1]

    def stop(self) -> None:
        """End the processes."""
        for each in self._processes:
            each.stop()

    def remove(self) -> None:
        """End everything."""
        self.stop()
        self.unbind()
        self.api.call("DELETE", f"{RBAC}/clusterroles/{self.name}")
        self.api.call("DELETE", f"/api/v1/namespaces/{self.name}")

    # -- what is there -------------------------------------------------------------------------------------------

    def define(self, group: str) -> None:
        """Let the API server serve a group's reports."""
        self.cluster.kubectl("apply", "--server-side", "-f", str(CRDS / f"{group}.yaml"))
        for plural in PLURALS[group]:
            wait_for(lambda plural=plural: self.api.call("GET", f"{PATHS[group]}/{plural}").status == 200)

    def forget(self, group: str) -> None:
        """Let it serve them no more; all reports go with them."""
        names = [f"{each}.{group}" for each in PLURALS[group]]
        self.cluster.kubectl("delete", "crd", "--ignore-not-found", *names)
        wait_for(lambda: self.api.call("GET", PATHS[group]).status == 404)

    def reports(self, plural: str = "clusterreports", group: str = "openreports.io") -> list[dict[str, Any]]:
        """The objects of a kind."""
        found: list[dict[str, Any]] = self.api.call("GET", f"{PATHS[group]}/{plural}").body.get("items", [])
        return found

    def reported(self, group: str = "openreports.io") -> set[str]:
        """The namespaces that have a report."""
        return {each["metadata"]["namespace"] for each in self.reports(PLURALS[group][1], group)}

    def told(self, binding: str, result: str = "fail", group: str = "openreports.io") -> list[str]:
        """The rules of all results about a binding."""
        return [
            each["rule"]
            for plural in PLURALS[group]
            for report in self.reports(plural, group)
            for each in report["results"]
            if each["result"] == result and each["resources"][0]["name"] == binding
        ]

    def calls(self) -> list[tuple[str, str, str, int]]:
        """What the account has asked, from the audit log: verb, group, resource, status. Discovery is everybody's."""
        events = [
            json.loads(line)
            for line in self.cluster.audit_log.read_text().splitlines()
            if f'"{self.user}"' in line
        ]
        return [
            (
                each["verb"],
                each["objectRef"].get("apiGroup", ""),
                each["objectRef"]["resource"],
                each["responseStatus"]["code"],
            )
            for each in events
            if each["stage"] == "ResponseComplete"
            and each["user"]["username"] == self.user
            and "objectRef" in each
        ]

    def writes(self) -> int:
        """How many writes it asked for."""
        return sum(verb not in ("get", "list") for verb, *_ in self.calls())


@contextmanager
def auditing(cluster: Cluster, api: Api, folder: Path) -> Iterator[Auditing]:
    """All that an auditor needs, for a module's tests; both kinds of reports are served by nobody."""
    made = Auditing(cluster, api, folder)
    try:
        for group in PATHS:
            made.forget(group)
        made.install()
        yield made
    finally:
        made.remove()
        for group in PATHS:
            made.forget(group)
