"""Bad input is one clear line each, by file and line, and never half an audit."""

import io
import subprocess
import sys
from collections.abc import Callable
from itertools import count as count_up
from pathlib import Path

import pytest

from podfacts.core.refusal import BadInput
from podfacts.offline.audit import inventory_of
from podfacts.yamltext import compose
from podfacts.yamltext.documents import documents as documents_of
from podfacts.yamltext.nodes import Broken

HERE = Path(__file__).parent / "inputs"
TOP = "apiVersion: rbac.authorization.k8s.io/v1\nkind: {kind}\nmetadata:\n  name: x\n"
RULES = "rules:\n- apiGroups: [{groups}]\n  resources: [{resources}]\n  verbs: [{verbs}]\n"


def role(more: str = "rules: []\n", kind: str = "ClusterRole") -> str:
    return TOP.format(kind=kind) + more


def binding(ref: str, subjects: str = "subjects: []\n", kind: str = "ClusterRoleBinding") -> str:
    return TOP.format(kind=kind) + f"roleRef:\n  kind: {ref}\n  name: bound\n{subjects}"


def refusal(text: str | bytes) -> list[str]:
    given = text if isinstance(text, bytes) else text.encode()
    with pytest.raises(BadInput) as caught:
        inventory_of(["-"], None, io.BytesIO(given))
    return str(caught.value).split("\n")


