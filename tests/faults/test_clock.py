"""The machine's clock is wrong, or it slept for long: the webhook serves what is valid by the clock that it has.

libfaketime moves the clock of the process alone, while it runs; curl asks with the same clock.
"""

import shutil
import subprocess
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from podfacts.authority.certificates import Authority, new_authority
from tests.faults.webhook import POD, Webhook, asked, running

LIBRARIES = sorted(Path("/usr/lib").glob("*/faketime/libfaketime*.so.1"))
BEGUN = datetime.now(UTC)


class Clock:
    """The clock of what runs with ``environment``."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "clock"
        self.turn(timedelta())

    def turn(self, by: timedelta) -> None:
        """Be off by so much from now on."""
        self._file.write_text(f"{by.total_seconds():+.0f}\n")

    @property
    def environment(self) -> Mapping[str, str]:
        """The timers go on as they did: it is the time of day that is wrong."""
        return {
            "LD_PRELOAD": str(LIBRARIES[-1]),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }


@pytest.fixture
def clock(tmp_path: Path) -> Clock:
    if not LIBRARIES or not shutil.which("curl"):
        pytest.skip("needs the Debian packages faketime and curl")
    return Clock(tmp_path)


def verified(webhook: Webhook, folder: Path, clock: Clock) -> bool:
    """Whether curl, with the same clock, is answered by a certificate that is valid."""
    (folder / "ca.pem").write_bytes(webhook.authority.certificate_pem)
    (folder / "review").write_bytes(asked(POD))
    url = f"https://127.0.0.1:{webhook.port}/mutate"
    command = ["curl", "--silent", "--fail", "--cacert", str(folder / "ca.pem"), "--max-time", "5"]
    command += ["--data-binary", f"@{folder / 'review'}", "--output", "/dev/null", url]
    return subprocess.run(command, env=dict(clock.environment), check=False).returncode == 0


def within(seconds: float, webhook: Webhook, folder: Path, clock: Clock) -> bool:
    """Whether it is answered so, and ready, in that time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if verified(webhook, folder, clock) and webhook.probe("/readyz").status == 200:
            return True
        time.sleep(0.2)
    return False


def lasting(days: int, now: datetime = BEGUN) -> Authority:
    return new_authority(now, timedelta(days=days))


@pytest.mark.fault("T18")
@pytest.mark.parametrize("minutes", [-10, 10])
def test_a_clock_that_is_ten_minutes_off_at_the_start_is_served_to_those_that_are_right(
    tmp_path: Path, clock: Clock, minutes: int
) -> None:
    clock.turn(timedelta(minutes=minutes))
    with running(tmp_path / "webhook", authority=lasting(365), environment=clock.environment) as webhook:
        assert webhook.ask(asked(POD)).status == 200  # By this process's clock, which is right.
        assert within(10, webhook, tmp_path, clock)
        assert webhook.is_well()


@pytest.mark.fault("T18")
def test_after_400_days_asleep_it_serves_a_new_certificate_without_a_restart(
    tmp_path: Path, clock: Clock
) -> None:
    with running(tmp_path / "webhook", authority=lasting(3650), environment=clock.environment) as webhook:
        assert verified(webhook, tmp_path, clock)
        clock.turn(timedelta(days=400))
        assert within(10, webhook, tmp_path, clock)


@pytest.mark.fault("T18")
def test_a_clock_that_was_far_ahead_and_is_put_right_leaves_no_certificate_of_the_future(
    tmp_path: Path, clock: Clock
) -> None:
    clock.turn(timedelta(days=400))
    with running(tmp_path / "webhook", authority=lasting(3650), environment=clock.environment) as webhook:
        assert within(10, webhook, tmp_path, clock)  # The restart after 400 days.
        clock.turn(timedelta())
        assert within(10, webhook, tmp_path, clock)
        assert webhook.is_well()


@pytest.mark.fault("T18", "T17")
def test_after_400_days_asleep_with_a_ca_that_ended_it_says_so_and_takes_the_next_one(
    tmp_path: Path, clock: Clock
) -> None:
    with running(tmp_path / "webhook", authority=lasting(365), environment=clock.environment) as webhook:
        clock.turn(timedelta(days=400))
        end = time.monotonic() + 10
        while (reply := webhook.probe("/readyz")).status == 200 and time.monotonic() < end:
            time.sleep(0.2)
        assert (reply.status, b"expired" in reply.body) == (503, True)
        assert webhook.probe("/healthz").status == 200  # A restart would not help.
        webhook.take(lasting(365, BEGUN + timedelta(days=400)))
        assert within(10, webhook, tmp_path, clock)
