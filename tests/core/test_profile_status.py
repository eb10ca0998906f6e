"""The status of a Profile, as a merge patch that says no more than what has changed."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from podfacts.core.catalogue import catalogue
from podfacts.core.profile_status import difference, status_patch

KEYS = st.sampled_from(["a", "b", "c"])
LEAVES = st.one_of(st.integers(0, 3), st.text(max_size=2), st.lists(st.integers(0, 2), max_size=2))
TREES = st.dictionaries(KEYS, st.recursive(LEAVES, lambda below: st.dictionaries(KEYS, below)), max_size=3)


def merged(target: Any, patch: Any) -> Any:
    """RFC 7386's own pseudocode."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), value)
    return result


@given(TREES, TREES)
def test_the_difference_leads_from_one_to_the_other(before: dict[str, Any], after: dict[str, Any]) -> None:
    assert merged(before, difference(before, after)) == after
    assert difference(after, after) == {}


def profile(mount_path: str, generation: int, status: dict[str, Any] | None = None) -> dict[str, Any]:
    spec = {"facts": [{"name": "zone", "nodeLabel": "zone"}], "volume": {"mountPath": mount_path}}
    metadata = {"name": "p", "uid": "u", "generation": generation, "resourceVersion": str(generation)}
    return {"metadata": metadata, "spec": spec, **({"status": status} if status else {})}


def judged(tree: dict[str, Any], now: str) -> dict[str, Any] | None:
    return status_patch(tree, catalogue([tree], {}).verdicts["p"], now)


def test_a_status_is_written_once() -> None:
    first = judged(profile("/a", 1), "t1")
    assert first
    assert first["metadata"] == {"resourceVersion": "1"}
    status = merged({}, first["status"])
    assert status["inForce"]["generation"] == 1
    assert judged(profile("/a", 1, status), "t2") is None


def test_a_broken_edit_keeps_what_is_in_force() -> None:
    status = merged({}, (judged(profile("/a", 1), "t1") or {})["status"])
    status["conditions"].append({"type": "Other", "status": "True"})
    broken = judged(profile("relative", 2, status), "t2")
    assert broken
    assert "inForce" not in broken["status"], "as it was"
    conditions = {each["type"]: each for each in broken["status"]["conditions"]}
    assert conditions["Other"]["status"] == "True", "somebody else's"
    assert (conditions["Accepted"]["status"], conditions["Accepted"]["reason"]) == ("False", "Invalid")
    assert conditions["Accepted"]["lastTransitionTime"] == "t2"
    still = judged(profile("also", 3, merged(status, broken["status"])), "t3")
    assert still
    (accepted,) = (each for each in still["status"]["conditions"] if each["type"] == "Accepted")
    assert accepted["lastTransitionTime"] == "t2"
    assert accepted["observedGeneration"] == 3
