"""``podfacts can`` and ``podfacts who-can`` over files: what is printed, and how they end."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from podfacts.cli import main

FILE = """\
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: reader, namespace: shop}
rules:
  - {apiGroups: [""], resources: [pods], verbs: [get]}
  - {apiGroups: [""], resources: [secrets], verbs: [get], resourceNames: [tls]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: web, namespace: shop}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: reader}
subjects:
  - {kind: ServiceAccount, name: web}
  - {kind: Group, apiGroup: rbac.authorization.k8s.io, name: dev}
"""
WEB = ("--as", "system:serviceaccount:shop:web")


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "roles.yaml"
    path.write_text(FILE)
    return str(path)


def run(*words: str) -> Result:
    return CliRunner().invoke(main, words)


def test_yes_names_binding_role_rule_and_line(file: str) -> None:
    done = run("can", "get", "pods", *WEB, "-n", "shop", "-f", file)
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout == (
        f"yes: RoleBinding web in shop gives Role reader rules[0] ({file}:5) to ServiceAccount shop/web\n"
    )


def test_no_says_what_is_missing_and_ends_with_1(file: str) -> None:
    done = run("can", "get", "secrets", "db", *WEB, "-n", "shop", "-f", file)
    assert (done.exit_code, done.stderr) == (1, "")
    assert done.stdout == "no: only by name (tls), not db, by the RoleBinding web in shop\n"


ALWAYS = ("default", "kube-system", "kube-public", "kube-node-lease", "shop")
THERE = "".join(
    f"---\n{{apiVersion: v1, kind: Namespace, metadata: {{name: {each}}}}}\n"
    f"---\n{{apiVersion: v1, kind: ServiceAccount, metadata: {{name: default, namespace: {each}}}}}\n"
    for each in ALWAYS
)


def test_a_name_that_is_not_there_is_asked_of_with_a_warning(file: str, tmp_path: Path) -> None:
    there = tmp_path / "there.yaml"
    there.write_text(THERE)
    asked = ("can", "get", "pods", "-f", file, "-f", str(there), "--as")
    other = run(*asked, "system:serviceaccount:shop:default", "-n", "shpo")
    assert other.exit_code == 1
    assert other.stderr == "warning: there is no namespace shpo: asked as if there were\n"
    lost = run(*asked, WEB[1], "-n", "shop")
    assert lost.exit_code == 0
    assert lost.stderr == "warning: there is no service account web in shop: asked as if there were\n"


def test_without_a_namespace_it_is_default_as_for_an_object_that_names_none(file: str) -> None:
    done = run("can", "get", "pods", *WEB, "-f", file)
    assert done.exit_code == 1
    assert "only in the namespace shop" in done.stdout


def test_all_namespaces_at_once_are_another_question(file: str) -> None:
    done = run("can", "get", "pods", *WEB, "-A", "-f", file)
    assert done.exit_code == 1
    assert "only in the namespace shop, and not in all of them" in done.stdout


def test_a_group_is_whoever_is_in_it_and_groups_can_be_added(file: str) -> None:
    assert run("can", "get", "pods", "--as", "group:dev", "-n", "shop", "-f", file).exit_code == 0
    alice = ("can", "get", "pods", "--as", "user:alice", "-n", "shop", "-f", file)
    assert run(*alice).exit_code == 1
    assert run(*alice, "--as-group", "dev").exit_code == 0


def test_json_has_the_request_the_subject_and_each_grant(file: str) -> None:
    done = run("can", "get", "pods", *WEB, "-n", "shop", "-f", file, "-o", "json")
    tree = json.loads(done.stdout)
    assert tree["allowed"] is True
    assert tree["request"]["namespace"] == "shop"
    assert "system:serviceaccounts:shop" in tree["subject"]["groups"]
    assert tree["grants"][0]["rule"] == {"origin": "reader", "index": 0, "file": file, "line": 5}
    no = json.loads(run("can", "list", "pods", *WEB, "-n", "shop", "-f", file, "-o", "json").stdout)
    assert (no["allowed"], no["grants"]) == (False, [])
    assert no["reasons"]


def test_who_can_lists_subjects_and_ends_with_1_when_there_is_none(file: str) -> None:
    done = run("who-can", "get", "pods", "-n", "shop", "-f", file)
    assert done.exit_code == 0
    by = f"RoleBinding web in shop gives Role reader rules[0] ({file}:5)"
    assert done.stdout.splitlines()[:2] == [f"Group dev: {by}", f"ServiceAccount shop/web: {by}"]
    assert "system:masters" in done.stdout.splitlines()[2]
    none = run("who-can", "delete", "pods", "-n", "shop", "-f", file)
    assert (none.exit_code, none.stdout.split(":")[0]) == (1, "nobody but Group system")
    tree = json.loads(run("who-can", "get", "pods", "-n", "shop", "-f", file, "-o", "json").stdout)
    assert [each["subject"]["name"] for each in tree["subjects"]] == ["dev", "web"]


def test_what_every_new_cluster_gives_to_everybody_is_not_left_out(file: str) -> None:
    done = run("who-can", "get", "/version", "-f", file)
    assert done.exit_code == 0
    assert done.stdout.startswith("Group system:authenticated: Kubernetes itself gives it")


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("can", "get", "pods", "--as", "shop/web"), "podfacts can: 'shop/web' is no subject: write system:"),
        (
            ("can", "get", "deployments", *WEB),
            "podfacts can: deployments: is in the group apps: write deployments.apps",
        ),
        (("who-can", "get", "pods", "-n", "a", "-A"), "podfacts who-can: -n and -A contradict each other"),
        (
            ("who-can", "get", "pods", "-n", "Shop"),
            "podfacts who-can: 'Shop' cannot be the name of a namespace",
        ),
        (
            ("can", "get", "pods", *WEB, "--context", "x"),
            "podfacts can: --context and --kubeconfig are about",
        ),
        (("can", "get", "po\x1bds", *WEB), "podfacts can: "),
    ],
)
def test_a_mistake_is_one_line_and_ends_with_2(file: str, words: tuple[str, ...], line: str) -> None:
    done = run(*words, "-f", file)
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.startswith(line)
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.rstrip("\n").isprintable()


def test_a_broken_file_is_said_by_line(file: str) -> None:
    Path(file).write_text(FILE.replace("verbs: [get]}", "verbs: []}", 1))
    done = run("can", "get", "pods", *WEB, "-f", file)
    assert (done.exit_code, done.stdout) == (2, "")
    assert f"{file}:5" in done.stderr


@pytest.mark.fault("T41")
def test_a_name_of_the_files_cannot_write_to_the_terminal(file: str) -> None:
    Path(file).write_text(FILE.replace("name: dev", r'name: "dev\e[31m"'))
    done = run("who-can", "get", "pods", "-n", "shop", "-f", file)
    assert done.exit_code == 0
    assert "\x1b" not in done.stdout


def test_files_are_asked_without_a_kubernetes_client(file: str) -> None:
    code = (
        "import sys\nfrom podfacts.cli import main\n"
        "try:\n    main(sys.argv[1:])\nexcept SystemExit as end:\n"
        "    print(end.code, sorted({'kubernetes', 'kopf', 'aiohttp', 'rich'} & sys.modules.keys()))\n"
    )
    argv = [sys.executable, "-c", code, "can", "get", "pods", *WEB, "-n", "shop", "-f", file]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "0 []"
