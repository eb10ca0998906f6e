"""Two namespaces whose accounts work by a binding that gives too much, and the command that replaces it."""

import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from podfacts.rights.request import Account
from tests.cluster import Cluster
from tests.e2e.api import Api

Tree = dict[str, Any]
Done = subprocess.CompletedProcess[str]

ME = f"replace-{os.getpid()}"
GROUP = "rbac.authorization.k8s.io"
RBAC = f"/apis/{GROUP}/v1"
WIDE = f"{RBAC}/clusterrolebindings"
SHOP, BANK = f"{ME}-shop", f"{ME}-bank"
WEB, DB, IDLE = Account(SHOP, "web"), Account(BANK, "db"), Account(BANK, "idle")
ALL = ({"kind": "Group", "apiGroup": GROUP, "name": "system:serviceaccounts"},)
OURS = tuple({**ALL[0], "name": f"system:serviceaccounts:{each}"} for each in (SHOP, BANK))
PODS = f"/api/v1/namespaces/{SHOP}/pods"

# What the accounts do, and the status that this has while they may.
CALLS: tuple[tuple[Account, str, str, Tree | None, int], ...] = (
    (WEB, "GET", f"{PODS}/web", None, 200),
    (WEB, "GET", PODS, None, 200),
    (WEB, "GET", f"{PODS}/web/log", None, 204),  # It does not run: nothing to say.
    (WEB, "GET", f"/api/v1/namespaces/{BANK}/configmaps", None, 200),
    (DB, "GET", "/api/v1/nodes", None, 200),
    (DB, "GET", "/metrics", None, 200),
    (DB, "POST", f"/api/v1/namespaces/{BANK}/configmaps", {"metadata": {"generateName": "made-"}}, 201),
    (DB, "GET", f"/api/v1/namespaces/{BANK}/secrets/none", None, 404),
)


@dataclass
class Scene:
    """Two namespaces with accounts and pods that need not run, and the command."""

    cluster: Cluster
    api: Api
    folder: Path
    tokens: dict[Account, str] = field(default_factory=dict)

    def run(self, name: str, *words: str, kubeconfig: Path | None = None) -> Done:
        """``podfacts replace-binding NAME ...``, in the cluster's network."""
        command = [sys.executable, "-m", "podfacts", "replace-binding", name, *words]
        more = {"env": {"KUBECONFIG": str(kubeconfig)}} if kubeconfig else {}
        done: Done = self.cluster.run(command, capture_output=True, text=True, cwd=self.folder, **more)
        assert "Traceback" not in done.stderr, done.stderr
        return done

    def as_account(self, account: Account) -> Api:
        """The API server as this account, by a token of its own."""
        if account not in self.tokens:
            path = f"/api/v1/namespaces/{account.namespace}/serviceaccounts/{account.name}/token"
            self.tokens[account] = self.api.create(path, {"spec": {}})["status"]["token"]
        return Api(self.cluster.kubeconfig, self.tokens[account])

    def work(self) -> list[int]:
        """Do all the calls, and return what came of them."""
        return [
            self.as_account(account).call(method, path, body).status
            for account, method, path, body, _ in CALLS
        ]

    def reads_secrets(self, account: Account) -> int:
        """What comes of reading all Secrets of the cluster."""
        return self.as_account(account).call("GET", "/api/v1/secrets").status

    def bind(
        self, name: str, subjects: tuple[Tree, ...], role: str = "cluster-admin", namespace: str = ""
    ) -> None:
        path = f"{RBAC}/namespaces/{namespace}/rolebindings" if namespace else WIDE
        reference = {"apiGroup": GROUP, "kind": "ClusterRole", "name": role}
        self.api.create(path, {"metadata": {"name": name}, "roleRef": reference, "subjects": [*subjects]})

    def apply(self, text: str) -> None:
        self.cluster.kubectl("apply", "-f", "-", stdin=text)

    def log(self, since: int) -> str:
        """The file with what the audit log says since then, of our accounts and of those of kube-system.

        Others are at work on the same cluster, and what they did under our binding is none of ours to grant.
        """
        file = self.folder / "audit.log"
        with self.cluster.audit_log.open("rb") as log:
            log.seek(since)
            lines = log.read().splitlines(keepends=True)
        ours = (b'"system:serviceaccount:kube-system:', f'"system:serviceaccount:{ME}-'.encode())
        kept = [line for line in lines if any(each in line for each in ours) and line.endswith(b"\n")]
        file.write_bytes(b"".join(kept))
        return str(file)


def pod(name: str, account: Account, **metadata: Any) -> Tree:
    spec = {
        "schedulerName": "none",
        "serviceAccountName": account.name,
        "containers": [{"name": "main", "image": "app"}],
    }
    return {"metadata": {"name": name, **metadata}, "spec": spec}
