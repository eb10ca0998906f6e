"""The image installs what the lock says and nothing else, so the lock has to follow pyproject.toml and be complete."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

CHECKOUT = Path(__file__).parents[2]
LOCKS = ("requirements.lock", "requirements-build.lock", "requirements-sbom.lock")
PYPROJECT = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())
WANTED = {
    "requirements.lock": PYPROJECT["project"]["dependencies"],
    "requirements-build.lock": PYPROJECT["build-system"]["requires"],
    "requirements-sbom.lock": ["cyclonedx-python-lib>=11", "packaging>=25"],
}


def entries(name: str) -> list[str]:
    """Return the lock's requirements, each with its options on one line."""
    text = re.sub(r"\\\n", " ", (CHECKOUT / name).read_text())
    return [line for line in text.splitlines() if line.strip() and not line.strip().startswith("#")]


def pinned(name: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for entry in entries(name):
        requirement = Requirement(entry.partition(" --hash")[0].strip())
        [specifier] = requirement.specifier
        assert specifier.operator == "==", entry
        found[canonicalize_name(requirement.name)] = specifier.version
    return found


@pytest.mark.parametrize("name", LOCKS)
def test_the_lock_satisfies_what_is_asked_for(name: str) -> None:
    versions = pinned(name)
    for text in WANTED[name]:
        requirement = Requirement(text)
        version = versions.get(canonicalize_name(requirement.name))
        assert version is not None, f"{name} does not have {requirement.name}: make lock"
        assert requirement.specifier.contains(version), f"{name} has {requirement.name} {version}: make lock"


@pytest.mark.parametrize("name", LOCKS)
def test_every_entry_is_pinned_and_has_hashes(name: str) -> None:
    assert pinned(name)
    for entry in entries(name):
        assert re.search(r" --hash=sha256:[0-9a-f]{64}", entry), entry


@pytest.mark.parametrize("name", LOCKS)
def test_the_lock_names_no_index(name: str) -> None:
    assert not re.search(
        r"https?:|--(extra-)?index|--find-links|--trusted-host", (CHECKOUT / name).read_text()
    )
