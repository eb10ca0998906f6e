"""The explanation of a pod, from plain trees: every state of every part that a real cluster shows only by accident."""

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

import pytest

from podfacts.core.carried import Owner, Surroundings
from podfacts.core.catalogue import Catalogue, catalogue
from podfacts.core.explained import Line, Seen, Webhook
from podfacts.core.explanation import explanation
from podfacts.core.injection import inject
from podfacts.core.patch import apply
from podfacts.core.profile import DEFAULT, parse_profile
from podfacts.core.selector import selects

Tree = dict[str, Any]

PROFILE: Tree = {
    "metadata": {"name": "shop", "uid": "1", "generation": 1},
    "spec": {
        "facts": [
            {"name": "pod-name", "field": "metadata.name"},
            {"name": "rack", "nodeLabel": "example.com/rack"},
            {"name": "power", "nodeLabel": "example.com/power", "required": True},
            {"name": "digest", "image": "digest"},
            {"name": "workload", "owner": "name"},
        ]
    },
}
NODE = {"metadata": {"name": "n1", "labels": {"example.com/rack": "r1", "example.com/power": "a"}}}
NAMESPACE = {"metadata": {"name": "shop", "labels": {"podfacts.dev/node-facts": "enabled"}}}
HOOK = {"name": "pods.podfacts.dev", "clientConfig": {"caBundle": "QQ=="}, "failurePolicy": "Fail"}


def known() -> Catalogue:
    return catalogue([PROFILE], {DEFAULT.name: DEFAULT})


def made(label: str = "shop") -> Tree:
    """A pod as the webhook and the controller leave it."""
    pod = {
        "metadata": {
            "name": "web",
            "namespace": "shop",
            "uid": "u",
            "creationTimestamp": "2026-01-01T00:00:00Z",
            "labels": {"podfacts.dev/inject": label},
        },
        "spec": {"nodeName": "n1", "containers": [{"name": "main", "image": "app"}]},
        "status": {},
    }
    around = Surroundings({"n1": NODE}, {"shop": NAMESPACE})
    done = inject(pod, known().profiles, around, "shop")
    whole: Tree = apply(pod, done.patch)
    if label == "shop":
        whole["metadata"]["annotations"]["facts.podfacts.dev/workload"] = "web"
    return whole


def seen(pod: Tree, **more: Any) -> Seen:
    everything: dict[str, Any] = {
        "catalogue": known(),
        "namespace": NAMESPACE,
        "node": NODE,
        "webhooks": [Webhook("podfacts", HOOK)],
        "owner": Owner("Deployment", "web"),
    }
    return Seen(pod, **{**everything, **more})


def of(lines: list[Line], state: str) -> list[str]:
    return [f"{each.part}: {each.text}" for each in lines if each.state == state]


def test_all_in_place() -> None:
    lines = explanation(seen(made()))
    assert of(lines, "no") == []
    assert of(lines, "unknown") == [
        "fact: digest of main (image digest) is not written: the container has not run yet"
    ]
    ok = of(lines, "ok")
    assert "env: main: POWER from nodeLabel example.com/power" in ok
    assert "fact: workload (owner name) is 'web', as it should be" in ok
    assert (
        "binding: the namespace has podfacts.dev/node-facts=enabled: facts of the node are told at binding"
        in ok
    )


def test_what_was_seen_is_not_touched() -> None:
    pod = made()
    before = deepcopy(pod)
    explanation(seen(pod))
    assert pod == before


def test_a_container_that_lacks_its_facts() -> None:
    pod = made("true")
    container = pod["spec"]["containers"][0]
    container["env"] = [each for each in container["env"] if each["name"] != "POD_UID"]
    items = pod["spec"]["volumes"][0]["downwardAPI"]["items"]
    items[:] = [each for each in items if each["path"] != "labels"]
    assert of(explanation(seen(pod)), "no") == [
        "env: main: POD_UID is not there",
        "files: main: /etc/downward/labels is not there",
    ]
    del container["volumeMounts"]
    assert "files: main: no volume podfacts is mounted" in of(explanation(seen(pod)), "no")


def test_a_fact_that_is_not_true() -> None:
    pod = made()
    pod["metadata"]["annotations"]["facts.podfacts.dev/rack"] = "r0"
    (fault,) = of(explanation(seen(pod)), "no")
    assert fault.startswith("fact: rack (nodeLabel example.com/rack) is 'r0', and it should be 'r1'")


def test_what_is_not_seen_is_no_fault() -> None:
    unseen = {
        "node": "no nodes",
        "namespace": "no namespaces",
        "owner": "no owners",
        "webhooks": "no webhooks",
    }
    lines = explanation(seen(made(), node=None, namespace=None, owner=None, webhooks=None, unseen=unseen))
    assert of(lines, "no") == []
    told = of(lines, "unknown")
    assert "webhook: not seen: no webhooks" in told
    assert "fact: rack (nodeLabel example.com/rack) is 'r1': the node is not seen: no nodes" in told
    assert "fact: workload (owner name) is 'web': the owner is not seen: no owners" in told


def test_a_pod_that_is_not_bound_yet() -> None:
    pod = made()
    del pod["spec"]["nodeName"]
    told = of(explanation(seen(pod, node=None)), "unknown")
    assert "fact: rack (nodeLabel example.com/rack) is 'r1': the pod is not bound to a node yet" in told


