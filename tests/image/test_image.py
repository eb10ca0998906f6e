"""The image is what the Dockerfile says it is: one program, one user, nothing of the machine that built it."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

import podfacts
from tests.image import pip_settings
from tests.image.contents import Image

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="building an image needs root"),
    pytest.mark.timeout(1800),  # a first build fetches Debian and every dependency
]
EXAMPLE = Path(__file__).parents[2] / "deploy/examples/downward-api-env.yaml"


def test_it_is_small(image: Image, record_property: Callable[[str, object], None]) -> None:
    record_property("megabytes", round(image.built.megabytes))
    assert image.built.megabytes < 280


def test_the_user_is_a_number_that_is_not_root(image: Image) -> None:
    assert image.config["User"] == "65532:65532"


def test_python_is_the_only_program(image: Image) -> None:
    assert image.executables() == {"usr/bin/python3", "usr/bin/python3.13"}


def test_nothing_installs_or_compiles(image: Image) -> None:
    names = {path.name for path in image.root.rglob("*") if path.is_dir()}
    assert not {"pip", "setuptools", "ensurepip", "hatchling", "gcc"} & names
    assert not {"pip", "setuptools"} & {path.name.split("-")[0] for path in image.root.rglob("*.dist-info")}


def test_nothing_runs_with_more_rights_than_its_caller(image: Image) -> None:
    modes = {path: path.lstat().st_mode for path in image.root.rglob("*") if path.is_file()}
    assert len(modes) > 1000
    assert not [path for path, mode in modes.items() if mode & (stat.S_ISUID | stat.S_ISGID)]


def test_nothing_of_the_building_machine_is_left(image: Image, tmp_path: Path) -> None:
    mounts = [volume.split(":")[1] for volume in pip_settings.volumes(tmp_path)]
    assert "/etc/pip.conf" in mounts
    assert not [path for path in mounts if Path(f"{image.root}{path}").exists()]
    known = {"HOME", "PATH", "USER"}
    known |= {f"PYTHON{name}" for name in ("PATH", "PYCACHEPREFIX", "DONTWRITEBYTECODE", "SAFEPATH")}
    assert {entry.split("=")[0] for entry in image.config["Env"]} == known


def test_it_says_its_version(image: Image) -> None:
    done = image.run(*image.config["Entrypoint"], "--version")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split() == ["podfacts", podfacts.__version__]


def test_it_injects(image: Image) -> None:
    done = image.run(*image.config["Entrypoint"], "inject", "-f", "-", stdin=EXAMPLE.read_text())
    assert done.returncode == 0, done.stderr
    [pod] = list(yaml.safe_load_all(done.stdout))
    assert "POD_NAME" in {entry["name"] for entry in pod["spec"]["containers"][0]["env"]}


@pytest.mark.parametrize("server", ["admission.webhook", "controller.controller"])
def test_what_the_servers_import_is_there(image: Image, server: str) -> None:
    done = image.run("python3", "-c", f"import podfacts.{server}")
    assert (done.returncode, done.stderr) == (0, "")


def test_it_runs_as_that_user_and_can_write_nowhere(image: Image) -> None:
    script = """
import os
print(os.getuid(), os.getgid(), os.getgroups())
for folder in ("/", "/tmp", "/opt/podfacts", "/opt/compiled", "/home/nonroot"):
    try:
        open(folder + "/written", "w")
    except OSError as error:
        print(folder, error.errno in (13, 30))
"""
    done = image.run("python3", "-c", script)
    folders = ["/", "/tmp", "/opt/podfacts", "/opt/compiled", "/home/nonroot"]  # noqa: S108 - the image's own
    assert done.stdout.splitlines() == ["65532 65532 [65532]", *(f"{folder} True" for folder in folders)], (
        done.stderr
    )


def test_no_start_compiles_anything(image: Image) -> None:
    done = image.run("python3", "-v", "-m", "podfacts", "--version")
    sources = [line for line in done.stderr.splitlines() if line.startswith("# code object from '/")]
    assert not [line for line in sources if line.endswith(".py'")]
    matched = [line for line in done.stderr.splitlines() if "matches" in line]
    assert any("/opt/compiled/opt/podfacts/podfacts/cli" in line for line in matched)
