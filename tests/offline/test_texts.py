"""Texts in, texts out: pairs of files, ``in/NAME`` and ``out/NAME``, in each form that a file of that text can have.

A pair differs only in lines that were added, or that held the value that had to change.
"""

from pathlib import Path

import pytest

from podfacts.core.refusal import BadInput
from podfacts.offline import inject as offline
from tests.offline.reading import HERE, PROFILES, injected, injected_files

PAIRS = sorted(path.name for path in (HERE / "in").iterdir())
UNTOUCHED = sorted(path.name for path in (HERE / "untouched").iterdir())
PROFILE_HASH = "5e3a1815f1f9"


def pair(name: str) -> tuple[str, str]:
    return _read(HERE / "in" / name), _read(HERE / "out" / name)


def _read(path: Path) -> str:
    # Not read_text: it would make every line end a newline.
    return path.read_bytes().decode()


def test_the_pairs_were_made_with_this_profile() -> None:
    assert PROFILES["default"].hash == PROFILE_HASH


@pytest.mark.parametrize("name", PAIRS)
def test_pair(name: str) -> None:
    given, expected = pair(name)
    assert injected_files(HERE / "in" / name).text == expected
    assert given != expected


@pytest.mark.parametrize("name", PAIRS)
def test_second_run_changes_nothing(name: str) -> None:
    _, expected = pair(name)
    assert injected(expected).text == expected


@pytest.mark.parametrize("name", PAIRS)
def test_windows_line_ends_stay(name: str) -> None:
    given, expected = (text.replace("\n", "\r\n") for text in pair(name))
    assert injected(given).text == expected


# The last line of documents.yaml is a marker: its end is no document's.
@pytest.mark.parametrize("name", [each for each in PAIRS if each != "documents.yaml"])
def test_missing_final_newline_stays_missing(name: str) -> None:
    given, expected = pair(name)
    assert injected(given.removesuffix("\n")).text == expected.removesuffix("\n")


@pytest.mark.parametrize("name", PAIRS)
def test_byte_order_mark_stays(name: str) -> None:
    given, expected = pair(name)
    assert injected("\ufeff" + given).text == "\ufeff" + expected


@pytest.mark.parametrize("name", [each for each in PAIRS if each != "directives.yaml"])
def test_other_documents_around_it_stay(name: str) -> None:
    before = "kind:  Service # one\napiVersion: v1\n---\n# comments\n--- # marked\n"
    after = "---\n{ kind: Service,\n apiVersion: v1 }\n...\n# end"
    given, expected = pair(name)
    assert injected(before + given + after).text == before + expected + after


# Lines that may go: their value had to change, or an alias or a merge key brought it.
REPLACED = {
    "anchor-elsewhere.yaml": ["    env: *env   # the same", "    volumeMounts: *mounts"],
    "anchors.yaml": ["    env: [&b {name: B, value: b}, *b]"],
    "anchored-owner.yaml": ["  spec: *spec", "    <<: *spec"],
    "authors.yaml": ['      value: "1"'],
    "merge-below.yaml": ["  - env: []", "    <<: *base", "    name: app   # goes with the layout"],
    "tags.yaml": [
        "  annotations: !!null null   # none",
        "  volumes: !!seq []",
        "    env: !!null 'null'",
        "    volumeMounts: &mounts !!null",
    ],
    "names.yaml": ["    env: []", "    env: &env []"],
    "empty-values.yaml": ["  volumes: []   # none yet", "    volumeMounts: null", "    env: []"],
}


@pytest.mark.parametrize("name", [each for each in PAIRS if "flow" not in each and each.endswith(".yaml")])
def test_every_line_of_the_input_stays_in_its_order(name: str) -> None:
    given, expected = pair(name)
    lines = iter(expected.splitlines())
    kept = [line for line in given.splitlines() if line not in REPLACED.get(name, ())]
    assert all(line in lines for line in kept), "each is looked for behind the one before it"


def test_what_comes_out_is_read_back(monkeypatch: pytest.MonkeyPatch) -> None:
    given, _ = pair("comments.yaml")
    monkeypatch.setattr(offline, "lead", lambda *_: [])
    with pytest.raises(
        BadInput, match="<stdin>:3: this layout cannot be kept while facts are added: use -o json"
    ):
        injected(given)


@pytest.mark.parametrize("name", UNTOUCHED)
@pytest.mark.parametrize("form", ["as it is", "windows", "byte order mark"])
def test_untouched(name: str, form: str) -> None:
    data = (HERE / "untouched" / name).read_bytes()
    if form == "windows":
        data = data.replace(b"\n", b"\r\n")
    elif form == "byte order mark":
        data = b"\xef\xbb\xbf" + data
    assert injected(data).text.encode() == data


def test_utf_16_is_read_as_kubectl_reads_it() -> None:
    given, expected = pair("comments.yaml")
    for encoding, mark in (("utf-16-le", b"\xff\xfe"), ("utf-16-be", b"\xfe\xff")):
        assert injected(mark + given.encode(encoding)).text == expected
