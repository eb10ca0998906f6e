"""Pods that asked for their facts and run without them: why, what to say, and whether to make them anew.

A pod cannot be given env or volumes later. So all that can be done is to say so, once, where somebody looks for it, or to
evict it, so that its owner makes a new one.
"""

import hashlib
from collections.abc import Container, Mapping
from typing import Any, Literal

from podfacts.core.observed import Observed, Reference
from podfacts.core.options import INJECT
from podfacts.core.profile import Profile

Reason = Literal["label-added-later", "not-in-force", "webhook-away"]
REASONS: tuple[Reason, ...] = ("label-added-later", "not-in-force", "webhook-away")
# Where the webhook's configuration never sends a pod: deploy/base/40-admission.yaml.
EXEMPT = frozenset({"kube-system", "kube-node-lease", "podfacts-system"})

MISSED = "FactsMissed"
LATE = "FactsLate"
COMPONENT = "podfacts-controller"
MESSAGE_LENGTH = 1024  # Of an Event; a longer one is refused.


def reason_missed(
    pod: Observed, profiles: Mapping[str, Profile], exempt: Container[str] = EXEMPT
) -> Reason | None:
    """Why the pod runs without its facts; ``None`` if it has them, or is none of ours."""
    if pod.record or pod.mirror or pod.ended or pod.key.namespace in exempt:
        return None
    if pod.later:
        return "label-added-later"
    return "webhook-away" if pod.profile in profiles else "not-in-force"


def told_missed(pod: Observed, reason: Reason) -> str:
    """The message of the Event."""
    what = {
        "label-added-later": f"the label {INJECT} was set after it had been created",
        "not-in-force": f"profile {pod.profile} was not in force when it was created",
        "webhook-away": f"the webhook was away, or profile {pod.profile} not in force, when it was created",
    }[reason]
    first = f"make profile {pod.profile}, then delete" if reason == "not-in-force" else "delete"
    rest = (
        f"{first} the pod, its owner makes a new one" if pod.controller else f"{first} it and create it anew"
    )
    return f"pod {pod.key.name} runs without its facts: {what}; {rest}"


def told_late(pod: Observed, names: tuple[str, ...]) -> str:
    """The message of the Event."""
    return (
        f"env {', '.join(names)} may have been empty when the containers of pod {pod.key.name} started: its namespace lacks "
        "the label podfacts.dev/node-facts=enabled, or the webhook was away when it was bound; put that right and delete the pod"
    )


def evictable(pod: Observed, reason: Reason, profiles: Mapping[str, Profile]) -> bool:
    """Whether its profile says that it be made anew, and somebody will."""
    profile = profiles.get(pod.profile)
    return (
        reason != "not-in-force"
        and profile is not None
        and profile.remediate == "evict"
        and pod.controller is not None
    )


def event(about: Reference, reason: str, message: str, namespace: str, now: str) -> dict[str, Any]:
    """The Event about an object, under a name that is the same whoever says it: so it is said once.

    ``namespace`` is the object's; ``now`` is a timestamp.
    """
    said = hashlib.sha256(f"{about.uid} {reason}".encode()).hexdigest()[:20]
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"namespace": namespace, "name": f"podfacts.{said}"},
        "involvedObject": {
            "apiVersion": about.api_version,
            "kind": about.kind,
            "name": about.name,
            "namespace": namespace,
            "uid": about.uid,
        },
        "type": "Warning",
        "reason": reason,
        "message": message[:MESSAGE_LENGTH],
        "source": {"component": COMPONENT},
        "count": 1,
        "firstTimestamp": now,
        "lastTimestamp": now,
    }
