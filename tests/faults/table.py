"""The catalogue of faults as its document: ``python -m tests.faults.table`` writes it anew."""

import sys
from collections.abc import Iterator
from itertools import groupby

from tests.faults import marked
from tests.faults.catalogue import PARTS, Fault
from tests.faults.marked import Marked
from tests.rbac_table import CHECKOUT, between

DOCUMENT = CHECKOUT / "docs" / "faults.md"
BEGIN = (
    "<!-- made from tests/faults/catalogue.py and the tests that carry its numbers by `make manifests` -->"
)


def table(tests: list[Marked]) -> str:
    """Return each fault with what becomes of everybody, and below it the tests that show it."""
    return "\n".join(line for part in PARTS for line in (f"## {part.title}", "", *_rows(part.faults, tests)))


def _rows(faults: tuple[Fault, ...], tests: list[Marked]) -> Iterator[str]:
    for fault in faults:
        yield f"**{fault.number}. {fault.what}.** {fault.then}"
        yield ""
        yield from _shown(fault, [each for each in tests if fault.number in each.numbers])
        yield ""


def _shown(fault: Fault, tests: list[Marked]) -> Iterator[str]:
    if not tests and not fault.elsewhere:
        yield "- **not shown**"
    if fault.elsewhere:
        yield f"- {fault.elsewhere}"
    for path, found in groupby(tests, key=lambda each: each.path):
        name = path.relative_to(CHECKOUT)
        said = "; ".join(f"{sentence(each)}{' *(long)*' if each.long else ''}" for each in found)
        yield f"- [`{name}`](../{name}): {said}"


def sentence(test: Marked) -> str:
    """Return a test's name as a person reads it."""
    return test.name.removeprefix("test_").replace("_", " ")


def written(document: str) -> str:
    """Return the document with the catalogue as it must be."""
    return between(document, BEGIN, table(marked.tests()))


if __name__ == "__main__":
    DOCUMENT.write_text(written(DOCUMENT.read_text()))
    sys.stdout.write("docs/faults.md has every test that carries a fault's number\n")
