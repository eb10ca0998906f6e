"""The policies that ``podfacts policy`` prints, on a real API server: the same pods as the webhook's, but for what is named.

Every case is created by dry run in a namespace of its own policies, and by hand, with what ``inject`` gives it, in one
without any.
"""

import json
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest
import yaml

from podfacts.core.injection import inject
from podfacts.core.options import AMBASSADOR, API_ACCESS, INJECT
from podfacts.core.patch import apply
from podfacts.core.refusal import Refused
from tests.case import Case
from tests.e2e.api import Api
from tests.e2e.conftest import wait_for
from tests.e2e.test_cases_on_the_api_server import dry, essence
from tests.e2e.twin import ALL, PRINTED, TRIED, Twin, asked, created, plain, twinned

pytestmark = pytest.mark.api


class Difference(NamedTuple):
    """What a policy does otherwise, and why."""

    reason: str
    applies: Callable[[Case], bool]


def _asks(case: Case, *keys: str) -> bool:
    annotations = case.pod["metadata"].get("annotations") or {}
    return asked(case) in PRINTED and any(annotations.get(key) == "true" for key in keys)


UNTOUCHED = Difference(
    "no policy speaks for a profile that gives API access, or that does not exist: the pod stays as it is",
    lambda case: (
        asked(case) not in {*PRINTED, "false", ""} or case.pod["metadata"].get("labels") == {INJECT: ""}
    ),
)
ACCESS = Difference(
    "API access that a pod asks for is refused", lambda case: _asks(case, API_ACCESS, AMBASSADOR)
)
# The refusal is the webhook's, in other words: a policy's message knows no place in a list.
WORDS = {
    "carried: no room to hold a container back",
    "carried: the volume's name is the author's",
}
OTHERWISE = {
    "twin: a mount of the author's that climbs": "a path with '..' counts as taken",
    "twin: a pod that names its node": "a policy knows no node",
    "carried: a pod that has its node already gets its facts at once": "the same",
    "carried: a pod that has its node already gets its facts at once, recorded before": "the same",
    "carried: a zone that the author wrote for a node without one": "the same, so this one is let through",
}


@pytest.fixture(scope="module")
def twin(api: Api) -> Iterator[Twin]:
    """The policies of all profiles."""
    with twinned(api, "twin", PRINTED.values(), TRIED) as found:
        yield found


def injected(case: Case, twin: Twin) -> dict[str, Any] | str:
    """The pod as the webhook would make it, or its refusal."""
    try:
        done = inject(case.pod, ALL, twin.around(case), twin.namespace(case))
    except Refused as refused:
        return f"podfacts: {refused}"
    tree: dict[str, Any] = apply(case.pod, done.patch)
    return tree


@pytest.mark.parametrize("case", TRIED, ids=lambda case: case.name)
def test_the_policies_do_as_the_webhook(case: Case, api: Api, twin: Twin) -> None:
    said = dry(api, twin.namespace(case), case.pod)
    expected = injected(case, twin)
    different = case.name in OTHERWISE
    if UNTOUCHED.applies(case):
        assert plain(said.body) == plain(dry(api, twin.plain, case.pod).body)
    elif ACCESS.applies(case):
        assert said.status == 422
        assert "a policy gives no API access" in said.body["message"] or expected in said.body["message"]
    elif isinstance(expected, str):
        assert (said.status == 201) == different, said.body
        if not different:
            refusal = said.body["message"].partition("denied request: ")[2]
            assert refusal.startswith("podfacts: ")
            assert (refusal != expected) == (case.name in WORDS), (refusal, expected)
    else:
        by_hand = dry(api, twin.plain, expected)
        assert (said.status, by_hand.status) == (201, 201), (said.body, by_hand.body)
        assert (plain(said.body) != plain(by_hand.body)) == different


@pytest.mark.parametrize("case", TRIED, ids=lambda case: case.name)
def test_the_webhook_finds_nothing_left_to_do(case: Case, api: Api, twin: Twin) -> None:
    """But for the record, and what only it knows: so both may be there for a while, and one take the other's place."""
    said = dry(api, twin.namespace(case), case.pod)
    if said.status != 201 or asked(case) not in PRINTED or case.name in OTHERWISE:
        return
    pod = essence(said.body)
    patch = inject(pod, ALL, twin.around(case), twin.namespace(case)).patch
    record = {"/metadata/annotations", "/metadata/annotations/podfacts.dev~1injected"}
    assert {each["path"] for each in patch} <= record, patch


def test_a_policy_records_the_profile_so_that_the_pod_is_not_taken_for_a_missed_one(
    api: Api, twin: Twin
) -> None:
    case = next(each for each in TRIED if "built-in profile, whole" in each.name)
    said = dry(api, twin.namespace(case), case.pod)
    record = json.loads(said.body["metadata"]["annotations"]["podfacts.dev/injected"])
    assert record == {"profile": "default", "hash": ALL["default"].hash}


def test_the_named_differences_are_cases() -> None:
    assert {*WORDS, *OTHERWISE} <= {case.name for case in TRIED}


# Adds a container when the label asks for it, by a policy whose name goes before or after ours.
LATE = """
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicy
metadata: {name: NAME}
spec:
  failurePolicy: Fail
  matchConstraints:
    resourceRules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [pods]}]
    objectSelector: {matchLabels: {podfacts.test/late: NAME}}
  reinvocationPolicy: IfNeeded
  mutations:
  - patchType: JSONPatch
    jsonPatch:
      expression: |-
        object.spec.containers.exists(each, each.name == "late") ? [] : [JSONPatch{op: "add", path: "/spec/containers/0",
          value: Object.spec.containers{name: "late", image: "app", env: [Object.spec.containers.env{name: "A", value: "b"}]}}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicyBinding
metadata: {name: NAME}
spec: {policyName: NAME, matchResources: {}}
"""


@pytest.mark.fault("T36")
@pytest.mark.parametrize("name", ["aaa", "zzz"])
def test_a_container_that_another_policy_adds_gets_its_facts_once(name: str, api: Api, twin: Twin) -> None:
    paths = [created(api, tree) for tree in yaml.safe_load_all(LATE.replace("NAME", name))]
    pod = {
        "metadata": {"name": "web", "labels": {INJECT: "told", "site": "north", "podfacts.test/late": name}},
        "spec": {"containers": [{"name": "main", "image": "app"}]},
    }
    try:
        found = wait_for(lambda: _with_late(dry(api, twin.namespaces["{}"], pod).body))
    finally:
        for path in paths:
            api.call("DELETE", path)
    spec = found["spec"]
    names = [each["name"] for each in PRINTED["told"].env]
    assert [each["name"] for each in spec["containers"]] == ["late", "main"]
    assert [each["name"] for each in spec["containers"][0]["env"]] == [*names, "A"]
    assert [each["name"] for each in spec["containers"][1]["env"]] == names
    mounts = [[each["name"] for each in container["volumeMounts"]] for container in spec["containers"]]
    assert [each.count("podfacts") for each in mounts] == [1, 1]
    (volume,) = [each for each in spec["volumes"] if each["name"] == "podfacts"]
    files = [each["path"] for each in volume["downwardAPI"]["items"]]
    assert len(files) == len({*files})
    assert {"containers/late/cpu-limit", "containers/main/cpu-limit"} <= {*files}


def _with_late(pod: dict[str, Any]) -> dict[str, Any] | None:
    return pod if any(each["name"] == "late" for each in pod["spec"]["containers"]) else None
