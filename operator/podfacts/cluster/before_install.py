"""Whether a cluster is fit for an installation, and whether whoever types may install there."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from podfacts.cluster.expected_rights import SYSTEM
from podfacts.cluster.outcome import Outcome, fail, ok, warn
from podfacts.core.resources import word
from podfacts.rights.manifest import listed

Tree = dict[str, Any]

ADMISSION = "admissionregistration.k8s.io"
RBAC = "rbac.authorization.k8s.io"
VERSION = "v1alpha1"
# ValidatingAdmissionPolicy is GA since 1.30; before that nothing would hold the controller to its annotations.
OLDEST = (1, 30)
# Since 1.35 the API server sets a pod's zone and region labels by itself (PodTopologyLabelsAdmission).
TOPOLOGY = (1, 35)
# Native sidecars are GA since 1.33, and on by default since 1.29.
SIDECARS = (1, 33)


class Kind(NamedTuple):
    """A kind that the manifests have, as the authorizer names it; ``namespaced`` ones are in podfacts-system."""

    kind: str
    group: str
    resource: str
    namespaced: bool = False

    @property
    def word(self) -> str:
        """``deployments.apps``."""
        return word(self.group, self.resource, "")


KINDS = (
    Kind("Namespace", "", "namespaces"),
    Kind("CustomResourceDefinition", "apiextensions.k8s.io", "customresourcedefinitions"),
    Kind("ClusterRole", RBAC, "clusterroles"),
    Kind("ClusterRoleBinding", RBAC, "clusterrolebindings"),
    Kind("MutatingWebhookConfiguration", ADMISSION, "mutatingwebhookconfigurations"),
    Kind("ValidatingAdmissionPolicy", ADMISSION, "validatingadmissionpolicies"),
    Kind("ValidatingAdmissionPolicyBinding", ADMISSION, "validatingadmissionpolicybindings"),
    Kind("ServiceAccount", "", "serviceaccounts", namespaced=True),
    Kind("Secret", "", "secrets", namespaced=True),
    Kind("Service", "", "services", namespaced=True),
    Kind("ResourceQuota", "", "resourcequotas", namespaced=True),
    Kind("Lease", "coordination.k8s.io", "leases", namespaced=True),
    Kind("Role", RBAC, "roles", namespaced=True),
    Kind("RoleBinding", RBAC, "rolebindings", namespaced=True),
    Kind("Deployment", "apps", "deployments", namespaced=True),
    Kind("PodDisruptionBudget", "policy", "poddisruptionbudgets", namespaced=True),
    Kind("NetworkPolicy", "networking.k8s.io", "networkpolicies", namespaced=True),
)
# What `kubectl apply` asks for each object: whether it is there, then to make it or to change it.
VERBS = ("get", "create", "patch")
ESCALATIONS = ("escalate", "bind")


def version(tree: Tree | None) -> Iterator[Outcome]:
    """Whether Kubernetes is new enough."""
    found = numbers(tree or {})
    said = f"Kubernetes {found[0]}.{found[1]}"
    if found < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        yield fail(
            f"{said} has no ValidatingAdmissionPolicy to fence the controller", f"use {oldest} or newer"
        )
        return
    yield ok(said)
    if found < TOPOLOGY:
        yield warn(
            f"{said} does not label pods with their zone and region: those facts travel as annotations",
            "label namespaces podfacts.dev/node-facts=enabled to have them at start",
        )
    if found < SIDECARS:
        yield warn(f"in {said} native sidecars are beta: the ambassador needs them on")


def numbers(version: Tree) -> tuple[int, int]:
    """Major and minor of what ``/version`` says. A provider's minor may have a plus: ``"35+"``."""
    major, minor = (
        "".join(filter(str.isdigit, str(version.get(key, "")))) or "0" for key in ("major", "minor")
    )
    return int(major), int(minor)


def asked() -> list[Tree]:
    """The questions of `installer`, as attributes for the authorizer."""
    questions = [
        {
            "verb": verb,
            "group": kind.group,
            "resource": kind.resource,
            "namespace": SYSTEM if kind.namespaced else "",
        }
        for kind in KINDS
        for verb in VERBS
    ]
    return questions + [{"verb": verb, "group": RBAC, "resource": "clusterroles"} for verb in ESCALATIONS]


def installer(answers: Sequence[bool]) -> Iterator[Outcome]:
    """Whether whoever types may make every kind; ``answers`` are to the questions of `asked`."""
    lacking: dict[str, list[str]] = {}
    for question, allowed in zip(asked(), answers, strict=True):
        if not allowed and question["verb"] in VERBS:
            lacking.setdefault(word(question["group"], question["resource"], ""), []).append(question["verb"])
    for resource, verbs in lacking.items():
        yield fail(f"you may not {', '.join(verbs)} {resource}", "install as a cluster administrator")
    if not lacking:
        yield ok(f"you may get, create and patch all {len(KINDS)} kinds of the installation")
    if not all(answers[-len(ESCALATIONS) :]):
        # RBAC lets nobody give what they lack (kubernetes/pkg/registry/rbac/validation/rule.go).
        yield warn(
            "you may not escalate: you can make only roles whose rights you hold yourself",
            "hold what rbac/ gives, or install as a cluster administrator",
        )


def definition(tree: Tree | None) -> Iterator[Outcome]:
    """Whether another definition of Profiles is in the way."""
    if tree is None:
        yield ok("profiles.podfacts.dev is not defined yet")
        return
    spec, stored = tree["spec"], (tree.get("status") or {}).get("storedVersions") or ()
    others = sorted({*stored} - {VERSION})
    if spec["scope"] != "Cluster" or spec["names"]["kind"] != "Profile":
        what = f"the kind {spec['names']['kind']} with scope {spec['scope']}"
        yield fail(f"profiles.podfacts.dev is defined as {what}, and cannot be changed", "delete it first")
    elif others:
        yield fail(
            f"Profiles are stored as {listed(others, 3)}, which this version of Podfacts does not know",
            "install the Podfacts that wrote them, or delete the definition with its Profiles",
        )
    else:
        yield ok(f"profiles.podfacts.dev is defined, as {VERSION}")


def namespace(tree: Tree | None) -> Iterator[Outcome]:
    """Whether the namespace can take the two servers."""
    if tree is None:
        yield ok(f"the namespace {SYSTEM} is not there yet")
    elif tree["metadata"].get("deletionTimestamp"):
        yield fail(f"the namespace {SYSTEM} is being deleted", "wait until it is gone")
    else:
        yield ok(f"the namespace {SYSTEM} is there")


def served(resources: Tree | None) -> Iterator[Outcome]:
    """Whether the API server has the admission that an installation is made of."""
    names = {each["name"] for each in (resources or {}).get("resources") or ()}
    lacking = [each.resource for each in KINDS if each.group == ADMISSION and each.resource not in names]
    if lacking:
        yield fail(
            f"the API server does not serve {listed(lacking, 3)}", "switch them on, or update Kubernetes"
        )
    else:
        yield ok("webhooks and validating policies are served")
