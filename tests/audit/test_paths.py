"""Chains from a subject to a goal: cases, and a search that is too slow to be wrong."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from podfacts.audit.escalation.chart import Chart, Line, Spot, Walks
from podfacts.audit.escalation.paths import paths
from podfacts.audit.escalation.steps import GOALS
from podfacts.audit.escalation.steps import Path as Chain
from podfacts.audit.inventory import Inventory
from podfacts.core.refusal import Refused
from tests.audit.small import inventory

CASES: list[dict[str, Any]] = [
    case for file in ("paths", "paths-others") for case in yaml.safe_load((Path(__file__).parent / f"cases/{file}.yaml").read_text())
]  # fmt: skip


def told(chain: Chain) -> str:
    text = chain.source
    for step in chain.steps:
        bindings = sorted(each[2] for each in (step.binding, *step.via) if each)
        text += f" ({step.does}, {'+'.join(bindings)}) {step.end}"
    return text


@pytest.mark.parametrize("case", CASES, ids=[each["case"] for each in CASES])
def test_all_chains_are_found_and_no_other(case: dict[str, Any]) -> None:
    found = paths(inventory(case), case.get("from", ""), case.get("to", ""))
    assert [told(each) for each in found] == case["paths"]


@pytest.mark.parametrize("case", CASES, ids=[each["case"] for each in CASES])
def test_a_chain_hangs_together_and_each_step_of_a_binding_shows_its_rules(case: dict[str, Any]) -> None:
    for chain in paths(inventory(case)):
        ends = [chain.source, *(each.end for each in chain.steps)]
        assert [each.start for each in chain.steps] == ends[:-1]
        assert ends[-1] == chain.goal
        assert all(step.rules and step.role for step in chain.steps if step.binding)
        assert len(set(ends)) == len(ends)


def test_the_rules_of_a_step_are_those_that_grant_it_and_no_other() -> None:
    case = {
        "roles": {
            "r": [
                {"verbs": ["get"], "resources": ["pods"]},
                {"verbs": ["list"], "resources": ["secrets"]},
                {"verbs": ["watch", "get"], "resources": ["secrets"]},
            ]
        },
        "bindings": {"b": ["r", "User alice"]},
    }
    (chain,) = paths(inventory(case))
    assert [each.index for each in chain.steps[0].rules] == [1, 2]
    assert chain.steps[0].role == ("ClusterRole", "", "r")


def test_what_is_no_subject_and_no_goal_is_refused() -> None:
    for words in (("alice", ""), ("user:", ""), ("", "moon"), ("system:serviceaccount:shop", "")):
        with pytest.raises(Refused, match="write "):
            paths(inventory({}), *words)


def test_an_account_is_one_however_its_name_is_written() -> None:
    case = {"bindings": {"b": ["cluster-admin", "ServiceAccount shop/web"]}}
    name = "system:serviceaccount:shop:web"
    assert paths(inventory(case), name) == paths(inventory(case), f"user:{name}")
    assert len(paths(inventory(case), name)) == len(GOALS)


def test_the_order_of_bindings_changes_nothing() -> None:
    for case in CASES:
        one = inventory(case)
        other = Inventory(
            one.roles, one.bindings[::-1], one.accounts, one.namespaces, one.pods, is_live=one.is_live
        )
        assert [told(each) for each in paths(other)] == [told(each) for each in paths(one)]


# Small graphs with many ways: spots 0 to 7, lines that count and lines that do not.
EDGES = st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7), st.booleans()), max_size=24)


@given(EDGES)
def test_a_walk_is_as_short_as_the_shortest_of_all(edges: list[tuple[int, int, bool]]) -> None:
    # Lines that do not count never lead back (they go from one to many), as in the real graph.
    edges = [each for each in edges if each[2] or each[0] < each[1]]
    chart = Chart()
    for start, end, counts in edges:
        chart.draw(Spot("s", "", str(start)), Line(Spot("s", "", str(end)), "step" if counts else ""))
    walks = Walks(chart, Spot("s", "", "7"))
    for source in range(7):
        walk = walks.walk(Spot("s", "", str(source)))
        shortest = _shortest(edges, source)
        assert bool(walk) == (shortest is not None)
        assert not walk or sum(line.length for _, line in walk) == shortest


def _shortest(edges: list[tuple[int, int, bool]], source: int) -> int | None:
    """By relaxing every line as often as there are spots."""
    far = {source: 0}
    for _ in range(8):
        for start, end, counts in edges:
            if start in far:
                far[end] = min(far.get(end, 99), far[start] + counts)
    return far.get(7)
