"""rbac/fence.yaml on a real API server: what each identity tries, what it is told, and what it may do all the same."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.cluster import Cluster
from tests.e2e.api import Api, Said
from tests.e2e.fenced import (
    CONTROLLER,
    NODE,
    POLICIES,
    RECORD,
    TENANT,
    TOPOLOGY,
    ZONE,
    Fence,
    annotated,
    annotations,
    fenced,
    pod,
    told,
)

pytestmark = pytest.mark.api

MIRROR = "kubernetes.io/config.mirror"
CONFINED = "podfacts-controller may write annotations"
OURS = f"are written by podfacts-controller alone, not by {TENANT}"
BROUGHT = "are written by podfacts alone: remove them"


@pytest.fixture(scope="module")
def fence(cluster: Cluster, api: Api) -> Iterator[Fence]:
    yield from fenced(cluster, api)


def test_kubernetes_finds_nothing_wrong_with_the_expressions(api: Api, fence: Fence) -> None:
    names = ("controller-fence", "facts", "bindings", "room")
    for name in names:
        policy = told(api.call("GET", f"{POLICIES}/podfacts-{name}"), 200).body
        assert policy["spec"]["failurePolicy"] == "Fail"
        assert not policy["status"].get("typeChecking", {}).get("expressionWarnings")
    assert fence.tenant.call("GET", f"{POLICIES}/podfacts-facts").status == 403


# The controller, with its own token.


def test_the_controller_adds_changes_and_removes_facts(fence: Fence) -> None:
    path = fence.made()
    for value in ("b", None, "c"):
        said = told(fence.controller.call("PATCH", f"{path}/status", annotated(zone=value)), 200)
        assert annotations(said).get(ZONE) == value
    said = told(fence.controller.call("PATCH", f"{path}/status", annotated(**{"podfacts.dev/x": "1"})), 200)
    assert annotations(said) == {"theirs": "1", ZONE: "c", RECORD: "{}", "podfacts.dev/x": "1"}


@pytest.mark.fault("T38")
@pytest.mark.parametrize("bare", [False, True], ids=["usual", "bare"])
@pytest.mark.parametrize(
    "change",
    [
        {"status": {"podIP": "10.9.9.9"}},
        {"status": {"phase": "Succeeded"}},
        {"status": {"conditions": [{"type": "Ready", "status": "True"}]}},
        {"status": {"containerStatuses": []}},
        {"metadata": {"labels": {"app": "bank"}}},
        {"metadata": {"labels": {"more": "1"}}},
        {"metadata": {"labels": {"app": None}}},
        {"metadata": {"finalizers": ["podfacts.dev/never"]}},
        {"metadata": {"annotations": {"theirs": "2"}}},
        {"metadata": {"annotations": {"theirs": None}}},
        {"metadata": {"annotations": {"others": "1"}}},
        {"metadata": {"annotations": {"notpodfacts.dev/x": "1"}}},
        {"metadata": {"annotations": {"facts.podfacts.dev.evil.example/zone": "1"}}},
    ],
    ids=str,
)
def test_the_controller_changes_nothing_else(fence: Fence, change: Any, bare: bool) -> None:
    path = fence.made(labels={}, annotations={}) if bare else fence.made()
    before = fence.admin.call("GET", path).body
    told(fence.controller.call("GET", path), 403)  # It lists and watches.
    said = fence.controller.call("PATCH", f"{path}/status", change)
    if said.status == 200:  # Nothing to take from a bare pod, and an empty list is none.
        assert said.body["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]
        assert bare or change == {"status": {"containerStatuses": []}}
        assert "None" in str(change) or "[]" in str(change)
    else:
        told(said, 403, CONFINED)
    told(fence.controller.call("PATCH", f"{path}/status", annotated(zone="b")), 200)


def test_what_the_server_drops_on_the_way_to_status_stays_as_it_is(fence: Fence) -> None:
    path = fence.made()
    owner = {"apiVersion": "v1", "kind": "Pod", "name": "x", "uid": "1"}
    tree = {"metadata": {"ownerReferences": [owner], "annotations": {ZONE: "b"}}}
    tree["spec"] = {"containers": [{"name": "main", "image": "evil"}]}
    after = told(fence.controller.call("PATCH", f"{path}/status", tree), 200).body
    assert after["spec"]["containers"][0]["image"] == "app"
    assert "ownerReferences" not in after["metadata"]
    assert after["metadata"]["annotations"][ZONE] == "b"


def test_the_controller_has_no_right_on_pods_and_given_one_it_is_fenced(fence: Fence) -> None:
    path = fence.made(fence.room)
    image = {"spec": {"containers": [{"name": "main", "image": "evil"}]}}
    told(fence.controller.call("PATCH", path, image), 403, 'cannot patch resource "pods"')
    fence.allow(fence.room, CONTROLLER, "pods")
    owner = {"apiVersion": "v1", "kind": "Pod", "name": "x", "uid": "1"}
    told(fence.controller.call("PATCH", path, {"metadata": {"ownerReferences": [owner]}}), 403, CONFINED)
    (container,) = fence.admin.call("GET", path).body["spec"]["containers"]
    image["spec"]["containers"] = [{**container, "image": "evil"}]
    told(fence.controller.call("PATCH", path, image), 403, CONFINED)
    told(fence.controller.call("PATCH", path, annotated(zone="b")), 200)


# Everybody else.


@pytest.mark.fault("T38")
@pytest.mark.parametrize("door", ["", "/status"])
@pytest.mark.parametrize(
    "change",
    [
        {"zone": "b"},
        {"zone": ""},
        {"zone": None},
        {"facts.podfacts.dev/new": "1"},
        {"record": "{ }"},
        {"record": None},
    ],
    ids=str,
)
def test_a_tenant_cannot_write_what_podfacts_writes(fence: Fence, change: Any, door: str) -> None:
    path = fence.made()
    if door:
        fence.allow(fence.plain, TENANT, "pods/status")
    told(fence.tenant.call("PATCH", path + door, annotated(**change)), 403, OURS)
    rest = {"metadata": {"labels": {"app": "bank", "more": "1"}, "annotations": {"theirs": None, "new": "1"}}}
    after = told(fence.tenant.call("PATCH", path + door, rest), 200).body["metadata"]
    assert after["annotations"] == {ZONE: "a", RECORD: "{}", "new": "1"}
    assert after["labels"] == {"app": "bank", "more": "1", TOPOLOGY: "a"}


def test_nor_by_a_put_that_leaves_it_out_and_nor_can_the_administrator(fence: Fence) -> None:
    path = fence.made()
    tree = fence.tenant.call("GET", path).body
    tree["metadata"]["annotations"] = {"theirs": "2"}
    told(fence.tenant.call("PUT", path, tree), 403, OURS)
    told(fence.admin.call("PUT", path, tree), 403, "alone, not by kubernetes-admin")
    tree["metadata"]["annotations"] = {"theirs": "2", ZONE: "a", RECORD: "{}"}
    told(fence.tenant.call("PUT", path, tree), 200)


@pytest.mark.fault("T38")
def test_a_pod_that_did_not_opt_in_is_created_without_facts(fence: Fence) -> None:
    pods, inject = f"/api/v1/namespaces/{fence.plain}/pods", "podfacts.dev/inject"
    for key in (ZONE, RECORD):
        for labels in ({}, {inject: "false"}):
            tree = pod("forged", labels, {key: "a", "theirs": "1"})
            told(fence.tenant.call("POST", pods, tree, dryRun="All"), 403, BROUGHT)
        tree = pod("asked", {inject: "true"}, {key: "a"})
        told(fence.tenant.call("POST", pods, tree, dryRun="All"), 201)
    mentioned = {"podfacts.dev/x": "1", "why": f"it has {ZONE} and {RECORD}"}
    told(fence.tenant.call("POST", pods, pod("plain", {}, mentioned), dryRun="All"), 201)


def test_a_mirror_pod_may_show_what_its_node_says_but_nobody_else_may_call_a_pod_one(fence: Fence) -> None:
    pods = f"/api/v1/namespaces/{fence.plain}/pods"
    tree = pod(f"static-{NODE}", {"podfacts.dev/inject": "true"}, {MIRROR: "1", ZONE: "a"})
    tree["spec"] |= {"nodeName": NODE, "automountServiceAccountToken": False}
    told(fence.tenant.call("POST", pods, tree), 403, BROUGHT)
    uid = fence.admin.call("GET", f"/api/v1/nodes/{NODE}").body["metadata"]["uid"]
    owner = {"apiVersion": "v1", "kind": "Node", "name": NODE, "uid": uid, "controller": True}
    tree["metadata"]["ownerReferences"] = [owner]
    told(fence.kubelet.call("POST", pods, tree), 201)


@pytest.mark.parametrize("asked", ["label", "record"])
def test_the_topology_of_a_pod_that_gets_facts_is_changed_by_nobody(fence: Fence, asked: str) -> None:
    path = fence.made()
    if asked == "label":  # Without the record, as when no webhook answered.
        told(fence.controller.call("PATCH", f"{path}/status", annotated(record=None)), 200)
        told(fence.tenant.call("PATCH", path, {"metadata": {"labels": {TOPOLOGY: "b"}}}), 200)
        told(fence.tenant.call("PATCH", path, {"metadata": {"labels": {"podfacts.dev/inject": "true"}}}), 200)
    for key, value in ((TOPOLOGY, "c"), (TOPOLOGY, None), ("topology.kubernetes.io/region", "c")):
        for door in (fence.tenant, fence.admin):
            said = door.call("PATCH", path, {"metadata": {"labels": {key: value}}})
            told(said, 403, "are set by Kubernetes from its node")
    told(fence.tenant.call("PATCH", path, {"metadata": {"labels": {"topology.example/zone": "c"}}}), 200)


def test_a_kubelet_writes_the_status_of_its_pods(fence: Fence) -> None:
    for path in (fence.made(), fence.made(labels={}, annotations={}), fence.made(fence.room)):
        told(fence.bound(path), 201)
        for phase in ("Running", "Succeeded"):
            said = told(fence.kubelet.call("PATCH", f"{path}/status", {"status": {"phase": phase}}), 200)
            assert said.body["status"]["phase"] == phase
        told(fence.kubelet.call("PATCH", f"{path}/status", annotated(zone="b")), 403, "not by system:node:")


# Bindings.


@pytest.mark.parametrize("bindings", [False, True], ids=["pods/binding", "bindings"])
def test_a_binding_carries_facts_only_where_the_webhook_is_asked(fence: Fence, bindings: bool) -> None:
    def bind(path: str, **there: str) -> Said:
        if not bindings:
            return fence.bound(path, annotations=there)
        pods, _, name = path.rpartition("/")
        target = {"apiVersion": "v1", "kind": "Node", "name": NODE}
        tree = {"metadata": {"name": name, "annotations": there}, "target": target}
        return fence.admin.call("POST", pods.removesuffix("pods") + "bindings", tree)

    path = fence.made()
    told(bind(path, **{ZONE: "b"}), 403, "leave them out of the Binding")
    told(bind(path, **{RECORD: "b"}), 403, "leave it out of the Binding")
    told(bind(path, **{"scheduler.example/why": "b"}), 201)
    assert annotations(fence.admin.call("GET", path)) == {
        "theirs": "1",
        "scheduler.example/why": "b",
        ZONE: "a",
        RECORD: "{}",
    }
    path = fence.made(fence.room)
    told(bind(path, **{ZONE: "b", RECORD: "b"}), 403, "leave it out of the Binding")
    told(bind(path, **{ZONE: "b"}), 201)
