"""Powers that make whoever has them the master of a namespace or of the cluster: what must be gone with a wide binding.

Rows, in the order in which they are asked and shown. Not a list of all that is dangerous: a probe of what a replaced
binding gave, by questions that an account with rights of its own for its work does not answer with yes.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from podfacts.rights.request import Request
from podfacts.rights.rules import allows

RBAC = "rbac.authorization.k8s.io"
ADMISSION = "admissionregistration.k8s.io"
SYSTEM = "kube-system"


@dataclass(frozen=True, slots=True)
class Power:
    """One question, and whether it can also be asked of one namespace, where a RoleBinding is in force."""

    request: Request
    namespaced: bool


POWERS = (
    Power(Request("list", resource="secrets"), namespaced=True),
    Power(Request("get", resource="secrets", namespace=SYSTEM), namespaced=True),
    Power(Request("create", resource="pods", namespace=SYSTEM), namespaced=True),
    Power(Request("create", resource="pods", subresource="exec", namespace=SYSTEM), namespaced=True),
    Power(Request("patch", group="apps", resource="daemonsets", namespace=SYSTEM), namespaced=True),
    Power(Request("create", resource="serviceaccounts", subresource="token", namespace=SYSTEM), namespaced=True),
    Power(Request("create", group=RBAC, resource="rolebindings", namespace=SYSTEM), namespaced=True),
    Power(Request("bind", group=RBAC, resource="clusterroles"), namespaced=False),
    Power(Request("escalate", group=RBAC, resource="clusterroles"), namespaced=False),
    Power(Request("create", group=RBAC, resource="clusterrolebindings"), namespaced=False),
    Power(Request("impersonate", resource="users"), namespaced=False),
    Power(Request("create", resource="nodes", subresource="proxy"), namespaced=False),
    Power(Request("patch", resource="nodes"), namespaced=False),
    Power(Request("patch", group=ADMISSION, resource="mutatingwebhookconfigurations"), namespaced=False),
    Power(Request("delete", resource="namespaces"), namespaced=False),
)  # fmt: skip


def powers(rules: Iterable[Mapping[str, Any]] | None, namespace: str) -> list[Request]:
    """What of it these rules give in the namespace ("": everywhere); all of it when the rules are not known."""
    asked = [each.request for each in POWERS]
    if namespace:
        asked = [replace(each.request, namespace=namespace) for each in POWERS if each.namespaced]
    if rules is None:
        return list(dict.fromkeys(asked))
    rules = list(rules)
    return [each for each in dict.fromkeys(asked) if any(allows(rule, each) for rule in rules)]
