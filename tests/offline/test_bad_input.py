"""Bad input is told in one line each, with the line it is on; then nothing is written."""

import io
import os
import time
from pathlib import Path

import pytest

from podfacts.core.refusal import BadInput
from podfacts.offline.inject import Output, inject_sources
from tests.offline.reading import PROFILES, injected, injected_files

POD = 'apiVersion: v1\nkind: Pod\nmetadata:\n  labels:\n    podfacts.dev/inject: "true"\n'
BOMB = "apiVersion: v1\nkind: ConfigMap\na0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 10)
)
DEEP_BY_ALIAS = "apiVersion: v1\nkind: ConfigMap\na0: &a0 []\n" + "".join(
    f"a{n}: &a{n} [*a{n - 1}]\n" for n in range(1, 300)
)

TEXTS = {
    "not YAML": (
        "a: b\nc: d: e\n",
        ["<stdin>:2: not YAML: mapping values are not allowed in this context"],
    ),
    "a tab as indentation": (
        POD + "spec:\n\tcontainers: []\n",
        [
            "<stdin>:7: not YAML: while scanning for the next token found character that cannot start any token"
        ],
    ),
    "an open quote": (
        "kind: 'Pod\n\n",
        ["<stdin>:3: not YAML: while scanning a quoted scalar found unexpected end of stream"],
    ),
    "broken behind a document that is fine": (
        "apiVersion: v1\nkind: Service\n---\n# c\na: [\n",
        ["<stdin>:6: not YAML: while parsing a flow node did not find expected node content"],
    ),
    "the same key twice": (
        POD + "spec:\n  containers: []\n  volumes: []\n  containers: []\n",
        ["<stdin>:9: the key 'containers' stands here a second time, after line 7"],
    ),
    "the same key twice where nobody opted in": (
        "apiVersion: v1\nkind: Service\nspec:\n  a: 1\n  a: 1\n",
        ["<stdin>:5: the key 'a' stands here a second time, after line 4"],
    ),
    "the same key twice in JSON": (
        '{"apiVersion": "v1", "kind": "Pod",\n "kind": "Pod"}\n',
        ["<stdin>:2: the key 'kind' stands here a second time, after line 1"],
    ),
    "a list": (
        "- a\n- b\n",
        ["<stdin>:1: is no Kubernetes object: it must be a mapping with apiVersion and kind"],
    ),
    "a text": (
        "---\n\nhello\n",
        ["<stdin>:3: is no Kubernetes object: it must be a mapping with apiVersion and kind"],
    ),
    "no kind": ("# c\napiVersion: v1\n", ["<stdin>:2: has no kind: it is no Kubernetes object"]),
    "no apiVersion": ("kind: Pod\n", ["<stdin>:1: has no apiVersion: it is no Kubernetes object"]),
    "a kind that is no text": (
        "apiVersion: v1\nkind: [Pod]\n",
        ["<stdin>:2: kind: must be a string: write it in double quotes"],
    ),
    "an item of a list without a kind": (
        "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Pod\n- apiVersion: v1\n",
        ["<stdin>:6: items[1]: has no kind: it is no Kubernetes object"],
    ),
    "an item of a list that is no object": (
        "apiVersion: v1\nkind: PodList\nitems: [1]\n",
        ["<stdin>:3: items[0]: is no Kubernetes object: it must be a mapping with apiVersion and kind"],
    ),
    "the label without quotes": (
        POD.replace('"true"', "true") + "spec: {containers: []}\n",
        [
            "<stdin>:5: metadata.labels[podfacts.dev/inject]: must be a string, not a boolean: "
            "write it in double quotes"
        ],
    ),
    "the label without quotes, in a template": (
        "apiVersion: apps/v1\nkind: Deployment\nspec:\n  template:\n    metadata:\n"
        "      labels: {app: web,\n        podfacts.dev/inject: yes}\n",
        [
            "<stdin>:7: spec.template.metadata.labels[podfacts.dev/inject]: must be a string, not a boolean: "
            "write it in double quotes"
        ],
    ),
    "the label without a value": (
        POD.replace(' "true"', "") + "spec: {containers: []}\n",
        [
            "<stdin>:5: metadata.labels[podfacts.dev/inject]: there is no profile '' in force: "
            'write "true", "false" or one of default'
        ],
    ),
    "an unknown profile": (
        POD.replace('"true"', "none") + "spec: {containers: []}\n",
        [
            "<stdin>:5: metadata.labels[podfacts.dev/inject]: there is no profile 'none' in force: "
            'write "true", "false" or one of default'
        ],
    ),
    "a wrong annotation": (
        POD + "  annotations:\n    a: b\n    podfacts.dev/mount-path: etc\nspec:\n  containers: []\n",
        ["<stdin>:8: metadata.annotations[podfacts.dev/mount-path]: "],
    ),
    "an annotation that is no text": (
        POD + "  annotations:\n    port: 80\nspec: {containers: []}\n",
        ["<stdin>:7: metadata.annotations.port: must be a string, not a number: write it in double quotes"],
    ),
    "containers are no list": (
        POD + "spec:\n  containers:\n    name: app\n",
        ["<stdin>:7: spec.containers: must be a list, not an object"],
    ),
    "env is no list": (
        POD + "spec:\n  containers:\n  - name: app\n    env:\n      A: a\n",
        ["<stdin>:9: spec.containers[0].env: must be a list, not an object"],
    ),
    "a container without a name": (
        POD + "spec:\n  containers:\n  - name: app\n  # the second\n  - image: app\n",
        ["<stdin>:10: spec.containers[1].name: a container needs a name"],
    ),
    "a container that is no object": (
        POD + "spec:\n  containers:\n  - app\n",
        ["<stdin>:8: spec.containers[0]: must be an object, not a string"],
    ),
    "labels are a list": (
        "apiVersion: v1\nkind: Pod\nmetadata:\n  labels:\n  - podfacts.dev/inject\n",
        ["<stdin>:4: metadata.labels: must be an object, not a list"],
    ),
    "in a container that an alias brings": (
        POD + "spec:\n  initContainers:\n  - &a\n    name: a\n    env: {}\n  containers:\n  - *a\n",
        ["<stdin>:10: spec.containers[0].env: must be a list, not an object"],
    ),
    "in what a merge key brings": (
        "base: &base\n  env: 1\n" + POD + "spec:\n  containers:\n  - name: a\n    <<: *base\n",
        ["<stdin>:2: spec.containers[0].env: must be a list, not a number"],
    ),
    "an alias without an anchor": (
        "apiVersion: v1\nkind: Pod\nspec: *spec\n",
        ["<stdin>:3: the alias *spec has no anchor above it"],
    ),
    "an anchor in itself": (
        "apiVersion: v1\nkind: Pod\nspec: &a\n  b: *a\n",
        ["<stdin>:4: the anchor &a holds itself"],
    ),
    "a bomb of aliases": (BOMB, ["<stdin>:8: its aliases stand for more than 100000 values"]),
    "a chain of aliases": (DEEP_BY_ALIAS, ["<stdin>:201: nested deeper than 200 levels"]),
    "brackets without end": ("a: " + "[" * 100_000, ["<stdin>:1: nested deeper than 200 levels"]),
    "a merge of a text": (
        "a: b\n<<: c\n",
        ["<stdin>:2: << merges a mapping or a list of mappings, and this is neither"],
    ),
    "a merge of a text where nobody opted in": (
        "apiVersion: v1\nkind: Service\n<<: c\n",
        ["<stdin>:3: << merges a mapping or a list of mappings, and this is neither"],
    ),
    "a key that is a list": ("? [a]\n: b\n", ["<stdin>:1: a list or a mapping cannot be a key"]),
    "a key that is null": ("~: b\n", ["<stdin>:1: null is no key: write it in double quotes"]),
    "a number that is none": (
        "apiVersion: v1\nkind: Pod\nspec: .nan\n",
        ["<stdin>:3: .nan is no JSON number: write it in double quotes"],
    ),
    "a document on the line of its marker": (
        "a: b\n--- {apiVersion: v1, kind: Pod}\n",
        [
            "<stdin>:1: has no kind: it is no Kubernetes object",
            "<stdin>:2: kubectl reads nothing behind --- on its line: begin the document below",
        ],
    ),
    "text behind the end of a document": (
        "apiVersion: v1\nkind: Pod\n...\n# c\napiVersion: v1\nkind: Pod\n",
        ["<stdin>:5: kubectl drops what stands behind a line of ... : begin the document with ---"],
    ),
    "a layout that nobody writes": (
        POD + "spec:\n  containers:\n  - ? name\n    : app\n",
        ["<stdin>:1: this layout cannot be kept while facts are added: use -o json, or -o patch"],
    ),
    "a byte order mark in the middle": (
        "apiVersion: v1\nkind: Service\n---\n\ufeffapiVersion: v1\nkind: Service\n",
        ["<stdin>:4: a byte order mark in the middle of the text: remove it"],
    ),
    "half a surrogate pair": (
        '{"apiVersion": "v1", "kind": "Pod",\n"a": "\\ud83d"}',
        ["<stdin>:2: half of a surrogate pair is no text"],
    ),
    "several": (
        "a: 1\n---\nb: 1\n---\nkind: Pod\n---\napiVersion: v1\nkind: Pod\n",
        [
            "<stdin>:1: has no kind: it is no Kubernetes object",
            "<stdin>:3: has no kind: it is no Kubernetes object",
            "<stdin>:5: has no apiVersion: it is no Kubernetes object",
        ],
    ),
}
BYTES = {
    "a NUL byte": (b"a: b\nc: d\0\n", ["<stdin>:2: holds a NUL byte: this is no text"]),
    "a program": (b"\x7fELF\x02\x01\x01\0\0", ["<stdin>:1: holds a NUL byte: this is no text"]),
    "not UTF-8": (b"a: b\nc: \xff\n", ["<stdin>:2: is no UTF-8 text: invalid start byte"]),
    "half a character": (b"a: \xc3", ["<stdin>:1: is no UTF-8 text: unexpected end of data"]),
    "a surrogate": (b"a: \xed\xa0\x80\n", ["<stdin>:1: is no UTF-8 text: invalid continuation byte"]),
    "UTF-16 without its mark": (
        "a: b\n".encode("utf-16-le"),
        ["<stdin>:1: holds a NUL byte: this is no text"],
    ),
    "half of UTF-16": (b"\xff\xfea", ["<stdin>: is no UTF-16 text: truncated data"]),
    "a control character": (b"a: b\nc: \x07\n", ["<stdin>:2: not YAML: control characters are not allowed"]),
    "too large": (b"#" * (64 * 2**20 + 1), ["<stdin>: is larger than 64 MiB: split it"]),
}


