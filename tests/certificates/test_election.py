"""The rules of the election, without a cluster: what a candidate does about the Lease that it sees, and when."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podfacts.controller.election import Sighting, Timing, action, held, sight
from podfacts.controller.keeper import pause

TIMING = Timing()
NOW = datetime(2026, 5, 1, 12, 0, 0, 5, tzinfo=UTC)
SHIPPED: dict[str, Any] = {"metadata": {"name": "podfacts-controller", "resourceVersion": "1"}}


def test_an_empty_lease_is_taken_at_once_and_counts_no_transition() -> None:
    for lease in (
        SHIPPED,
        {**SHIPPED, "spec": {}},
        {**SHIPPED, "spec": None},
        held(SHIPPED, "", NOW, TIMING),
    ):
        assert action(sight(lease, None, 0.0), "me", 0.0, TIMING) == "take"
        assert held(lease, "me", NOW, TIMING)["spec"]["leaseTransitions"] == 0


def test_what_is_written_is_what_kubernetes_reads() -> None:
    lease = held({**SHIPPED, "spec": {"strategy": "kept"}}, "me", NOW, TIMING)
    assert lease["metadata"] == SHIPPED["metadata"], "with the resourceVersion: a compare-and-swap"
    assert lease["spec"] == {
        "strategy": "kept",
        "holderIdentity": "me",
        "leaseDurationSeconds": 15,
        "acquireTime": "2026-05-01T12:00:00.000005Z",
        "renewTime": "2026-05-01T12:00:00.000005Z",
        "leaseTransitions": 0,
    }


def test_a_renewal_changes_its_time_alone() -> None:
    lease = held(SHIPPED, "me", NOW, TIMING)
    again = held(lease, "me", NOW.replace(minute=1), TIMING)
    assert again["spec"] == {**lease["spec"], "renewTime": "2026-05-01T12:01:00.000005Z"}
    assert action(sight(lease, None, 0.0), "me", 0.0, TIMING) == "renew"


def test_a_takeover_counts_a_transition() -> None:
    lease = held(held(SHIPPED, "other", NOW, TIMING), "me", NOW, TIMING)
    assert (lease["spec"]["holderIdentity"], lease["spec"]["leaseTransitions"]) == ("me", 1)


def test_a_lease_given_back_is_free_by_anybody_s_rules() -> None:
    spec = held(held(SHIPPED, "me", NOW, TIMING), "", NOW, TIMING)["spec"]
    assert (spec["holderIdentity"], spec["leaseDurationSeconds"]) == ("", 1)


@pytest.mark.fault("T20")
def test_a_stale_lease_is_taken_fifteen_seconds_after_it_was_first_seen_whatever_its_times_say() -> None:
    for renewed in ("2001-01-01T00:00:00.000000Z", "2099-01-01T00:00:00.000000Z", None):
        lease = {"spec": {"holderIdentity": "gone", "renewTime": renewed, "leaseDurationSeconds": 9999}}
        first = sight(lease, None, 100.0)
        assert action(first, "me", 100.0, TIMING) == "wait"
        later = sight(lease, first, 114.9)
        assert action(later, "me", 114.9, TIMING) == "wait"
        assert action(sight(lease, later, 115.0), "me", 115.0, TIMING) == "take"


@pytest.mark.fault("T20")
def test_a_lease_that_moves_is_never_taken() -> None:
    seen: Sighting | None = None
    for second in range(0, 600, 10):
        lease = {"spec": {"holderIdentity": "other", "renewTime": f"T{second}"}}
        seen = sight(lease, seen, float(second))
        assert action(seen, "me", second + 9.9, TIMING) == "wait"


@pytest.mark.fault("T20")
@given(
    skew=st.floats(-1e6, 1e6),
    last_renewal=st.floats(0, 100),
    seen_after=st.floats(0, 5),
    looks=st.lists(st.floats(0, 3), min_size=1, max_size=30),
)
def test_a_leader_has_stopped_before_a_candidate_starts(
    skew: float, last_renewal: float, seen_after: float, looks: list[float]
) -> None:
    """However wrong each clock is: the leader counts from before it sent, the candidate from after it saw."""
    stops = last_renewal + TIMING.deadline
    lease = {"spec": {"holderIdentity": "other", "renewTime": "T"}}
    now = last_renewal + seen_after
    seen = sight(lease, None, now + skew)
    for wait in looks:
        if action(seen, "me", now + skew, TIMING) == "take":
            assert now >= stops
            return
        now += wait
        seen = sight(lease, seen, now + skew)


@pytest.mark.parametrize(
    ("failures", "seconds"), [(0, 5), (1, 5), (2, 10), (3, 20), (4, 30), (5, 30), (5000, 30)]
)
def test_rounds_that_fail_come_more_slowly_but_never_stop(failures: int, seconds: float) -> None:
    assert pause(5.0, failures) == seconds
