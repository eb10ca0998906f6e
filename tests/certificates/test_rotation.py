"""The rotation step, one decision at a time: what is written, in what order, and why."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from podfacts.authority.certificates import Authority, certificate_pem, new_authority, parse_authority
from podfacts.authority.rotation import Memory, Observed, Policy, Step, decide, rotates_at
from podfacts.authority.secret import read, read_bundle, render_bundle
from tests.certificates.verification import NOW

POLICY = Policy()
CA, OLD, NEXT = (new_authority(NOW, POLICY.ca_lifetime) for _ in range(3))
STEADY = {"ca.crt": CA.certificate_pem, "ca.key": CA.key_pem}
ROTATING = {**STEADY, "next.crt": NEXT.certificate_pem, "next.key": NEXT.key_pem}
UNTIL = NOW + timedelta(hours=3)
PROMOTED = {**STEADY, "previous.crt": OLD.certificate_pem, "previous-until": b"2026-05-01T15:00:00Z"}


def step(data: dict[str, bytes], memory: Memory | None = None, **seen: object) -> Step:
    """Decide about a Secret whose bundle is in place unless the test says otherwise."""
    now = seen.get("now", NOW)
    assert isinstance(now, datetime)
    bundle = render_bundle(read(data, now))
    observed = Observed(data=data, rotate=False, bundle=bundle, now=now, uptime=1000.0)
    return decide(replace(observed, **seen), memory or Memory(), POLICY)  # type: ignore[arg-type]


def actions(made: Step) -> list[str]:
    return [reason.action for reason in made.reasons]


def trusted(made: Step) -> set[str]:
    return {one.subject.rfc4514_string() for one in read_bundle(render_bundle(made.held))}


def names(*authorities: Authority) -> set[str]:
    return {authority.certificate.subject.rfc4514_string() for authority in authorities}


@pytest.mark.parametrize("data", [STEADY, ROTATING, PROMOTED])
def test_nothing_is_written_when_nothing_changed(data: dict[str, bytes]) -> None:
    made = step(data)
    assert (made.data, made.bundle, made.reasons) == (None, None, ())


def test_the_first_start_makes_a_ca_and_trusts_it() -> None:
    made = step({})
    assert made.data is not None
    born = parse_authority(made.data["ca.crt"], made.data["ca.key"])
    assert made.bundle == born.certificate_pem
    assert actions(made) == ["created", "trusted"]
    assert set(made.data) == {"ca.crt", "ca.key"}


def test_without_a_webhook_configuration_the_secret_is_still_filled() -> None:
    made = step({}, bundle=None)
    assert made.data is not None
    assert made.bundle is None
    assert actions(made) == ["created"]


@pytest.mark.fault("T19")
@pytest.mark.parametrize(
    "bundle",
    [b"", b"garbage", OLD.certificate_pem, CA.certificate_pem + OLD.certificate_pem, CA.certificate_pem[:-1]],
)
def test_a_bundle_changed_by_others_is_healed_and_the_secret_left_alone(bundle: bytes) -> None:
    made = step(STEADY, bundle=bundle)
    assert (made.data, made.bundle) == (None, CA.certificate_pem)
    assert actions(made) == ["trusted"]


@pytest.mark.fault("T15")
def test_at_two_thirds_of_its_life_a_ca_gets_a_successor_that_does_not_sign() -> None:
    due = rotates_at(CA.certificate)
    assert due == NOW + POLICY.ca_lifetime * 2 / 3
    assert step(STEADY, now=due - timedelta(seconds=1)).reasons == ()
    made = step(STEADY, now=due)
    assert made.data is not None
    assert (made.data["ca.crt"], made.data["ca.key"]) == (STEADY["ca.crt"], STEADY["ca.key"])
    introduced = parse_authority(made.data["next.crt"], made.data["next.key"])
    assert trusted(made) == names(CA, introduced)
    assert actions(made) == ["introduced", "trusted"]


def test_the_annotation_rotates_once() -> None:
    made = step(STEADY, rotate=True)
    assert made.data is not None
    assert actions(made) == ["introduced", "trusted"]
    again = step(dict(made.data), rotate=True)
    assert again.data == made.data, "the write that takes the annotation away"
    assert actions(again) == ["tidied"]


@pytest.mark.fault("T15")
def test_the_successor_signs_once_every_api_server_has_seen_it() -> None:
    first = step(ROTATING, uptime=500.0)
    assert first.reasons == ()
    early = step(ROTATING, first.memory, uptime=500.0 + 59.9)
    assert early.reasons == ()
    made = step(ROTATING, early.memory, uptime=500.0 + 60)
    assert made.data is not None
    assert made.data["ca.key"] == NEXT.key_pem
    assert made.data["previous.crt"] == CA.certificate_pem
    assert "next.crt" not in made.data
    assert made.data["previous-until"] == b"2026-05-02T12:05:01Z"
    assert made.bundle is None, "a promotion alone does not change who is trusted"
    assert actions(made) == ["promoted"]


@pytest.mark.fault("T15", "T19")
def test_a_bundle_that_lost_the_successor_starts_the_wait_again() -> None:
    first = step(ROTATING, uptime=500.0)
    lost = step(ROTATING, first.memory, uptime=530.0, bundle=CA.certificate_pem)
    assert actions(lost) == ["trusted"]
    back = step(ROTATING, lost.memory, uptime=535.0)
    assert step(ROTATING, back.memory, uptime=594.0).reasons == ()
    assert actions(step(ROTATING, back.memory, uptime=595.0)) == ["promoted"]


def test_a_new_leader_waits_anew() -> None:
    assert step(ROTATING, Memory(), uptime=1e6).reasons == ()


def test_without_a_webhook_configuration_nothing_is_promoted() -> None:
    first = step(ROTATING, uptime=0.0)
    assert step(ROTATING, first.memory, uptime=1e6, bundle=None).reasons == ()


def test_a_ca_about_to_end_hands_over_without_waiting() -> None:
    now = CA.certificate.not_valid_after_utc - timedelta(seconds=90)
    successor = new_authority(now, POLICY.ca_lifetime)
    data = {**STEADY, "next.crt": successor.certificate_pem, "next.key": successor.key_pem}
    assert actions(step(data, now=now)) == ["promoted"]
    assert actions(step(data, now=now, bundle=CA.certificate_pem)) == ["trusted"], (
        "but never before it is trusted"
    )


@pytest.mark.fault("T15")
def test_the_old_ca_goes_when_no_leaf_of_it_can_be_left() -> None:
    assert step(PROMOTED, now=UNTIL - timedelta(seconds=1)).reasons == ()
    made = step(PROMOTED, now=UNTIL)
    assert made.data == STEADY
    assert made.bundle == CA.certificate_pem
    assert actions(made) == ["retired", "trusted"]


def test_the_old_ca_goes_when_it_ends() -> None:
    short = new_authority(NOW, timedelta(hours=1))
    data = {**PROMOTED, "previous.crt": short.certificate_pem}
    made = step(data, now=NOW + timedelta(hours=1), bundle=CA.certificate_pem + short.certificate_pem)
    assert made.data == STEADY
    assert made.bundle == CA.certificate_pem


def test_an_end_that_is_not_written_down_is_set_and_kept() -> None:
    for text in (b"", b"soon", b"2026-05-01T15:00:00", b"9999-12-31T23:59:59-23:00"):
        made = step({**PROMOTED, "previous-until": text})
        assert made.data is not None
        assert read(made.data, NOW).until == NOW + timedelta(hours=24, minutes=5, seconds=1)
        assert step(dict(made.data), now=NOW + timedelta(hours=20)).reasons == ()


def born(days_from_now: int) -> dict[str, bytes]:
    """Return a sound pair of another time."""
    authority = new_authority(NOW + timedelta(days=days_from_now), timedelta(days=365))
    return {"ca.crt": authority.certificate_pem, "ca.key": authority.key_pem}


GARBAGE: dict[str, tuple[dict[str, bytes], str]] = {
    "garbage": ({"ca.crt": b"\xff", "ca.key": b"garbage"}, "not PEM"),
    "torn": ({"ca.crt": CA.certificate_pem, "ca.key": OLD.key_pem}, "do not belong together"),
    "half": ({"ca.crt": CA.certificate_pem}, "not an unencrypted PEM private key"),
    "expired": (born(-400), "expired at"),
    "of the future": (born(3), "valid only from"),
}


@pytest.mark.fault("T17")
@pytest.mark.parametrize(("data", "reason"), GARBAGE.values(), ids=GARBAGE)
def test_an_unsound_secret_is_made_anew_and_says_why(data: dict[str, bytes], reason: str) -> None:
    made = step(data, bundle=b"")
    assert made.data is not None
    parse_authority(made.data["ca.crt"], made.data["ca.key"])
    assert actions(made) == ["regenerated", "trusted"]
    assert reason in made.reasons[0].detail


def test_a_ca_lost_from_outside_stays_trusted_while_its_leaves_are_served() -> None:
    leader = step(STEADY).memory
    for memory, bundle in ((leader, b""), (leader, CA.certificate_pem), (Memory(), CA.certificate_pem)):
        made = step({}, memory, bundle=bundle)
        assert made.data is not None
        born = parse_authority(made.data["ca.crt"], made.data["ca.key"])
        assert trusted(made) == names(CA, born)
        assert made.data["previous.crt"] == CA.certificate_pem
        assert actions(made)[:2] == ["kept", "created"]


def test_a_ca_replaced_from_outside_stays_trusted_too() -> None:
    made = step({"ca.crt": OLD.certificate_pem, "ca.key": OLD.key_pem}, step(STEADY).memory)
    assert made.data is not None
    assert made.data["ca.key"] == OLD.key_pem, "what is in the Secret signs, whoever wrote it"
    assert trusted(made) == names(CA, OLD)


def test_a_foreign_ca_in_the_bundle_is_not_believed() -> None:
    made = step(STEADY, bundle=CA.certificate_pem + OLD.certificate_pem)
    assert made.bundle == CA.certificate_pem
    made = step({}, step(STEADY).memory, bundle=OLD.certificate_pem)
    assert names(OLD).isdisjoint(trusted(made))


def test_an_end_moved_forward_from_outside_is_put_back() -> None:
    made = step({**PROMOTED, "previous-until": b"2026-05-01T00:00:00Z"}, step(PROMOTED).memory)
    assert made.data == PROMOTED


def test_a_successor_signs_when_the_ca_is_broken() -> None:
    made = step({**ROTATING, "ca.key": b"garbage"}, step(ROTATING).memory)
    assert made.data is not None
    assert made.data["ca.key"] == NEXT.key_pem
    assert trusted(made) == names(CA, NEXT)


def test_a_broken_successor_is_dropped() -> None:
    made = step({**ROTATING, "next.key": b"garbage"}, bundle=CA.certificate_pem)
    assert made.data == STEADY
    assert actions(made) == ["tidied"]


@pytest.mark.fault("T18")
@pytest.mark.parametrize("minutes", [-59, -10, 10])
def test_a_clock_that_is_a_little_off_writes_nothing(minutes: int) -> None:
    assert step(STEADY, step(STEADY).memory, now=NOW + timedelta(minutes=minutes)).reasons == ()


@pytest.mark.fault("T18")
def test_after_a_long_sleep_one_step_makes_all_right() -> None:
    made = step(ROTATING, now=NOW + timedelta(days=400))
    assert made.data is not None
    assert actions(made) == ["regenerated", "trusted"]
    assert len(read_bundle(render_bundle(made.held))) == 1


def test_what_others_keep_in_the_secret_stays_there() -> None:
    made = step({"note": b"mine"})
    assert made.data is not None
    assert made.data["note"] == b"mine"


def test_overwriting_at_every_round_does_not_grow_the_secret_without_end() -> None:
    memory, bundle, data = Memory(), b"", {}
    for round_ in range(50):
        made = step({}, memory, bundle=bundle, now=NOW + timedelta(seconds=5 * round_))
        assert made.data is not None
        assert made.bundle is not None
        memory, bundle, data = made.memory, made.bundle, dict(made.data)
    assert len(read_bundle(data["previous.crt"])) == 32
    assert sum(map(len, data.values())) < 64 * 1024


@pytest.mark.fault("T17")
@given(
    data=st.dictionaries(
        st.sampled_from(
            ["ca.crt", "ca.key", "next.crt", "next.key", "previous.crt", "previous-until", "other"]
        ),
        st.one_of(
            st.binary(max_size=40),
            st.sampled_from([*PROMOTED.values(), *ROTATING.values(), b"0001-01-01T00:00:00+14:00"]),
        ),
    ),
    bundle=st.one_of(st.none(), st.binary(max_size=40), st.sampled_from([certificate_pem(OLD.certificate)])),
    days=st.integers(-40, 800),
)
@settings(max_examples=300)
def test_from_any_content_one_step_leads_to_a_sound_state(
    data: dict[str, bytes], bundle: bytes | None, days: int
) -> None:
    now = NOW.astimezone(UTC) + timedelta(days=days, microseconds=5)
    made = step(data, now=now, bundle=bundle)
    written = dict(made.data) if made.data is not None else data
    held = read(written, now)
    assert held.ca is not None
    assert held.faults == ()
    in_force = made.bundle if made.bundle is not None else bundle
    if bundle is not None:
        assert in_force == render_bundle(held)
    again = step(written, made.memory, now=now, bundle=in_force)
    # A state that was reached may be due for its next step, and for nothing else.
    assert set(actions(again)) <= {"introduced", "promoted", "trusted"}


@pytest.mark.parametrize(
    ("lifetimes", "message"),
    [
        ({"ca_lifetime": timedelta(minutes=18)}, "too short"),
        ({"leaf_lifetime": timedelta(0)}, "positive"),
        ({"settle": timedelta(seconds=-1)}, "positive"),
    ],
)
def test_lifetimes_that_cannot_work_are_refused(lifetimes: dict[str, timedelta], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Policy(**lifetimes)
