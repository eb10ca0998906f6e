"""The status of a Profile: what became of its present version, and which version is in force."""

from collections.abc import Mapping
from typing import Any

from podfacts.core.catalogue import Verdict

ACCEPTED = "Accepted"


def status_patch(profile: Any, verdict: Verdict, now: str) -> dict[str, Any] | None:
    """The merge patch that makes the object's status say the verdict; ``None`` when it does already.

    It carries the resourceVersion: a patch is the difference to what was seen. ``now`` is a timestamp.
    """
    status = profile.get("status") or {}
    changed = difference(status, _status(status, verdict, now))
    if not changed:
        return None
    return {"metadata": {"resourceVersion": profile["metadata"]["resourceVersion"]}, "status": changed}


def difference(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """The merge patch (RFC 7386) from one object to the other: lists are replaced whole."""
    patch: dict[str, Any] = {key: None for key in before if key not in after}
    for key, value in after.items():
        old = before.get(key)
        if isinstance(old, dict) and isinstance(value, dict):
            if changed := difference(old, value):
                patch[key] = changed
        elif key not in before or old != value:
            patch[key] = value
    return patch


def _status(before: Mapping[str, Any], verdict: Verdict, now: str) -> dict[str, Any]:
    conditions = [each for each in before.get("conditions") or () if each.get("type") != ACCEPTED]
    old: Mapping[str, Any] = next(
        (each for each in before.get("conditions") or () if each.get("type") == ACCEPTED), {}
    )
    truth = "True" if verdict.accepted else "False"
    condition = {
        "type": ACCEPTED,
        "status": truth,
        "reason": verdict.reason,
        "message": verdict.message,
        "lastTransitionTime": old.get("lastTransitionTime", now) if old.get("status") == truth else now,
        "observedGeneration": verdict.generation,
    }
    after = {
        key: value
        for key, value in before.items()
        if key not in ("observedGeneration", "conditions", "inForce")
    }
    after |= {"observedGeneration": verdict.generation, "conditions": [*conditions, condition]}
    if verdict.in_force:
        after["inForce"] = {
            "generation": verdict.in_force_generation,
            "hash": verdict.in_force.hash,
            "spec": verdict.in_force_spec,
        }
    return after
