"""Aggregated ClusterRoles, worked out. What the real controller writes: tests/e2e/test_questions_on_the_api_server.py."""

from collections.abc import Mapping
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from podfacts.audit.aggregation import aggregated
from podfacts.audit.inventory import Address, Place, Role, Rule

Tree = Mapping[str, Any]


def of(word: str) -> Tree:
    return {"verbs": ["get"], "apiGroups": [""], "resources": [word]}


def role(name: str, *words: str | Tree, takes: tuple[Tree, ...] | None = None, **labels: str) -> Role:
    trees = [of(each) if isinstance(each, str) else each for each in words]
    rules = tuple(Rule(tree, Place(f"{name}.yaml", at + 1), name, at) for at, tree in enumerate(trees))
    return Role("ClusterRole", "", name, rules, Place(f"{name}.yaml"), labels, takes)


def label(**labels: str) -> Tree:
    return {"matchLabels": labels}


def given_by(*roles: Role) -> dict[str, list[str]]:
    """By the name of each role, the resources of its rules."""
    found = aggregated({each.address: each for each in roles})
    return {
        name: [resource for rule in each.rules for resource in rule.tree["resources"]]
        for (_, _, name), each in found.items()
    }


def test_a_role_gathers_those_that_any_selector_takes_selector_by_selector_and_then_by_name() -> None:
    found = given_by(
        role("all", takes=(label(to="z"), label(to="a"))),
        role("c", "c1", "c2", to="a"),
        role("b", "b", to="a"),
        role("x", "x", to="z"),
        role("no", "no", to="other"),
        role("none", "none"),
    )
    assert found["all"] == ["x", "b", "c1", "c2"]
    assert found["c"] == ["c1", "c2"]


def test_a_rule_that_is_there_is_not_there_again_and_no_list_is_as_good_as_an_empty_one() -> None:
    found = given_by(
        role("all", takes=(label(to="a"), {})),
        role("a", "pods", {**of("pods"), "resourceNames": []}, "pods", to="a"),
        role("b", {**of("pods"), "nonResourceURLs": None}, {**of("pods"), "resourceNames": ["x"]}, to="a"),
    )
    assert found["all"] == ["pods", "pods"]


def test_the_order_of_words_makes_another_rule_as_for_the_controller() -> None:
    one, other = (
        {"verbs": verbs, "apiGroups": [""], "resources": ["pods"]} for verbs in (["a", "b"], ["b", "a"])
    )
    assert given_by(role("all", takes=({},)), role("a", one, other))["all"] == ["pods", "pods"]


def test_what_was_written_by_hand_is_overwritten_and_nobody_gathers_from_oneself() -> None:
    found = given_by(role("all", "mine", takes=(label(to="a"),), to="a"), role("a", "a", to="a"))
    assert found["all"] == ["a"]
    assert given_by(role("all", "mine", takes=(label(to="nobody"),)))["all"] == []


def test_only_cluster_roles_are_gathered_and_only_by_cluster_roles() -> None:
    one = role("a", "a", to="a")
    local = Role("Role", "shop", "all", one.rules, one.place, {"to": "a"})
    taker = role("all", takes=({},))
    found = aggregated({each.address: each for each in (local, taker)})
    assert found[taker.address].rules == ()
    assert found[local.address] is local


def test_a_rule_keeps_its_place_and_the_role_it_is_written_in() -> None:
    roles = role("top", takes=(label(level="1"),)), role("middle", takes=(label(level="0"),), level="1")
    found = aggregated({each.address: each for each in (*roles, role("low", "a", "b", level="0"))})
    rule = found["ClusterRole", "", "top"].rules[1]
    assert (rule.origin, rule.index, str(rule.place)) == ("low", 1, "low.yaml:2")


def test_a_chain_longer_than_pythons_own_stack_is_followed_to_its_end() -> None:
    length = 3000
    chain = [role(f"r{at:05}", takes=(label(at=str(at + 1)),), at=str(at)) for at in range(length)]
    assert given_by(*chain, role("end", "end", at=str(length)))["r00000"] == ["end"]


def test_those_that_feed_each_other_end_with_the_same_rules() -> None:
    found = given_by(
        role("a", takes=(label(to="a"), label(fed="a")), to="b"),
        role("b", takes=(label(to="b"), label(fed="b")), to="a"),
        role("x", "x", fed="a"),
        role("y", "y", fed="b"),
        role("above", takes=(label(to="b"),)),
    )
    assert set(found["a"]) == set(found["b"]) == {"x", "y"}
    assert found["above"] == found["a"]


def test_what_was_written_into_one_of_a_circle_may_outlive_the_overwriting_in_another() -> None:
    found = given_by(
        role("a", "mine", takes=(label(to="a"),), to="b"), role("b", takes=(label(to="b"),), to="a")
    )
    assert found == {"a": ["mine"], "b": ["mine"]}


@st.composite
def clusters(draw: st.DrawFn) -> list[Role]:
    words = st.sampled_from("abc")
    made = []
    for number in range(draw(st.integers(1, 8))):
        takes = draw(st.none() | st.lists(st.builds(lambda to: label(to=to), words), min_size=1, max_size=2))
        rules = [] if takes else draw(st.lists(words, max_size=2))
        made.append(role(f"r{number}", *rules, takes=tuple(takes) if takes else None, to=draw(words)))
    return made


@given(clusters())
def test_nothing_changes_when_the_controller_looks_again(roles: list[Role]) -> None:
    found = aggregated({each.address: each for each in roles})
    for each in found.values():
        if each.selectors is not None:
            assert said(each) == controllers(each, found)


def said(of_role: Role) -> set[str]:
    return {str(rule.tree) for rule in of_role.rules}


def controllers(aggregate: Role, found: Mapping[Address, Role]) -> set[str]:
    """What one pass of the controller would write (``syncClusterRole``)."""
    return {
        rule
        for selector in aggregate.selectors or ()
        for each in found.values()
        if each.name != aggregate.name and selector["matchLabels"].items() <= each.labels.items()
        for rule in said(each)
    }


@given(clusters())
def test_nothing_is_given_that_nobody_wrote(roles: list[Role]) -> None:
    written = {rule for each in roles if each.selectors is None for rule in said(each)}
    for each in aggregated({each.address: each for each in roles}).values():
        assert said(each) <= written
