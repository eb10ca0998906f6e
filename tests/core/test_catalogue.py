"""Which profiles are in force: an edit that cannot be used changes nothing, and every replica says the same."""

from typing import Any

import pytest

from podfacts.core.catalogue import Catalogue, catalogue
from podfacts.core.profile import DEFAULT

BUILT_IN = {"default": DEFAULT}
ZONE = {"name": "place", "nodeLabel": "example.com/place"}
RACK = {"name": "place", "nodeAnnotation": "example.com/rack"}
POD = {"name": "pod-name", "field": "metadata.name"}
BROKEN = {"name": "x", "field": "spec.host"}


def tree(name: str, *facts: Any, generation: int = 1, born: str = "2026-01-01", stored: Any = None) -> Any:
    """A Profile as a list has it; ``stored`` is (generation, facts) of status.inForce."""
    status = (
        {"status": {"inForce": {"generation": stored[0], "spec": {"facts": [*stored[1]]}}}} if stored else {}
    )
    metadata = {"name": name, "uid": name, "generation": generation, "creationTimestamp": born}
    return {"metadata": metadata, "spec": {"facts": [*facts]}, **status}


def test_an_object_takes_the_place_of_a_built_in_profile() -> None:
    found = catalogue([tree("default", POD)], BUILT_IN)
    assert [each.name for each in found.profiles["default"].facts] == ["pod-name"]
    assert found.verdicts["default"].accepted
    assert catalogue([], BUILT_IN).profiles == BUILT_IN


def test_a_broken_edit_leaves_the_last_good_version_in_force() -> None:
    first = catalogue([tree("web", POD)], BUILT_IN)
    after = catalogue([tree("web", BROKEN, generation=2)], BUILT_IN, first)
    verdict = after.verdicts["web"]
    assert (verdict.accepted, verdict.reason, verdict.generation) == (False, "Invalid", 2)
    assert verdict.message.startswith("spec.facts[0].field: must be one of")
    assert verdict.message.endswith("; generation 1 stays in force")
    assert (verdict.in_force_generation, verdict.in_force_spec) == (1, {"facts": [POD]})
    assert after.profiles["web"] == first.profiles["web"]
    # And again, however often it is broken anew, until it is mended.
    later = catalogue([tree("web", BROKEN, BROKEN, generation=3)], BUILT_IN, after)
    assert later.profiles["web"] == first.profiles["web"]
    assert (later.verdicts["web"].generation, later.verdicts["web"].in_force_generation) == (3, 1)
    # Read again without a change, it is no better.
    again = catalogue([tree("web", BROKEN, BROKEN, generation=3)], BUILT_IN, later)
    assert again.verdicts == later.verdicts
    mended = catalogue([tree("web", ZONE, generation=4)], BUILT_IN, later)
    assert mended.verdicts["web"].accepted
    assert mended.profiles["web"] != first.profiles["web"]


def test_a_replica_that_starts_anew_finds_the_last_good_version_in_the_status() -> None:
    found = catalogue([tree("web", BROKEN, generation=2, stored=(1, [POD]))], BUILT_IN)
    assert [each.name for each in found.profiles["web"].facts] == ["pod-name"]
    assert found.verdicts["web"][-2:] == (1, {"facts": [POD]})


def test_an_object_that_was_made_anew_under_the_same_name_has_no_past() -> None:
    first = catalogue([tree("web", POD)], BUILT_IN)
    anew = tree("web", BROKEN)
    anew["metadata"]["uid"] = "another"
    found = catalogue([anew], BUILT_IN, first)
    assert "web" not in found.profiles
    assert found.verdicts["web"].message.endswith("; no version of it is in force")
    assert found.verdicts["web"][-3:] == (None, 0, None)


def test_the_last_good_version_that_cannot_be_used_either_is_not_in_force() -> None:
    found = catalogue([tree("web", BROKEN, generation=2, stored=(1, [BROKEN]))], BUILT_IN)
    assert "web" not in found.profiles


def test_a_broken_object_hides_the_built_in_profile_of_its_name() -> None:
    found = catalogue([tree("default", BROKEN)], BUILT_IN)
    assert "default" not in found.profiles