def lines(text: str | bytes) -> list[str]:
    with pytest.raises(BadInput) as refused:
        injected(text)
    return str(refused.value).split("\n")


@pytest.mark.parametrize("name", TEXTS)
def test_text(name: str) -> None:
    text, expected = TEXTS[name]
    found = lines(text)
    assert len(found) == len(expected)
    assert all(one.startswith(other) for one, other in zip(found, expected, strict=True)), found


@pytest.mark.parametrize("name", [each for each in TEXTS if TEXTS[each][0].isascii()])
def test_same_line_with_windows_line_ends(name: str) -> None:
    text, expected = TEXTS[name]
    assert lines(text.replace("\n", "\r\n"))[0].startswith(expected[0])


@pytest.mark.parametrize("name", BYTES)
def test_bytes(name: str) -> None:
    data, expected = BYTES[name]
    assert lines(data) == expected


def test_only_the_first_twenty_are_told() -> None:
    found = lines("a: b\n---\n" * 30)
    assert len(found) == 21
    assert found[-1] == "... and 10 more"


def test_one_bad_file_refuses_all_and_files_come_in_order(tmp_path: Path) -> None:
    (tmp_path / "b.yaml").write_text("a: b\n")
    (tmp_path / "a.yaml").write_text("a:\n- b: c\n  b: c\n")
    (tmp_path / "good.yaml").write_text("apiVersion: v1\nkind: Service\n")
    with pytest.raises(BadInput) as refused:
        injected_files(
            tmp_path / "good.yaml", tmp_path / "b.yaml", tmp_path / "a.yaml", tmp_path / "none.yaml"
        )
    assert str(refused.value).split("\n") == [
        f"{tmp_path}/a.yaml:3: the key 'b' stands here a second time, after line 2",
        f"{tmp_path}/b.yaml:1: has no kind: it is no Kubernetes object",
        f"{tmp_path}/none.yaml: cannot be read: No such file or directory",
    ]


