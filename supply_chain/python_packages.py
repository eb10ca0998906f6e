"""The Python packages under a root, from their own metadata, with the hash of the archive that each was installed from."""

import json
from collections.abc import Iterator
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Any, NamedTuple

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import HashAlgorithm, HashType
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.license import License, LicenseAcknowledgement
from packageurl import PackageURL
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

LONGEST_NAME = 80  # Some have the whole text of the licence where its name belongs.


class Found(NamedTuple):
    """A package, and the names of those that it requires here."""

    component: Component
    requires: tuple[str, ...]


def found(root: Path, report: Path) -> list[Found]:
    """Return the packages under the root, by name."""
    said = json.loads(report.read_text())
    hashes = dict(map(_archive, said["install"]))
    folders = sorted({str(path.parent) for path in root.rglob("*.dist-info")})
    packages = [_found(each, hashes, said["environment"]) for each in distributions(path=folders)]
    return sorted(packages, key=lambda each: str(each.component.name))


def _archive(installed: dict[str, Any]) -> tuple[str, str]:
    """Return a package's name and the hash of its archive, of which the lock has several: one for each platform."""
    hashes = installed["download_info"]["archive_info"]["hashes"]
    return canonicalize_name(installed["metadata"]["name"]), hashes["sha256"]


def _found(distribution: Distribution, hashes: dict[str, str], environment: dict[str, str]) -> Found:
    name, version = canonicalize_name(distribution.metadata["Name"]), distribution.version
    purl = PackageURL("pypi", name=name, version=version)
    archive = [HashType(alg=HashAlgorithm.SHA_256, content=hashes[name])] if name in hashes else None
    component = Component(
        type=ComponentType.LIBRARY,
        name=name,
        version=version,
        purl=purl,
        bom_ref=str(purl),
        hashes=archive,
        licenses=[_license(distribution)],
    )
    return Found(component, tuple(_requires(distribution, environment)))


def _license(distribution: Distribution) -> License:
    """Return the licence as the author declares it: an SPDX expression, a short name, or a classifier."""
    metadata = distribution.metadata
    names = [*metadata.get_all("License-Expression", []), *metadata.get_all("License", [])]
    short = [name for name in names if len(name) <= LONGEST_NAME]
    classified = [
        each.rpartition(" :: ")[2]
        for each in metadata.get_all("Classifier", [])
        if each.startswith("License :: OSI Approved :: ")
    ]
    said = (short or classified or ["not declared"])[0]
    return LicenseFactory().make_from_string(said, license_acknowledgement=LicenseAcknowledgement.DECLARED)


def _requires(distribution: Distribution, environment: dict[str, str]) -> Iterator[str]:
    """Yield what it requires in the Python that it was installed for."""
    for text in distribution.requires or ():
        requirement = Requirement(text)
        if requirement.marker is None or requirement.marker.evaluate({**environment, "extra": ""}):
            yield canonicalize_name(requirement.name)
