"""Whether each part of an installation is there and works: one function a part, from objects to sentences."""

import base64
import binascii
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from cryptography import x509

from podfacts.cluster.expected_rights import SYSTEM
from podfacts.cluster.outcome import APPLY, Outcome, fail, ok, warn
from podfacts.core.carried import NODE_FACTS
from podfacts.core.catalogue import Catalogue
from podfacts.core.explanation import AGAIN_WEBHOOK, NODES_WEBHOOK, PODS_WEBHOOK
from podfacts.core.missed import EXEMPT, reason_missed, told_missed
from podfacts.core.observed import observed
from podfacts.core.options import INJECT
from podfacts.core.selector import selects

Tree = dict[str, Any]

INSTALL = "kubectl apply -f install.yaml"
CONFIGURATION = "podfacts"
COMPONENTS = ("webhook", "webhook-spare", "controller")
SPARE = "webhook-spare"  # One is enough of it.
POLICIES = (
    "podfacts-controller-fence",
    "podfacts-facts",
    "podfacts-bindings",
    "podfacts-room",
)
NAME = "kubernetes.io/metadata.name"
RULES = {
    PODS_WEBHOOK: {("CREATE", "", "pods")},
    AGAIN_WEBHOOK: {("CREATE", "", "pods")},
    NODES_WEBHOOK: {("CREATE", "", "pods/binding"), ("CREATE", "", "bindings")},
}
LONGEST_TIMEOUT = {PODS_WEBHOOK: 2, AGAIN_WEBHOOK: 5, NODES_WEBHOOK: 2}
SHOWN = 10
# A leader renews every few seconds; its Lease says for how long that holds.
LEASE_SECONDS = 15


def crd(tree: Tree | None) -> Iterator[Outcome]:
    """The definition of Profiles."""
    if tree is None:
        yield fail("there is no CustomResourceDefinition profiles.podfacts.dev", INSTALL)
        return
    served = [each["name"] for each in tree["spec"]["versions"] if each.get("served")]
    established = _condition(tree, "Established").get("status") == "True"
    if "v1alpha1" not in served:
        yield fail(f"profiles.podfacts.dev has the versions {', '.join(served)}, not v1alpha1", INSTALL)
    elif not established:
        why = _condition(tree, "NamesAccepted").get("message", "it is not Established")
        yield fail(
            f"profiles.podfacts.dev is not usable: {why}", "kubectl describe crd profiles.podfacts.dev"
        )
    else:
        yield ok("profiles.podfacts.dev v1alpha1 is Established")


def deployments(*trees: Tree | None) -> Iterator[Outcome]:
    """The servers, every replica ready and of the newest revision."""
    for component, tree in zip(COMPONENTS, trees, strict=True):
        name = f"podfacts-{component}"
        if tree is None:
            yield fail(f"there is no Deployment {name} in {SYSTEM}", INSTALL)
            continue
        wanted, status = tree["spec"].get("replicas", 1), tree.get("status") or {}
        ready, updated = status.get("readyReplicas", 0), status.get("updatedReplicas", 0)
        look = f"kubectl describe pods -n {SYSTEM} -l app.kubernetes.io/component={component}"
        if wanted == 0:
            enough = 1 if component == SPARE else 2
            back = f"kubectl scale -n {SYSTEM} deployment/{name} --replicas={enough}"
            yield fail(f"{name} is scaled to 0", back)
        elif status.get("observedGeneration") != tree["metadata"].get("generation") or updated < wanted:
            yield fail(f"{name} is being rolled out: {updated} of {wanted} are of the newest revision", look)
        elif ready < wanted:
            yield fail(f"{name} has {ready} of {wanted} replicas ready", look)
        elif wanted == 1 and component != SPARE:
            yield warn(f"{name} has one replica: nobody takes over when it goes", "scale it to 2")
        else:
            yield ok(f"{name} has {ready} of {wanted} replicas ready")


