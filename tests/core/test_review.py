"""Bytes in, bytes out: every request gets the right answer, and the process lives."""

import base64
import copy
from dataclasses import replace
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from podfacts.core.carried import Surroundings
from podfacts.core.injection import inject
from podfacts.core.patch import apply
from podfacts.core.profile import parse_profile
from podfacts.core.review import Answer, World, review
from tests.case import PROFILES
from tests.malformed import MALFORMED

WORLD = World(PROFILES)
UID = "705ab4f5-6393-11e8-b7cc-42010a800002"


def request(**changes: Any) -> dict[str, Any]:
    """A review as Kubernetes 1.36 sends it for a pod of a ReplicaSet."""
    asked = {
        "uid": UID,
        "kind": {"group": "", "version": "v1", "kind": "Pod"},
        "resource": {"group": "", "version": "v1", "resource": "pods"},
        "requestKind": {"group": "", "version": "v1", "kind": "Pod"},
        "requestResource": {"group": "", "version": "v1", "resource": "pods"},
        "namespace": "shop",
        "operation": "CREATE",
        "userInfo": {"username": "system:serviceaccount:kube-system:replicaset-controller"},
        "object": {
            "kind": "Pod",
            "apiVersion": "v1",
            "metadata": {"generateName": "web-5d4f-", "labels": {"podfacts.dev/inject": "true"}},
            "spec": {"containers": [{"name": "main", "image": "app"}]},
        },
        "oldObject": None,
        "dryRun": False,
        "options": {"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1"},
    }
    return {"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": asked | changes}


def answered(sent: Any) -> tuple[Answer, dict[str, Any]]:
    answer = review(orjson.dumps(sent), WORLD)
    assert answer.status == 200, answer
    told = orjson.loads(answer.body)
    assert (told["kind"], told["apiVersion"]) == ("AdmissionReview", "admission.k8s.io/v1")
    assert told["response"]["uid"] == sent["request"]["uid"]
    assert ("patch" in told["response"]) == ("patchType" in told["response"])
    response: dict[str, Any] = told["response"]
    return answer, response


def test_a_pod_is_injected_as_the_core_says() -> None:
    sent = request()
    answer, response = answered(sent)
    expected = inject(sent["request"]["object"], PROFILES)
    assert response["allowed"] is True
    assert response["patchType"] == "JSONPatch"
    assert orjson.loads(base64.b64decode(response["patch"])) == list(expected.patch)
    assert response["auditAnnotations"] == {"profile": "default"}
    assert response["warnings"] == [
        "podfacts: main: limits.cpu, limits.memory unset: the fact shows the node's allocatable"
    ]
    assert (answer.outcome, answer.reason, answer.injected, answer.kept) == ("injected", "ok", 20, 0)
    assert (answer.uid, answer.namespace, answer.name) == (UID, "shop", "web-5d4f-*")


def test_a_dry_run_gets_the_same_answer() -> None:
    assert answered(request(dryRun=True))[1] == answered(request())[1]


def test_the_same_review_again_gets_the_same_bytes() -> None:
    body = orjson.dumps(request())
    assert review(body, WORLD) == review(body, WORLD)


def pod_with(**metadata: Any) -> dict[str, Any]:
    pod: dict[str, Any] = copy.deepcopy(request()["request"]["object"])
    pod["metadata"] |= metadata
    return pod


def test_nothing_to_do_is_no_patch_at_all() -> None:
    answer, response = answered(request(object=pod_with(labels={"app": "web"})))
    assert response == {"uid": UID, "allowed": True}
    assert (answer.outcome, answer.reason, answer.detail) == ("skipped", "not_asked", "not opted in")


def test_the_users_mistake_is_denied_with_what_to_write() -> None:
    answer, response = answered(
        request(object=pod_with(annotations={"podfacts.dev/mount-path": "etc/\n\x1b[31m"}))
    )
    assert response["allowed"] is False
    assert response["status"] == {
        "code": 422,
        "reason": "Invalid",
        "message": "podfacts: metadata.annotations[podfacts.dev/mount-path]: must be an absolute path such as "
        "/etc/downward, not 'etc/\\n\\x1b[31m'",
    }
    assert (answer.outcome, answer.reason) == ("denied", "bad_input")


