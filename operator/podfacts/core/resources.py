"""The built-in resources of Kubernetes 1.36 that can be read, and what a word for a resource means.

A literal table; a test holds it against a real API server. Of what is not in it, a custom resource, nothing is known.
"""

import re
from collections.abc import Iterator
from difflib import get_close_matches
from typing import NamedTuple

from podfacts.core.refusal import Refused

# What a resource is called on the command line and in a profile: pods, deployments.apps, pods/log.
RESOURCE_WORD = re.compile(
    r"(?P<resource>[a-z][-a-z0-9]*)(?:\.(?P<group>[a-z0-9][-a-z0-9.]*))?(?:/(?P<subresource>[a-z][-a-z0-9]*))?"
)
# They answer a GET, and let the caller do what it likes behind it.
MORE_THAN_READING = ("attach", "exec", "portforward", "proxy")
# As apimachinery knows a version from other words (apimachinery/pkg/version, kubeVersionRegex).
VERSION = re.compile(r"v\d+(?:(?:alpha|beta)\d+)?")


class Kind(NamedTuple):
    """What a word names; ``group`` and ``subresource`` are "" where there is none."""

    group: str
    resource: str
    subresource: str


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


def kind(written: str) -> Kind:
    """What the word means: pods, deployments.apps, pods/log. Raises ``Refused`` with what to write instead."""
    match = RESOURCE_WORD.fullmatch(written)
    if not match:
        raise Refused(
            (), f"{written!r} is no resource: write RESOURCE[.GROUP][/SUB], such as pods or deployments.apps"
        )
    found = Kind(**match.groupdict(default=""))
    if found.subresource in MORE_THAN_READING:
        raise Refused(
            (), f"{written}: {found.subresource} is more than reading: grant it by a Role of your own"
        )
    if reason := _versioned(found):
        raise Refused((), f"{written}: {reason}")
    scoped = BUILT_IN.get(found.group)
    if scoped and found.resource not in scoped.namespaced | scoped.cluster:
        raise Refused((), f"{written}: {_correction(*found)}")
    return found


def _versioned(found: Kind) -> str:
    """What to write instead of a word with a version in it, as ``kubectl get`` takes them."""
    version, _, group = found.group.partition(".")
    if not VERSION.fullmatch(version) or (group and group not in BUILT_IN):
        return ""
    having = list(groups_with(found.resource))
    groups = [group] if group and group in having else having or [group or "GROUP"]
    words = " or ".join(word(each, found.resource, found.subresource) for each in groups)
    return f"{version} is a version: write {words}"


def _correction(group: str, resource: str, subresource: str) -> str:
    """What to write instead of a resource that a built-in group does not have."""
    for plural in (resource, f"{resource}s", f"{resource}es", f"{resource.removesuffix('y')}ies"):
        found = list(groups_with(plural))
        words = " or ".join(word(each, plural, subresource) for each in found)
        if group in found:
            return f"is no resource: write {word(group, plural, subresource)}"
        if found and (plural == resource or not group):
            return f"is in the group {' or '.join(each or 'core' for each in found)}: write {words}"
    known = sorted(BUILT_IN[group].namespaced | BUILT_IN[group].cluster)
    near = get_close_matches(resource, known, n=1)
    hint = f"did you mean {word(group, near[0], subresource)}?" if near else "write its plural and its group"
    return f"is no resource of {group or 'the core group'} that can be read: {hint}"


def word(group: str, resource: str, subresource: str) -> str:
    """What it is called: pods, deployments.apps, pods/log."""
    return resource + (f".{group}" if group else "") + (f"/{subresource}" if subresource else "")


def cluster_scoped(group: str, resource: str) -> bool:
    """Whether it lies in no namespace; of what is not built in nobody can know, and most does."""
    return group in BUILT_IN and resource in BUILT_IN[group].cluster


def groups_with(resource: str) -> Iterator[str]:
    """The built-in groups that have a resource of this name."""
    return (group for group, scoped in BUILT_IN.items() if resource in scoped.namespaced | scoped.cluster)