def webhooks(configurations: Sequence[Tree]) -> Iterator[Outcome]:
    """The entries of the configuration, in their order, asked for what they should be and for nothing else."""
    ours = [each for each in configurations if each["metadata"]["name"] == CONFIGURATION]
    entries = {each["name"]: each for tree in ours for each in tree.get("webhooks") or ()}
    for name in RULES:
        if name not in entries:
            yield fail(f"no MutatingWebhookConfiguration {CONFIGURATION} with {name}", INSTALL)
            continue
        faults = [*_scope_faults(name, entries[name]), *_manner_faults(name, entries[name])]
        yield from faults
        if not any(each.state == "FAIL" for each in faults):
            yield ok(f"{name} is asked for what it should be, failurePolicy {entries[name]['failurePolicy']}")
    order = [name for name in entries if name in (PODS_WEBHOOK, AGAIN_WEBHOOK)]
    if order == [AGAIN_WEBHOOK, PODS_WEBHOOK]:
        yield fail(f"{AGAIN_WEBHOOK} is asked before {PODS_WEBHOOK}: the spare does all the work", INSTALL)
    for tree in configurations:
        if tree not in ours and any(each["name"] in RULES for each in tree.get("webhooks") or ()):
            other = tree["metadata"]["name"]
            yield warn(
                f"MutatingWebhookConfiguration {other} asks a podfacts webhook too", "keep one of them"
            )


