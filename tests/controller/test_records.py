"""What is remembered, under names that may be taken twice, and what a list after a gap leaves out."""

from collections.abc import Iterable
from typing import Any

import pytest

from podfacts.controller.records import Named
from podfacts.controller.table import Table
from podfacts.controller.vitals import Vitals
from podfacts.core.observed import Key, observed
from podfacts.core.profile import DEFAULT
from tests.core.test_observed import pod


def table(touched: list[Any] | None = None) -> Table:
    heard = [] if touched is None else touched

    def hear(keys: Iterable[Key]) -> None:
        heard.extend(keys)

    return Table({"default": DEFAULT}, topology_labels=True, touched=hear, judged=lambda _: None)


def test_the_going_of_the_old_one_takes_nothing_along() -> None:
    named = Named[int]()
    assert named.put("n", "old", 1) is None
    assert named.put("n", "new", 2) is None
    assert named.get("n") == 2
    assert named.put("n", "old", 3) == 1, "its last words"
    assert named.get("n") == 2
    named.drop("n", "old")
    assert named.get("n") == 2
    assert list(named) == [2]
    named.drop("n", "new")
    named.drop("n", "new")
    assert named.get("n") is None
    assert not list(named)


def test_pods_by_place() -> None:
    known = table()
    seen = observed(pod())
    assert known.pod(seen)
    assert not known.pod(seen), "nothing new"
    anew = observed(pod(uid="u-b"))
    assert known.pod(anew)
    known.forget_pod(seen.key)
    assert known.pods.on_node("n1") == (anew.key,)
    assert known.pods.in_namespace("shop") == known.pods.of_profile("p") == (anew.key,)


def test_a_node_touches_its_pods_when_a_fact_has_changed() -> None:
    touched: list[Any] = []
    known = table(touched)
    spec = {"facts": [{"name": "zone", "nodeLabel": "zone"}]}
    known.profile("p", "u", {"metadata": {"name": "p", "uid": "u", "generation": 1}, "spec": spec})
    known.settled()
    key = observed(pod()).key
    known.pod(observed(pod()))
    for labels, expected in (({"zone": "a"}, [key]), ({"zone": "a", "x": "y"}, []), ({"zone": "b"}, [key])):
        touched.clear()
        known.node("n1", "u-n", {"metadata": {"labels": labels}, "status": {}})
        assert touched == expected
    touched.clear()
    known.node("n1", "u-n", None)
    assert touched == [], "it tells nothing any more"
    known.profile("p", "u", None)
    known.settled()
    assert touched == [key]


@pytest.mark.fault("T44")
def test_what_a_list_after_a_gap_left_out() -> None:
    now = [0.0]
    vitals = Vitals(lambda: now[0])
    assert vitals.relisted("pods", 60) is None
    vitals.listed["pods"], now[0] = 10.0, 100.0
    assert vitals.relisted("pods", 60) is None, "the list has not ended"
    vitals.watched["pods"] = 12.0
    assert vitals.relisted("pods", 60) == 10.0
    assert vitals.relisted("pods", 95) is None, "and has not been heard to its end"
    assert vitals.silent(99) == "pods"
    vitals.revive()
    assert vitals.silent(99) is None


def test_unseen_since() -> None:
    known = table()
    known.pod(observed(pod()))
    assert known.unseen("pods", 0.0) == []
    assert known.unseen("pods", float("inf")) == [Key("shop", "a", "u-a")]
