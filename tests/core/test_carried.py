"""The values of carried facts: of a pod that lives, and of one that is bound."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podfacts.core.carried import STAMP_LIMIT, Owner, runtime, stamp
from podfacts.core.facts import LONGEST_VALUE, fit
from podfacts.core.profile import Profile, parse_profile
from podfacts.core.quantity import divided
from tests.case import PROFILES

NODE: dict[str, Any] = {
    "metadata": {
        "labels": {"node.kubernetes.io/instance-type": "m5.large"},
        "annotations": {"Example.com/Rack": "r7"},
    },
    "status": {"allocatable": {"memory": "16384256Ki"}, "nodeInfo": {"kernelVersion": "6.1.0"}},
}
NAMESPACE = {"metadata": {"labels": {"example.com/team": "blue"}}}
STAMPED = {
    "facts.podfacts.dev/instance-type": "m5.large",
    "facts.podfacts.dev/rack": "r7",
    "facts.podfacts.dev/node-memory": "16001",
    "facts.podfacts.dev/kernel": "6.1.0",
}
FACTS = PROFILES["node"].carried


def profile(*facts: dict[str, Any]) -> Profile:
    return parse_profile(
        {
            "apiVersion": "podfacts.dev/v1alpha1",
            "kind": "Profile",
            "metadata": {"name": "p"},
            "spec": {"facts": list(facts)},
        }
    )


def binding(node: str, **metadata: Any) -> dict[str, Any]:
    return {"metadata": {"name": "web", **metadata}, "target": {"kind": "Node", "name": node}}


def test_a_pod_that_lives_has_what_the_cluster_says_now() -> None:
    pod = {"metadata": {"labels": {"app": "shop"}}}
    assert runtime(pod, PROFILES["node"], node=NODE, namespace=None, owner=None) == STAMPED
    company = runtime(pod, PROFILES["company"], node=None, namespace=NAMESPACE, owner=None)
    assert company == {
        "facts.podfacts.dev/cluster": "prod $(POD_NAME) $$x",
        "facts.podfacts.dev/team": "blue",
        "facts.podfacts.dev/contact": "",
        "facts.podfacts.dev/tier": "silver",
    }


def test_what_is_not_known_is_left_out() -> None:
    assert runtime({}, PROFILES["node"], node=None, namespace=None, owner=None) == {}
    assert runtime({}, PROFILES["held"], node=None, namespace=None, owner=None) == {}


def test_the_owner_and_the_images() -> None:
    pod = {
        "status": {
            "containerStatuses": [
                {"name": "main", "imageID": "example.com/app@sha256:0a1b"},
                {"name": "waiting", "imageID": ""},
            ],
            "initContainerStatuses": [{"name": "setup", "imageID": "sha256:77ff"}],
        }
    }
    owner = Owner("Deployment", "web")
    assert runtime(pod, PROFILES["images"], node=None, namespace=None, owner=owner) == {
        "facts.podfacts.dev/image.main": "sha256:0a1b",
        "facts.podfacts.dev/image.setup": "sha256:77ff",
        "facts.podfacts.dev/owner-kind": "Deployment",
    }
    held = runtime(pod, PROFILES["held"], node=None, namespace=None, owner=owner)
    assert held == {"facts.podfacts.dev/owner-name": "web"}


def test_a_binding_gets_the_facts_of_its_node() -> None:
    assert stamp(binding("n1"), FACTS, {"n1": NODE}) == (STAMPED, (), 0, "ok")


def test_what_stands_on_the_binding_already_is_not_written_again() -> None:
    again = stamp(binding("n1", annotations=STAMPED), FACTS, {"n1": NODE})
    assert again == ({}, (), 0, "ok")


def test_a_fact_that_the_node_lacks_is_written_empty_so_that_nobody_else_can() -> None:
    bare: dict[str, Any] = {"metadata": {}, "status": {}}
    forged = {
        "facts.podfacts.dev/rack": "forged",
        "facts.podfacts.dev/zone": "forged",
        "example.com/mine": "stays",
    }
    done = stamp(binding("n1", annotations=forged), FACTS, {"n1": bare})
    assert done.annotations == dict.fromkeys(STAMPED, "") | {"facts.podfacts.dev/instance-type": "unknown"}
    assert done.dropped == ("facts.podfacts.dev/zone",)


@pytest.mark.parametrize(
    "target", [{"kind": "Node", "name": "gone"}, {"kind": "Pod", "name": "n1"}, {}, {"name": 7}]
)
def test_a_node_that_nobody_knows_has_no_facts(target: dict[str, Any]) -> None:
    forged = {"facts.podfacts.dev/rack": "forged"}
    done = stamp({"metadata": {"annotations": forged}, "target": target}, FACTS, {"n1": NODE})
    assert done == ({}, ("facts.podfacts.dev/rack",), 0, "unknown_node")


@pytest.mark.parametrize("value", ["x" * (LONGEST_VALUE + 1), "é" * LONGEST_VALUE, "a\0b", 7, None])
def test_a_value_that_would_harm_the_pod_counts_as_absent(value: Any) -> None:
    node = {"metadata": {"annotations": {"Example.com/Rack": value}}, "status": {}}
    assert stamp(binding("n1"), FACTS, {"n1": node}).annotations["facts.podfacts.dev/rack"] == ""


def test_all_stamps_together_stay_small() -> None:
    facts = profile(*({"name": f"a{each}", "nodeAnnotation": f"a{each}"} for each in range(30)))
    node = {
        "metadata": {"annotations": {f"a{each}": "x" * LONGEST_VALUE for each in range(30)}},
        "status": {},
    }
    done = stamp(binding("n1"), facts.carried, {"n1": node})
    assert 0 < sum(len(key) + len(value) for key, value in done.annotations.items()) <= STAMP_LIMIT
    assert len(done.annotations) + done.cut == 30


@given(st.text(max_size=2000))
def test_what_fits_is_short_and_free_of_nul(value: str) -> None:
    found = fit(value.encode("utf-8", "replace").decode())
    assert found is None or (len(found.encode()) <= LONGEST_VALUE and "\0" not in found)


@pytest.mark.parametrize(
    ("quantity", "divisor", "shown"),
    [
        ("16384256Ki", "1Mi", "16001"),
        ("16384256Ki", "1", "16777478144"),
        ("3920m", "1", "4"),
        ("3920m", "1m", "3920"),
        ("4", "1m", "4000"),
        ("110", "1", "110"),
        ("1e3", "1k", "1"),
        ("5E", "1P", "5000"),
        ("100n", "1", "1"),
        ("0", "1", "0"),
        ("many", "1", None),
    ],
)
def test_a_quantity_in_whole_divisors_rounded_up(quantity: str, divisor: str, shown: str | None) -> None:
    assert divided(quantity, divisor) == shown
