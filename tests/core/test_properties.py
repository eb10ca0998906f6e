"""What holds for every pod: nothing of the author's is lost, and twice is once."""

import copy
import json
from typing import Any

import jsonpatch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from podfacts.core.carried import Surroundings, at_create
from podfacts.core.injection import Injection, inject
from podfacts.core.patch import apply
from podfacts.core.refusal import Refused
from tests.case import PROFILES
from tests.pods import SURROUNDINGS, automounted, forging, pods

NAMES = ("true", "everything", "app-both", "labels-file", "cpu-limit-both", "vault", "proxied")
PODS = pods(NAMES)
WITH_TOKENS = st.one_of(PODS, automounted(NAMES))
CARRIED = ("node", "company", "held", "images")
FACTS = "facts.podfacts.dev/"


def injected(pod: dict[str, Any], around: Surroundings | None = None) -> Injection:
    """What the pod gets; a pod that is refused, such as one that wants bundle and ambassador, is no example."""
    try:
        return inject(pod, PROFILES, around, "shop")
    except Refused:
        assume(False)
        raise


def within(part: Any, whole: Any, replaced: frozenset[str] = frozenset()) -> bool:
    """Whether ``part`` is in ``whole``: objects by key, lists in order; env of the ``replaced`` names may differ."""
    if isinstance(part, dict) and isinstance(whole, dict):
        return all(key in whole and within(part[key], whole[key], replaced) for key in part)
    if isinstance(part, list) and isinstance(whole, list):
        rest = iter(whole)
        return all(
            any(
                within(item, other, replaced)
                or (isinstance(item, dict) and item.get("name") in replaced and other["name"] == item["name"])
                for other in rest
            )
            for item in part
        )
    return bool(part == whole)


def without_record(pod: dict[str, Any]) -> dict[str, Any]:
    stripped = copy.deepcopy(pod)
    stripped["metadata"].get("annotations", {}).pop("podfacts.dev/injected", None)
    return stripped


@settings(max_examples=400, deadline=None)
@given(WITH_TOKENS)
def test_a_second_pass_changes_nothing(pod: dict[str, Any]) -> None:
    once = apply(pod, injected(pod).patch)
    again = inject(once, PROFILES)
    assert again.patch == ()
    assert apply(once, again.patch) == once


@settings(max_examples=400, deadline=None)
@given(PODS)
def test_what_the_author_wrote_is_in_the_result(pod: dict[str, Any]) -> None:
    before = copy.deepcopy(pod)
    after = apply(pod, injected(pod).patch)
    assert pod == before
    annotations = pod["metadata"].get("annotations", {})
    replaced = frozenset(annotations.get("podfacts.dev/overwrite", "").split(","))
    assert within(without_record(before), after, replaced)


@settings(max_examples=400, deadline=None)
@given(WITH_TOKENS)
def test_the_patch_means_what_the_library_makes_of_it(pod: dict[str, Any]) -> None:
    patch = injected(pod).patch
    assert apply(pod, patch) == jsonpatch.apply_patch(json.loads(json.dumps(pod)), list(patch))


@settings(max_examples=400, deadline=None)
@given(WITH_TOKENS)
def test_no_path_is_mounted_twice(pod: dict[str, Any]) -> None:
    after = apply(pod, injected(pod).patch)
    for kind in ("containers", "initContainers"):
        for container in after["spec"].get(kind, []):
            paths = [mount["mountPath"] for mount in container.get("volumeMounts", [])]
            assert len(paths) == len(set(paths))
    names = [volume["name"] for volume in after["spec"].get("volumes", [])]
    assert len(names) == len(set(names))


@settings(max_examples=400, deadline=None)
@given(forging(CARRIED), SURROUNDINGS)
def test_no_fact_is_left_that_the_core_has_not_written(pod: dict[str, Any], around: Surroundings) -> None:
    before = copy.deepcopy((pod, around))
    after = apply(pod, injected(pod, around).patch)
    assert (pod, around) == before
    assert inject(after, PROFILES, around, "shop").patch == ()
    profile = PROFILES[pod["metadata"]["labels"]["podfacts.dev/inject"]]
    annotations = dict(after["metadata"]["annotations"])
    annotations.pop("podfacts.dev/injected")
    written = {key: annotations.pop(key) for key in list(annotations) if key.startswith(FACTS)}
    assert written == at_create(pod, profile, "shop", around)
    assert not any(
        "forged" in value or "\0" in value or len(value.encode()) > 1024 for value in written.values()
    )
    mine = pod["metadata"].get("annotations", {}).items()
    assert annotations == {
        key: value for key, value in mine if not key.startswith(FACTS) and key != "podfacts.dev/injected"
    }


@settings(max_examples=200, deadline=None)
@given(forging(CARRIED))
def test_in_a_file_nothing_forged_passes(pod: dict[str, Any]) -> None:
    before = copy.deepcopy(pod)
    after = apply(pod, injected(pod).patch)
    assert pod == before
    assert inject(after, PROFILES).patch == ()
    profile = PROFILES[pod["metadata"]["labels"]["podfacts.dev/inject"]]
    ours = {key for key in after["metadata"]["annotations"] if key.startswith(FACTS)}
    assert ours == set(at_create(pod, profile, "", None))
