"""Bytes in, bytes out: every request gets the right answer, and the process lives."""

import base64
import copy
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from podfacts.core.injection import inject
from podfacts.core.review import Answer, review
from tests.case import PROFILES
from tests.malformed import MALFORMED

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
    answer = review(orjson.dumps(sent), PROFILES)
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
    assert review(body, PROFILES) == review(body, PROFILES)


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
        (
            {"kind": {"group": "", "version": "v1", "kind": "Binding"}, "subResource": "binding"},
            "unknown_kind",
            True,
        ),
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
    answer = review(orjson.dumps(request()), {"default": object()})  # type: ignore[dict-item]
    response = orjson.loads(answer.body)["response"]
    assert (response["uid"], response["allowed"], "patch" in response) == (UID, True, False)
    assert response["warnings"] == [
        "podfacts did not inject: an error of its own, see the log of podfacts-webhook"
    ]
    assert (answer.outcome, answer.reason) == ("error", "bug")
    assert "AttributeError" in answer.detail


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
    answer = review(body, PROFILES)
    assert (answer.status, answer.outcome, answer.reason) == (400, "bad_request", reason)
    assert answer.body.decode().isprintable()


@settings(max_examples=500, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_get_an_answer(body: bytes) -> None:
    assert review(body, PROFILES).status == 400


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
