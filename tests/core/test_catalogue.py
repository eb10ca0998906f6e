"""Which profiles are in force: an edit that cannot be used changes nothing, and every replica says the same."""

from typing import Any

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
    mended = catalogue([tree("web", ZONE, generation=4)], BUILT_IN, later)
    assert mended.verdicts["web"].accepted
    assert mended.profiles["web"] != first.profiles["web"]


def test_a_replica_that_starts_anew_finds_the_last_good_version_in_the_status() -> None:
    found = catalogue([tree("web", BROKEN, generation=2, stored=(1, [POD]))], BUILT_IN)
    assert [each.name for each in found.profiles["web"].facts] == ["pod-name"]
    assert found.verdicts["web"].in_force_generation == 1


def test_an_object_that_was_made_anew_under_the_same_name_has_no_past() -> None:
    first = catalogue([tree("web", POD)], BUILT_IN)
    anew = tree("web", BROKEN)
    anew["metadata"]["uid"] = "another"
    found = catalogue([anew], BUILT_IN, first)
    assert "web" not in found.profiles
    assert found.verdicts["web"].message.endswith("; no version of it is in force")


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
