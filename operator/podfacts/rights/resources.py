"""The built-in resources of Kubernetes 1.36 that can be read, and what every service account may do without a grant.

Literal tables; a test holds each of them against a real API server.
"""

from collections.abc import Iterator
from typing import NamedTuple

from podfacts.rights.request import Request


class Scoped(NamedTuple):
    """The resources of one group: those that lie in namespaces, and those of the cluster."""

    namespaced: frozenset[str]
    cluster: frozenset[str]


def _scoped(namespaced: str, cluster: str = "") -> Scoped:
    return Scoped(frozenset(namespaced.split()), frozenset(cluster.split()))


BUILT_IN = {
    "": _scoped(
        "configmaps endpoints events limitranges persistentvolumeclaims pods podtemplates replicationcontrollers "
        "resourcequotas secrets serviceaccounts services",
        "componentstatuses namespaces nodes persistentvolumes",
    ),
    "admissionregistration.k8s.io": _scoped(
        "",
        "mutatingadmissionpolicies mutatingadmissionpolicybindings mutatingwebhookconfigurations "
        "validatingadmissionpolicies validatingadmissionpolicybindings validatingwebhookconfigurations",
    ),
    "apiextensions.k8s.io": _scoped("", "customresourcedefinitions"),
    "apiregistration.k8s.io": _scoped("", "apiservices"),
    "apps": _scoped("controllerrevisions daemonsets deployments replicasets statefulsets"),
    "autoscaling": _scoped("horizontalpodautoscalers"),
    "batch": _scoped("cronjobs jobs"),
    "certificates.k8s.io": _scoped("", "certificatesigningrequests"),
    "coordination.k8s.io": _scoped("leases"),
    "discovery.k8s.io": _scoped("endpointslices"),
    "events.k8s.io": _scoped("events"),
    "flowcontrol.apiserver.k8s.io": _scoped("", "flowschemas prioritylevelconfigurations"),
    "networking.k8s.io": _scoped("ingresses networkpolicies", "ingressclasses ipaddresses servicecidrs"),
    "node.k8s.io": _scoped("", "runtimeclasses"),
    "policy": _scoped("poddisruptionbudgets"),
    "rbac.authorization.k8s.io": _scoped("rolebindings roles", "clusterrolebindings clusterroles"),
    "resource.k8s.io": _scoped("resourceclaims resourceclaimtemplates", "deviceclasses resourceslices"),
    "scheduling.k8s.io": _scoped("", "priorityclasses"),
    "storage.k8s.io": _scoped(
        "csistoragecapacities", "csidrivers csinodes storageclasses volumeattachments volumeattributesclasses"
    ),
}

# system:discovery, system:public-info-viewer and system:service-account-issuer-discovery: get of these, and no head.
EVERYONES_URLS = frozenset(
    (
        "/.well-known/openid-configuration",
        "/.well-known/openid-configuration/",
        "/api",
        "/api/*",
        "/apis",
        "/apis/*",
        "/healthz",
        "/livez",
        "/openapi",
        "/openapi/*",
        "/openid/v1/jwks",
        "/openid/v1/jwks/",
        "/readyz",
        "/version",
        "/version/",
    )
)
# system:basic-user: what may I do, and who am I.
EVERYONES_REVIEWS = frozenset(
    (
        ("authentication.k8s.io", "selfsubjectreviews"),
        ("authorization.k8s.io", "selfsubjectaccessreviews"),
        ("authorization.k8s.io", "selfsubjectrulesreviews"),
    )
)


def everyone_may(request: Request) -> bool:
    """Whether Kubernetes' own roles for everybody allow it to every service account."""
    if request.path:
        return request.verb == "get" and any(_matches(each, request.path) for each in EVERYONES_URLS)
    kind = (request.group, request.resource)
    return request.verb == "create" and not request.subresource and kind in EVERYONES_REVIEWS


def cluster_scoped(group: str, resource: str) -> bool:
    """Whether it lies in no namespace; of what is not built in nobody can know, and most does."""
    return group in BUILT_IN and resource in BUILT_IN[group].cluster


def groups_with(resource: str) -> Iterator[str]:
    """The built-in groups that have a resource of this name."""
    return (group for group, scoped in BUILT_IN.items() if resource in scoped.namespaced | scoped.cluster)


def _matches(url: str, path: str) -> bool:
    # kubernetes/pkg/apis/rbac/v1/evaluation_helpers.go, NonResourceURLMatches.
    return path.startswith(url.rstrip("*")) if url.endswith("*") else path == url
