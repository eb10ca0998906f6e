"""An identity of ours for a process outside of a pod: its rights as rbac/ has them, and its token in a folder.

Under names of its own, so that an installation beside it comes and goes without taking them along.
"""

import base64
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from tests.cluster import Cluster
from tests.e2e.api import Api

REPOSITORY = Path(__file__).parents[2]
RBAC = "/apis/rbac.authorization.k8s.io/v1"


@contextmanager
def identity(
    api: Api, cluster: Cluster, folder: Path, component: str, namespace: str, suffix: str
) -> Iterator[Mapping[str, str]]:
    """Give the environment for a process with the cluster-wide rights of ``component``.

    Its folder holds ``token`` and ``ca.crt``, as the kubelet would mount them.
    """
    name = f"podfacts-{component}-{suffix}"
    api.create(f"/api/v1/namespaces/{namespace}/serviceaccounts", {"metadata": {"name": name}})
    rules = cluster_rules(component)
    api.create(f"{RBAC}/clusterroles", {"metadata": {"name": name}, "rules": rules})
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name}
    subject = {"kind": "ServiceAccount", "name": name, "namespace": namespace}
    binding = {"metadata": {"name": name}, "roleRef": reference, "subjects": [subject]}
    api.create(f"{RBAC}/clusterrolebindings", binding)
    try:
        yield written(api, cluster, folder, namespace, name)
    finally:
        for kind in ("clusterrolebindings", "clusterroles"):
            api.call("DELETE", f"{RBAC}/{kind}/{name}")
        api.call("DELETE", f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}")


def written(api: Api, cluster: Cluster, folder: Path, namespace: str, account: str) -> Mapping[str, str]:
    """Write an account's token and the CA into the folder; return the environment that a pod would have."""
    path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token"
    token = api.create(path, {"spec": {"expirationSeconds": 7200}})["status"]["token"]
    folder.mkdir(exist_ok=True)
    (folder / "token").write_text(token)
    (folder / "ca.crt").write_bytes(certificate_authority(cluster))
    address = urlsplit(api.server)
    return {
        "KUBERNETES_SERVICE_HOST": str(address.hostname),
        "KUBERNETES_SERVICE_PORT": str(address.port or 443),
        "PODFACTS_SERVICE_ACCOUNT": str(folder),
    }


def certificate_authority(cluster: Cluster) -> bytes:
    """The CA of the API server, as the kubeconfig has it."""
    config = yaml.safe_load(cluster.kubeconfig.read_text())["clusters"][0]["cluster"]
    if data := config.get("certificate-authority-data"):
        return base64.b64decode(str(data))
    path: Path = cluster.kubeconfig.parent / config["certificate-authority"]
    return path.read_bytes()


def cluster_rules(component: str) -> list[dict[str, Any]]:
    """What rbac/ gives a component in the whole cluster."""
    trees = yaml.safe_load_all((REPOSITORY / f"rbac/{component}.yaml").read_text())
    return [rule for tree in trees if tree and tree["kind"] == "ClusterRole" for rule in tree["rules"]]
