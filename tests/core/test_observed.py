"""What is kept of a pod, what it lacks, and why it was missed."""

import copy
import json
from typing import Any

import pytest

from podfacts.core.missed import event, evictable, reason_missed, told_late, told_missed
from podfacts.core.observed import Observed, Reference, due, late, observed
from podfacts.core.profile import Profile, parse_profile

FACTS: list[dict[str, Any]] = [
    {"name": "zone", "nodeLabel": "example.com/zone"},
    {"name": "rack", "nodeLabel": "example.com/rack", "required": True},
    {"name": "team", "namespaceLabel": "team"},
    {"name": "workload", "owner": "name"},
    {"name": "digest", "image": "digest"},
]
NODE = {"metadata": {"labels": {"example.com/zone": "z1"}, "annotations": {}}, "status": {}}
NAMESPACE = {"metadata": {"labels": {"team": "shop"}, "annotations": {}}}
OWNER = Reference("apps/v1", "Deployment", "shop", "u-shop")
CREATED = "2026-01-01T00:00:00Z"


def profile(name: str = "p", facts: list[dict[str, Any]] = FACTS, **spec: Any) -> Profile:
    tree = {"apiVersion": "podfacts.dev/v1alpha1", "kind": "Profile", "metadata": {"name": name}}
    return parse_profile({**tree, "spec": {"facts": facts, **spec}})


def pod(**changes: Any) -> dict[str, Any]:
    record = json.dumps({"profile": "p", "hash": profile().hash})
    tree: dict[str, Any] = {
        "metadata": {
            "namespace": "shop",
            "name": "a",
            "uid": "u-a",
            "creationTimestamp": CREATED,
            "labels": {"podfacts.dev/inject": "p"},
            "annotations": {"podfacts.dev/injected": record},
            "ownerReferences": [
                {"apiVersion": "v1", "kind": "ConfigMap", "name": "x", "uid": "u-x"},
                {
                    "apiVersion": "apps/v1",
                    "kind": "ReplicaSet",
                    "name": "rs",
                    "uid": "u-rs",
                    "controller": True,
                },
            ],
        },
        "spec": {"nodeName": "n1"},
        "status": {
            "phase": "Running",
            "containerStatuses": [
                {
                    "name": "main",
                    "imageID": "docker.io/app@sha256:1",
                    "state": {"running": {"startedAt": CREATED}},
                }
            ],
        },
    }
    tree["metadata"] |= changes
    return tree


def unrecorded(**changes: Any) -> dict[str, Any]:
    return pod(annotations={}, **changes)


def test_a_pod_lacks_what_it_has_otherwise() -> None:
    seen = observed(pod())
    lacking = due(seen, profile(), node=NODE, namespace=NAMESPACE, owner=OWNER)
    wanted = {"zone": "z1", "rack": "", "team": "shop", "workload": "shop", "digest.main": "sha256:1"}
    assert lacking == {f"facts.podfacts.dev/{key}": value for key, value in wanted.items()}
    told = pod()
    told["metadata"]["annotations"] |= lacking
    assert not due(observed(told), profile(), node=NODE, namespace=NAMESPACE, owner=OWNER)
    told["metadata"]["annotations"]["facts.podfacts.dev/zone"] = "forged"
    again = due(observed(told), profile(), node=NODE, namespace=NAMESPACE, owner=OWNER)
    assert again == {"facts.podfacts.dev/zone": "z1"}


def test_what_is_not_known_is_left_as_it_is() -> None:
    lacking = due(observed(pod()), profile(), node=None, namespace=None, owner=None)
    assert lacking == {"facts.podfacts.dev/digest.main": "sha256:1"}


def test_a_record_holds_what_decisions_name() -> None:
    tree = pod()
    before = copy.deepcopy(tree)
    seen = observed(tree)
    assert tree == before
    assert (seen.key, seen.node, seen.profile) == (("shop", "a", "u-a"), "n1", "p")
    assert seen.controller == Reference("apps/v1", "ReplicaSet", "rs", "u-rs")
    assert seen.started
    assert not seen.ended
    tree["status"]["conditions"] = [{"type": "Ready", "lastProbeTime": "now"}]
    tree["metadata"]["resourceVersion"] = "2"
    tree["metadata"]["annotations"]["big"] = "x" * 2000
    assert observed(tree) == seen, "nothing that matters here"
    tree["metadata"]["deletionTimestamp"] = CREATED
    assert observed(tree).ended


@pytest.mark.parametrize("record", ["", "[]", "null", "{}", '"x"', "{"])
def test_a_record_that_is_none(record: str) -> None:
    assert observed(pod(annotations={"podfacts.dev/injected": record})).record is None


