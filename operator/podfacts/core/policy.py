"""A profile as admission policies of Kubernetes itself: no webhook, no server of ours, the same pod.

The law: **what this cannot do as the webhook does, it does not do at all.** The compiled ``Profile`` goes into a
MutatingAdmissionPolicy as plain rows, and CEL applies the rules of ``injection.py`` to them. What a pod must not ask for is
refused by a ValidatingAdmissionPolicy beside it, because a mutating one cannot refuse with a sentence. ``docs/policy.md``
says what is missing.

JSONPatch and not ApplyConfiguration: the latter refuses ``valueFrom.fieldRef`` ("may not mutate atomic arrays, maps or
structs"). Kubernetes evaluates a policy again after others changed the pod, so each operation stands behind its own question.
"""

import re
from collections.abc import Iterable
from typing import Any

from podfacts.core.options import INJECT, MIRROR
from podfacts.core.policy_cel import literal
from podfacts.core.policy_patch import MUTATION, patch_variables
from podfacts.core.policy_wishes import Rule, Variable, chosen_variables, rules, wish_variables
from podfacts.core.profile import Profile
from podfacts.core.refusal import Refused

API_VERSION = "admissionregistration.k8s.io/v1"
# Kubernetes exempts no namespace by itself: the same as of the webhook (deploy/base/40-admission.yaml).
EXEMPT = ("kube-system", "kube-node-lease", "podfacts-system")

NO_MIRROR = f"!has(object.metadata.annotations) || !({literal(MIRROR)} in object.metadata.annotations)"


def policies(profile: Profile) -> tuple[dict[str, Any], ...]:
    """The mutating policy, the refusing one, and the binding of each.

    Raises ``Refused`` for a profile that gives access to the API server: a token's volume and a sidecar are no facts.
    """
    for key, enabled in (
        ("apiAccess", profile.api_access.enabled),
        ("ambassador", profile.ambassador.enabled),
    ):
        if enabled:
            raise Refused(
                ("spec", key, "enabled"),
                f"a policy gives no API access: print one without it, or let the webhook inject {profile.name}",
            )
    checked = rules(profile)
    wishes = [*wish_variables(profile), *chosen_variables(profile)]
    fit = "\n&& ".join(f"({each.expression})" for each in checked if each.before)
    mutating = _policy(
        "MutatingAdmissionPolicy",
        profile,
        [*wishes, ("fit", fit), *patch_variables(profile)],
        MUTATION,
        reinvocationPolicy="IfNeeded",
        mutations=[{"patchType": "JSONPatch", "jsonPatch": {"expression": MUTATION}}],
    )
    read = "\n".join(f"{each.expression}\n{each.message}" for each in checked)
    validations = [_validation(each) for each in checked]
    refusing = _policy("ValidatingAdmissionPolicy", profile, wishes, read, validations=validations)
    return (mutating, _binding(mutating), refusing, _binding(refusing, validationActions=["Deny"]))


def _policy(
    kind: str, profile: Profile, variables: Iterable[Variable], read: str, **spec: Any
) -> dict[str, Any]:
    labels = {"app.kubernetes.io/name": "podfacts", "app.kubernetes.io/component": "policy"}
    return {
        "apiVersion": API_VERSION,
        "kind": kind,
        "metadata": {"name": f"podfacts-{profile.name}", "labels": labels},
        "spec": {
            "failurePolicy": "Fail",
            "matchConstraints": _matched(profile),
            "matchConditions": [{"name": "no-mirror-pod", "expression": NO_MIRROR}],
            "variables": _used(variables, read),
            **spec,
        },
    }


def _used(variables: Iterable[Variable], read: str) -> list[dict[str, str]]:
    """Those that ``read`` mentions, and those that they are made from: a reviewer reads no other."""
    found: list[dict[str, str]] = []
    for name, expression in reversed([*variables]):
        if re.search(rf"\bvariables\.{name}\b", read):
            found.insert(0, {"name": name, "expression": expression})
            read += f"\n{expression}"
    return found


def _matched(profile: Profile) -> dict[str, Any]:
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
    values = ["true", "default"] if profile.name == "default" else [profile.name]
    asks = {"key": INJECT, "operator": "In", "values": values}
    return {"resourceRules": [rule], "objectSelector": {"matchExpressions": [asks]}}


def _validation(rule: Rule) -> dict[str, Any]:
    said = "messageExpression" if rule.computed else "message"
    return {"expression": rule.expression, said: rule.message, "reason": "Invalid"}


def _binding(policy: dict[str, Any], **spec: Any) -> dict[str, Any]:
    exempt = {"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": [*EXEMPT]}
    selector = {"namespaceSelector": {"matchExpressions": [exempt]}}
    return {
        "apiVersion": API_VERSION,
        "kind": f"{policy['kind']}Binding",
        "metadata": policy["metadata"],
        "spec": {"policyName": policy["metadata"]["name"], **spec, "matchResources": selector},
    }
