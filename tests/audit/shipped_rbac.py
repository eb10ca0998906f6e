"""``operator/podfacts/audit/shipped.json``, from the sources of Kubernetes: ``python -m tests.audit.shipped_rbac`` writes it.

What the API server ships is in its own test data, in the Go module cache; what kubeadm adds is in code, and so is written
down here by hand. Only content is kept: names, rules, what aggregates, who is bound.
"""

import json
import os
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import yaml

Tree = dict[str, Any]

VERSION = "1.36.3"
DATA = Path(__file__).parents[2] / "operator/podfacts/audit/shipped.json"
POLICY = f"k8s.io/kubernetes@v{VERSION}/plugin/pkg/auth/authorizer/rbac/bootstrappolicy/testdata"
FILES = (
    "cluster-roles.yaml",
    "controller-roles.yaml",
    "namespace-roles.yaml",
    "cluster-role-bindings.yaml",
    "controller-role-bindings.yaml",
    "namespace-role-bindings.yaml",
)
GATED = "cluster-roles-featuregates.yaml"
AGGREGATES = "rbac.authorization.k8s.io/aggregate-to-"

TOKENS = "system:bootstrappers:kubeadm:default-node-token"
NODES = "system:nodes"


def _group(name: str) -> Tree:
    return {"kind": "Group", "name": name}


def _reads(resource: str, name: str) -> list[Tree]:
    return [{"verbs": ["get"], "apiGroups": [""], "resources": [resource], "resourceNames": [name]}]


def _account(name: str) -> Tree:
    return {"kind": "ServiceAccount", "name": name, "namespace": "kube-system"}


# cmd/kubeadm/app/phases; name, namespace, rules: addons/dns/manifests.go, addons/proxy/proxy.go, copycerts/copycerts.go,
# kubelet/config.go, uploadconfig/uploadconfig.go, bootstraptoken/clusterinfo/clusterinfo.go and node/tlsbootstrap.go.
KUBEADM_ROLES = (
    (
        "system:coredns",
        "",
        [
            {
                "verbs": ["list", "watch"],
                "apiGroups": [""],
                "resources": ["endpoints", "services", "pods", "namespaces"],
            },
            {"verbs": ["list", "watch"], "apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"]},
        ],
    ),
    ("kubeadm:get-nodes", "", [{"verbs": ["get"], "apiGroups": [""], "resources": ["nodes"]}]),
    ("kubeadm:bootstrap-signer-clusterinfo", "kube-public", _reads("configmaps", "cluster-info")),
    ("kube-proxy", "kube-system", _reads("configmaps", "kube-proxy")),
    ("kubeadm:kubeadm-certs", "kube-system", _reads("secrets", "kubeadm-certs")),
    ("kubeadm:kubelet-config", "kube-system", _reads("configmaps", "kubelet-config")),
    ("kubeadm:nodes-kubeadm-config", "kube-system", _reads("configmaps", "kubeadm-config")),
)
# The same, and kubeconfig/kubeconfig.go (kubeadm:cluster-admins, the group of the admin.conf that kubeadm writes):
# name, namespace, the ClusterRole, or in a namespace the Role, and the subjects.
KUBEADM_BINDINGS = (
    ("kubeadm:cluster-admins", "", "cluster-admin", [_group("kubeadm:cluster-admins")]),
    ("kubeadm:kubelet-bootstrap", "", "system:node-bootstrapper", [_group(TOKENS)]),
    ("kubeadm:get-nodes", "", "kubeadm:get-nodes", [_group(TOKENS)]),
    (
        "kubeadm:node-autoapprove-bootstrap",
        "",
        "system:certificates.k8s.io:certificatesigningrequests:nodeclient",
        [_group(TOKENS)],
    ),
    (
        "kubeadm:node-autoapprove-certificate-rotation",
        "",
        "system:certificates.k8s.io:certificatesigningrequests:selfnodeclient",
        [_group(NODES)],
    ),
    (
        "kubeadm:apiserver-kubelet-client",
        "",
        "system:kubelet-api-admin",
        [{"kind": "User", "name": "kube-apiserver-kubelet-client"}],
    ),
    ("kubeadm:node-proxier", "", "system:node-proxier", [_account("kube-proxy")]),
    ("system:coredns", "", "system:coredns", [_account("coredns")]),
    (
        "kubeadm:bootstrap-signer-clusterinfo",
        "kube-public",
        "kubeadm:bootstrap-signer-clusterinfo",
        [{"kind": "User", "name": "system:anonymous"}],
    ),
    ("kube-proxy", "kube-system", "kube-proxy", [_group(TOKENS)]),
    ("kubeadm:kubeadm-certs", "kube-system", "kubeadm:kubeadm-certs", [_group(TOKENS)]),
    ("kubeadm:kubelet-config", "kube-system", "kubeadm:kubelet-config", [_group(NODES), _group(TOKENS)]),
    (
        "kubeadm:nodes-kubeadm-config",
        "kube-system",
        "kubeadm:nodes-kubeadm-config",
        [_group(TOKENS), _group(NODES)],
    ),
)