def test_late_facts_are_env_of_the_node_where_nothing_waits_for_any() -> None:
    free = profile(facts=[FACTS[0], {**FACTS[1], "required": False, "env": ""}])
    recorded = json.dumps({"profile": "p", "hash": free.hash})

    def bound(node: str = "n1", **more: str) -> Observed:
        tree = pod(annotations={"podfacts.dev/injected": recorded, **more})
        tree["spec"]["nodeName"] = node
        # Not yet: the kubelet may have seen the pod before it was told.
        tree["status"]["containerStatuses"][0]["state"] = {"waiting": {}}
        return observed(tree)

    assert late(bound(), free) == ("ZONE",)
    assert late(bound(""), free) == ()
    assert late(bound(**{"facts.podfacts.dev/rack": ""}), free) == (), "a Binding told them"
    assert late(bound(), profile(facts=FACTS[:1])) == (), "injected by another version of the profile"
    assert late(observed(pod()), profile()) == (), "its containers wait for the rack, and find all"
    assert told_late(observed(pod()), ("A", "B")).startswith(
        "env A, B may have been empty when the containers of pod a started"
    )


def test_what_is_kept_of_a_pod_is_little_and_what_is_not_kept_is_not_taken_for_absent() -> None:
    facts = [{"name": "team", "annotation": "team", "default": "nobody"}]
    record = json.dumps({"profile": "p", "hash": profile(facts=facts).hash})
    annotations = {f"a{each}": "x" * 900 for each in range(250)}
    tree = pod(annotations={**annotations, "team": "blue" * 200, "podfacts.dev/injected": record})
    tree["metadata"]["labels"] |= {f"l{each}": "y" * 60 for each in range(1000)}
    seen = observed(tree)
    assert seen.partial
    assert len(json.dumps(seen.tree)) < 12_000
    assert due(seen, profile(facts=facts), node=None, namespace=None, owner=None) == {}
    small = observed(pod(annotations={"team": "blue", "podfacts.dev/injected": record}))
    assert not small.partial
    assert due(small, profile(facts=facts), node=None, namespace=None, owner=None) == {
        "facts.podfacts.dev/team": "blue"
    }


def test_why_a_pod_was_missed() -> None:
    known = {"p": profile()}
    assert reason_missed(observed(pod()), known) is None
    assert reason_missed(observed(unrecorded()), known) == "webhook-away"
    assert reason_missed(observed(unrecorded()), {}) == "not-in-force"
    assert reason_missed(observed(unrecorded(namespace="kube-system")), known) is None
    assert reason_missed(observed(unrecorded(deletionTimestamp=CREATED)), known) is None
    mirror = pod(annotations={"kubernetes.io/config.mirror": "x"})
    assert reason_missed(observed(mirror), known) is None
    done = unrecorded()
    done["status"]["phase"] = "Succeeded"
    assert reason_missed(observed(done), known) is None


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        ([("", "2026-01-01T00:00:00Z")], "webhook-away"),
        ([("", "2026-01-01T00:00:01Z")], "webhook-away"),  # Two clocks of one server, in whole seconds.
        ([("", "2026-01-01T00:00:02Z")], "label-added-later"),
        ([("", "2026-01-01T00:00:00Z"), ("", "2026-01-02T00:00:00Z")], "webhook-away"),
        ([("status", "2026-01-02T00:00:00Z")], "webhook-away"),
        ([], "webhook-away"),
    ],
)
def test_the_label_was_added_later(entries: list[tuple[str, str]], expected: str) -> None:
    owned: dict[str, Any] = {"f:metadata": {"f:labels": {"f:podfacts.dev/inject": {}}}}
    fields = [{"subresource": sub, "time": time, "fieldsV1": owned} for sub, time in entries]
    assert reason_missed(observed(unrecorded(managedFields=fields)), {"p": profile()}) == expected


def test_who_is_evicted() -> None:
    known = {"p": profile(remediate="evict")}
    seen = observed(unrecorded())
    assert evictable(seen, "webhook-away", known)
    assert evictable(seen, "label-added-later", known)
    assert not evictable(seen, "not-in-force", known)
    assert not evictable(seen, "webhook-away", {"p": profile()})
    assert not evictable(seen, "webhook-away", {})
    assert not evictable(observed(unrecorded(ownerReferences=[])), "webhook-away", known), "never a bare pod"


def test_an_event_is_the_same_whoever_sends_it() -> None:
    seen = observed(unrecorded())
    message = told_missed(seen, "webhook-away")
    assert message.endswith(
        "the webhook was away, or profile p not in force, when it was created; delete the pod, its owner makes a new one"
    )
    one = event(OWNER, "FactsMissed", message, "shop", "2026-01-01T00:00:00Z")
    other = event(OWNER, "FactsMissed", "other words", "shop", "2026-02-01T00:00:00Z")
    assert one["metadata"] == other["metadata"]
    assert one["metadata"] != event(OWNER, "FactsLate", message, "shop", "")["metadata"]
    assert one["involvedObject"]["namespace"] == one["metadata"]["namespace"]
    assert len(event(OWNER, "FactsMissed", "x" * 5000, "shop", "")["message"]) == 1024
