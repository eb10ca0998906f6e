"""YAML means here what it means to kubectl, not to PyYAML.

``as_kubectl_reads.json`` holds what ``sigs.k8s.io/yaml`` v1.6.0 (with ``go.yaml.in/yaml/v2`` v2.4.3) makes of scalars and
of keys, and what ``k8s.io/apimachinery`` v0.36.3 (``NewYAMLOrJSONDecoder``, the reader of kubectl) makes of files.
"""

import json
from typing import Any

import pytest

from podfacts.yamltext.documents import documents
from podfacts.yamltext.nodes import Broken
from tests.offline.reading import HERE

TABLE: dict[str, Any] = json.loads((HERE / "as_kubectl_reads.json").read_text())
# Numbers that are no JSON, as keys: kubectl writes them as text, and nobody means them.
NOT_FOLLOWED = {key for key, text in TABLE["keys"].items() if text in (".nan", ".inf", "-.inf")} | {
    "18446744073709551615",
}


def read(text: str) -> list[Any] | None:
    """What the documents mean; ``None`` when one of them is broken."""
    found: list[Any] = []
    for each in documents(text):
        if isinstance(each, Broken):
            return None
        found.append(each.tree)
    return found


def same(one: Any, other: Any) -> bool:
    """Whether two trees are the same JSON: ``1`` and ``1.0`` are, ``1`` and ``True`` are not."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


@pytest.mark.parametrize("text", TABLE["scalars"])
def test_scalar(text: str) -> None:
    expected = TABLE["scalars"][text]
    found = read(f"a: {text}\n")
    assert same(found, None if expected == "REFUSED" else [{"a": expected}])


@pytest.mark.parametrize("text", [each for each in TABLE["keys"] if each not in NOT_FOLLOWED])
def test_key(text: str) -> None:
    expected = TABLE["keys"][text]
    assert read(f"{text}: 1\n") == (None if expected == "REFUSED" else [{expected: 1}])


@pytest.mark.parametrize("row", TABLE["documents"], ids=lambda row: repr(row["text"]))
def test_documents(row: dict[str, Any]) -> None:
    assert same(read(row["text"]), row["means"])
