"""Properties: any bytes, any manifest that did not opt in, and any that did, in any layout."""

import json
import re
from collections.abc import Callable
from typing import Any

import yaml
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from podfacts.core.injection import inject
from podfacts.core.patch import apply
from podfacts.core.refusal import BadInput
from tests.offline.reading import PROFILES, injected

SLOW = settings(
    max_examples=200,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
# Text that the libraries on both sides read alike: no other line ends, no byte order marks, no half characters.
TEXT = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cs", "Cc", "Zl", "Zp"], exclude_characters="\ufeff"),
    max_size=12,
)
LINES = st.lists(TEXT, max_size=4).map("\n".join)
TREES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | TEXT | LINES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)
# PyYAML writes 0E0 without quotes, for it is text to it, and a number to Kubernetes: no label's value.
WORDS = TEXT.map("x{}".format)
# Keys that mean nothing to us, one of them empty.
OTHER_KEYS = st.just("") | WORDS
# What had nothing may get something, on the lines below.
EMPTY = re.compile(r"(null|'null'|\"null\"|\[\]|\{\})$")
NAMES = st.sampled_from(["app", "web", "db", "proxy", "POD_NAME", "A", "yes", "0644"])
SNIPPETS = [
    "\n",
    "  ",
    "- ",
    "a: ",
    ": ",
    "#c\n",
    "---\n",
    "...\n",
    "|\n",
    "&a ",
    "*a",
    "<<: ",
    "{",
    "}",
    "[",
    "]",
    ",",
    "'",
    '"',
    "\t",
    "\r\n",
    "%",
    "? ",
    "!!str ",
    "kind: Pod\n",
    "apiVersion: v1\n",
    "podfacts.dev/inject: 'true'\n",
    "metadata:\n",
    "labels:\n",
    "spec:\n",
    "containers:\n",
    "name: a\n",
    "\ufeff",
    "é",
    "\x85",
    "\0",
]


def written(tree: Any, layout: dict[str, Any], dumper: type[yaml.SafeDumper] = yaml.SafeDumper) -> str:
    """The tree as PyYAML writes it, less the one thing of it that kubectl does not read."""
    text: str = yaml.dump(tree, Dumper=dumper, **layout)
    return re.sub(r"^--- ", "---" + layout["line_break"], text)


def unique(names: list[str]) -> list[str]:
    return list(dict.fromkeys(names))


@st.composite
def containers(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Containers whose env, mounts and other keys may be the very same lists, so that YAML gets aliases."""
    envs = draw(st.lists(st.lists(NAMES, max_size=4).map(unique), min_size=1, max_size=2))
    shared = [[{"name": name, "value": draw(TEXT)} for name in names] for names in envs]
    mounts = draw(
        st.lists(st.sampled_from(["/data", "/etc", "/srv", "/etc/downward"]), max_size=2).map(unique)
    )
    found = []
    for name in unique(draw(st.lists(NAMES, max_size=4))):
        container: dict[str, Any] = {"name": name}
        if draw(st.booleans()):
            container["env"] = draw(st.sampled_from([*shared, [], None]))
        if draw(st.booleans()):
            container["volumeMounts"] = [{"name": "data", "mountPath": path} for path in mounts]
        if draw(st.booleans()):
            container["args"] = draw(st.lists(LINES, max_size=3))
        container.update(
            draw(st.dictionaries(st.sampled_from(["image", "tty", "x-extra"]), TREES, max_size=2))
        )
        keys = draw(st.permutations(list(container)))
        found.append({key: container[key] for key in keys})
    return found


@st.composite
def pods(draw: st.DrawFn) -> dict[str, Any]:
    """A pod that opted in."""
    labels = {"podfacts.dev/inject": "true", **draw(st.dictionaries(TEXT, WORDS, max_size=2))}
    metadata: dict[str, Any] = {"labels": labels, "name": draw(TEXT)}
    annotations = draw(
        st.sampled_from(
            [None, {}, {"a": draw(LINES.map("x{}".format))}, {"podfacts.dev/overwrite": "POD_NAME"}]
        )
    )
    if draw(st.booleans()):
        metadata["annotations"] = annotations
    spec: dict[str, Any] = {
        "containers": draw(containers()),
        **draw(st.dictionaries(OTHER_KEYS, TREES, max_size=2)),
    }
    if draw(st.booleans()):
        spec["volumes"] = draw(st.sampled_from([None, [], [{"name": "data", "emptyDir": {}}]]))
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
    return {key: pod[key] for key in draw(st.permutations(list(pod)))}


@st.composite
def layouts(draw: st.DrawFn) -> dict[str, Any]:
    """How PyYAML may write a tree."""
    return {
        "default_flow_style": draw(st.sampled_from([False, None, True])),
        "default_style": draw(st.sampled_from([None, None, "'", '"'])),
        "indent": draw(st.integers(2, 6)),
        "width": draw(st.sampled_from([20, 80, 10_000])),
        "allow_unicode": draw(st.booleans()),
        "explicit_start": draw(st.booleans()),
        "explicit_end": draw(st.booleans()),
        "line_break": draw(st.sampled_from(["\n", "\r\n"])),
        "sort_keys": False,
    }


class Indented(yaml.SafeDumper):
    """Dashes stand under their key, not below it."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002
        super().increase_indent(flow, indentless=False)


class Literal(yaml.SafeDumper):
    """Texts of several lines stand in blocks."""


class Folded(Indented):
    """The same, folded."""


def _block(style: str) -> Callable[[yaml.SafeDumper, str], yaml.Node]:
    def represent(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
        return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style if "\n" in text else None)

    return represent


Literal.add_representer(str, _block("|"))
Folded.add_representer(str, _block(">"))


@st.composite
def commented(draw: st.DrawFn, text: str) -> str:
    """The text with comments and blank lines strewn in, where they change nothing."""
    lines = text.splitlines(keepends=True)
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(lines)))
        new = draw(st.sampled_from(["# c\n", "   # deeper\n", "\n", "            # env: []\n"]))
        tried = "".join([*lines[:at], new, *lines[at:]])
        try:
            if plain(tried) == plain(text):
                lines.insert(at, new)
        except yaml.YAMLError:
            continue
    return "".join(lines)


