"""``-o json`` and ``-o patch``, several files at once, and what is said beside the result."""

import json
from pathlib import Path
from typing import Any

import jsonpatch
import pytest
import yaml

from podfacts.core.patch import apply
from tests.offline.reading import HERE, injected, injected_files

SERVICE = "apiVersion: v1\nkind: Service\n"
POD = """apiVersion: v1
kind: Pod
metadata:
  name: app
  labels: {podfacts.dev/inject: "true"}
spec:
  containers:
  - name: app
"""
# PyYAML lets a key win over a merge below it, as the YAML specification says and kubectl does not.
YAML_PAIRS = sorted(path.name for path in (HERE / "in").glob("*.yaml") if path.name != "merge-below.yaml")


def trees(path: Path) -> list[dict[str, Any]]:
    """The objects of a file as PyYAML reads them, which for these files is as kubectl does."""
    # Through JSON, so that what an alias stands for is a tree of its own.
    return [
        json.loads(json.dumps(each)) for each in yaml.safe_load_all(path.read_bytes()) if each is not None
    ]


def test_json_of_one_object_is_the_object() -> None:
    assert json.loads(injected(f"# c\n---\n{SERVICE}---\n", "json").text) == {
        "apiVersion": "v1",
        "kind": "Service",
    }


def test_json_of_several_is_a_list_and_lists_are_opened() -> None:
    nested = "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Secret}\n"
    listed = json.loads(injected(f"{SERVICE}---\n{nested}---\n{SERVICE}", "json").text)
    assert [listed["apiVersion"], listed["kind"]] == ["v1", "List"]
    assert [each["kind"] for each in listed["items"]] == ["Service", "Secret", "Service"]


def test_json_of_nothing_is_an_empty_list() -> None:
    assert json.loads(injected("# c\n", "json").text) == {"apiVersion": "v1", "kind": "List", "items": []}


@pytest.mark.parametrize("name", YAML_PAIRS)
def test_json_says_what_yaml_says(name: str) -> None:
    told = json.loads(injected_files(HERE / "in" / name, output="json").text)
    expected = trees(HERE / "out" / name)
    if len(expected) > 1:
        assert told == {"apiVersion": "v1", "kind": "List", "items": expected}
    else:
        assert told == expected[0]


@pytest.mark.parametrize("name", YAML_PAIRS)
def test_patch_has_a_line_for_each_object_and_leads_to_what_yaml_says(name: str) -> None:
    given, expected = trees(HERE / "in" / name), trees(HERE / "out" / name)
    patches = [
        json.loads(line) for line in injected_files(HERE / "in" / name, output="patch").text.splitlines()
    ]
    assert len(patches) == len(given)
    for tree, patch, wanted in zip(given, patches, expected, strict=True):
        assert apply(tree, patch) == jsonpatch.apply_patch(tree, patch) == wanted


def test_patch_of_what_is_not_for_us_is_empty() -> None:
    assert injected(f"{SERVICE}---\n# nothing\n---\n{POD}", "patch").text.startswith("[]\n[{")
    assert injected("# nothing\n", "patch").text == ""


def test_several_files_are_joined_by_markers(tmp_path: Path) -> None:
    one = SERVICE.rstrip("\n")
    texts = [one, f"# c\n{one}\n", f"---\n{one}\n", f"%YAML 1.1\n---\n{one}\n", f"\ufeff{one}\n", "", "# end"]
    files = [tmp_path / f"{number}.yaml" for number in range(len(texts))]
    for file, text in zip(files, texts, strict=True):
        file.write_text(text)
    joined = injected_files(*files).text
    assert [each["kind"] for each in yaml.safe_load_all(joined) if each] == ["Service"] * 5
    assert "\ufeff" not in joined
    assert "\n...\n%YAML 1.1\n---\n" in joined
    assert injected(joined).text == joined
    assert injected_files(files[4]).text.startswith("\ufeff")


def test_joined_exactly(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(SERVICE.rstrip("\n"))
    (tmp_path / "b.yml").write_text("---\n" + SERVICE)
    (tmp_path / "c.json").write_text('{"apiVersion": "v1", "kind": "Service"}\n')
    assert injected_files(tmp_path).text == (
        SERVICE + "---\n" + SERVICE + "---\n" + '{"apiVersion": "v1", "kind": "Service"}\n'
    )


def test_a_folder_is_read_whole_and_in_order(tmp_path: Path) -> None:
    for name in (
        "b/2.yaml",
        "b/1.yml",
        "a/x.json",
        "c.yaml",
        ".hidden.yaml",
        ".git/x.yaml",
        "readme.md",
        "b/c/3.yaml",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"apiVersion": "v1", "kind": "Service", "n": name}))
    (tmp_path / "b" / "loop").symlink_to(tmp_path)
    (tmp_path / "b" / "linked.yaml").symlink_to(tmp_path / "c.yaml")
    listed = json.loads(injected_files(tmp_path, output="json").text)
    assert [each["n"] for each in listed["items"]] == [
        "a/x.json",
        "b/1.yml",
        "b/2.yaml",
        "b/c/3.yaml",
        "c.yaml",
        "c.yaml",
    ]


def test_warnings_name_the_line_of_their_object() -> None:
    pod = POD.replace("  - name: app\n", "  - name: app\n    env: [{name: POD_NAME, value: mine}]\n")
    found = injected(f"# c\n---\n{SERVICE}---\n\n{pod}")
    assert found.warnings == ("<stdin>:7: warning: kept: app: env POD_NAME is the author's",)


def test_warning_in_a_list_names_the_line_of_the_item() -> None:
    pod = POD.replace("spec:", "  annotations: {podfacts.dev/skip-containers: none}\nspec:")
    items = "".join("- " + pod.rstrip("\n").replace("\n", "\n  ") + "\n" for _ in range(2))
    found = injected(f"apiVersion: v1\nkind: List\nitems:\n{items}")
    told = "warning: skipped: none: no container has that name"
    assert found.warnings == (f"<stdin>:4: {told}", f"<stdin>:13: {told}")


@pytest.mark.parametrize("kind", ["Deployment", "DaemonSet"])
def test_a_label_on_the_workload_alone_is_told(kind: str) -> None:
    text = f"""apiVersion: apps/v1
kind: {kind}
metadata:
  labels: {{podfacts.dev/inject: "true"}}
spec:
  template:
    metadata: {{labels: {{app: web}}}}
    spec: {{containers: [{{name: web}}]}}
"""
    found = injected(text)
    assert found.text == text
    assert found.warnings == (
        f"<stdin>:1: warning: the label podfacts.dev/inject of a {kind} does nothing: "
        "its pods need it at spec.template.metadata.labels",
    )
