"""How one right becomes another: a literal table. Each need is a question to the authorizer, asked of a role's rules.

What a need asks without a namespace it asks where the role is bound. Those that only a ClusterRoleBinding can give say
so: by a RoleBinding they are granted to nobody, whatever the role says.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum, auto

from podfacts.audit.inventory import Rule
from podfacts.rights.request import Request
from podfacts.rights.rules import allows

RBAC = "rbac.authorization.k8s.io"
ADMISSION = "admissionregistration.k8s.io"
CERTIFICATES = "certificates.k8s.io"
# What signs certificates that the API server takes for a user's (pkg/controller/certificates/signer).
SIGNERS = ("kubernetes.io/kube-apiserver-client", "kubernetes.io/*")


def _words(request: Request) -> tuple[str, ...]:
    if request.subresource:
        return "*", f"{request.resource}/{request.subresource}", f"*/{request.subresource}"
    return "*", request.resource


@dataclass(frozen=True, slots=True, eq=False)
class Need:
    """Any one of the requests will do. The same need is the same object.

    A rule that writes none of the ``words`` as its resources need not be asked: most are not.
    """

    requests: tuple[Request, ...]
    words: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        words = {word for each in self.requests for word in _words(each)}
        object.__setattr__(self, "words", frozenset(words))


Names = Mapping[str, tuple[Rule, ...]]  # What is granted by name, and by which rules; "" is every name.


class Leads(Enum):
    """Where a way leads: to a goal, or to whoever one can then be."""

    CLUSTER_ADMIN = auto()
    NODE = auto()
    SECRETS = auto()
    ACCOUNTS = auto()  # The service accounts of the namespace, or of all.
    POD_ACCOUNTS = auto()  # Those of them as which a pod runs.
    USERS = auto()  # Users that are no service accounts.
    GROUPS = auto()
    CERTIFIED = auto()  # Whoever a client certificate can name.


@dataclass(frozen=True, slots=True)
class Way:
    """Whoever has all the needs gets where it leads, by what it ``does``.

    ``cluster``: only through ClusterRoleBindings. ``by_name``: the names of the first need are those of whom one becomes.
    ``all_names``: a rule with names is not enough. Otherwise it does not matter what the names are.
    """

    does: str
    needs: tuple[Need, ...]
    leads: Leads
    cluster: bool = False
    by_name: bool = False
    all_names: bool = False


def _requests(verbs: str, *resources: str, group: str = "") -> tuple[Request, ...]:
    found = []
    for each in resources:
        resource, _, subresource = each.partition("/")
        found += [Request(verb, group, resource, subresource) for verb in verbs.split()]
    return tuple(found)


def _need(verbs: str, *resources: str, group: str = "") -> Need:
    return Need(_requests(verbs, *resources, group=group))


WRITE = "create update patch"
CHANGE = "update patch"
IMPERSONATE_USERS = _need("impersonate", "users")
IMPERSONATE_GROUPS = _need("impersonate", "groups")
IMPERSONATE_ACCOUNTS = _need("impersonate", "serviceaccounts")
IMPERSONATE_ANYBODY = _need("impersonate", "users", "serviceaccounts")
CREATE_PODS = _need("create", "pods")
EPHEMERAL_CONTAINERS = _need(CHANGE, "pods/ephemeralcontainers")
KUBELETS = _need("get create", "nodes/proxy")
TEMPLATES = Need(
    (
        *_requests(WRITE, "deployments", "daemonsets", "statefulsets", "replicasets", group="apps"),
        *_requests(WRITE, "replicationcontrollers"),
        *_requests(WRITE, "cronjobs", group="batch"),
        *_requests("create", "jobs", group="batch"),  # The template of one that is there cannot be changed.
    )
)

WAYS = (
    Way("having every right", (Need((Request("*", "*", "*"),)),), Leads.CLUSTER_ADMIN, True, all_names=True),
    Way("listing them", (_need("list watch", "secrets"),), Leads.SECRETS, True, all_names=True),
    Way(
        "reading each that it knows the name of",
        (_need("get", "secrets"),),
        Leads.SECRETS,
        True,
        all_names=True,
    ),
    # A group alone cannot be impersonated, only beside a user (apiserver/pkg/endpoints/filters/impersonation).
    Way(
        "impersonating it beside some user",
        (IMPERSONATE_GROUPS, IMPERSONATE_ANYBODY),
        Leads.GROUPS,
        cluster=True,
        by_name=True,
    ),
    Way("impersonating it", (IMPERSONATE_USERS,), Leads.USERS, cluster=True, by_name=True),
    Way("impersonating it", (IMPERSONATE_ACCOUNTS,), Leads.ACCOUNTS, by_name=True),
    Way("creating a token of it", (_need("create", "serviceaccounts/token"),), Leads.ACCOUNTS, by_name=True),
    Way(
        "creating a Secret that Kubernetes fills with a token of it, and reading that",
        (_need("create", "secrets"), _need("get list watch", "secrets")),
        Leads.ACCOUNTS,
    ),
    # The name system:masters is refused for a certificate (admission plugin CertificateSubjectRestriction).
    Way(
        "requesting, approving and getting a client certificate with its name",
        (
            Need(tuple(Request("approve", CERTIFICATES, "signers", name=each) for each in SIGNERS)),
            _need("create", "certificatesigningrequests", group=CERTIFICATES),
            _need(CHANGE, "certificatesigningrequests/approval", group=CERTIFICATES),
        ),
        Leads.CERTIFIED,
        cluster=True,
    ),
    Way("creating a pod that runs as it", (CREATE_PODS,), Leads.ACCOUNTS),
    Way("writing a workload whose pods run as it", (TEMPLATES,), Leads.ACCOUNTS),
    Way(
        "running a command in a pod of it",
        (_need("create", "pods/exec", "pods/attach"),),
        Leads.POD_ACCOUNTS,
        by_name=True,
    ),
    Way(
        "putting a container into a pod of it",
        (EPHEMERAL_CONTAINERS,),
        Leads.POD_ACCOUNTS,
        by_name=True,
    ),
    Way("giving another image to a pod of it", (_need(CHANGE, "pods"),), Leads.POD_ACCOUNTS, by_name=True),
    # Since a websocket begins as a GET, `get` runs commands too (pkg/kubelet/server/auth.go).
    Way(
        "running a command in a pod of it through a kubelet",
        (KUBELETS,),
        Leads.POD_ACCOUNTS,
        cluster=True,
    ),
    Way(
        "running commands in privileged pods through its kubelet",
        (KUBELETS,),
        Leads.NODE,
        cluster=True,
    ),
    Way(
        "changing what administrators write, by a webhook of its own",
        (_need(WRITE, "mutatingwebhookconfigurations", group=ADMISSION),),
        Leads.CLUSTER_ADMIN,
        cluster=True,
    ),
    Way(
        "changing what administrators write, by an admission policy of its own",
        (
            _need(WRITE, "mutatingadmissionpolicies", group=ADMISSION),
            _need(WRITE, "mutatingadmissionpolicybindings", group=ADMISSION),
        ),
        Leads.CLUSTER_ADMIN,
        cluster=True,
    ),
    Way("creating a privileged pod, unless Pod Security stops it", (CREATE_PODS,), Leads.NODE),
    Way("writing a workload with privileged pods, unless Pod Security stops it", (TEMPLATES,), Leads.NODE),
    Way(
        "putting a privileged container into a pod, unless Pod Security stops it",
        (EPHEMERAL_CONTAINERS,),
        Leads.NODE,
    ),
)

# What it takes to give oneself a role, or to change one that one has (pkg/registry/rbac/escalation_check.go).
BIND_CLUSTER_ROLES = _need("bind", "clusterroles", group=RBAC)
BIND_ROLES = _need("bind", "roles", group=RBAC)
CREATE_CLUSTER_BINDINGS = _need("create", "clusterrolebindings", group=RBAC)
CHANGE_CLUSTER_BINDINGS = _need(CHANGE, "clusterrolebindings", group=RBAC)
CREATE_BINDINGS = _need("create", "rolebindings", group=RBAC)
CHANGE_BINDINGS = _need(CHANGE, "rolebindings", group=RBAC)
ESCALATE_CLUSTER_ROLES = _need("escalate", "clusterroles", group=RBAC)
ESCALATE_ROLES = _need("escalate", "roles", group=RBAC)
CREATE_CLUSTER_ROLES = _need("create", "clusterroles", group=RBAC)
CHANGE_CLUSTER_ROLES = _need(CHANGE, "clusterroles", group=RBAC)
CHANGE_ROLES = _need(CHANGE, "roles", group=RBAC)
# Nothing of it is of use without one of these.
HANDS = (BIND_CLUSTER_ROLES, BIND_ROLES, ESCALATE_CLUSTER_ROLES, ESCALATE_ROLES)
HANDING = (
    *HANDS,
    CREATE_CLUSTER_BINDINGS,
    CHANGE_CLUSTER_BINDINGS,
    CREATE_BINDINGS,
    CHANGE_BINDINGS,
    CREATE_CLUSTER_ROLES,
    CHANGE_CLUSTER_ROLES,
    CHANGE_ROLES,
)

NEEDS: tuple[Need, ...] = tuple(dict.fromkeys((*(need for way in WAYS for need in way.needs), *HANDING)))
# Those of which another grant of the same subject may have the other half.
HALVES = frozenset((*HANDING, *(need for way in WAYS if len(way.needs) > 1 for need in way.needs)))


def held(rules: Sequence[Rule]) -> dict[Need, Names]:
    """Which needs the rules answer with yes: each with the names for which they do, and the rules."""
    found: dict[Need, dict[str, list[Rule]]] = {}
    for rule in rules:
        resources = rule.tree.get("resources") or ()
        for need in NEEDS if resources else ():
            if need.words.isdisjoint(resources):
                continue
            for name in _names(rule, need):
                found.setdefault(need, {}).setdefault(name, []).append(rule)
    return {need: {name: tuple(by) for name, by in names.items()} for need, names in found.items()}


def _names(rule: Rule, need: Need) -> Sequence[str]:
    written = rule.tree.get("resourceNames") or ()
    if any(allows(rule.tree, each) for each in need.requests):
        return ("",) if not written else tuple(each.name for each in need.requests if each.name in written)
    # Of a rule with names one is asked: the authorizer's answer for any other of them is the same.
    if written and any(
        allows(rule.tree, replace(each, name=written[0])) for each in need.requests if _has_name(each)
    ):
        return tuple(dict.fromkeys(written))
    return ()


def _has_name(request: Request) -> bool:
    """Whether the authorizer knows a name: not of what is being created, unless that is part of something."""
    return not request.name and (request.verb != "create" or bool(request.subresource))
