"""The rules of the audit, a row each: what it is about, why it matters, and where that is from."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Described:
    """``title`` is a noun phrase for a heading; ``why`` a sentence; ``source`` where the rule is from."""

    rule: str
    title: str
    why: str
    source: str


PRACTICES = "Kubernetes documentation, RBAC good practices"
PERMISSIVE = "Kubernetes documentation, Using RBAC authorization, Permissive RBAC permissions"
CIS = "CIS Kubernetes Benchmark"

RULES = (
    Described(
        "RB01", "A grant to everybody",
        "Every pod's token, or everybody who can log in, has it, those of tomorrow too.",
        f"{PERMISSIVE}; {PRACTICES}",
    ),
    Described(
        "RB02", "A grant to whoever has not logged in",
        "Nobody needs a password, a certificate or a token for it: to reach the API server is enough.",
        f"{PRACTICES}; Kubernetes documentation, Authenticating, Anonymous requests",
    ),
    Described(
        "RB03", "A grant to every service account of a namespace",
        "Every pod of the namespace has it, and so has whoever may run one there.",
        PERMISSIVE,
    ),
    Described(
        "RB04", "Everything, everywhere",
        "Whoever has it is the master of the cluster: every Secret, every node, every right.",
        f"{PRACTICES}, Least privilege; {CIS} 5.1.1",
    ),
    Described(
        "RB05", "Everything in a namespace",
        "Whoever has it can be any service account of the namespace and read all of its Secrets.",
        f"{PRACTICES}, Least privilege",
    ),
    Described(
        "RB06", "A grant to the group system:masters",
        "Its members are let through before any binding is looked at, and no binding's end takes that from them.",
        f"{PRACTICES}, Least privilege; {CIS} 5.1.7; kubernetes/pkg/kubeapiserver/authorizer/reload.go",
    ),
    Described(
        "RB07", "A grant to the account default",
        "Every pod of the namespace that names no service account of its own has it.",
        f"{CIS} 5.1.5; Kubernetes documentation, Using RBAC authorization, ServiceAccount permissions",
    ),
    Described(
        "RB08", "A binding to a role that is not there",
        "Whoever makes a role of that name decides what the binding gives.",
        "kubernetes/pkg/registry/rbac/validation/rule.go",
    ),
    Described(
        "RB09", "A grant to an account that is not there",
        "Whoever makes an account of that name has what the binding gives.",
        f"{PRACTICES}, Periodic review",
    ),
    Described(
        "RB10", "Roles with more rights than one has",
        "The verb escalate lifts the check that nobody writes rights into a role that they do not have.",
        f"{PRACTICES}, Escalate verb; {CIS} 5.1.8; kubernetes/pkg/registry/rbac/escalation_check.go",
    ),
    Described(
        "RB11", "Bindings to roles with more rights than one has",
        "The verb bind lifts the check that nobody hands on rights that they do not have.",
        f"{PRACTICES}, Bind verb; {CIS} 5.1.8; kubernetes/pkg/registry/rbac/escalation_check.go",
    ),
    Described(
        "RB12", "Handing on rights",
        "Whoever takes the account over for a moment can leave its rights with another for good.",
        f"{PRACTICES}, Bind verb; Kubernetes documentation, Using RBAC authorization, Privilege escalation prevention",
    ),
    Described(
        "RB13", "Acting as somebody else",
        "Whoever may impersonate has all the rights of those whom it may act as.",
        f"{PRACTICES}, Impersonate verb; {CIS} 5.1.8; k8s.io/apiserver/pkg/endpoints/filters/impersonation",
    ),
    Described(
        "RB14", "Acting as somebody else, for some requests",
        "Constrained impersonation is on by default since Kubernetes 1.36, and gives the other's rights for these requests.",
        "k8s.io/apiserver/pkg/endpoints/filters/impersonation/mode.go; Kubernetes documentation, User impersonation",
    ),
    Described(
        "RB15", "The kubelets' whole API",
        "It runs commands in every pod of the node, past admission and the audit log; a get is enough, by a websocket.",
        f"{PRACTICES}, Access to proxy subresource of Nodes; {CIS} 5.1.10; kubernetes/pkg/kubelet/server/auth.go",
    ),
    Described(
        "RB16", "Secrets can be read",
        "A list or a watch shows what is in the Secrets as a get does: passwords, keys and tokens.",
        f"{PRACTICES}, Listing secrets; {CIS} 5.1.2",
    ),
    Described(
        "RB17", "Token Secrets can be made and read",
        "Into a Secret of type kubernetes.io/service-account-token Kubernetes writes a token, which never expires, of the account it names.",
        "Kubernetes documentation, Managing Service Accounts, Manually create a long-lived API token",
    ),
    Described(
        "RB18", "Tokens of service accounts",
        "Whoever has the token of an account has its rights.",
        f"{PRACTICES}, Token request; {CIS} 5.1.13",
    ),
    Described(
        "RB19", "Pods can be made",
        "A pod runs as any service account of its namespace, and mounts any Secret, ConfigMap or volume claim there.",
        f"{PRACTICES}, Workload creation; {CIS} 5.1.4",
    ),
    Described(
        "RB20", "Workloads can be made or changed",
        "Its pods run as any service account of the namespace, and mount any Secret, ConfigMap or volume claim there.",
        f"{PRACTICES}, Workload creation",
    ),
    Described(
        "RB21", "Commands in running pods",
        "It sees what the pod sees, its Secrets and its token among that.",
        "Kubernetes documentation, Using RBAC authorization; kubernetes/pkg/registry/core/pod/rest/subresources.go",
    ),
    Described(
        "RB22", "Containers put into running pods",
        "An ephemeral container sees what the pod sees, and may ask for more privileges than the pod has.",
        "Kubernetes documentation, Ephemeral containers; kubernetes/pkg/apis/core/validation/validation.go",
    ),
    Described(
        "RB23", "Pods can be changed",
        "Another image in a running pod is other code with the same token and the same Secrets.",
        "kubernetes/pkg/apis/core/validation/validation.go, ValidatePodUpdate",
    ),
    Described(
        "RB24", "Ways into the pods' network",
        "The connection comes from the API server or the node, so network policies do not stop it.",
        "Kubernetes documentation, Using a Service or Pod proxy; kubernetes/pkg/registry/core/pod/rest/subresources.go",
    ),
    Described(
        "RB25", "Client certificates",
        "A certificate for the API server names any user and any group, and cannot be revoked.",
        f"{PRACTICES}, CSRs and certificate issuing; {CIS} 5.1.11; kubernetes/pkg/certauthorization",
    ),
    Described(
        "RB26", "Admission webhooks and policies",
        "They see what everybody writes, with the Secrets in it, and may refuse or change it.",
        f"{PRACTICES}, Control admission webhooks; {CIS} 5.1.12; Kubernetes documentation, Mutating Admission Policy",
    ),
    Described(
        "RB27", "Volumes of the nodes' own files",
        "A PersistentVolume of type hostPath shows a folder of the node, and pod security does not look at it.",
        f"{PRACTICES}, Persistent volume creation; {CIS} 5.1.9",
    ),
    Described(
        "RB28", "Labels of namespaces",
        "Labels of a namespace say how strict pod security is there, and which network policies and webhooks mean it.",
        f"{PRACTICES}, Namespace modification",
    ),
    Described(
        "RB29", "Pods driven to another node",
        "Pods that are deleted, while other nodes are closed, come up on the node that is left, with their tokens.",
        "Kubernetes documentation, Node, Manual node administration; kubernetes/pkg/apis/core/validation/validation.go",
    ),
    Described(
        "RB30", "ConfigMaps that decide about the cluster",
        "The cluster's DNS is configured by one of kube-system, and on EKS another one says who is a master.",
        "Kubernetes documentation, Customizing DNS Service; Amazon EKS documentation, aws-auth ConfigMap",
    ),
    Described(
        "RB31", "Whole API groups",
        "Whoever answers for an API group sees what is sent to it, with the senders' names, and answers what it likes.",
        "Kubernetes documentation, Kubernetes API aggregation layer and Custom Resources",
    ),
    Described(
        "RB32", "Built-in roles made stronger",
        "Rules with such a label become part of view, edit or admin, and so of every binding to these.",
        "Kubernetes documentation, Using RBAC authorization, Aggregated ClusterRoles",
    ),
    Described(
        "RB33", "A * in a rule",
        "It gives whatever will be added to Kubernetes, or by a custom resource, without anybody deciding so.",
        f"{PRACTICES}, Least privilege; {CIS} 5.1.3",
    ),
    Described(
        "RB34", "A grant without effect",
        "Whoever wrote it believes something about the cluster that is not so.",
        "kubernetes/pkg/apis/rbac/v1/evaluation_helpers.go and pkg/registry/rbac/validation/rule.go",
    ),
    Described(
        "RB35", "A grant that nobody uses",
        "Whoever takes the account over may use it, and nobody would miss it.",
        f"{PRACTICES}, Least privilege and Periodic review",
    ),
)  # fmt: skip