def plain(text: str) -> Any:
    """What PyYAML reads, as a tree: aliases written out."""
    return json.loads(json.dumps(yaml.load(text, Loader=yaml.CSafeLoader)))


@given(st.data())
@SLOW
def test_an_opted_in_pod_in_any_layout(data: st.DataObject) -> None:
    pod = data.draw(pods())
    dumper = data.draw(st.sampled_from([yaml.SafeDumper, Indented, Literal, Folded]))
    layout = data.draw(layouts())
    text = data.draw(commented(written(pod, layout, dumper)))
    # PyYAML writes a few texts that it reads back as something else, or not at all.
    try:
        assume(plain(text) == json.loads(json.dumps(pod)))
    except yaml.YAMLError:
        assume(False)
    patch = inject(pod, PROFILES).patch
    found = injected(text).text
    assert plain(found) == apply(json.loads(json.dumps(pod)), patch)
    assert injected(found).text == found
    if layout["default_flow_style"] is False and "overwrite" not in text and not re.search(r"[&*]id\d", text):
        lines = iter(found.splitlines())
        stay = [line for line in text.splitlines() if not EMPTY.search(line)]
        assert all(line in lines for line in stay), "each is looked for behind the one before it"


@given(st.data())
@SLOW
def test_json_in_any_layout(data: st.DataObject) -> None:
    pod = data.draw(pods())
    text = json.dumps(
        pod, indent=data.draw(st.sampled_from([None, 1, 4, "\t"])), ensure_ascii=data.draw(st.booleans())
    )
    found = injected(text).text
    assert json.loads(found) == apply(pod, inject(pod, PROFILES).patch)
    assert injected(found).text == found


@given(st.dictionaries(TEXT, TREES, max_size=4), layouts(), st.sampled_from(["Pod", "Job", "ConfigMap"]))
@SLOW
def test_what_did_not_opt_in_stays_byte_for_byte(
    tree: dict[str, Any], layout: dict[str, Any], kind: str
) -> None:
    tree = {
        **{key: value for key, value in tree.items() if key},
        "apiVersion": "example.com/v1",
        "kind": kind,
    }
    text = written(tree, layout)
    assert injected(text).text == text


@given(
    st.lists(st.sampled_from(SNIPPETS) | TEXT, max_size=30).map("".join).map(str.encode)
    | st.binary(max_size=200)
)
@SLOW
def test_any_bytes_are_refused_or_come_out_as_they_are(data: bytes) -> None:
    try:
        found = injected(data)
    except BadInput as refused:
        told = str(refused)
    else:
        told = "<stdin>: fine"
        assert (
            found.text.encode() == data or b"podfacts.dev" in data or data[:2] in (b"\xff\xfe", b"\xfe\xff")
        )
    assert re.match(r"<stdin>(:\d+)?: \S", told)