# What stands in the file, and what is said, line by line.
REFUSED: dict[str, tuple[str | bytes, str]] = {
    "broken YAML": ("kind: [", "<stdin>:1: not YAML: while parsing a flow node did not find expected node content"),
    "a tab": ("kind: x\n\tname: y\n", "<stdin>:2: not YAML: while scanning a plain scalar found a tab character that violates indentation"),
    "a key twice": ("a: 1\na: 2\n", "<stdin>:2: the key 'a' stands here a second time, after line 1"),
    "binary": (b"\x7fELF\0\1", "<stdin>:1: holds a NUL byte: this is no text"),
    "no UTF-8": (b"a: b\nc: \xff\n", "<stdin>:2: is no UTF-8 text: invalid start byte"),
    "no object": ("- a\n", "<stdin>:1: is no Kubernetes object: write a mapping with apiVersion, kind and metadata"),
    "a text": ("hello\n", "<stdin>:1: is no Kubernetes object: write a mapping with apiVersion, kind and metadata"),
    "no kind": ("apiVersion: v1\nmetadata: {}\n", "<stdin>:1: is no Kubernetes object: write its kind"),
    "no apiVersion": ("kind: Role\n", "<stdin>:1: is no Kubernetes object: write its apiVersion"),
    "items of a list": ("apiVersion: v1\nkind: List\nitems:\n- 1\n", "<stdin>:4: items[0]: is no Kubernetes object: write a mapping with apiVersion, kind and metadata"),
    "a list that is none": ("apiVersion: v1\nkind: List\nitems: a\n", "<stdin>:3: items: must be a list"),
    "deep nesting": ("a: " + "[" * 5000, "<stdin>:1: nested deeper than 200 levels"),
    "deep nesting in JSON": ('{"a": ' * 5000, "<stdin>:1: nested deeper than 200 levels"),
    "billion laughs": (
        "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}, *a{n - 1}, *a{n - 1}]\n" for n in range(1, 12)),
        "<stdin>:9: its aliases stand for more than 100000 values",
    ),
    "v1beta1": (role().replace("/v1", "/v1beta1"), "<stdin>:1: apiVersion: rbac.authorization.k8s.io/v1beta1 is not served by Kubernetes 1.36: write rbac.authorization.k8s.io/v1"),
    "no kind of the group": (role(kind="Clusterrole"), "<stdin>:2: kind: Clusterrole is no kind of rbac.authorization.k8s.io: write Role, ClusterRole, RoleBinding, ClusterRoleBinding"),
    "no name": (role().replace("name: x", "labels: {}"), "<stdin>:3: metadata: the ClusterRole has no name: write metadata.name"),
    "a name that is a number": (role().replace("name: x", "name: y"), "<stdin>:4: metadata.name: must be a text: write it in double quotes"),
    "a name that is a path": (role().replace("name: x", "name: ../x"), "<stdin>:4: metadata.name: '../x' cannot be a name: it must be neither . nor .. and hold no / and no %"),
    "resources and URLs": (
        role(RULES.format(groups='""', resources="pods", verbs="get") + "  nonResourceURLs: [/metrics]\n"),
        "<stdin>:9: rules[0].nonResourceURLs: one rule cannot give both resources and nonResourceURLs: write two rules",
    ),
    "URLs of a Role": (role("rules:\n- nonResourceURLs: [/x]\n  verbs: [get]\n", "Role"), "<stdin>:6: rules[0].nonResourceURLs: a Role cannot give URLs: write a ClusterRole"),
    "no verbs": (role(RULES.format(groups='""', resources="pods", verbs="")), "<stdin>:8: rules[0].verbs: a rule needs at least one verb"),
    "no groups": (role(RULES.format(groups="", resources="pods", verbs="get")), '<stdin>:6: rules[0].apiGroups: a rule needs at least one API group: "" is the core group'),
    "no resources": (role(RULES.format(groups='""', resources="", verbs="get")), "<stdin>:7: rules[0].resources: a rule needs at least one resource, or nonResourceURLs"),
    "verbs that are no list": (role(RULES.format(groups='""', resources="pods", verbs="get").replace("[get]", "get")), "<stdin>:8: rules[0].verbs: must be a list of texts: write verbs: [...]"),
    "an asterisk without quotes": (role(RULES.format(groups="*", resources="pods", verbs="get")), "<stdin>:6: not YAML: while scanning an alias did not find expected alphabetic or numeric character"),
    "no selector": (role("aggregationRule: {}\n"), "<stdin>:5: aggregationRule: must have at least one of clusterRoleSelectors"),
    "a Role for a whole cluster": (binding("Role"), "<stdin>:6: roleRef.kind: a ClusterRoleBinding cannot give a Role: bind it by a RoleBinding in its namespace, or write a ClusterRole"),
    "no kind of role": (binding("Group"), "<stdin>:6: roleRef.kind: Group is no kind of role: write Role or ClusterRole"),
    "a role by a word that is none": (binding("ClusterRole").replace("bound", "y"), "<stdin>:7: roleRef.name: must be a text: write it in double quotes"),
    "no roleRef": (TOP.format(kind="RoleBinding"), "<stdin>:1: roleRef must be a mapping"),
    "no kind of subject": (binding("ClusterRole", "subjects:\n- kind: Serviceaccount\n  name: a\n"), "<stdin>:9: subjects[0].kind: Serviceaccount is no kind of subject: write ServiceAccount, User or Group"),
    "an account of no namespace": (binding("ClusterRole", "subjects:\n- kind: ServiceAccount\n  name: a\n"), "<stdin>:9: subjects[0]: a ServiceAccount of a ClusterRoleBinding needs its namespace"),
    "an account that cannot be": (binding("ClusterRole", "subjects:\n- kind: ServiceAccount\n  name: A_b\n"), "<stdin>:10: subjects[0].name: 'A_b' cannot be the name of a service account"),
    "a user of no group": (binding("ClusterRole", "subjects:\n- kind: User\n  apiGroup: v1\n  name: a\n"), "<stdin>:10: subjects[0].apiGroup: must be rbac.authorization.k8s.io for a User"),
    "an account that is no text": ("apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec:\n  serviceAccountName: [a]\n", "<stdin>:5: spec.serviceAccountName: must be a text: write it in double quotes"),
    "control characters": (role(kind='"A\\e[2J\\r\\n\\u202E"'), "<stdin>:2: kind: A\\U0000001B[2J\\U0000000D\\U0000000A\\U0000202E is no kind of rbac.authorization.k8s.io: write Role, ClusterRole, RoleBinding, ClusterRoleBinding"),
    "a template of helm": ("kind: {{ .Values.kind }}\n", "<stdin>:1: a list or a mapping cannot be a key"),
    "empty": ("", "there is nothing to audit: no Role, ClusterRole, RoleBinding, ClusterRoleBinding in <stdin>"),
    "only comments": ("# a\n---\n# b\n", "there is nothing to audit: no Role, ClusterRole, RoleBinding, ClusterRoleBinding in <stdin>"),
    "nothing of RBAC": ("apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: x}\n", "there is nothing to audit: no Role, ClusterRole, RoleBinding, ClusterRoleBinding in <stdin>"),
    "an empty list": ("apiVersion: v1\nkind: List\nitems: []\n", "there is nothing to audit: no Role, ClusterRole, RoleBinding, ClusterRoleBinding in <stdin>"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "line"), REFUSED.values(), ids=REFUSED)
def test_refused(text: str | bytes, line: str) -> None:
    assert refusal(text) == [line]


def test_all_that_is_wrong_is_said_at_once() -> None:
    text = "\n---\n".join([binding("Role"), role(), role("rules: {}\n").replace(" x", " z"), "a: ["])
    assert [each.partition(": ")[0] for each in refusal(text)] == ["<stdin>:6", "<stdin>:22", "<stdin>:25"]


