"""The image's bill of materials: CycloneDX 1.6 as JSON, the same bytes for the same image.

Read from the files that are in the image, never from what was asked for: a package that slipped in is in it too. The
serial number is made of the content, and the time is the sources', so neither says when or where it was built.
"""

import json
import uuid
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import Property
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.bom_ref import BomRef
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.dependency import Dependency
from cyclonedx.output.json import JsonV1Dot6

from supply_chain import debian_packages, python_packages

NAME = "podfacts"
REVISION = "org.opencontainers.image.revision"


def written(root: Path, report: Path, *, revision: str, epoch: str) -> str:
    """Return the bill of what is under the root."""
    python = python_packages.found(root, report)
    system, debian = debian_packages.found(root)
    image = _image(python, revision)
    bom = Bom(
        serial_number=uuid.UUID(int=0),
        metadata=BomMetaData(component=image, timestamp=_time(epoch)),
        components=[*(each.component for each in python), *debian, system],
        dependencies=_dependencies(image, python, [*debian, system]),
    )
    return _told(bom, timed=bool(epoch))


def _image(python: list[python_packages.Found], revision: str) -> Component:
    [own] = (each.component for each in python if each.component.name == NAME)
    return Component(
        type=ComponentType.CONTAINER,
        name=NAME,
        version=own.version,
        bom_ref="image",
        licenses=[LicenseFactory().make_from_string("Apache-2.0")],
        properties=[Property(name=REVISION, value=revision)] if revision else None,
    )


def _dependencies(
    image: Component, python: list[python_packages.Found], rest: Iterable[Component]
) -> list[Dependency]:
    """The image stands on our package and the base; a Python package on those that it requires."""
    references = {each.component.name: each.component.bom_ref for each in python}
    found = [
        _dependency(
            each.component.bom_ref, (references[name] for name in each.requires if name in references)
        )
        for each in python
    ]
    base = [each.bom_ref for each in rest]
    return [
        _dependency(image.bom_ref, [references[NAME], *base]),
        *found,
        *(_dependency(each) for each in base),
    ]


def _dependency(reference: BomRef, on: Iterable[BomRef] = ()) -> Dependency:
    return Dependency(reference, [Dependency(each) for each in on])


def _time(epoch: str) -> datetime:
    return datetime.fromtimestamp(int(epoch or 0), UTC)


def _told(bom: Bom, *, timed: bool) -> str:
    """Return the JSON; the library always writes a time and a number, and a bill without a known time has none."""
    tree = json.loads(JsonV1Dot6(bom).output_as_string())
    if not timed:
        del tree["metadata"]["timestamp"]
    del tree["serialNumber"]
    content = json.dumps(tree, sort_keys=True)
    tree["serialNumber"] = f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_OID, content)}"
    return json.dumps(tree, indent=1, sort_keys=True) + "\n"
