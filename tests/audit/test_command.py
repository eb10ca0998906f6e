"""``podfacts audit`` as a process: what goes where, with which code it ends, and what it does not load."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from podfacts import audit_commands
from podfacts.audit.escalation.steps import GOALS
from podfacts.audit.finding import Severity

PODFACTS = Path(sys.executable).parent / "podfacts"
HERE = Path(__file__).parent / "inputs"
PERMISSIVE, HARMLESS, HELM = (HERE / f"{name}.yaml" for name in ("permissive", "harmless", "helm"))
# Of a cluster, or of a server: nothing that reads files has a use for them.
HEAVY = (
    "kubernetes",
    "kopf",
    "aiohttp",
    "cryptography",
    "prometheus_client",
    "structlog",
    "urllib3",
    "pydantic",
)


def run(*words: str | Path, stdin: bytes = b"") -> subprocess.CompletedProcess[str]:
    command = [str(PODFACTS), "audit", *map(str, words)]
    done = subprocess.run(command, input=stdin, capture_output=True, check=False, timeout=120)
    return subprocess.CompletedProcess(command, done.returncode, done.stdout.decode(), done.stderr.decode())


def told(done: subprocess.CompletedProcess[str]) -> Any:
    return json.loads(done.stdout)


def test_the_permissive_binding_ends_with_1() -> None:
    done = run("-f", PERMISSIVE, "-o", "json")
    assert (done.returncode, done.stderr) == (1, "")
    first = told(done)["findings"][0]
    assert (first["rule"], first["severity"]) == ("RB01", "critical")
    assert first["source"] == {"file": str(PERMISSIVE), "line": 5}


def test_what_is_harmless_ends_with_0() -> None:
    done = run("-f", HARMLESS)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout


@pytest.mark.parametrize(("least", "code"), [("low", 1), ("medium", 1), ("high", 0), ("critical", 0)])
def test_the_code_is_by_the_worst_finding(least: str, code: int) -> None:
    assert run("-f", HELM, "--fail-on", least).returncode == code


@pytest.mark.parametrize("output", ["table", "json", "sarif", "html", "openreports"])
def test_each_output_is_the_same_run_after_run(output: str) -> None:
    first, second = (run("-f", PERMISSIVE, "-f", HELM, "-o", output) for _ in range(2))
    assert first.returncode == 1
    assert first.stderr == ""
    assert first.stdout == second.stdout
    assert "permissive-binding" in first.stdout


def test_a_baseline_leaves_what_is_new(tmp_path: Path) -> None:
    known = tmp_path / "known.json"
    known.write_text(run("-f", PERMISSIVE, "-o", "json").stdout)
    again = run("-f", PERMISSIVE, "--baseline", known, "-o", "json")
    assert (again.returncode, told(again)["findings"]) == (0, [])
    both = ("-f", PERMISSIVE, "-f", HELM, "--fail-on", "medium")
    more = run(*both, "--baseline", known, "-o", "json")
    assert more.returncode == 1
    assert {each["binding"]["name"] for each in told(more)["findings"]} == {"release-name-shop"}
    known.write_text(more.stdout)
    assert run(*both, "--baseline", known).returncode == 0


def test_ignores_are_warned_about_on_stderr(tmp_path: Path) -> None:
    ignores = tmp_path / "ignores.yaml"
    entries = [
        {"rule": "RB01", "binding": "ClusterRoleBinding permissive-binding", "reason": "a test", "expires": "2999-01-01"},
        {"rule": "RB01", "binding": "ClusterRoleBinding other", "reason": "a test", "expires": "2999-01-01"},
    ]  # fmt: skip
    ignores.write_text(json.dumps({"ignores": entries}, indent=1))
    done = run("-f", PERMISSIVE, "--ignore", ignores, "-o", "json")
    assert (done.returncode, told(done)["findings"]) == (0, [])
    assert done.stderr == f"warning: {ignores}:9: this ignore of RB01 matches no finding: remove it\n"


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("--from", "system:serviceaccount:ci:anyone", "--to", "cluster-admin"), 1),
        (("--from", "group:system:serviceaccounts"), 1),
        (("--to", "secrets"), 1),
        (("--from", "user:jane"), 0),
        (("--from", "user:jane", "--to", "cluster-admin"), 0),
    ],
)
def test_whether_there_is_a_way_up_is_the_code(words: tuple[str, ...], code: int) -> None:
    done = run("-f", PERMISSIVE, *words, "-o", "json")
    assert (done.returncode, done.stderr) == (code, "")
    assert bool(told(done)["paths"]) == bool(code)


REFUSED = [
    (("--fail-on", "worst", "-f", PERMISSIVE), "podfacts audit: Invalid value for '--fail-on': 'worst' is not one of 'low', 'medium', 'high', 'critical'. (see podfacts audit --help)"),
    (("--from", "jane", "-f", PERMISSIVE), "podfacts audit: --from 'jane' is no subject: write user:jane, or system:serviceaccount:NAMESPACE:jane"),
    (("--from", "user:", "-f", PERMISSIVE), "podfacts audit: --from 'user:' is no subject: write system:serviceaccount:NAMESPACE:NAME, user:NAME or group:NAME"),
    (("-f", PERMISSIVE, "--context", "x"), "podfacts audit: --context and --kubeconfig are about a cluster: leave them or -f out"),
    (("-n", "x"), "podfacts audit: --namespace goes with -f: a cluster is audited as a whole"),
    (("-f", "-", "--audit-log", "-"), "podfacts audit: stdin can be read only once: give - once"),
    (("-f", "-", "-f", "-"), "<stdin>: can be read only once: give - once"),
    (("-f", "-"), "there is nothing to audit: no Role, ClusterRole, RoleBinding, ClusterRoleBinding in <stdin>"),
    (("-f", "/no/such.yaml"), "/no/such.yaml: cannot be read: No such file or directory"),
    (("-f", "/dev/zero"), "/dev/zero: is larger than 64 MiB: split it"),
    (("-f", sys.executable), f"{sys.executable}:"),
    (("-f", PERMISSIVE, "--ignore", "/no/such.yaml"), "/no/such.yaml: cannot be read: No such file or directory"),
    (("-f", PERMISSIVE, "--ignore", PERMISSIVE), f"{PERMISSIVE}:2: is no ignore file: write ignores: and a list below it, and nothing else"),
    (("-f", PERMISSIVE, "--baseline", "/no/such.json"), "/no/such.json: cannot be read: No such file or directory"),
    (("-f", PERMISSIVE, "--baseline", PERMISSIVE), f"{PERMISSIVE}:1: is no JSON (Expecting value): write a baseline by podfacts audit -o json"),
    (("-f", PERMISSIVE, "--audit-log", PERMISSIVE), f"{PERMISSIVE}:1: is no JSON, and an audit log has one event a line"),
    (("-f", PERMISSIVE, "--audit-log", "/dev/null"), "/dev/null: holds no audit event that tells an answer"),
    (("--kubeconfig", "/no/such"), "no cluster to talk to: there is no file /no/such"),
]  # fmt: skip


@pytest.mark.parametrize(("words", "line"), REFUSED, ids=[" ".join(map(str, each)) for each, _ in REFUSED])
def test_a_mistake_is_one_line_and_ends_with_2(words: tuple[str | Path, ...], line: str) -> None:
    done = run(*words)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(line)
    assert len(done.stderr.splitlines()) == 1


def test_a_cluster_that_is_not_there(tmp_path: Path) -> None:
    kubeconfig = tmp_path / "config"
    kubeconfig.write_text(
        "apiVersion: v1\nkind: Config\ncurrent-context: x\n"
        "clusters: [{name: x, cluster: {server: 'http://127.0.0.1:1'}}]\n"
        "users: [{name: x, user: {}}]\ncontexts: [{name: x, context: {cluster: x, user: x}}]\n"
    )
    done = run("--kubeconfig", kubeconfig)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("the cluster at http://127.0.0.1:1 cannot be reached: ")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.fault("T41")
@pytest.mark.parametrize("output", ["table", "json", "sarif", "html", "openreports"])
def test_no_control_character_of_a_name_gets_out(output: str, tmp_path: Path) -> None:
    file = tmp_path / "rbac.yaml"
    file.write_text(PERMISSIVE.read_text().replace("permissive-binding", '"a\\e[2J\\r\\u202Eb"'))
    done = run("-f", file, "-o", output)
    assert done.returncode == 1
    assert done.stdout
    assert not {"\x1b", "\r", "\u202e"} & {*done.stdout, *done.stderr}


def test_nothing_of_a_cluster_is_loaded() -> None:
    code = (
        "import sys\nfrom podfacts.cli import main\n"
        "try:\n"
        f"    main(['audit', '-f', {str(PERMISSIVE)!r}, '-o', 'json'], standalone_mode=False)\n"
        "except SystemExit:\n    pass\n"
        "print(sorted({name.partition('.')[0] for name in sys.modules}), file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    loaded = done.stderr.splitlines()[-1]
    assert "podfacts" in loaded
    assert [name for name in HEAVY if f"'{name}'" in loaded] == []


def test_the_words_of_the_options_are_those_of_the_audit() -> None:
    # They are written twice, so that a command which needs none of the audit does not load it.
    assert audit_commands.GOALS == GOALS
    assert tuple(str(each) for each in Severity if each) == audit_commands.SEVERITIES
