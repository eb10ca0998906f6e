"""Junk in the place of a review, and at any place in one: always a 400 or a verdict, never a traceback."""

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from podfacts.core.review import review
from tests.faults.hostile import pod, response, whole
from tests.faults.verdict import WORLD, judged
from tests.faults.webhook import asked
from tests.malformed import MALFORMED

JUNK: dict[str, Any] = {
    "absent": ...,
    "null": None,
    "true": True,
    "zero": 0,
    "a number": -1.5,
    "a great number": 2**63,
    "an empty string": "",
    "a string": "x",
    "a long string": "x" * 70_000,
    "control characters": "a\x00\n\x1b[2J\u202e",
    "beyond the basic plane": "\U0001f4a9" * 300,
    "a list": [],
    "a list of lists": [[[]]],
    "a list of null": [None],
    "a list of strings": ["x", "y"],
    "a list of numbers": [1, 2.5],
    "a list of bare objects": [{}, {}],
    "a list of nameless": [{"name": None}, {"name": ""}, {"name": []}],
    "an object": {},
    "an object of numbers": {"a": 1, "b": {"c": 2}},
    "a deep list": json.loads("[" * 200 + "]" * 200),
}
REVIEW = json.loads(asked(whole()))


def places(tree: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Every place in the tree."""
    keys = list(tree) if isinstance(tree, dict) else range(len(tree)) if isinstance(tree, list) else ()
    for key in keys:
        yield (*path, key)
        yield from places(tree[key], (*path, key))


def changed(tree: Any, path: tuple[str | int, ...], value: Any) -> Any:
    """The tree with another value there; without the place where the value is ``...``."""
    tree = copy.deepcopy(tree)
    holder = tree
    for key in path[:-1]:
        holder = holder[key]
    if value is ...:
        del holder[path[-1]]
    else:
        holder[path[-1]] = value
    return tree


@pytest.mark.fault("T23")
@pytest.mark.parametrize("value", JUNK.values(), ids=JUNK)
def test_junk_at_any_place_of_a_review_is_a_400_or_a_verdict(value: Any) -> None:
    """More than a thousand reviews, all of them together."""
    for path in places(REVIEW):
        judged(json.dumps(changed(REVIEW, path, value)).encode())


@pytest.mark.fault("T23")
@pytest.mark.parametrize(("name", "body", "reason"), MALFORMED, ids=[each[0] for each in MALFORMED])
def test_what_is_no_review_is_a_400_that_says_why(name: str, body: bytes, reason: str) -> None:  # noqa: ARG001 - the id
    assert judged(body).reason == reason


@pytest.mark.fault("T23")
def test_of_a_key_given_twice_the_last_one_counts_as_for_the_api_server() -> None:
    twice = asked(pod()).replace(b'"uid": "705ab4f5"', b'"uid": "first", "uid": "last"')
    assert response(review(twice, WORLD))["uid"] == "last"


@pytest.mark.fault("T23")
@pytest.mark.parametrize("depth", [100, 250, 1000, 10_000, 100_000])
@pytest.mark.parametrize("opened", ["[", '{"a":'])
def test_any_depth_is_a_400_or_a_verdict(depth: int, opened: str) -> None:
    closed = "]" if opened == "[" else "}"
    deep = opened * depth + ("1" if opened != "[" else "") + closed * depth
    judged(asked(pod(command=["DEEP"])).replace(b'"DEEP"', deep.encode()))


@pytest.mark.fault("T23")
@pytest.mark.parametrize("cut", range(0, 100, 3))
def test_a_review_that_is_cut_short_is_a_400(cut: int) -> None:
    body = asked(whole())
    assert judged(body[: len(body) * cut // 100]).reason == "not_json"


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9)
trees = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=9,
)
PLACES = tuple(places(REVIEW))
changes = st.lists(st.tuples(st.sampled_from(PLACES), trees | st.sampled_from([*JUNK.values()])), max_size=4)


def any_review_is_judged(some: list[tuple[tuple[str | int, ...], Any]]) -> None:
    tree = REVIEW
    for path, value in some:
        try:
            tree = changed(tree, path, value)
        except (KeyError, IndexError, TypeError):  # An earlier change took the place away.
            continue
    judged(json.dumps(tree).encode())


test_any_changed_review_is_a_400_or_a_verdict = pytest.mark.fault("T23")(
    settings(max_examples=300, deadline=None)(given(changes)(any_review_is_judged))
)
test_two_minutes_of_changed_reviews_are_400s_or_verdicts = pytest.mark.long(
    pytest.mark.timeout(1200)(
        pytest.mark.fault("T23")(
            settings(max_examples=60_000, deadline=None, suppress_health_check=[HealthCheck.too_slow])(
                given(changes)(any_review_is_judged)
            )
        )
    )
)
