"""A cluster as plain data: bindings, who holds them, and what is known to be used of them."""

from typing import Any

from podfacts.rights.replacement import State, address
from podfacts.rights.request import Account, Request
from podfacts.rights.rules import Ref, Rights
from podfacts.rights.usage import Usage

Tree = dict[str, Any]

GROUP = "rbac.authorization.k8s.io"
WEB, DB, CONTROLLER = Account("shop", "web"), Account("bank", "db"), Account("kube-system", "job-controller")
WIDE = Ref("", "permissive")
EVERYTHING = {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}
READ = Request("get", resource="pods", namespace="shop", name="a")
LIST = Request("list", resource="pods", namespace="shop")
BY_WIDE = (
    'RBAC: allowed by ClusterRoleBinding "permissive" of ClusterRole "all" to Group "system:serviceaccounts"'
)


def subject(kind: str, name: str, namespace: str = "") -> Tree:
    return {"kind": kind, "name": name, **({"namespace": namespace} if namespace else {})}


ALL = subject("Group", "system:serviceaccounts")


def binding(ref: Ref, role: str, *subjects: Tree, **metadata: Any) -> Tree:
    place = {"namespace": ref.namespace} if ref.namespace else {}
    return {
        "kind": ref.kind,
        "metadata": {"name": ref.name, **place, **metadata},
        "roleRef": {"apiGroup": GROUP, "kind": "ClusterRole", "name": role},
        "subjects": [*subjects],
    }


def pod(name: str, account: Account, **metadata: Any) -> Tree:
    return {
        "metadata": {"name": name, "namespace": account.namespace, **metadata},
        "spec": {"serviceAccountName": account.name, "containers": [{"name": "main", "image": "app"}]},
    }


def state(
    bound: Tree,
    *others: Tree,
    pods: tuple[Tree, ...] = (),
    roles: tuple[Tree, ...] = (),
    wider: tuple[Tree, ...] = (),
) -> State:
    bindings = [bound, *others]
    wide = [each for each in bindings if each["kind"] == "ClusterRoleBinding"]
    narrow = [each for each in bindings if each["kind"] == "RoleBinding"]
    readers = {"verbs": ["list"], "apiGroups": [""], "resources": ["pods"]}
    cluster_roles = [
        {"kind": "ClusterRole", "metadata": {"name": name}, "rules": [rule]}
        for name, rule in (("all", EVERYTHING), ("readers", readers))
    ]
    cluster_roles += wider
    rights = Rights(
        roles=roles, cluster_roles=cluster_roles, role_bindings=narrow, cluster_role_bindings=wide
    )
    taken = frozenset(address(each) for each in (*bindings, *cluster_roles, *roles))
    metadata = bound["metadata"]
    ref = Ref(metadata.get("namespace", ""), metadata["name"])
    return State(ref, bound, rights, taken, [WEB, DB, CONTROLLER], pods)


def used(**calls: Any) -> Usage:
    return Usage({WEB: frozenset(calls["web"])}, "the audit log", calls.get("others", {}), seen=True)
