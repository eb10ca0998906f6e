"""The tests that carry a fault's number, read from their sources: no test has to be imported to be listed."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

TESTS = Path(__file__).parents[1]


class Marked(NamedTuple):
    """A test, the faults that it shows, and whether it takes minutes."""

    path: Path
    name: str
    numbers: tuple[str, ...]
    long: bool


def tests() -> list[Marked]:
    """Return every test with a fault's number, by file and in the file's order."""
    return [
        each for path in sorted(TESTS.rglob("test_*.py")) for each in of(path, ast.parse(path.read_text()))
    ]


def of(path: Path, module: ast.Module) -> Iterator[Marked]:
    """Yield those of one file."""
    above = _own(module.body)
    for node in module.body:
        if isinstance(node, ast.ClassDef):
            inside = [*above, *node.decorator_list, *_own(node.body)]
            yield from _functions(path, node.body, inside)
    yield from _functions(path, module.body, above)


def _functions(path: Path, body: list[ast.stmt], above: list[ast.expr]) -> Iterator[Marked]:
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
            marks = [*above, *node.decorator_list]
            if numbers := tuple(dict.fromkeys(number for mark in marks for number in _numbers(mark))):
                yield Marked(path, node.name, numbers, any(map(_is_long, marks)))


def _own(body: list[ast.stmt]) -> list[ast.expr]:
    """Return what ``pytestmark`` holds, one or several."""
    found: list[ast.expr] = []
    for node in body:
        if isinstance(node, ast.Assign) and [ast.unparse(each) for each in node.targets] == ["pytestmark"]:
            value = node.value
            found += value.elts if isinstance(value, ast.List | ast.Tuple) else [value]
    return found


def _numbers(mark: ast.expr) -> Iterator[str]:
    if isinstance(mark, ast.Call) and ast.unparse(mark.func) == "pytest.mark.fault":
        yield from (str(ast.literal_eval(each)) for each in mark.args)


def _is_long(mark: ast.expr) -> bool:
    return ast.unparse(mark) in ("pytest.mark.long", "pytest.mark.long()")