def module_cache() -> Path:
    """Where Go keeps modules; the sources are there once the test cluster was built."""
    said = subprocess.run(["go", "env", "GOMODCACHE"], capture_output=True, text=True, check=False)
    return Path(said.stdout.strip() or os.path.expanduser("~/go/pkg/mod"))  # noqa: PTH111 - as Go has it


def shipped(sources: Path) -> str:
    """The text of the data file: an object a line, so that a new version of Kubernetes is a diff to read."""
    objects = [each for name in FILES for each in _items(sources / name)]
    plain = {each["metadata"]["name"]: each for each in objects if each["kind"] == "ClusterRole"}
    gated = [
        lessened
        for each in _items(sources / GATED)
        if (lessened := _beyond(each, plain.get(each["metadata"]["name"])))["rules"]
    ]
    sections = {
        "kubernetes": map(content, objects),
        "gated": map(content, gated),
        "kubeadm": _kubeadm(),
    }
    return "{" + ",".join(f'\n"{key}":[\n{_lines(each)}\n]' for key, each in sections.items()) + "\n}\n"


def kubernetes() -> list[Tree]:
    """What the data file says the API server ships."""
    found: list[Tree] = json.loads(DATA.read_text())["kubernetes"]
    return found


def content(tree: Tree) -> Tree:
    """What counts of an object of the four kinds."""
    metadata = tree["metadata"]
    labels = {
        key: value for key, value in (metadata.get("labels") or {}).items() if key.startswith(AGGREGATES)
    }
    found: Tree = {"kind": tree["kind"], "namespace": metadata.get("namespace", ""), "name": metadata["name"]}
    if "roleRef" in tree:
        found["role"] = [tree["roleRef"]["kind"], tree["roleRef"]["name"]]
        found["subjects"] = [
            {key: each[key] for key in ("kind", "namespace", "name") if key in each}
            for each in tree.get("subjects") or ()
        ]
        return found
    if rule := tree.get("aggregationRule"):
        found["selectors"] = rule["clusterRoleSelectors"]
    return {**found, **({"labels": labels} if labels else {}), "rules": tree.get("rules") or []}


def _kubeadm() -> Iterator[Tree]:
    for name, namespace, rules in KUBEADM_ROLES:
        kind = "Role" if namespace else "ClusterRole"
        yield {"kind": kind, "namespace": namespace, "name": name, "rules": rules}
    for name, namespace, role, subjects in KUBEADM_BINDINGS:
        kind = "Role" if namespace else "ClusterRole"
        written = {"namespace": namespace, "name": name, "role": [kind, role], "subjects": subjects}
        yield {"kind": f"{kind}Binding", **written}


def _items(path: Path) -> list[Tree]:
    found: list[Tree] = yaml.safe_load(path.read_text())["items"]
    return found


def _beyond(gated: Tree, plain: Tree | None) -> Tree:
    """The role with the rules that it has only where a feature gate is open."""
    known = (plain or {}).get("rules") or []
    return {**gated, "rules": [each for each in gated.get("rules") or () if each not in known]}


def _lines(objects: Iterable[Tree]) -> str:
    return ",\n".join(json.dumps(each, separators=(",", ":")) for each in objects)


if __name__ == "__main__":
    DATA.write_text(shipped(module_cache() / POLICY))