def test_a_nodes_fact_has_one_meaning_and_the_older_profile_keeps_it() -> None:
    older, newer = tree("b", ZONE, born="2026-01-01"), tree("a", RACK, born="2026-02-01")
    for order in ([older, newer], [newer, older]):
        found = catalogue(order, BUILT_IN)
        assert found.verdicts["b"].accepted
        assert found.verdicts["a"].reason == "Conflict"
        assert found.verdicts["a"].message == (
            "fact place is nodeLabel example.com/place in profile b, and a node's fact has one meaning in the "
            "cluster: give this one another name; no version of it is in force"
        )
        assert [(each.name, each.kind) for each in found.node_facts] == [("place", "nodeLabel")]


def test_of_two_that_are_as_old_the_first_by_name_keeps_the_meaning_in_whatever_order_they_come() -> None:
    one, other = tree("a", ZONE), tree("b", RACK)
    for order in ([one, other], [other, one]):
        found = catalogue(order, {})
        assert {name: each.reason for name, each in found.verdicts.items()} == {
            "a": "Accepted",
            "b": "Conflict",
        }


def test_what_is_in_force_keeps_its_meaning_against_an_edit_of_an_older_one() -> None:
    older = tree("a", RACK, generation=2, born="2026-01-01", stored=(1, [POD]))
    newer = tree("b", ZONE, born="2026-02-01", stored=(1, [ZONE]))
    found = catalogue([older, newer], BUILT_IN)
    assert found.verdicts["b"].accepted
    assert found.verdicts["a"].reason == "Conflict"
    assert [each.name for each in found.profiles["a"].facts] == ["pod-name"]


def test_the_same_meaning_twice_is_no_conflict() -> None:
    found = catalogue([tree("a", ZONE), tree("b", {**ZONE, "env": "PLACE_OF_MINE"})], BUILT_IN)
    assert all(each.accepted for each in found.verdicts.values())
    assert len(found.node_facts) == 1


def test_what_was_read_is_not_read_again() -> None:
    first = catalogue([tree("web", POD)], BUILT_IN)
    again = catalogue([tree("web", POD)], BUILT_IN, first)
    assert again.profiles["web"] is first.profiles["web"]


def test_on_an_older_server_the_zone_is_carried() -> None:
    zone = tree("web", {"name": "zone", "nodeLabel": "topology.kubernetes.io/zone"})
    newer: Catalogue = catalogue([zone], BUILT_IN)
    older: Catalogue = catalogue([zone], BUILT_IN, topology_labels=False)
    assert (newer.node_facts, len(older.node_facts)) == ((), 1)
    assert newer.profiles["web"].hash == older.profiles["web"].hash
    assert [each["name"] for each in newer.profiles["web"].env] == ["ZONE"]
    assert [each["name"] for each in older.profiles["web"].env] == ["ZONE"]


def test_a_broken_edit_does_not_open_the_way_for_another_profile() -> None:
    """Its last good version keeps its meanings, against an older profile that wants one of its names."""
    stored = catalogue([tree("b", ZONE, born="2026-02-01")], BUILT_IN)
    trees = [
        tree("a", RACK, generation=2, born="2026-01-01", stored=(1, [POD])),
        tree("b", BROKEN, generation=2, born="2026-02-01", stored=(1, [ZONE])),
    ]
    for before in (None, stored):
        found = catalogue(trees, BUILT_IN, before)
        assert found.verdicts["a"].reason == "Conflict"
        assert [each.name for each in found.profiles["b"].facts] == ["place"]
        assert [each.kind for each in found.node_facts] == ["nodeLabel"]


def test_a_name_that_is_given_up_is_free_at_once() -> None:
    first = catalogue([tree("b", ZONE)], BUILT_IN)
    after = catalogue([tree("b", POD, generation=2), tree("c", RACK, born="2026-03-01")], BUILT_IN, first)
    assert [each.accepted for each in after.verdicts.values()] == [True, True]
    assert [each.kind for each in after.node_facts] == ["nodeAnnotation"]