@pytest.mark.parametrize(
    ("changes", "reason", "warned"),
    [
        ({"kind": {"group": "apps", "version": "v1", "kind": "Deployment"}}, "unknown_kind", True),
        ({"kind": None}, "unknown_kind", True),
        ({"subResource": "ephemeralcontainers", "operation": "UPDATE"}, "unknown_subresource", True),
        ({"subResource": "resize"}, "unknown_subresource", True),
        ({"operation": "UPDATE"}, "not_create", False),
        ({"operation": "DELETE", "object": None}, "not_create", False),
        ({"object": None}, "no_object", True),
        ({"object": []}, "no_object", True),
    ],
)
def test_what_is_not_ours_is_let_through(changes: dict[str, Any], reason: str, warned: bool) -> None:
    answer, response = answered(request(**changes))
    assert response["allowed"] is True
    assert "patch" not in response
    assert ("warnings" in response) is warned
    assert (answer.outcome, answer.reason) == ("skipped", reason)


def test_a_bug_of_ours_costs_the_pod_its_facts_and_not_its_life() -> None:
    # A profile that is none makes the core fail as a bug would.
    answer = review(orjson.dumps(request()), World({"default": object()}))  # type: ignore[dict-item]
    response = orjson.loads(answer.body)["response"]
    assert (response["uid"], response["allowed"], "patch" in response) == (UID, True, False)
    assert response["warnings"] == [
        "podfacts did not inject: an error of its own, see the log of podfacts-webhook"
    ]
    assert (answer.outcome, answer.reason) == ("error", "bug")
    assert "AttributeError" in answer.detail


def test_a_bug_of_ours_lets_no_forged_fact_through() -> None:
    forged = {"facts.podfacts.dev/rack": "forged", "podfacts.dev/injected": "forged", "a": "b"}
    world = World({"default": object()})  # type: ignore[dict-item]
    answer = review(orjson.dumps(request(object=pod_with(annotations=forged))), world)
    response = orjson.loads(answer.body)["response"]
    assert (answer.outcome, response["allowed"], len(response["warnings"])) == ("error", True, 1)
    assert orjson.loads(base64.b64decode(response["patch"])) == [
        {"op": "remove", "path": "/metadata/annotations/facts.podfacts.dev~1rack"},
        {"op": "remove", "path": "/metadata/annotations/podfacts.dev~1injected"},
    ]


def test_a_strange_item_of_a_volume_of_our_name_is_the_authors() -> None:
    pod = pod_with()
    pod["spec"]["volumes"] = [{"name": "podfacts", "downwardAPI": {"items": [{"path": ["a"]}]}}]
    answer, response = answered(request(object=pod))
    assert (response["allowed"], answer.outcome, answer.kept) == (True, "injected", 1)


def test_warnings_are_clean_short_and_few() -> None:
    dirty = {"podfacts.dev/\x1b[31m\n": ""}
    long = {f"podfacts.dev/x{'y' * 300}{n}": "" for n in range(40)}
    warnings = answered(request(object=pod_with(annotations=dirty | long)))[1]["warnings"]
    assert warnings[0].startswith("podfacts: annotation podfacts.dev/\N{REPLACEMENT CHARACTER}[31m")
    assert len(warnings) == 17
    assert warnings[-1] == "podfacts: and 26 more: see podfacts.dev/injected"
    assert all(len(each) <= 256 and each.isprintable() for each in warnings)


@pytest.mark.parametrize(("name", "body", "reason"), MALFORMED, ids=[each[0] for each in MALFORMED])
def test_malformed(name: str, body: bytes, reason: str) -> None:  # noqa: ARG001 - the id
    answer = review(body, WORLD)
    assert (answer.status, answer.outcome, answer.reason) == (400, "bad_request", reason)
    assert answer.body.decode().isprintable()


@settings(max_examples=500, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_get_an_answer(body: bytes) -> None:
    assert review(body, WORLD).status == 400


anything = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=500, deadline=None)
@given(
    st.fixed_dictionaries(
        {"metadata": st.just({"labels": {"podfacts.dev/inject": "true"}}) | anything, "spec": anything},
    )
    | st.builds(
        lambda key, value: {
            "metadata": {"labels": {"podfacts.dev/inject": "true"}},
            "spec": {"containers": [{"name": "a", key: value}], key: value},
        },
        st.sampled_from(
            ["env", "envFrom", "volumeMounts", "volumeDevices", "resources", "volumes", "initContainers"]
        ),
        anything
        | st.lists(st.fixed_dictionaries({"name": anything, "mountPath": anything, "valueFrom": anything})),
    )
)
def test_any_tree_as_a_pod_is_a_verdict_and_never_a_bug(pod: dict[str, Any]) -> None:
    answer, _ = answered(request(object=pod))
    assert answer.outcome in ("injected", "unchanged", "denied", "skipped"), answer.detail


