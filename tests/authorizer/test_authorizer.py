"""20,000 random questions: whether, by which rules, and who else may; as Kubernetes' own code says. No difference.

A million of them: ``python -m tests.authorizer``.
"""

import os

import pytest

from tests.authorizer.comparison import compared
from tests.cluster import build

# No cluster is asked, but Kubernetes must have been built, as for one.
pytestmark = pytest.mark.api

SEED = int(os.environ.get("PODFACTS_SEED", "20261"))
QUESTIONS = 20_000


def test_twenty_thousand_random_questions_are_answered_as_by_kubernetes() -> None:
    print(f"PODFACTS_SEED={SEED}")  # noqa: T201 - shown when the test fails
    *_, all_of_them = compared(build.authorizer(print), SEED, QUESTIONS)
    assert all_of_them.differences == []
    assert all_of_them.questions == QUESTIONS
    assert QUESTIONS / 5 < all_of_them.allowed < QUESTIONS * 4 / 5, "or the questions would say nothing"
    assert all_of_them.grants > all_of_them.who_can / 5
    assert all_of_them.subjects > all_of_them.who_can / 2
