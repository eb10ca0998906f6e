"""The command itself, as a process: what goes where, what it costs to start, and with which code it ends."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.offline.reading import HERE

IN, OUT, PROFILE = HERE / "in", HERE / "out", HERE / "profile.yaml"
# What a process that reads files has no use for, each tens of megabytes or a tenth of a second.
HEAVY = (
    "kubernetes",
    "kopf",
    "aiohttp",
    "cryptography",
    "prometheus_client",
    "structlog",
    "ruamel",
    "pydantic",
)


def run(*arguments: str | Path, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "podfacts", "inject", *map(str, arguments)]
    return subprocess.run(command, input=stdin, capture_output=True, check=False, timeout=60)


@pytest.mark.parametrize("name", ["helm.yaml", "stream.json"])
def test_file(name: str) -> None:
    done = run("-f", IN / name, "--profile", PROFILE)
    assert (done.returncode, done.stdout) == (0, (OUT / name).read_bytes())


def test_stdin_with_windows_line_ends() -> None:
    given = (IN / "comments.yaml").read_bytes().replace(b"\n", b"\r\n")
    done = run("-f", "-", "--profile", PROFILE, stdin=given)
    assert done.stdout == (OUT / "comments.yaml").read_bytes().replace(b"\n", b"\r\n")


def test_a_pipe_by_name() -> None:
    done = run("-f", "/dev/stdin", "--profile", PROFILE, stdin=(IN / "helm.yaml").read_bytes())
    assert done.stdout == (OUT / "helm.yaml").read_bytes()


def test_patch() -> None:
    done = run("-f", IN / "documents.yaml", "-o", "patch")
    assert [bool(json.loads(line)) for line in done.stdout.splitlines()] == [False, True, False]


def test_warnings_go_to_stderr() -> None:
    done = run("-f", IN / "authors.yaml", "--profile", PROFILE)
    assert done.returncode == 0
    assert done.stderr.decode().splitlines()[0] == (
        f"{IN}/authors.yaml:1: warning: kept: app: env POD_NAME is the author's"
    )


def test_bad_input_writes_nothing_and_ends_with_2(tmp_path: Path) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text("apiVersion: v1\nkind: Pod\nkind: Pod\n")
    done = run("-f", IN / "helm.yaml", "-f", bad)
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.decode() == f"{bad}:3: the key 'kind' stands here a second time, after line 2\n"


def test_an_endless_file_ends() -> None:
    done = run("-f", "/dev/zero")
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr == b"/dev/zero: is larger than 64 MiB: split it\n"


def test_an_empty_folder(tmp_path: Path) -> None:
    done = run("-f", tmp_path)
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.decode() == f"{tmp_path}: there is no *.yaml, *.yml or *.json file in this folder\n"


def test_nothing_heavy_is_loaded() -> None:
    code = (
        "import sys\nfrom podfacts.cli import main\n"
        f"main(['inject', '-f', {str(IN / 'helm.yaml')!r}, '-o', 'patch'], standalone_mode=False)\n"
        "print(sorted({name.partition('.')[0] for name in sys.modules}), file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, timeout=60)
    loaded = done.stderr.decode().splitlines()[-1]
    assert "podfacts" in loaded
    assert [name for name in HEAVY if f"'{name}'" in loaded] == []