def test_unreadable_file(tmp_path: Path) -> None:
    path = tmp_path / "loop.yaml"
    path.symlink_to(path)
    with pytest.raises(BadInput, match=f"{path}: cannot be read: Too many levels of symbolic links"):
        injected_files(path)


def test_a_pipe_in_a_folder_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.yaml")
    with pytest.raises(BadInput, match=f"{tmp_path}/a.yaml: is no regular file"):
        injected_files(tmp_path)


def test_each_bad_pod_of_a_list_is_told() -> None:
    pod = POD + "spec: {containers: none}\n"
    items = "".join("- " + pod.rstrip("\n").replace("\n", "\n  ") + "\n" for _ in range(2))
    assert lines(f"apiVersion: v1\nkind: List\nitems:\n{items}") == [
        "<stdin>:9: items[0].spec.containers: must be a list, not a string",
        "<stdin>:15: items[1].spec.containers: must be a list, not a string",
    ]


def test_stdin_twice() -> None:
    with pytest.raises(BadInput, match="<stdin>: can be read only once: give - once"):
        inject_sources(["-", "-"], PROFILES, "yaml", io.BytesIO())


@pytest.mark.parametrize(
    "text", [BOMB, "a: " + "[" * 100_000, "{" * 1_000_000, "- " * 100_000, '{"a":' * 50_000]
)
def test_what_is_made_to_exhaust_is_refused_soon(text: str) -> None:
    start = time.process_time()
    lines(text)
    assert time.process_time() - start < 5


@pytest.mark.parametrize("output", ["yaml", "json", "patch"])
@pytest.mark.parametrize("name", ["the same key twice where nobody opted in", "no kind", "env is no list"])
def test_every_output_refuses_alike(output: Output, name: str) -> None:
    text, expected = TEXTS[name]
    with pytest.raises(BadInput) as refused:
        injected(text, output)
    assert str(refused.value) == expected[0]
