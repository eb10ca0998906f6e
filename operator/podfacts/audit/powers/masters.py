"""Who may become somebody, or give rights: rows of dangers, those before what they cover."""

from podfacts.audit.powers.danger import CRITICAL, HIGH, LOW, MEDIUM, Danger, need, wide

RBAC = "rbac.authorization.k8s.io"
AUTHENTICATION = "authentication.k8s.io"
WRITES = "create update patch"
# Roles that Kubernetes ships and that make whoever is bound to them the master of the place.
STRONG = frozenset(
    (
        "admin",
        "cluster-admin",
        "edit",
        "system:aggregate-to-admin",
        "system:aggregate-to-edit",
        "system:controller:clusterrole-aggregation-controller",
        "system:controller:generic-garbage-collector",
        "system:controller:namespace-controller",
        "system:kube-controller-manager",
        "system:kubelet-api-admin",
        "system:node",
    )
)
REACHED = ("RB16", "RB17", "RB19", "RB20", "RB21", "RB22", "RB23", "RB24")
BECOMES = ("RB12", "RB14", *REACHED, "RB30", "RB33")

MASTERS = (
    # escalate is asked for with the name in the URL, which a create has none of (registry/rbac/escalation_check.go).
    Danger(
        "RB10", CRITICAL, None, None, "may write rights that it does not have into {}",
        "any ClusterRole", "", (wide(f"escalate: clusterroles.{RBAC}"), wide(f"create: clusterroles.{RBAC}")),
        same=True, covers=("RB12",), always=True,
    ),
    Danger(
        "RB10", CRITICAL, None, HIGH, "may write rights that it does not have into {}",
        "any ClusterRole", "the ClusterRole",
        (wide(f"escalate: clusterroles.{RBAC}"), wide(f"update patch: clusterroles.{RBAC}")),
        same=True, covers=("RB12",), always=True,
    ),
    Danger(
        "RB10", CRITICAL, HIGH, None, "may write rights that it does not have into {}",
        "any Role {place}", "", (need(f"escalate: roles.{RBAC}"), need(f"create: roles.{RBAC}")),
        same=True, covers=("RB12",), always=True,
    ),
    Danger(
        "RB10", CRITICAL, HIGH, HIGH, "may write rights that it does not have into {}",
        "any Role {place}", "the Role", (need(f"escalate: roles.{RBAC}"), need(f"update patch: roles.{RBAC}")),
        same=True, covers=("RB12",), always=True,
    ),
    # bind is asked for on the role, in the namespace of the binding; which binding is no limit.
    Danger(
        "RB11", CRITICAL, None, CRITICAL, "may bind itself and anybody to {} in the whole cluster",
        "any ClusterRole", "the ClusterRole",
        (
            wide(f"bind: clusterroles.{RBAC}", only=STRONG),
            wide(f"{WRITES}: clusterrolebindings.{RBAC}", any_name=True),
        ),
        covers=("RB12",), always=True,
    ),
    Danger(
        "RB11", CRITICAL, HIGH, CRITICAL, "may bind itself and anybody to {}",
        "any role {place}", "the role",
        (
            need(f"bind: clusterroles.{RBAC} roles.{RBAC}", only=STRONG),
            need(f"{WRITES}: rolebindings.{RBAC}", any_name=True),
        ),
        covers=("RB12",), always=True,
    ),
    Danger(
        "RB11", MEDIUM, None, MEDIUM, "may bind itself and anybody to {} in the whole cluster",
        "any ClusterRole", "the ClusterRole",
        (wide(f"bind: clusterroles.{RBAC}"), wide(f"{WRITES}: clusterrolebindings.{RBAC}", any_name=True)),
        covers=("RB12",), always=True,
    ),
    Danger(
        "RB11", MEDIUM, MEDIUM, MEDIUM, "may bind itself and anybody to {}",
        "any role {place}", "the role",
        (
            need(f"bind: clusterroles.{RBAC} roles.{RBAC}"),
            need(f"{WRITES}: rolebindings.{RBAC}", any_name=True),
        ),
        covers=("RB12",), always=True,
    ),
    Danger(
        "RB13", CRITICAL, None, MEDIUM, "may act as {}", "any user", "the user", (wide("impersonate: users"),),
        covers=("RB13 accounts", "RB13 attributes", "RB18", *BECOMES),
    ),
    Danger(
        "RB13", CRITICAL, None, CRITICAL, "may act as a member of {}", "any group", "the group",
        (wide("impersonate: groups", only=frozenset(("system:masters",))),),
        covers=("RB13 accounts", "RB13 attributes", "RB18", *BECOMES),
    ),
    Danger(
        "RB13", MEDIUM, None, MEDIUM, "may act as a member of {}", "any group", "the group",
        (wide("impersonate: groups"),),
    ),
    Danger(
        "RB18", CRITICAL, HIGH, MEDIUM, "may get a token of {}",
        "every service account {place}", "the service account", (need("create: serviceaccounts/token"),),
        covers=("RB13 accounts", *BECOMES),
    ),
    Danger(
        "RB13", CRITICAL, HIGH, MEDIUM, "may act as {}",
        "every service account {place}", "the service account", (need("impersonate: serviceaccounts"),),
        covers=BECOMES, aspect="accounts",
    ),
    # They give nothing without a user to act as (apiserver/pkg/endpoints/filters/impersonation: "without impersonating a
    # user"), and that is a row of its own.
    Danger(
        "RB13", MEDIUM, None, LOW, "may give itself {} when it acts as another",
        "any UID and extra attribute", "the UID or attribute",
        (wide(f"impersonate: uids.{AUTHENTICATION} userextras.{AUTHENTICATION}/*"),),
        aspect="attributes",
    ),
    Danger(
        "RB14", HIGH, None, MEDIUM, "may do some things as {}", "any user or group", "the user or group",
        (
            wide(f"impersonate:user-info: users.{AUTHENTICATION} groups.{AUTHENTICATION}"),
            need("impersonate-on:user-info:*: *", any_name=True),
        ),
    ),
    Danger(
        "RB14", HIGH, HIGH, MEDIUM, "may do some things as {}",
        "every service account {place}", "the service account",
        (
            need(f"impersonate:serviceaccount: serviceaccounts.{AUTHENTICATION}"),
            need("impersonate-on:serviceaccount:*: *", any_name=True),
        ),
    ),
    Danger(
        "RB14", HIGH, None, MEDIUM, "may do some things as {}", "any node", "the node",
        (
            wide(f"impersonate:arbitrary-node: nodes.{AUTHENTICATION}"),
            need("impersonate-on:arbitrary-node:*: *", any_name=True),
        ),
    ),
    # Asked with the name "*", whichever the node is (impersonation/mode.go, GetName).
    Danger(
        "RB14", HIGH, None, None, "may do some things as {}", "the node that its pod runs on", "",
        (
            wide(f"impersonate:associated-node: nodes.{AUTHENTICATION}", name="*"),
            need("impersonate-on:associated-node:*: *", any_name=True),
        ),
    ),
    Danger(
        "RB12", MEDIUM, MEDIUM, LOW, "may hand on what it has, by {}", "roles and bindings", "the role or binding",
        (
            need(f"{WRITES}: roles.{RBAC} rolebindings.{RBAC}"),
        ),
    ),
    Danger(
        "RB12", MEDIUM, None, LOW, "may hand on what it has, by {}",
        "roles and bindings of the cluster", "the role or binding",
        (wide(f"{WRITES}: clusterroles.{RBAC} clusterrolebindings.{RBAC}"),),
    ),
)  # fmt: skip
