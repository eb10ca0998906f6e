"""The catalogue and the tests that carry its numbers say the same, and its document says what both say."""

import ast
import re
from pathlib import Path

from tests.faults import marked, table
from tests.faults.catalogue import FAULTS

SOURCE = """
import pytest
pytestmark = [pytest.mark.node, pytest.mark.fault("T1", "T2")]

def test_one(): ...

@pytest.mark.long
@pytest.mark.fault("T3")
async def test_two(): ...

@pytest.mark.fault("T9")
def helper(): ...

class TestMore:
    pytestmark = pytest.mark.long
    def test_three(self): ...
"""


def test_marks_are_found_wherever_pytest_finds_them() -> None:
    here = Path("test_x.py")
    assert list(marked.of(here, ast.parse(SOURCE))) == [
        marked.Marked(here, "test_three", ("T1", "T2"), long=True),
        marked.Marked(here, "test_one", ("T1", "T2"), long=False),
        marked.Marked(here, "test_two", ("T1", "T2", "T3"), long=True),
    ]
    assert list(marked.of(here, ast.parse("def test_no_fault(): ..."))) == []


def test_every_fault_has_its_number_once() -> None:
    numbers = [fault.number for fault in FAULTS]
    assert sorted(numbers, key=lambda number: int(number[1:])) == [f"T{each}" for each in range(1, 46)]


def test_every_fault_is_shown_or_says_why_not() -> None:
    shown = {number for each in marked.tests() for number in each.numbers}
    assert [fault.number for fault in FAULTS if fault.number not in shown and not fault.elsewhere] == []


def test_no_test_carries_a_number_that_is_not_in_it() -> None:
    known = {fault.number for fault in FAULTS}
    assert [each for each in marked.tests() if set(each.numbers) - known] == []


def test_the_document_names_every_test_and_what_takes_minutes() -> None:
    document = table.DOCUMENT.read_text()
    assert table.written(document) == document, "make manifests writes it anew"


def test_a_fault_without_a_test_is_seen_in_the_document() -> None:
    assert "- **not shown**" in table.table([])
    assert len(re.findall(r"^- \*\*not shown", table.table([]), re.MULTILINE)) == len(
        [fault for fault in FAULTS if not fault.elsewhere]
    )
