"""What our accounts may do in a cluster, whole: the same as rbac/, in the words of RBAC.

An installation is compared with this table, and a test compares the table with rbac/. A binding has its role's name.
"""

from typing import NamedTuple

from podfacts.rights.request import Account

SYSTEM = "podfacts-system"
WEBHOOK = Account(SYSTEM, "podfacts-webhook")
CONTROLLER = Account(SYSTEM, "podfacts-controller")
AUDIT = Account(SYSTEM, "podfacts-audit")
ACCOUNTS = (WEBHOOK, CONTROLLER, AUDIT)


class Grant(NamedTuple):
    """One role with its binding; without a namespace both are cluster-wide. An ``optional`` one may be left out."""

    account: Account
    namespace: str
    name: str
    allowed: frozenset[str]
    optional: bool = False


EXPECTED = (
    Grant(
        WEBHOOK,
        "",
        "podfacts-webhook",
        frozenset(
            {
                "list nodes",
                "watch nodes",
                "list namespaces",
                "watch namespaces",
                "list profiles.podfacts.dev",
                "watch profiles.podfacts.dev",
            }
        ),
    ),
    Grant(
        CONTROLLER,
        "",
        "podfacts-controller",
        frozenset(
            {
                "list pods",
                "watch pods",
                "patch pods/status",
                "list nodes",
                "watch nodes",
                "list namespaces",
                "watch namespaces",
                "list profiles.podfacts.dev",
                "watch profiles.podfacts.dev",
                "patch profiles.podfacts.dev/status",
                "create events",
                "get replicasets.apps",
                "get jobs.batch",
            }
        ),
    ),
    Grant(
        CONTROLLER,
        SYSTEM,
        "podfacts-controller",
        frozenset(
            {
                "get leases.coordination.k8s.io podfacts-controller",
                "update leases.coordination.k8s.io podfacts-controller",
            }
        ),
    ),
    # Not where cert-manager keeps the CA.
    Grant(
        CONTROLLER,
        SYSTEM,
        "podfacts-controller-ca",
        frozenset({"get secrets podfacts-ca", "update secrets podfacts-ca"}),
        optional=True,
    ),
    Grant(
        CONTROLLER,
        "",
        "podfacts-controller-ca",
        frozenset(
            {
                "get mutatingwebhookconfigurations.admissionregistration.k8s.io podfacts",
                "patch mutatingwebhookconfigurations.admissionregistration.k8s.io podfacts",
            }
        ),
        optional=True,
    ),
    # Only the overlay that evicts brings it.
    Grant(CONTROLLER, "", "podfacts-controller-evict", frozenset({"create pods/eviction"}), optional=True),
    # Only the overlay that audits brings it.
    Grant(
        AUDIT,
        "",
        "podfacts-audit",
        frozenset(
            {
                "list clusterroles.rbac.authorization.k8s.io",
                "list roles.rbac.authorization.k8s.io",
                "list clusterrolebindings.rbac.authorization.k8s.io",
                "list rolebindings.rbac.authorization.k8s.io",
                "list namespaces",
                "list serviceaccounts",
                "list pods",
                *(
                    f"{verb} {kind}"
                    for verb in ("list", "create", "update", "delete")
                    for kind in (
                        "clusterreports.openreports.io",
                        "reports.openreports.io",
                        "clusterpolicyreports.wgpolicyk8s.io",
                        "policyreports.wgpolicyk8s.io",
                    )
                ),
            }
        ),
        optional=True,
    ),
)
