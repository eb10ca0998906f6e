"""The bill of materials says what is in the image: nothing is missing, nothing more is in it, and it is always the same."""

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL
from packaging.markers import default_environment
from packaging.utils import canonicalize_name

import podfacts
from supply_chain import bill
from tests.image import bases, product
from tests.image.buildah import mounted
from tests.image.contents import Image
from tests.image.test_lock import CHECKOUT, entries, pinned

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="building an image needs root"),
    pytest.mark.timeout(1800),  # a first build fetches Debian and every dependency
]
PYTHON = "import platform as p; print(p.python_version())"
INSTALLED = (
    "import importlib.metadata as m; [print(d.metadata['Name'], d.version) for d in m.distributions()]"
)
# What is in no package of Debian: ours, the users that a base adds, and what was written as the base was made.
OURS = ("opt/", "home/", "etc/", "usr/local/share/sbom/", "var/lib/dpkg/status.d/", "dev/", "proc/", "sys/")


@pytest.fixture(scope="module")
def told(image: Image) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((image.root / product.BILL).read_text())
    return found


def components(told: dict[str, Any], kind: str) -> dict[str, dict[str, Any]]:
    """Return the components of a kind of package, by name."""
    purls = [(PackageURL.from_string(each["purl"]), each) for each in told["components"] if "purl" in each]
    return {purl.name: each for purl, each in purls if purl.type == kind}


def versions(found: dict[str, dict[str, Any]]) -> dict[str, str]:
    return {name: each["version"] for name, each in found.items()}


def test_it_keeps_to_the_schema_of_its_format(image: Image, told: dict[str, Any]) -> None:
    assert (told["bomFormat"], told["specVersion"]) == ("CycloneDX", "1.6")
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(image.built.bill.read_text()) is None


def test_it_lists_the_python_packages_that_are_installed(image: Image, told: dict[str, Any]) -> None:
    lines = image.run("python3", "-c", INSTALLED).stdout.splitlines()
    installed = dict(line.split() for line in lines)
    listed = versions(components(told, "pypi"))
    assert listed == {canonicalize_name(name): version for name, version in installed.items()}
    assert set(listed) - {"podfacts"} <= set(pinned("requirements.lock"))


def test_each_of_them_has_the_hash_that_the_lock_allows(told: dict[str, Any]) -> None:
    locked = {str(canonicalize_name(line.partition("==")[0])): line for line in entries("requirements.lock")}
    for name, each in components(told, "pypi").items():
        if name != "podfacts":
            [hashed] = each["hashes"]
            assert f"--hash=sha256:{hashed['content']}" in locked[name]


def test_everything_has_a_licence(told: dict[str, Any]) -> None:
    without = [each["name"] for each in told["components"] if "purl" in each and not each.get("licenses")]
    assert without == []


def test_it_lists_the_packages_of_the_base(told: dict[str, Any]) -> None:
    with mounted(bases.make(lambda _: None).build) as (_, root):
        query = ["chroot", str(root), "dpkg-query", "--show", "--showformat=${Package} ${Version}\\n"]
        lines = subprocess.run(query, capture_output=True, text=True, check=True).stdout.splitlines()
    known = dict(line.split() for line in lines)
    assert versions(components(told, "deb")) == {name: known[name] for name in bases.RUNTIME_PACKAGES}


def test_every_file_belongs_to_what_it_lists(image: Image, told: dict[str, Any]) -> None:
    records = image.root / "var/lib/dpkg/status.d"
    owned = {
        line.split(maxsplit=1)[1]
        for name in components(told, "deb")
        for line in (records / f"{name}.md5sums").read_text().splitlines()
    }
    files = {
        str(path.relative_to(image.root))
        for path in image.root.rglob("*")
        if path.is_file() and not path.is_symlink()
    }
    others = {path for path in files if not path.startswith(OURS)}
    assert len(others) > 1000
    assert others - owned == set()


def test_it_says_the_version_and_the_commit_of_the_sources(image: Image, told: dict[str, Any]) -> None:
    about = told["metadata"]["component"]
    sources = product.committed()
    assert (about["name"], about["version"]) == ("podfacts", podfacts.__version__)
    assert {each["value"] for each in about.get("properties", [])} == {*filter(None, [sources.revision])}
    assert image.config["Labels"][bill.REVISION] == sources.revision


def test_it_lies_beside_the_image_too(image: Image) -> None:
    assert image.built.bill.parent == image.built.path.parent
    assert image.built.bill.read_bytes() == (image.root / product.BILL).read_bytes()


def test_equal_sources_make_equal_bytes(image: Image, told: dict[str, Any], tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    installed = [reported(each) for each in components(told, "pypi").values() if "hashes" in each]
    version = image.run("python3", "-c", PYTHON).stdout.strip()
    python = {"python_full_version": version, "python_version": version.rpartition(".")[0]}
    report.write_text(json.dumps({"install": installed, "environment": {**default_environment(), **python}}))
    sources = product.committed()
    again = bill.written(image.root, report, revision=sources.revision, epoch=sources.epoch)
    assert again == image.built.bill.read_text()
    other = bill.written(image.root, report, revision="another", epoch=sources.epoch)
    assert json.loads(other)["serialNumber"] != told["serialNumber"]


def reported(component: dict[str, Any]) -> dict[str, Any]:
    """Return what pip's report says of a package."""
    archive = {"hashes": {"sha256": component["hashes"][0]["content"]}}
    return {"metadata": {"name": component["name"]}, "download_info": {"archive_info": archive}}


def test_nothing_of_the_building_machine_is_in_it(image: Image) -> None:
    text = image.built.bill.read_text()
    assert not re.findall(r"https?://(?!cyclonedx\.org)", text)
    assert str(CHECKOUT) not in text
