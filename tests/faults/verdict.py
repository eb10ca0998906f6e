"""What every answer to every body has to be, whoever thought the body up: a table, hypothesis, or a fuzzer."""

import base64
import json
from typing import Any

import orjson

from podfacts.core.carried import Surroundings
from podfacts.core.patch import apply
from podfacts.core.review import WARNING_LENGTH, WARNINGS, Answer, World, review
from tests.case import PROFILES

NODE = {
    "metadata": {
        "labels": {"topology.kubernetes.io/zone": "z1", "node.kubernetes.io/instance-type": "m5.large"},
        "annotations": {"Example.com/Rack": "r7"},
    },
    "status": {"allocatable": {"memory": "16384256Ki"}, "nodeInfo": {"kernelVersion": "6.1"}},
}
NAMESPACE = {
    "metadata": {"annotations": {"example.com/contact": "me"}, "labels": {"example.com/team": "blue"}}
}
WORLD = World(
    PROFILES,
    PROFILES["node"].carried,
    ("topology.kubernetes.io/zone",),
    Surroundings({"n1": NODE}, {"shop": NAMESPACE}),
)
KEYS = {"uid", "allowed", "status", "patchType", "patch", "warnings", "auditAnnotations"}
OUTCOMES = {"injected", "stamped", "unchanged", "skipped", "denied"}


def judged(body: bytes, world: World = WORLD) -> Answer:
    """The answer, found to be a 400 with one plain sentence, or a review that an API server can use.

    A patch fits the object, and a second pass over what comes of it has nothing to do.
    """
    answer = review(body, world)
    assert answer.outcome != "error", answer.detail
    if answer.status != 200:
        assert (answer.status, answer.outcome) == (400, "bad_request")
        assert answer.body.decode().isprintable()
        return answer
    assert answer.outcome in OUTCOMES
    sent = orjson.loads(body)["request"]
    response = _response(answer, sent)
    if "patch" in response:
        written = apply(sent["object"], orjson.loads(base64.b64decode(response["patch"], validate=True)))
        try:
            body = _again(sent, written)
        except RecursionError:  # What can be read at its greatest depth cannot be written.
            return answer
        assert "patch" not in _response(review(body, world), sent), "a second pass has something to do"
    return answer


def _response(answer: Answer, sent: dict[str, Any]) -> dict[str, Any]:
    told = orjson.loads(answer.body)
    assert {**told, "response": None} == {
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "response": None,
    }
    response: dict[str, Any] = told["response"]
    assert set(response) <= KEYS
    assert response["uid"] == sent["uid"]
    assert response.get("patchType") == ("JSONPatch" if "patch" in response else None)
    assert response["allowed"] is (answer.outcome != "denied")
    if not response["allowed"]:
        assert "patch" not in response
        assert response["status"]["code"] == 422
        assert response["status"]["message"].startswith("podfacts: ")
        assert response["status"]["message"].isprintable()
    warnings = response.get("warnings", [])
    assert len(warnings) <= WARNINGS + 1
    assert all(each.isprintable() and len(each) <= WARNING_LENGTH for each in warnings)
    return response


def _again(sent: dict[str, Any], written: Any) -> bytes:
    """As Python's own library writes it: orjson reads what is deeper than it writes."""
    request = {**sent, "object": written}
    return json.dumps(
        {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}
    ).encode()
