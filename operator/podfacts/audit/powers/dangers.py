"""What is dangerous to have, beside the rights themselves: rows about pods, Secrets, nodes and the API server's own settings."""

from podfacts.audit.powers.danger import CRITICAL, HIGH, LOW, MEDIUM, Danger, need, wide
from podfacts.audit.powers.masters import MASTERS, WRITES

ADMISSION = "admissionregistration.k8s.io"
CSR = "certificatesigningrequests.certificates.k8s.io"
SIGNERS = "signers.certificates.k8s.io"
ANYBODY = frozenset(("kubernetes.io/*", "kubernetes.io/kube-apiserver-client"))
NODES = frozenset(("kubernetes.io/kube-apiserver-client-kubelet",))
WORKLOADS = "deployments.apps daemonsets.apps statefulsets.apps replicasets.apps replicationcontrollers cronjobs.batch"
# The template of a Job cannot be changed (kubernetes/pkg/apis/batch/validation, ValidateJobSpecUpdate).
RUNS_WORKLOADS = (f"{WRITES}: {WORKLOADS}", "create: jobs.batch")

OTHERS = (
    Danger(
        "RB15", CRITICAL, None, HIGH, "may run commands in every pod of {}, through its kubelet",
        "every node", "the node", (wide("get create: nodes/proxy"),),
        covers=("RB24",),
        instead="give nodes/metrics, nodes/stats, nodes/log, nodes/pods, nodes/healthz or nodes/configz",
    ),
    # The type of a Secret cannot be changed: one that is there and named becomes no token.
    Danger(
        "RB17", HIGH, HIGH, None, "may make a token Secret of {}, and read it",
        "every service account {place}", "",
        (need(f"{WRITES}: secrets"), need("get list watch: secrets", any_name=True)),
        covers=("RB16",),
    ),
    Danger(
        "RB16", HIGH, MEDIUM, LOW, "may read {}", "every Secret {place}", "the Secret",
        (need("get list watch: secrets"),),
        instead="give get, and resourceNames with the Secrets that are needed",
    ),
    Danger(
        "RB19", HIGH, HIGH, None, "may run pods {}", "as every service account {place}, with every Secret that it can name",
        "", (need("create: pods"),), covers=("RB20", "RB23"),
    ),
    # A workload that may be changed may be given another account: which one it is, is no limit.
    Danger(
        "RB20", HIGH, HIGH, HIGH, "may run pods {}",
        "as every service account {place}, by the workloads that make them",
        "as every service account {place}, by the workload", (need(*RUNS_WORKLOADS),),
    ),
    # Since 1.35 a get by websocket needs create as well (pkg/registry/core/pod/rest/subresources.go).
    Danger(
        "RB21", HIGH, HIGH, MEDIUM, "may run commands in {}", "every pod {place}", "the pod",
        (need("create: pods/exec pods/attach"),),
    ),
    Danger(
        "RB22", HIGH, HIGH, MEDIUM, "may put containers of its own into {}", "every pod {place}", "the pod",
        (need("update patch: pods/ephemeralcontainers"),),
    ),
    Danger(
        "RB23", HIGH, MEDIUM, LOW, "may change the images of {}", "every pod {place}", "the pod",
        (need("update patch: pods"),),
    ),
    Danger(
        "RB24", MEDIUM, MEDIUM, LOW, "may reach the ports of {}, past network policies",
        "every pod and Service {place}", "the pod or Service",
        (need("create: pods/portforward", "get create: pods/proxy services/proxy"),),
    ),
    Danger(
        "RB25", CRITICAL, None, CRITICAL, "may get a client certificate {}",
        "for any user and group", "for any user and group by the signer",
        (
            wide(f"approve: {SIGNERS}", only=ANYBODY),
            wide(f"update patch: {CSR}/approval", any_name=True),
            wide(f"create: {CSR}"),
        ),
    ),
    Danger(
        "RB25", HIGH, None, HIGH, "may get a client certificate {}",
        "for any node", "for any node by the signer",
        (
            wide(f"approve: {SIGNERS}", only=NODES),
            wide(f"update patch: {CSR}/approval", any_name=True),
            wide(f"create: {CSR}"),
        ),
    ),
    Danger(
        "RB25", MEDIUM, None, MEDIUM, "may approve client certificates {}",
        "for any user and group", "by the signer",
        (
            wide(f"approve: {SIGNERS}", only=ANYBODY | NODES),
            wide(f"update patch: {CSR}/approval", any_name=True),
        ),
    ),
    Danger(
        "RB26", CRITICAL, None, LOW, "may read and rewrite what anybody writes, by {}",
        "admission webhooks and policies that change objects", "the webhook configuration or policy",
        (
            wide(
                f"{WRITES}: mutatingwebhookconfigurations.{ADMISSION} mutatingadmissionpolicies.{ADMISSION} "
                f"mutatingadmissionpolicybindings.{ADMISSION}"
            ),
        ),
    ),
    Danger(
        "RB26", HIGH, None, LOW, "may read or refuse what anybody writes, by {}",
        "admission webhooks and policies that validate", "the webhook configuration or policy",
        (
            wide(
                f"{WRITES}: validatingwebhookconfigurations.{ADMISSION} validatingadmissionpolicies.{ADMISSION} "
                f"validatingadmissionpolicybindings.{ADMISSION}"
            ),
        ),
    ),
    Danger(
        "RB26", MEDIUM, None, LOW, "may switch {} off", "the cluster's admission webhooks and policies",
        "the webhook configuration or policy",
        (
            wide(
                f"delete deletecollection: mutatingwebhookconfigurations.{ADMISSION} "
                f"mutatingadmissionpolicies.{ADMISSION} mutatingadmissionpolicybindings.{ADMISSION} "
                f"validatingwebhookconfigurations.{ADMISSION} validatingadmissionpolicies.{ADMISSION} "
                f"validatingadmissionpolicybindings.{ADMISSION}"
            ),
        ),
    ),
    Danger(
        "RB27", HIGH, None, None, "may make volumes of {}", "any folder of any node", "",
        (wide("create: persistentvolumes"),),
    ),
    Danger(
        "RB28", HIGH, HIGH, HIGH, "may take the labels of {} that hold its pods back, and run pods",
        "{spaces}", "the namespace",
        (need("update patch: namespaces"), need("create: pods", *RUNS_WORKLOADS, any_name=True)),
    ),
    Danger(
        "RB28", MEDIUM, MEDIUM, MEDIUM, "may change the labels of {}, on which pod security and network policies depend",
        "{spaces}", "the namespace", (need("update patch: namespaces"),),
    ),
    Danger(
        "RB29", HIGH, HIGH, MEDIUM, "may drive pods from {} to one that it has taken",
        "their nodes", "their nodes, by the pod or node",
        (
            wide("update patch: nodes nodes/status", "delete deletecollection: nodes"),
            need("delete deletecollection: pods", "create: pods/eviction"),
        ),
    ),
    # Who has all ConfigMaps has this one as well, but only where the cluster is one of EKS.
    Danger(
        "RB30", CRITICAL, None, CRITICAL, "may make anybody a master of the cluster by {}", "",
        "the ConfigMap", (need("update patch: configmaps", only=frozenset(("aws-auth",)), by_name=True),),
    ),
    Danger(
        "RB30", MEDIUM, None, MEDIUM, "may change {}",
        "the cluster's DNS and, on EKS, who its masters are, by the ConfigMaps coredns and aws-auth",
        "the cluster's DNS by the ConfigMap", (need("update patch: configmaps", only=frozenset(("coredns",))),),
    ),
    Danger(
        "RB31", HIGH, None, MEDIUM, "may answer in the API server's stead for {}", "any API group", "the APIService",
        (wide(f"{WRITES}: apiservices.apiregistration.k8s.io"),),
    ),
    Danger(
        "RB31", MEDIUM, None, LOW, "may change {}", "any kind of custom resource", "the CustomResourceDefinition",
        (wide(f"{WRITES}: customresourcedefinitions.apiextensions.k8s.io"),),
    ),
)  # fmt: skip

DANGERS: tuple[Danger, ...] = (*MASTERS, *OTHERS)
