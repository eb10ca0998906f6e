"""The room that a pod leaves for the facts of its node, and what the fence costs those whom it does not concern."""

from collections.abc import Iterator

import pytest

from tests.cluster import Cluster
from tests.e2e.api import Api
from tests.e2e.conftest import wait_for
from tests.e2e.fenced import ZONE, Fence, annotated, fenced, pod, told

pytestmark = pytest.mark.api

KIB = 1024
BIG = {"big": "x" * 249 * KIB}
WIDE = {"wide": "\N{LATIN SMALL LETTER E WITH ACUTE}" * 125 * KIB}
MANY = {f"example.com/annotation-{n:04}": "x" * 226 for n in range(1000)}


@pytest.fixture(scope="module")
def fence(cluster: Cluster, api: Api) -> Iterator[Fence]:
    yield from fenced(cluster, api)


@pytest.mark.fault("T22")
@pytest.mark.parametrize("there", [BIG, WIDE, {**MANY, "more": "x" * 4 * KIB}], ids=["big", "wide", "many"])
def test_a_pod_leaves_room_for_the_facts_of_its_node(fence: Fence, there: dict[str, str]) -> None:
    size = sum(len(key.encode()) + len(value.encode()) for key, value in there.items())
    assert 248 * KIB < size <= 256 * KIB
    pods = "/api/v1/namespaces/{}/pods"
    said = fence.tenant.call("POST", pods.format(fence.room), pod("big", {}, there), dryRun="All")
    told(said, 422, f"the annotations hold {size} bytes together: write {248 * KIB} at most")
    told(fence.tenant.call("POST", pods.format(fence.plain), pod("big", {}, there), dryRun="All"), 201)


@pytest.mark.fault("T22")
def test_to_the_byte(fence: Fence) -> None:
    pods = f"/api/v1/namespaces/{fence.room}/pods"
    for more, status in ((0, 201), (1, 422)):
        there = {"big": "x" * (248 * KIB - 3 + more)}
        told(fence.tenant.call("POST", pods, pod("big", {}, there), dryRun="All"), status)
    told(fence.tenant.call("POST", pods, pod("many", {}, MANY), dryRun="All"), 201)


def test_a_pod_that_is_too_big_already_can_be_made_smaller_and_lives_on(fence: Fence, api: Api) -> None:
    path = fence.made(fence.room)
    enabled = {"metadata": {"labels": {"podfacts.dev/node-facts": "enabled"}}}
    named = f"/api/v1/namespaces/{fence.room}"
    told(fence.tenant.call("PATCH", path, annotated(**BIG)), 422, "the annotations hold")
    told(api.call("PATCH", named, {"metadata": {"labels": {"podfacts.dev/node-facts": None}}}), 200)
    wait_for(lambda: fence.tenant.call("PATCH", path, annotated(**BIG)).status == 200)
    told(api.call("PATCH", named, enabled), 200)
    wait_for(lambda: fence.tenant.call("PATCH", path, annotated(more="1"), dryRun="All").status == 422)
    told(fence.admin.call("PATCH", f"{path}/status", {"status": {"reason": "Waiting"}}), 200)
    told(fence.tenant.call("PATCH", path, annotated(big="x" * 248 * KIB, more="1")), 200)
    told(fence.tenant.call("PATCH", path, annotated(big="x")), 200)
    told(fence.bound(path), 201)
    told(fence.tenant.call("PATCH", path, annotated(**BIG)), 200)  # It is bound: no facts will come that way.


@pytest.mark.fault("T25")
def test_a_pod_with_35000_annotations_keeps_nobody_busy(fence: Fence, api: Api) -> None:
    """Over so many, one `all` takes five seconds on an idle machine; all that happens here takes one."""
    pods, crowd = "/api/v1/namespaces/{}/pods", {f"k{n}": "" for n in range(35_000)}
    before = _seconds(api)
    told(fence.tenant.call("POST", pods.format(fence.plain), pod("crowd", {}, crowd)), 201)
    path = f"{pods.format(fence.plain)}/crowd"
    told(fence.tenant.call("PATCH", path, annotated(more="1")), 200)
    told(fence.controller.call("PATCH", f"{path}/status", annotated(zone="a")), 403, "has 2000 at most")
    said = fence.tenant.call("POST", pods.format(fence.room), pod("crowd", {}, crowd), dryRun="All")
    told(said, 422, "or fewer than 2000 of them")
    forged = pod("forged", {}, crowd | {ZONE: "a"})
    told(fence.tenant.call("POST", pods.format(fence.plain), forged, dryRun="All"), 403)
    assert _seconds(api) - before < 15
    told(fence.tenant.call("DELETE", path, gracePeriodSeconds="0"), 200)


def test_what_a_kubelet_writes_is_let_go_at_once(fence: Fence, api: Api) -> None:
    path = fence.made(annotations={f"example.com/annotation-{n}": "x" * 20 for n in range(10)})
    told(fence.bound(path), 201)
    before, checked = _matching(api), _checks(api)
    for number in range(100):
        told(fence.kubelet.call("PATCH", f"{path}/status", {"status": {"reason": f"{number}"}}), 200)
    seconds, times = (later - sooner for sooner, later in zip(before, _matching(api), strict=True))
    assert times >= 100
    assert seconds / times < 0.003  # Ten times what a machine takes that does nothing else.
    assert _checks(api) == checked > 0  # No validation was reached.


def _matching(api: Api) -> tuple[float, float]:
    """The seconds that the match conditions of podfacts-controller-fence took so far, and how often."""
    name = "apiserver_admission_match_condition_evaluation_seconds"
    there = '="podfacts-controller-fence"'
    return _metric(api, f"{name}_sum", there), _metric(api, f"{name}_count", there)


def _checks(api: Api) -> float:
    name = "apiserver_validating_admission_policy_check_total"
    return _metric(api, name, '="podfacts-controller-fence"')


def _seconds(api: Api) -> float:
    """What all the policies of the cluster have taken so far."""
    name = "apiserver_admission_controller_admission_duration_seconds_sum"
    return _metric(api, name, 'name="ValidatingAdmissionPolicy"')


def _metric(api: Api, name: str, there: str) -> float:
    lines = api.call("GET", "/metrics").body["text"].splitlines()
    found = [line for line in lines if line.startswith(f"{name}{{") and there in line]
    return sum(float(line.rpartition(" ")[2]) for line in found)
