"""The values of carried facts: of a pod that lives, and of one that is bound."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podfacts.core.carried import (
    STAMP_LIMIT,
    Owner,
    Surroundings,
    annotation,
    at_create,
    node_values,
    runtime,
    stamp,
    topology,
)
from podfacts.core.facts import LONGEST_VALUE, fit
from podfacts.core.profile import Profile, parse_profile
from podfacts.core.quantity import divided
from podfacts.core.refusal import Refused
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
    "target",
    [{"kind": "Node", "name": "gone"}, {"kind": "Pod", "name": "n1"}, {}, {"name": 7}, {"name": ["n1"]}],
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
        ("1500u", "1m", "2"),
        ("1500000n", "1m", "2"),
        ("1e-3", "1m", "1"),
        ("2E3", "1k", "2"),
        ("1Ei", "1Pi", "1024"),
        ("many", "1", None),
    ],
)
def test_a_quantity_in_whole_divisors_rounded_up(quantity: str, divisor: str, shown: str | None) -> None:
    assert divided(quantity, divisor) == shown


NOWHERE = Surroundings({}, {})
TEAM = {"name": "team", "namespaceLabel": "example.com/team"}
CONTACT = {"name": "contact", "namespaceAnnotation": "example.com/contact", "required": True}


def test_a_pod_in_a_namespace_that_nobody_knows_yet_comes_again() -> None:
    facts = profile(TEAM, {"name": "cluster", "value": "prod"})
    with pytest.raises(Refused, match="the namespace shop is not known here yet: create the pod again"):
        at_create({}, facts, "shop", NOWHERE)
    assert at_create({}, profile({"name": "cluster", "value": "prod"}), "shop", NOWHERE) == {
        "facts.podfacts.dev/cluster": "prod"
    }
    assert at_create({}, facts, "shop", Surroundings({}, {"shop": {}})) == {
        "facts.podfacts.dev/cluster": "prod",
        "facts.podfacts.dev/team": "",
    }


@pytest.mark.parametrize("contact", [None, "", "x" * (LONGEST_VALUE + 1), "a\0b"])
def test_no_pod_starts_without_what_its_namespace_must_say(contact: str | None) -> None:
    shop = {"metadata": {"annotations": {"example.com/contact": contact}}}
    with pytest.raises(Refused, match="profile p requires the annotation example.com/contact of the name"):
        at_create({}, profile(CONTACT), "shop", Surroundings({}, {"shop": shop}))


def test_in_a_file_the_namespace_is_not_asked_for_what_it_must_say_and_the_pod_is() -> None:
    both = profile(CONTACT, {"name": "app", "annotation": "app", "required": True})
    pod = {"metadata": {"annotations": {"app": "web"}}}
    assert at_create(pod, both, "", None) == {}
    for annotations in ({}, {"app": ""}):
        for around in (
            None,
            Surroundings({}, {"": {"metadata": {"annotations": {"example.com/contact": "x"}}}}),
        ):
            with pytest.raises(
                Refused, match="metadata.annotations.app: is required by profile p: write a value"
            ):
                at_create({"metadata": {"annotations": annotations}}, both, "", around)


@pytest.mark.parametrize("kind", ["label", "annotation"])
def test_a_default_goes_where_nothing_is_and_not_where_the_empty_value_is(kind: str) -> None:
    facts = profile({"name": "tier", kind: "tier", "default": "silver"})
    other = {"label": "annotations", "annotation": "labels"}[kind]
    for tree, shown in (
        ({"metadata": {f"{kind}s": {"tier": "gold"}, other: {"tier": "not mine"}}}, "gold"),
        ({"metadata": {f"{kind}s": {"tier": ""}}}, ""),
        ({"metadata": {other: {"tier": "not mine"}}}, "silver"),
        ({}, "silver"),
    ):
        assert at_create(tree, facts, "", None) == {"facts.podfacts.dev/tier": shown}


def test_a_node_or_namespace_that_says_nothing_at_all_is_known_all_the_same() -> None:
    facts = profile(TEAM, {"name": "rack", "nodeLabel": "rack", "default": "none"})
    assert runtime({}, facts, node={}, namespace={}, owner=None) == {
        "facts.podfacts.dev/team": "",
        "facts.podfacts.dev/rack": "none",
    }


def test_only_a_nodes_facts_are_read_from_a_node() -> None:
    assert node_values(PROFILES["company"].facts, NODE) == {}


def test_a_resource_may_have_dots_in_its_name() -> None:
    facts = profile({"name": "gpus", "nodeField": "status.capacity.example.com/gpu"})
    node = {"status": {"capacity": {"example.com/gpu": "8", "example": "no"}}}
    assert node_values(facts.facts, node) == {"facts.podfacts.dev/gpus": "8"}


def test_a_topology_label_is_no_forgery_where_the_node_has_it_for_kubernetes_writes_over_it() -> None:
    zone = "topology.kubernetes.io/zone"
    pod = {"metadata": {"labels": {zone: "z1"}}, "spec": {"nodeName": "n1"}}
    nodes = {"n1": {"metadata": {"labels": {zone: "z1"}}}}
    assert at_create(pod, profile({"name": "zone", "nodeLabel": zone}), "", Surroundings(nodes, {})) == {}


@pytest.mark.parametrize("value", ["x" * (LONGEST_VALUE + 1), "a\0b"])
def test_nothing_that_a_pod_could_not_carry_comes_from_owner_or_status(value: str) -> None:
    facts = profile(
        {"name": "image", "image": "digest"},
        {"name": "kind", "owner": "kind"},
        {"name": "owner", "owner": "name"},
    )
    pod = {"status": {"containerStatuses": [{"name": "main", "imageID": f"app@{value}"}]}}
    assert runtime(pod, facts, node=None, namespace=None, owner=Owner(value, value)) == {
        "facts.podfacts.dev/image.main": "",
        "facts.podfacts.dev/kind": "",
        "facts.podfacts.dev/owner": "",
    }


def test_each_containers_image_has_a_key_of_its_own_unless_that_is_too_long() -> None:
    facts = PROFILES["images"]
    [image] = [each for each in facts.facts if each.kind == "image"]
    longest, longer = "a" * 57, "a" * 58
    keys = [annotation(image, each) for each in ("main", longest, longer)]
    assert keys == ["facts.podfacts.dev/image.main", f"facts.podfacts.dev/image.{longest}", None]
    statuses = [{"name": each, "imageID": "sha256:0a1b"} for each in ("main", longest, longer)]
    pod = {"status": {"containerStatuses": statuses}}
    found = runtime(pod, facts, node=None, namespace=None, owner=None)
    assert found == dict.fromkeys(keys[:2], "sha256:0a1b")


@pytest.mark.parametrize(
    "target", [{"name": "n1"}, {"kind": "", "name": "n1"}, {"kind": "Node", "name": "n1"}]
)
def test_a_target_that_does_not_say_what_it_is_is_a_node(target: dict[str, Any]) -> None:
    assert stamp({"target": target}, FACTS, {"n1": NODE}).annotations == STAMPED


def test_stamps_fill_their_room_to_the_last_byte() -> None:
    key = len("facts.podfacts.dev/a0")
    full, rest = divmod(STAMP_LIMIT, key + LONGEST_VALUE)
    facts = profile(*({"name": f"a{each}", "nodeAnnotation": f"a{each}"} for each in range(full + 1)))

    def stamped(last: int) -> int:
        values = {f"a{each}": "x" * LONGEST_VALUE for each in range(full)} | {f"a{full}": "x" * last}
        return stamp(binding("n1"), facts.carried, {"n1": {"metadata": {"annotations": values}}}).cut

    assert [stamped(rest - key), stamped(rest - key + 1)] == [0, 1]


def test_stamps_are_measured_in_bytes_and_a_cut_one_may_not_be_forged() -> None:
    facts = profile(*({"name": f"a{each}", "nodeAnnotation": f"a{each}"} for each in range(9)))
    node = {"metadata": {"annotations": {f"a{each}": "é" * (LONGEST_VALUE // 2) for each in range(9)}}}
    forged = {"facts.podfacts.dev/a8": "forged"}
    done = stamp(binding("n1", annotations=forged), facts.carried, {"n1": node})
    assert (len(done.annotations), done.cut) == (7, 2)
    assert done.dropped == ("facts.podfacts.dev/a8",)


def test_the_zone_of_a_node_that_nobody_knows_or_that_has_none() -> None:
    zone = "topology.kubernetes.io/zone"
    nodes = {"n1": {"metadata": {"labels": {zone: "z1", "a": "b"}}}, "bare": {}}
    told = {name: topology(binding(name), (zone,), nodes) for name in ("n1", "bare", "gone")}
    assert told == {"n1": {zone: "z1"}, "bare": {}, "gone": {}}


def test_a_fact_that_finds_room_is_stamped_though_a_longer_one_before_it_did_not() -> None:
    facts = profile(*({"name": f"a{each}", "nodeAnnotation": f"a{each}"} for each in range(9)))
    annotations = {f"a{each}": "x" * LONGEST_VALUE for each in range(8)} | {"a8": "short"}
    done = stamp(binding("n1"), facts.carried, {"n1": {"metadata": {"annotations": annotations}}})
    assert (done.annotations["facts.podfacts.dev/a8"], done.cut) == ("short", 1)


@pytest.mark.parametrize(
    ("rack", "told"),
    [("/dc1/r4", "/dc1/r4"), ("a/../b", ""), ("x" * 256, ""), ("x" * 255, "x" * 255), ("..", ""), ("", "")],
)
def test_a_value_that_no_container_could_start_with_counts_as_absent_where_one_waits_for_it(
    rack: str, told: str
) -> None:
    required = profile({"name": "rack", "nodeAnnotation": "rack", "required": True}).carried
    node = {"metadata": {"annotations": {"rack": rack}}}
    assert stamp(binding("n1"), required, {"n1": node}).annotations == {"facts.podfacts.dev/rack": told}
    free = profile({"name": "rack", "nodeAnnotation": "rack"}).carried
    assert stamp(binding("n1"), free, {"n1": node}).annotations == {"facts.podfacts.dev/rack": rack}


def test_zone_labels_of_a_pod_on_a_node_that_nobody_knows_yet() -> None:
    zone = profile({"name": "zone", "nodeLabel": "topology.kubernetes.io/zone"})
    pod = {
        "metadata": {"labels": {"topology.kubernetes.io/zone": "z"}},
        "spec": {"nodeName": "new"},
    }
    with pytest.raises(Refused, match="the node new is not known here yet: create the pod again in a moment"):
        at_create(pod, zone, "shop", NOWHERE)