def test_a_last_good_version_that_clashes_with_another_one_is_not_in_force() -> None:
    older = tree("b", ZONE, stored=(1, [ZONE]))
    newer = tree("a", BROKEN, generation=2, born="2026-02-01", stored=(1, [RACK]))
    found = catalogue([newer, older], BUILT_IN)
    assert list(found.profiles) == ["default", "b"]
    assert found.verdicts["a"].reason == "Invalid"
    assert [each.kind for each in found.node_facts] == ["nodeLabel"]


def test_what_a_broken_edit_left_in_force_is_stamped_still() -> None:
    first = catalogue([tree("web", ZONE)], BUILT_IN)
    after = catalogue([tree("web", BROKEN, generation=2)], BUILT_IN, first)
    assert [each.name for each in after.node_facts] == ["place"]


def test_a_profile_from_a_file_has_its_meanings_too_until_an_object_takes_its_place() -> None:
    files = {**BUILT_IN, **catalogue([tree("site", RACK)], {}).profiles}
    found = catalogue([tree("web", ZONE)], files)
    assert found.verdicts["web"].message.startswith(
        "fact place is nodeAnnotation example.com/rack in profile site,"
    )
    assert [each.kind for each in found.node_facts] == ["nodeAnnotation"]
    # The object may mean something else by it, and that is what is stamped then.
    changed = catalogue([tree("site", ZONE)], files)
    assert changed.verdicts["site"].accepted
    assert [each.kind for each in changed.node_facts] == ["nodeLabel"]
    # So it is where no version of the object can be used: the file's is not in force then.
    assert catalogue([tree("site", BROKEN)], files).node_facts == ()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"nodeLabel": "a"}, {"nodeLabel": "b"}),
        ({"nodeLabel": "a"}, {"nodeLabel": "a", "default": "none"}),
        ({"nodeLabel": "a", "default": ""}, {"nodeLabel": "a", "default": "none"}),
        ({"nodeField": "status.capacity.memory"}, {"nodeField": "status.capacity.memory", "divisor": "1Mi"}),
    ],
)
def test_another_key_default_or_divisor_is_another_meaning(
    one: dict[str, str], other: dict[str, str]
) -> None:
    trees = [tree("a", {"name": "x", **one}), tree("b", {"name": "x", **other})]
    found = catalogue(trees, {})
    assert [each.reason for each in found.verdicts.values()] == ["Accepted", "Conflict"]


def test_only_a_nodes_facts_have_one_meaning_in_the_cluster() -> None:
    trees = [tree("a", {"name": "x", "value": "1"}), tree("b", {"name": "x", "value": "2"}, ZONE)]
    found = catalogue([*trees, tree("c", {"name": "place", "namespaceLabel": "place"})], {})
    assert all(each.accepted for each in found.verdicts.values())
    assert [each.kind for each in found.node_facts] == ["nodeLabel"]


def test_the_labels_that_kubernetes_sets_are_those_of_all_profiles_each_once() -> None:
    zone = {"name": "zone", "nodeLabel": "topology.kubernetes.io/zone"}
    region = {"name": "region", "nodeLabel": "topology.kubernetes.io/region"}
    found = catalogue([tree("a", zone, ZONE), tree("b", zone, region)], BUILT_IN)
    assert found.topology == ("topology.kubernetes.io/zone", "topology.kubernetes.io/region")


def test_on_an_older_server_the_last_good_version_carries_the_zone_too() -> None:
    zone = {"name": "zone", "nodeLabel": "topology.kubernetes.io/zone"}
    broken = tree("web", BROKEN, generation=2, stored=(1, [zone]))
    assert len(catalogue([broken], BUILT_IN, topology_labels=False).node_facts) == 1


def test_another_generation_is_read_anew() -> None:
    first = catalogue([tree("web", POD)], BUILT_IN)
    assert [each.name for each in catalogue([tree("web", ZONE, generation=2)], {}, first).node_facts] == [
        "place"
    ]
    anew = tree("web", ZONE)
    anew["metadata"]["uid"] = "another"
    assert [each.name for each in catalogue([anew], {}, first).node_facts] == ["place"]


def test_a_profile_from_a_file_that_an_object_hides_has_no_meanings() -> None:
    files = {**BUILT_IN, **catalogue([tree("site", RACK)], {}).profiles}
    assert catalogue([tree("site", BROKEN), tree("web", ZONE)], files).verdicts["web"].accepted
