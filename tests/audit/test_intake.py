"""Objects become the inventory with their places; what the API server would refuse is refused, and nothing else breaks."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podfacts.audit.intake import GROUP, KINDS, VERSION, Namespace, entry
from podfacts.audit.inventory import Binding, Inventory, Place, Pod, Role, Subject
from podfacts.core.refusal import Refused
from podfacts.offline.audit import inventory_of
from podfacts.rights.request import Account

HERE = Path(__file__).parent / "inputs"
NOWHERE = Place("x")


def read(*names: str, namespace: str | None = None, stdin: bytes = b"") -> Inventory:
    return inventory_of(
        [name if name == "-" else str(HERE / name) for name in names], namespace, io.BytesIO(stdin)
    )


def taken(tree: Any) -> Any:
    return entry(tree, lambda _path: NOWHERE, "default")


def lines(role: Role) -> list[int]:
    return [each.place.line for each in role.rules]


def test_output_of_helm_with_the_lines_of_its_rules() -> None:
    inventory = read("helm.yaml", namespace="shop")
    role = inventory.roles["Role", "shop", "release-name-shop"]
    (binding,) = inventory.bindings
    file = str(HERE / "helm.yaml")
    assert (role.place, lines(role)) == (Place(file, 18), [20])
    assert (binding.place, binding.role) == (Place(file, 28), role.address)
    assert binding.subjects == (Subject("ServiceAccount", "default", "release-name-shop"),)
    assert inventory.pods == (Pod("shop", "release-name-shop-test-connection", Account("shop", "default")),)


def test_without_a_namespace_it_is_default_as_for_kubectl() -> None:
    assert ("Role", "default", "release-name-shop") in read("helm.yaml").roles


def test_lists_in_lists_lists_of_one_kind_and_aliases() -> None:
    inventory = read("lists.yaml")
    assert lines(inventory.roles["Role", "shop", "inner"]) == [11]
    # The second rule is what the alias says, and stands where the alias does.
    wide = inventory.roles["ClusterRole", "", "wide"]
    assert lines(wide) == [23, 26]
    assert wide.rules[1].tree["resources"] == ["pods"]


def test_json_one_value_after_another_and_by_stdin() -> None:
    role = {"apiVersion": VERSION, "kind": "ClusterRole", "metadata": {"name": "a"}, "rules": None}
    other = {**role, "metadata": {"name": "b"}}
    text = (
        json.dumps(role, indent=1) + "\n" + json.dumps({"apiVersion": "v1", "kind": "List", "items": [other]})
    )
    found = read("-", stdin=text.encode()).roles
    assert [(name, each.place) for (_, _, name), each in found.items()] == [
        ("a", Place("<stdin>", 5)),
        ("b", Place("<stdin>", 9)),
    ]


@pytest.mark.parametrize("last", [False, True], ids=["kind first", "kind last"])
def test_the_kind_of_a_list_may_stand_below_its_items(last: bool) -> None:
    role = {"apiVersion": VERSION, "kind": "ClusterRole", "metadata": {"name": "a"}, "rules": []}
    head = {"apiVersion": "v1", "kind": "List"}
    tree = {"items": [role], **head} if last else {**head, "items": [role]}
    assert len(read("-", stdin=json.dumps(tree).encode()).roles) == 1
    # The items of another kind are no objects, whatever they look like.
    tree["kind"] = "Catalogue"
    other = json.dumps(tree) + json.dumps({**role, "metadata": {"name": "b"}})
    assert [name for _, _, name in read("-", stdin=other.encode()).roles] == ["b"]


def test_lists_of_other_kinds_pass() -> None:
    role = {"apiVersion": VERSION, "kind": "ClusterRole", "metadata": {"name": "a"}, "rules": []}
    other = {"kind": "DeploymentList", "apiVersion": "apps/v1", "items": [{"metadata": {"name": "x"}}]}
    assert len(read("-", stdin=(json.dumps(role) + json.dumps(other)).encode()).roles) == 1


def test_a_folder_with_other_kinds_and_empty_files(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a/empty.yaml").write_text("")
    (tmp_path / "a/comments.yaml").write_text("# nothing\n---\n---\n# here\n")
    (tmp_path / "a/deployment.yaml").write_text(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: x}\n"
    )
    (tmp_path / "rbac.yml").write_text((HERE / "permissive.yaml").read_text())
    inventory = inventory_of([str(tmp_path)], None, io.BytesIO())
    assert [each.place for each in inventory.bindings] == [Place(str(tmp_path / "rbac.yml"), 5)]


def test_the_same_object_twice_is_one() -> None:
    assert len(read("permissive.yaml", "permissive.yaml").bindings) == 1


def test_what_a_binding_leaves_out_is_filled_in_as_by_the_api_server() -> None:
    made = taken(
        {
            "apiVersion": VERSION,
            "kind": "RoleBinding",
            "metadata": {"name": "x", "namespace": "shop"},
            "roleRef": {"kind": "ClusterRole", "name": "view"},
            "subjects": [{"kind": "ServiceAccount", "name": "web"}, {"kind": "Group", "name": "devs"}],
        }
    )
    assert isinstance(made, Binding)
    assert made.role == ("ClusterRole", "", "view")
    assert made.subjects == (Subject("ServiceAccount", "shop", "web"), Subject("Group", "", "devs"))


@pytest.mark.parametrize(
    ("phase", "holds"), [("Running", True), ("Pending", True), ("Succeeded", False), ("Failed", False)]
)
def test_a_pod_that_has_ended_holds_nothing(phase: str, holds: bool) -> None:
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "x", "namespace": "shop"},
        "spec": {"serviceAccountName": "web"},
        "status": {"phase": phase},
    }
    assert taken(pod) == (Pod("shop", "x", Account("shop", "web")) if holds else None)


def test_a_pod_that_gets_its_name_later() -> None:
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"generateName": "job-"}, "spec": {}}
    assert taken(pod) == Pod("default", "job-", Account("default", "default"))


@pytest.mark.parametrize(
    "tree",
    [
        {"apiVersion": "example.com/v1", "kind": "Role", "metadata": {"name": "x"}},
        {"apiVersion": "apps/v1", "kind": "Deployment"},
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "x"}, "data": {"a": "Yg=="}},
        {},
    ],
)
def test_what_is_no_matter_of_rbac_passes(tree: Any) -> None:
    assert taken(tree) is None


WORDS = st.sampled_from(
    ["", "x", "*", "..", "a/b", "system:masters", "Role", "ClusterRole", "User", "Group", "ServiceAccount", GROUP, "In", "Exists"]
)  # fmt: skip
KEYS = st.sampled_from(
    ["name", "namespace", "labels", "rules", "verbs", "apiGroups", "resources", "resourceNames", "nonResourceURLs",
     "roleRef", "apiGroup", "kind", "subjects", "aggregationRule", "clusterRoleSelectors", "matchLabels",
     "matchExpressions", "key", "operator", "values", "spec", "serviceAccountName", "status", "phase", "generateName"]
)  # fmt: skip
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | WORDS | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=25,
)
NAMES = st.fixed_dictionaries({"name": WORDS}, optional={"namespace": WORDS, "labels": VALUES})
RULE = st.fixed_dictionaries(
    {}, optional=dict.fromkeys(("verbs", "apiGroups", "resources", "resourceNames", "nonResourceURLs"), VALUES | st.lists(WORDS))
)  # fmt: skip
ROLE_REF = st.fixed_dictionaries({"kind": WORDS, "name": WORDS}, optional={"apiGroup": WORDS})
SUBJECT = st.fixed_dictionaries(
    {"kind": WORDS, "name": WORDS}, optional={"apiGroup": WORDS, "namespace": VALUES}
)
TREES = st.fixed_dictionaries(
    {
        "apiVersion": st.sampled_from([VERSION, "v1", f"{GROUP}/v1beta1"]) | VALUES,
        "kind": st.sampled_from(KINDS) | VALUES,
        "metadata": NAMES | VALUES,
    },
    optional={
        "rules": st.lists(RULE | VALUES, max_size=3) | VALUES,
        "roleRef": ROLE_REF | VALUES,
        "subjects": st.lists(SUBJECT | VALUES, max_size=3) | VALUES,
        "aggregationRule": VALUES,
        "spec": st.fixed_dictionaries({"serviceAccountName": VALUES}) | VALUES,
        "status": VALUES,
    },
)


@given(TREES)
def test_whatever_it_is_it_is_refused_or_known(tree: Any) -> None:
    try:
        made = taken(tree)
    except Refused as refused:
        assert refused.reason  # noqa: PT017 - either is right
    else:
        assert made is None or isinstance(made, Role | Binding | Account | Namespace | Pod)
        hash(made)


@given(TREES)
def test_as_a_file_it_is_refused_by_line_or_known(tree: Any) -> None:
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": [tree]}, indent=1).encode()
    try:
        inventory = inventory_of(["-"], None, io.BytesIO(text))
    except ValueError as error:
        assert str(error).startswith(("<stdin>:", "there is nothing to audit: "))  # noqa: PT017
    else:
        assert inventory.bindings or inventory.roles
