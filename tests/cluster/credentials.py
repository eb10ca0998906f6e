"""Every component has an identity of its own, signed by the cluster's CA, as on a cluster that a person installed.

Made by the openssl command: the standard library cannot make certificates, and this runs before anything is installed.
"""

import base64
import json
import shutil
import ssl
import subprocess
from collections.abc import Iterable
from pathlib import Path

from tests.cluster import network
from tests.cluster.errors import ClusterError

DAYS = "30"
KUBECONFIG = "kubeconfig"

# file name: the subject by which the API server knows its holder
CLIENTS = {
    "admin": "/O=system:masters/CN=kubernetes-admin",
    "controller-manager": "/CN=system:kube-controller-manager",
    "scheduler": "/CN=system:kube-scheduler",
    "proxy": "/CN=system:kube-proxy",
    "coredns": "/CN=system:coredns",
    "kubelet": "/O=system:nodes/CN=system:node:{node}",
    # The API server's own: to kubelets and to etcd.
    "apiserver-kubelet": "/O=system:masters/CN=kube-apiserver-kubelet-client",
    "apiserver-etcd": "/CN=kube-apiserver-etcd-client",
}


def issue(folder: Path, node: str, address: str) -> None:
    """Make the CA and every certificate and key."""
    if not shutil.which("openssl"):
        raise ClusterError("openssl is missing: it makes the cluster's certificates")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    (folder / "openssl.cnf").write_text("[req]\ndistinguished_name = dn\n[dn]\n")
    _sign(
        folder,
        "ca",
        "/CN=podfacts-test-ca",
        ("basicConstraints=critical,CA:TRUE", "keyUsage=critical,keyCertSign,cRLSign"),
    )
    _openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", folder / "service-accounts.key")
    _openssl("ec", "-in", folder / "service-accounts.key", "-pubout", "-out", folder / "service-accounts.pub")
    for name, subject in CLIENTS.items():
        _leaf(folder, name, subject.format(node=node), "clientAuth")
    services = (
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
        f"kubernetes.default.svc.{network.DOMAIN}",
    )
    own = ("localhost", "127.0.0.1", address)
    _leaf(
        folder, "apiserver", "/CN=kube-apiserver", "serverAuth", (*services, *own, network.KUBERNETES_SERVICE)
    )
    _leaf(folder, "etcd", "/CN=etcd", "serverAuth,clientAuth", own)
    _leaf(folder, "kubelet-serving", f"/CN={node}", "serverAuth", (node, *own))


def write_kubeconfig(folder: Path, name: str, server: str, path: Path) -> Path:
    """Write a kubeconfig (JSON is YAML) with the client's certificate inside, readable by its owner alone."""

    def data(file: str) -> str:
        return base64.b64encode((folder / file).read_bytes()).decode()

    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {"name": "podfacts", "cluster": {"server": server, "certificate-authority-data": data("ca.crt")}}
        ],
        "users": [
            {
                "name": name,
                "user": {
                    "client-certificate-data": data(f"{name}.crt"),
                    "client-key-data": data(f"{name}.key"),
                },
            },
        ],
        "contexts": [{"name": "podfacts", "context": {"cluster": "podfacts", "user": name}}],
        "current-context": "podfacts",
    }
    path.touch(mode=0o600)
    path.write_text(json.dumps(config, indent=1))
    return path


def client_context(folder: Path) -> ssl.SSLContext:
    """Return the administrator's side of a connection to the API server."""
    context = ssl.create_default_context(cafile=str(folder / "ca.crt"))
    context.load_cert_chain(folder / "admin.crt", folder / "admin.key")
    return context


def _leaf(folder: Path, name: str, subject: str, usage: str, hosts: Iterable[str] = ()) -> None:
    extensions = [
        "basicConstraints=CA:FALSE",
        "keyUsage=critical,digitalSignature",
        f"extendedKeyUsage={usage}",
    ]
    if names := ",".join(f"{'IP' if host[0].isdigit() else 'DNS'}:{host}" for host in hosts):
        extensions.append(f"subjectAltName={names}")
    _sign(folder, name, subject, extensions, "-CA", folder / "ca.crt", "-CAkey", folder / "ca.key")


def _sign(folder: Path, name: str, subject: str, extensions: Iterable[str], *by: str | Path) -> None:
    _openssl(
        *("req", "-x509", "-config", folder / "openssl.cnf", "-days", DAYS, "-nodes", "-subj", subject),
        *("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"),
        *("-keyout", folder / f"{name}.key", "-out", folder / f"{name}.crt"),
        *(word for extension in extensions for word in ("-addext", extension)),
        *by,
    )


def _openssl(*arguments: str | Path) -> None:
    done = subprocess.run(["openssl", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise ClusterError(f"openssl {arguments[0]}: {(done.stderr.strip().splitlines() or ['failed'])[-1]}")
