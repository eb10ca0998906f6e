"""Debian's packages under a root, from the records that a distroless image keeps of them: one file for each package."""

import re
from collections.abc import Iterator
from email.parser import HeaderParser
from pathlib import Path
from typing import TYPE_CHECKING

from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.license import DisjunctiveLicense
from packageurl import PackageURL

if TYPE_CHECKING:
    from email.message import Message

RECORDS = "var/lib/dpkg/status.d"


def found(root: Path) -> tuple[Component, list[Component]]:
    """Return the distribution, and the packages of it by name."""
    release = dict(_release(root))
    records = sorted(path for path in (root / RECORDS).iterdir() if path.suffix != ".md5sums")
    packages = [_package(root, HeaderParser().parsestr(path.read_text()), release) for path in records]
    system = Component(
        type=ComponentType.OPERATING_SYSTEM,
        name=release["ID"],
        version=release["VERSION_ID"],
        bom_ref="os",
    )
    return system, packages


def _release(root: Path) -> Iterator[tuple[str, str]]:
    for line in (root / "etc/os-release").read_text().splitlines():
        key, is_set, value = line.partition("=")
        if is_set:
            yield key, value.strip('"')


def _package(root: Path, record: "Message[str, str]", release: dict[str, str]) -> Component:
    name, version = str(record["Package"]), str(record["Version"])
    qualifiers = {"arch": record["Architecture"], "distro": f"{release['ID']}-{release['VERSION_ID']}"}
    if record["Source"]:
        qualifiers["upstream"] = record["Source"].split()[
            0
        ]  # Vulnerabilities are told of the source package.
    purl = PackageURL("deb", release["ID"], name, version, qualifiers)
    return Component(
        type=ComponentType.LIBRARY,
        name=name,
        version=version,
        purl=purl,
        bom_ref=str(purl),
        licenses=[DisjunctiveLicense(name=each) for each in _licenses(root, name)],
    )


def _licenses(root: Path, package: str) -> list[str]:
    """Return the licences under Debian's names for them, or where their text is when no machine can read it."""
    place = f"usr/share/doc/{package}/copyright"
    path = root / place
    text = path.read_text() if path.exists() else ""
    if text.startswith("Format:"):
        return sorted({each.strip() for each in re.findall(r"^License:[ \t]*(\S.*)$", text, re.MULTILINE)})
    return [f"/{place}"] if text else []
