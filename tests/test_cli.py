"""The command line as a user meets it: one clear line, the right exit code, never a traceback."""

import subprocess
import sys
from pathlib import Path

import pytest

from podfacts import __version__

SCRIPTS = Path(sys.executable).parent
EXAMPLE = Path(__file__).parents[1] / "deploy/examples/downward-api-env.yaml"


def run(*words: str, program: str = "podfacts") -> subprocess.CompletedProcess[str]:
    return subprocess.run([SCRIPTS / program, *words], capture_output=True, text=True, check=False)


USAGE = [
    (("inject",), "podfacts inject: Missing option '-f' / '--filename'. (see podfacts inject --help)"),
    (("nothing",), "podfacts: No such command 'nothing'. (see podfacts --help)"),
    (("inject", "-f", "x", "-o", "toml"), "'toml' is not one of 'yaml', 'json', 'patch'"),
    (("webhook", "--port", "65536"), "65536 is not in the range 0<=x<=65535"),
    (("controller", "--ca-lifetime", "1x"), "'1x' is no duration: write a number with s, m, h or d, such as 24h"),
    (("controller", "--settle", "0s"), "'0s' is no duration: write a number with s, m, h or d, such as 24h"),
    (("controller", "--ca-lifetime", "1m"), "podfacts controller: a CA lifetime of 0:01:00 is too short"),
    (("inject", "-f", "/no/such.yaml"), "/no/such.yaml: cannot be read: No such file or directory"),
    (("inject", "-f", str(EXAMPLE), "--profile", "/no/such.yaml"), "/no/such.yaml: cannot be read: No such file or directory"),
    (("webhook", "--profile", str(EXAMPLE)), "downward-api-env.yaml:4: kind: must be kind Profile of apiVersion podfacts.dev/v1alpha1"),
]  # fmt: skip


@pytest.mark.parametrize(("words", "sentence"), USAGE, ids=[" ".join(each[0]) for each in USAGE])
def test_a_mistake_is_one_line(words: tuple[str, ...], sentence: str) -> None:
    done = run(*words)
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1
    assert sentence in done.stderr


def test_its_three_names() -> None:
    expected = f"podfacts {__version__}\n"
    assert run("--version").stdout == expected
    assert run("--version", program="kubectl-podfacts").stdout == expected
    module = subprocess.run(
        [sys.executable, "-m", "podfacts", "--version"], capture_output=True, text=True, check=False
    )
    assert module.stdout == expected
    assert "Usage: kubectl podfacts inject" in run("inject", "--help", program="kubectl-podfacts").stdout


def test_a_server_can_be_set_by_environment() -> None:
    done = subprocess.run(
        [SCRIPTS / "podfacts", "webhook"],
        env={"PODFACTS_TLS_MIN": "1.1", "PATH": "/usr/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "(env var: 'PODFACTS_TLS_MIN'): '1.1' is not one of '1.3', '1.2'" in done.stderr


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("kind: [", "profile.yaml:1: "),
        ("# nothing\n", "profile.yaml: holds no Profile"),
        ("apiVersion: podfacts.dev/v1alpha1\nkind: Profile\nmetadata:\n  name: x\nspec:\n  facts:\n  - name: a\n    field: spec.x\n", "profile.yaml:8: spec.facts[0].field: must be one of "),
    ],
)  # fmt: skip
def test_a_bad_profile_is_refused_with_its_line(tmp_path: Path, text: str, sentence: str) -> None:
    file = tmp_path / "profile.yaml"
    file.write_text(text)
    done = run("inject", "-f", str(EXAMPLE), "--profile", str(file))
    assert (done.returncode, done.stdout) == (2, "")
    assert sentence in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_two_profiles_of_one_name_are_refused(tmp_path: Path) -> None:
    example = EXAMPLE.parent / "profile.yaml"
    copy = tmp_path / "copy.yaml"
    copy.write_text(example.read_text())
    done = run("inject", "-f", str(EXAMPLE), "--profile", str(example), "--profile", str(copy))
    assert done.returncode == 2
    assert f"profile web stands in {example}:5 already" in done.stderr