def _scope_faults(name: str, entry: Tree) -> Iterator[Outcome]:
    selector = entry.get("namespaceSelector")
    switched = {NODE_FACTS: "enabled"} if name == NODES_WEBHOOK else {}
    for namespace in sorted(EXEMPT):
        if selects(selector, {**switched, NAME: namespace}):
            yield fail(f"{name} is asked in {namespace}, which must start without it", INSTALL)
    if not selects(selector, {**switched, NAME: "default"}):
        yield warn(f"the namespaceSelector of {name} leaves out namespaces by their labels: {selector}")
    if name == NODES_WEBHOOK and selects(selector, {NAME: "default"}):
        yield fail(f"{name} is asked in namespaces without {NODE_FACTS}=enabled", INSTALL)
    if name != NODES_WEBHOOK:
        chosen = [
            selects(entry.get("objectSelector"), each) for each in ({INJECT: "true"}, {INJECT: "false"}, {})
        ]
        if chosen != [True, False, False]:
            yield fail(f"the objectSelector of {name} is not by the label {INJECT}", INSTALL)
    rules = {
        (operation, group, resource)
        for rule in entry.get("rules") or ()
        for operation in rule["operations"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
    }
    if rules != RULES[name]:
        yield fail(f"the rules of {name} are others: {sorted(' '.join(each) for each in rules)}", INSTALL)


def _manner_faults(name: str, entry: Tree) -> Iterator[Outcome]:
    policy = entry.get("failurePolicy")
    if name == NODES_WEBHOOK and policy != "Ignore":
        yield fail(f"{name} has failurePolicy {policy}: without us no pod could be bound", INSTALL)
    if name == AGAIN_WEBHOOK and policy != "Fail":
        yield warn(f"{name} has failurePolicy {policy}: while it is away, pods start without their facts")
    if entry.get("reinvocationPolicy") != "IfNeeded":
        yield fail(f"{name} is not asked again: a container that another webhook adds gets no facts", INSTALL)
    seconds = entry.get("timeoutSeconds", 0)
    if seconds > LONGEST_TIMEOUT[name]:
        yield warn(f"{name} may take {seconds} s: a replica that hangs holds up pods for that long", INSTALL)


def ca(configurations: Sequence[Tree], now: datetime) -> Iterator[Outcome]:
    """Whom the API server trusts to be our webhook."""
    look = f"kubectl logs -n {SYSTEM} deployment/podfacts-controller"
    for tree in configurations:
        for entry in (tree.get("webhooks") or ()) if tree["metadata"]["name"] == CONFIGURATION else ():
            name, bundle = entry["name"], entry.get("clientConfig", {}).get("caBundle") or ""
            try:
                certificates = x509.load_pem_x509_certificates(base64.b64decode(bundle)) if bundle else []
            except (ValueError, binascii.Error):
                yield fail(f"the caBundle of {name} holds something that is no certificate", look)
                continue
            valid = [
                each for each in certificates if each.not_valid_before_utc <= now < each.not_valid_after_utc
            ]
            if not valid:
                what = "has no caBundle" if not bundle else "has an expired caBundle"
                yield fail(f"{name} {what}, so every call to it fails: the controller writes it", look)
                continue
            last = max(valid, key=lambda each: each.not_valid_after_utc)
            left = last.not_valid_after_utc - now
            said = f"the CA of {name} is valid for {_days(left)}"
            # Whoever keeps it makes a new one when two thirds are over.
            if left < (last.not_valid_after_utc - last.not_valid_before_utc) / 4:
                yield warn(f"{said} and should have been replaced by now", look)
            else:
                yield ok(said)


def _days(left: timedelta) -> str:
    return f"{left.days} days" if left.days > 1 else f"{left.total_seconds() / 3600:.0f} hours"


def fence(policies: Sequence[Tree], bindings: Sequence[Tree]) -> Iterator[Outcome]:
    """The policies that hold the controller's account to its annotations, and everybody else off them."""
    there = {each["metadata"]["name"]: each for each in policies}
    bound: dict[str, list[Tree]] = {}
    for each in bindings:
        bound.setdefault(each["spec"]["policyName"], []).append(each)
    for name in POLICIES:
        denying = [each for each in bound.get(name, ()) if _denies_everywhere(each["spec"])]
        if name not in there:
            yield fail(f"there is no ValidatingAdmissionPolicy {name}", APPLY)
        elif there[name]["spec"].get("failurePolicy") != "Fail":
            yield fail(f"the policy {name} lets through what it cannot judge", APPLY)
        elif not denying:
            yield fail(f"no binding makes the policy {name} deny anything", APPLY)
        elif (there[name].get("status") or {}).get("typeChecking", {}).get("expressionWarnings"):
            yield warn(f"the API server has doubts about {name}", f"kubectl describe vap {name}")
        else:
            yield ok(f"the policy {name} is there and denies")


def _denies_everywhere(binding: Tree) -> bool:
    return "Deny" in binding.get("validationActions", ()) and not binding.get("matchResources")


def profiles(trees: Sequence[Tree] | None) -> Iterator[Outcome]:
    """Whether each object is in force as it stands."""
    wrong = 0
    for tree in trees or ():
        name, condition = tree["metadata"]["name"], _condition(tree, "Accepted")
        look = f"kubectl get profile {name} -o yaml"
        if condition.get("observedGeneration") != tree["metadata"].get("generation"):
            wrong += 1
            yield fail(f"the profile {name} has not been judged: no controller leads", look)
        elif condition.get("status") != "True":
            wrong += 1
            what = f"the last edit of {name}" if "inForce" in tree["status"] else f"the profile {name}"
            yield fail(f"{what} is not in force: {condition.get('message')}", f"correct it: {look}")
    if not wrong:
        count = len(trees or ())
        said = "profile is in force as it stands" if count == 1 else "profiles are in force as they stand"
        yield ok(f"{count} {said}, beside the built-in one")


def lease(tree: Tree | None, now: datetime) -> Iterator[Outcome]:
    """Whether a controller leads now."""
    look = f"kubectl logs -n {SYSTEM} deployment/podfacts-controller"
    spec = (tree or {}).get("spec") or {}
    holder, renewed = spec.get("holderIdentity"), spec.get("renewTime")
    if tree is None:
        yield fail(f"there is no Lease podfacts-controller in {SYSTEM}, so no controller can lead", INSTALL)
    elif not holder or not renewed:
        yield fail("no controller leads: the Lease podfacts-controller is held by nobody", look)
    else:
        age = (now - datetime.fromisoformat(renewed)).total_seconds()
        if age > 2 * (spec.get("leaseDurationSeconds") or LEASE_SECONDS):
            yield fail(f"no controller leads: {holder} renewed its Lease {age:.0f} s ago", look)
        else:
            yield ok(f"{holder} leads")


def missed(pods: Sequence[Tree], known: Catalogue) -> Iterator[Outcome]:
    """Pods that asked for facts and run without them."""
    found = []
    for tree in pods:
        pod = observed(tree)
        if reason := reason_missed(pod, known.profiles):
            found.append(f"{pod.key.namespace}/{told_missed(pod, reason).removeprefix('pod ')}")
    for each in found[:SHOWN]:
        yield warn(each)
    if len(found) > SHOWN:
        yield warn(f"and {len(found) - SHOWN} pods more run without their facts")
    if not found:
        yield ok(f"none of {len(pods)} opted-in pods runs without its facts")


def _condition(tree: Mapping[str, Any], kind: str) -> Mapping[str, Any]:
    conditions = (tree.get("status") or {}).get("conditions") or ()
    return next((each for each in conditions if each.get("type") == kind), {})
