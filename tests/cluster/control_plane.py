"""etcd, the API server, the controller manager and the scheduler, with the defaults of 1.36 wherever there is no reason."""

import json
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tests.cluster import credentials, network

# Later tests read who asked for what; bodies are not kept, so that no Secret lands in the log.
AUDIT_POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [{"level": "Metadata"}],
}


class Addresses(NamedTuple):
    """Where the control plane listens."""

    host: str
    api: int
    etcd: int
    peer: int

    @property
    def server(self) -> str:
        """Return the API server's URL."""
        return f"https://{self.host}:{self.api}"


INSIDE = Addresses(network.NODE, 6443, 2379, 2380)


def on_loopback() -> Addresses:
    """Return free ports of the loopback address, for a control plane without a network namespace."""
    return Addresses("127.0.0.1", *network.free_ports(3))


def etcd(binary: Path, state: Path, at: Addresses) -> list[str | Path]:
    """Return etcd's command line."""
    certificates = state / "credentials"
    client, peer = f"https://127.0.0.1:{at.etcd}", f"http://127.0.0.1:{at.peer}"
    return [
        binary,
        f"--data-dir={state / 'etcd'}",
        "--unsafe-no-fsync",  # nothing here outlives a crash
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=default={peer}",
        "--client-cert-auth",
        f"--trusted-ca-file={certificates / 'ca.crt'}",
        f"--cert-file={certificates / 'etcd.crt'}",
        f"--key-file={certificates / 'etcd.key'}",
        "--log-level=warn",
    ]


def api_server(binary: Path, state: Path, at: Addresses, flags: Sequence[str]) -> list[str | Path]:
    """Return the API server's command line; flags come last, so they win."""
    certificates = state / "credentials"
    policy = state / "audit-policy.json"
    policy.write_text(json.dumps(AUDIT_POLICY, indent=1))
    # The endpoints of the Service kubernetes may not be a loopback address: no pod could reach it.
    reconciler = ["--endpoint-reconciler-type=none"] if at.host.startswith("127.") else []
    return [
        binary,
        f"--advertise-address={at.host}",
        f"--bind-address={at.host}",
        f"--secure-port={at.api}",
        *reconciler,
        f"--etcd-servers=https://127.0.0.1:{at.etcd}",
        f"--etcd-cafile={certificates / 'ca.crt'}",
        f"--etcd-certfile={certificates / 'apiserver-etcd.crt'}",
        f"--etcd-keyfile={certificates / 'apiserver-etcd.key'}",
        f"--client-ca-file={certificates / 'ca.crt'}",
        f"--tls-cert-file={certificates / 'apiserver.crt'}",
        f"--tls-private-key-file={certificates / 'apiserver.key'}",
        f"--kubelet-certificate-authority={certificates / 'ca.crt'}",
        f"--kubelet-client-certificate={certificates / 'apiserver-kubelet.crt'}",
        f"--kubelet-client-key={certificates / 'apiserver-kubelet.key'}",
        "--kubelet-preferred-address-types=InternalIP",
        f"--service-account-issuer=https://kubernetes.default.svc.{network.DOMAIN}",
        f"--service-account-key-file={certificates / 'service-accounts.pub'}",
        f"--service-account-signing-key-file={certificates / 'service-accounts.key'}",
        f"--service-cluster-ip-range={network.SERVICES}",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        "--allow-privileged=true",
        f"--audit-policy-file={policy}",
        f"--audit-log-path={state / 'audit.log'}",
        f"--cert-dir={state / 'credentials'}",
        *flags,
    ]


def controller_manager(binary: Path, state: Path) -> list[str | Path]:
    """Return the controller manager's command line."""
    certificates = state / "credentials"
    return [
        binary,
        f"--kubeconfig={state / 'controller-manager.kubeconfig'}",
        "--use-service-account-credentials",
        f"--service-account-private-key-file={certificates / 'service-accounts.key'}",
        f"--root-ca-file={certificates / 'ca.crt'}",
        f"--cluster-signing-cert-file={certificates / 'ca.crt'}",
        f"--cluster-signing-key-file={certificates / 'ca.key'}",
        f"--service-cluster-ip-range={network.SERVICES}",
        "--leader-elect=false",
        "--secure-port=0",
    ]


def scheduler(binary: Path, state: Path) -> list[str | Path]:
    """Return the scheduler's command line."""
    return [
        binary,
        f"--kubeconfig={state / 'scheduler.kubeconfig'}",
        "--leader-elect=false",
        "--secure-port=0",
    ]


Get = Callable[[str], Any]


def reader(certificates: Path, server: str, namespace: str | None) -> Get:
    """Return a function that reads a path of the API: the object, the text of a check, or None when there is none."""
    context = credentials.client_context(certificates)
    return lambda path: network.inside(namespace, lambda: fetch(f"{server}{path}", context))


def fetch(url: str, context: ssl.SSLContext | None = None) -> Any:
    """Return what is behind the URL, or None: not there, or not yet."""
    # The cluster has no way out, so no proxy of the host's can be right.
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
    )
    try:
        with opener.open(url, timeout=5) as answer:
            body = answer.read()
            return (
                json.loads(body) if answer.headers.get_content_type() == "application/json" else body.decode()
            )
    except OSError:
        return None