ZONE = "topology.kubernetes.io/zone"
NODE = {"metadata": {"labels": {ZONE: "z1"}, "annotations": {"Example.com/Rack": "r7"}}, "status": {}}
CLUSTER = World(
    PROFILES,
    PROFILES["node"].carried,
    ("topology.kubernetes.io/zone", "topology.kubernetes.io/region"),
    Surroundings({"n1": NODE}, {"shop": {"metadata": {}}}),
    admit_unknown=True,
)


def bound(**changes: Any) -> tuple[Answer, dict[str, Any]]:
    sent = request(
        kind={"group": "", "version": "v1", "kind": "Binding"},
        resource={"group": "", "version": "v1", "resource": "pods"},
        subResource="binding",
        name="web-5d4f-x",
        object={"metadata": {"name": "web-5d4f-x"}, "target": {"kind": "Node", "name": "n1"}},
    )
    sent["request"] |= changes
    answer = review(orjson.dumps(sent), CLUSTER)
    response: dict[str, Any] = orjson.loads(answer.body)["response"]
    assert response["allowed"] is True, "or the pod would stay unbound"
    return answer, response


def test_a_binding_is_stamped_with_the_facts_of_its_node() -> None:
    answer, response = bound()
    assert (answer.outcome, answer.reason, answer.injected) == ("stamped", "ok", 4)
    [operation] = orjson.loads(base64.b64decode(response["patch"]))
    assert (operation["op"], operation["path"]) == ("add", "/metadata/annotations")
    assert operation["value"]["facts.podfacts.dev/rack"] == "r7"


def test_the_older_bindings_are_stamped_alike_and_get_the_zone_that_the_api_server_forgets() -> None:
    older = {"group": "", "version": "v1", "resource": "bindings"}
    patches = [
        orjson.loads(base64.b64decode(response["patch"]))
        for _, response in (bound(), bound(resource=older, subResource=""))
    ]
    labels = {"op": "add", "path": "/metadata/labels", "value": {ZONE: "z1"}}
    assert patches[1] == [*patches[0], labels]
    target = {"kind": "Node", "name": "n1"}
    _, response = bound(
        resource=older, subResource="", object={"metadata": {"labels": {"a": "b"}}, "target": target}
    )
    assert orjson.loads(base64.b64decode(response["patch"]))[-1] == {
        "op": "add",
        "path": "/metadata/labels/topology.kubernetes.io~1zone",
        "value": "z1",
    }


def test_only_annotations_of_ours_are_touched_on_a_binding() -> None:
    metadata = {
        "name": "web",
        "annotations": {"facts.podfacts.dev/zone": "forged", "facts.podfacts.dev/rack": "r7", "a": "b"},
    }
    _, response = bound(object={"metadata": metadata, "target": {"kind": "Node", "name": "n1"}})
    operations = orjson.loads(base64.b64decode(response["patch"]))
    added = {each["path"] for each in operations if each["op"] == "add"}
    assert added == {
        f"/metadata/annotations/facts.podfacts.dev~1{name}"
        for name in ("instance-type", "node-memory", "kernel")
    }
    removed = [each["path"] for each in operations if each["op"] == "remove"]
    assert removed == ["/metadata/annotations/facts.podfacts.dev~1zone"]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"object": {"metadata": {}, "target": {"kind": "Node", "name": "gone"}}}, "unknown_node"),
        ({"object": {"metadata": {"annotations": 7}, "target": {"name": "n1"}}}, "bad_binding"),
        ({"object": {"metadata": {}, "target": []}}, "bad_binding"),
        ({"object": {"target": {"kind": "Node", "name": "n1"}}}, "bad_binding"),
        ({"object": {"metadata": None, "target": {"kind": "Node", "name": "n1"}}}, "bad_binding"),
        ({"object": None}, "no_object"),
        ({"operation": "UPDATE"}, "no_object"),
    ],
)
def test_a_binding_is_never_refused(changes: dict[str, Any], reason: str) -> None:
    answer, response = bound(**changes)
    assert "patch" not in response
    assert answer.reason == reason


def test_a_missing_profile_is_let_through_where_the_admin_chose_so() -> None:
    sent = request(object=pod_with(labels={"podfacts.dev/inject": "nobody"}))
    told = orjson.loads(review(orjson.dumps(sent), CLUSTER).body)["response"]
    assert told["allowed"] is True
    [warning] = told["warnings"]
    assert warning.startswith("podfacts: metadata.labels[podfacts.dev/inject]: there is no profile 'nobody'")
    refused = orjson.loads(review(orjson.dumps(sent), WORLD).body)["response"]
    assert refused["allowed"] is False


