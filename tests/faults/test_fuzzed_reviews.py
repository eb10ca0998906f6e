"""A fuzzer looks for a body that breaks a review: half a minute each time, ten minutes in the long run."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.case import CASES
from tests.faults.verdict import judged
from tests.faults.webhook import asked

REPOSITORY = Path(__file__).parents[2]
SEEDS = Path(__file__).parent / "seeds"
GROWTH = 24  # MiB. What leads to new places is kept in memory, too.

fuzzing = pytest.mark.skipif(
    importlib.util.find_spec("atheris") is None,
    reason="atheris is not installed: it has no wheel for this Python",
)


@pytest.mark.fault("T24")
@pytest.mark.parametrize("seed", sorted(SEEDS.glob("*.json")), ids=lambda seed: seed.stem)
def test_a_body_that_once_broke_a_review_gets_an_answer(seed: Path) -> None:
    assert judged(seed.read_bytes()).status == 200


@fuzzing
@pytest.mark.fault("T24")
def test_half_a_minute_of_fuzzing_finds_no_crash_no_hang_and_no_growth(tmp_path: Path) -> None:
    fuzzed(25, tmp_path)


@fuzzing
@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.fault("T24")
def test_ten_minutes_of_fuzzing_find_no_crash_no_hang_and_no_growth(tmp_path: Path) -> None:
    fuzzed(600, tmp_path)


def fuzzed(seconds: int, folder: Path) -> None:
    """Fuzz for so long, beginning with the cases and with what once was wrong."""
    cases, found = folder / "cases", folder / "found"
    for each in (cases, found):
        each.mkdir()
    for number, case in enumerate(CASES):
        (cases / f"{number}.json").write_bytes(asked(case.pod))
    command = [sys.executable, "-m", "tests.faults.fuzz", str(seconds), str(found), str(cases), str(SEEDS)]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY / "operator")}
    ended = subprocess.run(
        command, capture_output=True, text=True, cwd=REPOSITORY, env=environment, check=False
    )
    said = ended.stderr[-3000:]
    assert ended.returncode == 0, f"{said}\n{[each.read_bytes() for each in found.glob('failed-*')]}"
    told = json.loads(ended.stdout.splitlines()[-1])
    assert told["inputs"] >= 2000, said
    assert told["now"] - told["warm"] < GROWTH, told