def test_a_namespace_without_the_label_has_no_node_facts_at_start() -> None:
    bare = {"metadata": {"name": "shop"}}
    # Containers that wait for one fact find all of them.
    waiting = explanation(seen(made(), namespace=bare))
    assert of(waiting, "no") == []
    assert any(
        "containers wait until the controller has written the facts" in each for each in of(waiting, "note")
    )
    free: Tree = {
        **PROFILE,
        "spec": {"facts": [each for each in PROFILE["spec"]["facts"] if "required" not in each]},
    }
    judged = catalogue([free], {DEFAULT.name: DEFAULT})
    faults = of(explanation(seen(made(), namespace=bare, catalogue=judged)), "no")
    assert any(
        each.startswith(
            "binding: the namespace lacks the label podfacts.dev/node-facts=enabled, so these are empty when "
            "containers start: RACK: ask for it"
        )
        for each in faults
    ), faults


def test_a_fact_that_was_written_after_the_start() -> None:
    pod = made()
    fields: Tree = {"f:metadata": {"f:annotations": {"f:facts.podfacts.dev/rack": {}}}}
    entry = {"subresource": "status", "time": "2026-01-01T00:01:00Z", "fieldsV1": fields}
    pod["metadata"]["managedFields"] = [entry]
    running: Tree = {"name": "main", "state": {"running": {"startedAt": "2026-01-01T00:00:30Z"}}}
    pod["status"]["containerStatuses"] = [running]
    (note,) = of(explanation(seen(pod)), "note")
    assert note == (
        "fact: facts were last written at 2026-01-01T00:01:00Z, after main had started: RACK may be older there, "
        "until it restarts"
    )
    running["state"]["running"]["startedAt"] = "2026-01-01T00:02:00Z"
    assert of(explanation(seen(pod)), "note") == []


def test_a_container_that_waits() -> None:
    pod = made()
    message = "missing value for POWER"
    waiting = {"reason": "CreateContainerConfigError", "message": message}
    pod["status"]["initContainerStatuses"] = [{"name": "main", "state": {"waiting": waiting}}]
    assert of(explanation(seen(pod)), "no") == [
        "waiting: main waits for POWER (nodeLabel example.com/power), which is empty: "
        "kubectl label node n1 example.com/power=VALUE, and it starts by itself"
    ]


@pytest.mark.parametrize(
    ("webhooks", "sentence"),
    [
        ([], "no MutatingWebhookConfiguration has pods.podfacts.dev"),
        ([Webhook("podfacts", {**HOOK, "clientConfig": {}})], "has no caBundle, so no call to it succeeds"),
        (
            [Webhook("podfacts", {**HOOK, "namespaceSelector": {"matchLabels": {"a": "b"}}})],
            "its namespaceSelector leaves it out",
        ),
    ],
)
def test_a_webhook_that_is_wrong_is_a_fault_of_pods_without_facts_only(
    webhooks: list[Webhook], sentence: str
) -> None:
    has = explanation(seen(made(), webhooks=webhooks))
    assert any(sentence in each for each in of(has, "note"))
    assert of(has, "no") == []
    pod = made()
    del pod["metadata"]["annotations"]
    lacks = of(explanation(seen(pod, webhooks=webhooks)), "no")
    assert any(sentence in each for each in lacks)
    assert any(each.startswith("missed: pod web runs without its facts") for each in lacks)


def test_a_profile_from_a_file_of_the_webhook_is_not_known_here() -> None:
    lines = explanation(seen(made(), catalogue=catalogue([], {DEFAULT.name: DEFAULT})))
    assert of(lines, "no") == []
    assert any("which is not seen here" in each for each in of(lines, "unknown"))


def test_an_edit_that_is_not_in_force() -> None:
    bad = {**PROFILE, "metadata": {**PROFILE["metadata"], "generation": 2}, "spec": {"facts": []}}
    after = catalogue([bad], {DEFAULT.name: DEFAULT}, known())
    lines = explanation(seen(made(), catalogue=after))
    assert any(
        each.startswith("profile: the last edit of shop is not in force") for each in of(lines, "note")
    )
    assert of(lines, "no") == []


@pytest.mark.parametrize(
    ("expression", "labels", "matched"),
    [
        ({"operator": "In", "values": ["x"]}, {"a": "x"}, True),
        ({"operator": "In", "values": ["x"]}, {}, False),
        ({"operator": "NotIn", "values": ["x"]}, {}, True),
        ({"operator": "NotIn", "values": ["x"]}, {"a": "x"}, False),
        ({"operator": "Exists"}, {"a": ""}, True),
        ({"operator": "Exists"}, {}, False),
        ({"operator": "DoesNotExist"}, {}, True),
        ({"operator": "DoesNotExist"}, {"a": ""}, False),
    ],
)
def test_selectors(expression: Tree, labels: Mapping[str, str], matched: bool) -> None:
    assert selects({"matchExpressions": [{"key": "a", **expression}]}, labels) is matched
    assert selects({"matchLabels": {"b": "c"}, "matchExpressions": []}, labels) is False
    assert selects(None, labels) is True


def test_the_profile_of_these_tests_is_one() -> None:
    assert parse_profile({"apiVersion": "podfacts.dev/v1alpha1", "kind": "Profile", **PROFILE}).gate == (
        "POWER",
    )