def test_what_is_on_the_binding_already_is_not_stamped_again() -> None:
    target = {"kind": "Node", "name": "n1"}
    _, response = bound(object={"metadata": {"annotations": None}, "target": target})
    [operation] = orjson.loads(base64.b64decode(response["patch"]))
    assert operation["path"] == "/metadata/annotations"
    answer, response = bound(object={"metadata": {"annotations": operation["value"]}, "target": target})
    assert (answer.outcome, answer.reason, answer.injected) == ("unchanged", "ok", 0)
    assert response == {"uid": UID, "allowed": True}


def test_a_label_that_is_on_an_older_binding_already_is_not_written_again() -> None:
    older = {"group": "", "version": "v1", "resource": "bindings"}
    metadata = {"labels": {ZONE: "z1"}, "annotations": {}}
    binding = {"metadata": metadata, "target": {"kind": "Node", "name": "n1"}}
    _, response = bound(resource=older, subResource="", object=binding)
    operations = orjson.loads(base64.b64decode(response["patch"]))
    assert [each["path"] for each in operations] == ["/metadata/annotations"]


def test_who_binds_is_told_of_facts_that_find_no_room() -> None:
    names = [f"a{each}" for each in range(9)]
    facts = parse_profile(
        {
            "apiVersion": "podfacts.dev/v1alpha1",
            "kind": "Profile",
            "metadata": {"name": "p"},
            "spec": {"facts": [{"name": each, "nodeAnnotation": each} for each in names]},
        }
    )
    node = {"metadata": {"annotations": dict.fromkeys(names, "x" * 1024)}}
    world = World({}, facts.carried, around=Surroundings({"n1": node}, {}))
    binding = {"metadata": {"name": "web"}, "target": {"kind": "Node", "name": "n1"}}
    sent = request(kind={"group": "", "version": "v1", "kind": "Binding"}, object=binding)
    told = orjson.loads(review(orjson.dumps(sent), world).body)["response"]
    assert told["warnings"] == ["podfacts: 2 facts of the node are too long together"]


def test_a_bare_node_leaves_the_labels_of_an_older_binding_alone() -> None:
    bare = replace(CLUSTER, node_facts=(), around=Surroundings({"n1": {}}, {}))
    older = {"group": "", "version": "v1", "resource": "bindings"}
    binding = {"metadata": {"name": "web"}, "target": {"kind": "Node", "name": "n1"}}
    sent = request(kind={"group": "", "version": "v1", "kind": "Binding"}, resource=older, object=binding)
    assert review(orjson.dumps(sent), bare).outcome == "unchanged"


def test_a_pods_facts_are_those_of_its_own_namespace() -> None:
    shop = {"metadata": {"annotations": {"example.com/contact": "me"}}}
    world = replace(CLUSTER, around=Surroundings({}, {"shop": shop, "other": {"metadata": {}}}))
    sent = request(object=pod_with(labels={"podfacts.dev/inject": "company", "app": "web"}))
    told = orjson.loads(review(orjson.dumps(sent), world).body)["response"]
    [written] = [
        each["value"]
        for each in orjson.loads(base64.b64decode(told["patch"]))
        if each["path"] == "/metadata/annotations"
    ]
    assert written["facts.podfacts.dev/contact"] == "me"
    sent["request"]["namespace"] = "other"
    assert review(orjson.dumps(sent), world).outcome == "denied"


def test_only_a_missing_profile_is_let_through_where_the_admin_chose_so() -> None:
    wrong = request(object=pod_with(annotations={"podfacts.dev/mount-path": "etc"}))
    assert review(orjson.dumps(wrong), CLUSTER).outcome == "denied"


def test_a_pod_without_its_profile_is_let_through_without_what_it_forged() -> None:
    forged = {"facts.podfacts.dev/rack": "forged", "podfacts.dev/injected": "forged", "a": "b"}
    sent = request(object=pod_with(labels={"podfacts.dev/inject": "nobody"}, annotations=forged))
    answer = review(orjson.dumps(sent), CLUSTER)
    assert (answer.outcome, answer.reason) == ("skipped", "no_profile")
    patch = orjson.loads(base64.b64decode(orjson.loads(answer.body)["response"]["patch"]))
    assert apply(sent["request"]["object"], patch)["metadata"]["annotations"] == {"a": "b"}