def test_another_object_of_the_same_name() -> None:
    other = role(RULES.format(groups='""', resources="pods", verbs="get"))
    assert refusal(f"{role()}---\n{other}") == [
        "<stdin>:10: metadata.name: the ClusterRole x differs from the one at <stdin>:4: audit one state at a time"
    ]


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "link.yaml").symlink_to("nowhere")
    with pytest.raises(BadInput) as caught:
        inventory_of(
            [str(tmp_path), str(tmp_path / "none.yaml"), str(HERE / "permissive.yaml")], None, io.BytesIO()
        )
    assert str(caught.value).split("\n") == [
        f"{tmp_path}/link.yaml: cannot be read: No such file or directory",
        f"{tmp_path}/none.yaml: cannot be read: No such file or directory",
    ]


def test_cycles_of_aggregation_end() -> None:
    def gathers(name: str, label: str) -> str:
        top = TOP.format(kind="ClusterRole").replace("name: x", f"name: {name}\n  labels: {{is: {name}}}")
        return f"{top}aggregationRule:\n  clusterRoleSelectors:\n  - matchLabels: {{is: {label}}}\n"

    plain = role(RULES.format(groups='""', resources="pods", verbs="get")).replace(
        "name: x", "name: c\n  labels: {is: a}"
    )
    text = "---\n".join([gathers("a", "b"), gathers("b", "a"), gathers("self", "self"), plain])
    roles = inventory_of(["-"], None, io.BytesIO(text.encode())).roles
    rules = {name: [each.tree["resources"] for each in found.rules] for (_, _, name), found in roles.items()}
    assert rules == {"a": [["pods"]], "b": [["pods"]], "self": [], "c": [["pods"]]}


NOTE = "a" * 50_000  # It makes a file large that is soon read.


def documents(number: int) -> str:
    top = TOP.format(kind="ClusterRole").replace("x", f"x{number}\n  annotations: {{note: {NOTE}}}")
    return f"---\n{top}{RULES.format(groups='core', resources='pods', verbs='get')}"


def in_a_list(number: int) -> str:
    head = "" if number else "apiVersion: v1\nkind: List\nitems:\n"
    first, *rest = documents(number).removeprefix("---\n").splitlines()
    return f"{head}- {first}\n" + "".join(f"  {line}\n" for line in rest)


@pytest.mark.parametrize("part", [documents, in_a_list])
def test_a_file_of_50_mb_is_audited_in_bounded_memory(part: Callable[[int], str], tmp_path: Path) -> None:
    file = tmp_path / "large.yaml"
    with file.open("w") as out:
        count = (
            next(number for number in count_up() if out.write(part(number)) and out.tell() > 50_000_000) + 1
        )
    code = (
        "import re, sys\nfrom podfacts.offline.audit import inventory_of\n"
        "found = inventory_of(sys.argv[1:], None, sys.stdin.buffer)\n"
        # Of this program alone: ru_maxrss begins with what the process that started it had.
        "print(len(found.roles), int(re.search(r'VmHWM:\\s+(\\d+)', open('/proc/self/status').read())[1]) // 1024)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, file], capture_output=True, text=True, check=True)
    roles, megabytes = map(int, done.stdout.split())
    assert roles == count
    assert megabytes < 400


def test_a_list_is_never_there_as_a_whole() -> None:
    """Where the values of the whole list would be more than is kept at once, one object after another is not."""
    rule = RULES.format(groups='""', resources="pods", verbs="get").removeprefix("rules:\n")
    text = "apiVersion: v1\nitems:\n" + "".join(
        f"- apiVersion: rbac.authorization.k8s.io/v1\n  kind: ClusterRole\n  metadata: {{name: x{number}}}\n"
        f"  rules:\n  {rule.replace(chr(10), chr(10) + '  ').rstrip()}\n"
        for number in range(300)
    )
    kept: list[int] = []

    def taken(index: int, *_: object) -> bool:
        kept.append(index)
        return True

    for document in documents_of(f"{text}kind: List\n", taken):
        assert not isinstance(document, Broken)
        assert document.root.size < 400
        assert document.tree["items"] == [None] * 300
    assert kept == [*range(300)]


def test_an_object_that_no_api_server_takes_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compose, "MOST_KEPT", 1000)
    verbs = ",".join(["a"] * 1001)
    (line,) = refusal(role(RULES.format(groups='""', resources="pods", verbs=verbs)))
    assert line == "<stdin>:8: more than 1000 values in one object: no API server takes that: split it"


def test_more_than_64_mib_is_refused_by_one_line() -> None:
    assert refusal(b"#" * (64 * 2**20 + 1)) == ["<stdin>: is larger than 64 MiB: split it"]
