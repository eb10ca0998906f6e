"""The command line as a user meets it: one clear line, the right exit code, never a traceback."""

import subprocess
import sys
from pathlib import Path

import pytest

from podfacts import __version__

SCRIPTS = Path(sys.executable).parent
EXAMPLE = Path(__file__).parents[1] / "deploy/examples/downward-api-env.yaml"


def run(*words: str, program: str = "podfacts") -> subprocess.CompletedProcess[str]:
    return subprocess.run([SCRIPTS / program, *words], capture_output=True, text=True, check=False)


GRANT = ("grant", "--to", "shop/web")
USAGE = [
    (("inject",), "podfacts inject: Missing option '-f' / '--filename'. (see podfacts inject --help)"),
    (("nothing",), "podfacts: No such command 'nothing'. (see podfacts --help)"),
    (("inject", "-f", "x", "-o", "toml"), "'toml' is not one of 'yaml', 'json', 'patch'"),
    (("webhook", "--port", "65536"), "65536 is not in the range 0<=x<=65535"),
    (("controller", "--ca-lifetime", "1x"), "'1x' is no duration: write a number with s, m, h or d, such as 24h"),
    (("controller", "--settle", "0s"), "'0s' is no duration: write a number with s, m, h or d, such as 24h"),
    (("controller", "--ca-lifetime", "1m"), "podfacts controller: a CA lifetime of 0:01:00 is too short"),
    (("grant", "--read", "pods"), "podfacts grant: Missing option '--to'. (see podfacts grant --help)"),
    (("grant", "--to", "web", "--read", "pods"), "podfacts grant: 'web' is no service account: write NAMESPACE/NAME, such as shop/web"),
    (("grant", "--to", "a.b/web", "--read", "pods"), "podfacts grant: 'a.b' cannot be the name of a namespace: 1 to 63 of lower-case letters, digits and dashes"),
    (("grant", "--to", "shop/Web", "--read", "pods"), "podfacts grant: 'Web' cannot be the name of a service account: 1 to 253 of "),
    (("grant", "--to", "shop/a/b", "--read", "pods"), "podfacts grant: 'a/b' cannot be the name of a service account"),
    (GRANT, "podfacts grant: give --read, --watch, --url, --from-audit-log or --from-ambassador-log: what is to be granted?"),
    ((*GRANT, "--name", "x", "--url", "/metrics"), "podfacts grant: --name goes with --read and --watch"),
    ((*GRANT, "-n", "x", "--url", "/metrics"), "podfacts grant: --namespace goes with --read and --watch"),
    ((*GRANT, "-n", "X", "--read", "pods"), "podfacts grant: 'X' cannot be the name of a namespace"),
    ((*GRANT, "--name", "x", "--from-audit-log", "/no/such.log"), "podfacts grant: --name goes with --read and --watch: a log says its names itself"),
    ((*GRANT, "--from-audit-log", "-", "--from-ambassador-log", "-"), "podfacts grant: stdin can be read only once: give - once"),
    ((*GRANT, "--from-audit-log", "-", "--from-audit-log", "-"), "<stdin>: can be read only once: give - once"),
    ((*GRANT, "--from-audit-log", "/no/such.log"), "/no/such.log: cannot be read: No such file or directory"),
    ((*GRANT, "--from-audit-log", "/"), "/: cannot be read: Is a directory"),
    ((*GRANT, "--from-audit-log", str(EXAMPLE)), "downward-api-env.yaml:1: is no JSON, and an audit log has one event a line: "),
    ((*GRANT, "--from-audit-log", "/dev/null"), "/dev/null: holds no audit event that tells an answer"),
    ((*GRANT, "--from-audit-log", "/dev/zero"), "/dev/zero:1: is longer than 64 MiB: this is no log"),
    ((*GRANT, "--from-ambassador-log", str(EXAMPLE)), "downward-api-env.yaml: holds no answered request: give the log of a podfacts-ambassador container, or of a kubectl proxy run with --vmodule=round_trippers=6"),
    ((*GRANT, "--read", "pod"), "podfacts grant: pod: is no resource: write pods"),
    ((*GRANT, "--read", "deployments"), "podfacts grant: deployments: is in the group apps: write deployments.apps"),
    (("inject", "-f", "/no/such.yaml"), "/no/such.yaml: cannot be read: No such file or directory"),
    (("inject", "-f", str(EXAMPLE), "--profile", "/no/such.yaml"), "/no/such.yaml: cannot be read: No such file or directory"),
    (("webhook", "--profile", str(EXAMPLE)), "downward-api-env.yaml:4: kind: must be kind Profile of apiVersion podfacts.dev/v1alpha1"),
    (("replace-binding",), "podfacts replace-binding: Missing argument 'NAME'. (see podfacts replace-binding --help)"),
    (("replace-binding", "x", "-n", ""), "podfacts replace-binding: '' cannot be the name of a namespace: 1 to 63 of "),
    (("replace-binding", "x", "--kubeconfig", "/no/such"), "no cluster to talk to: there is no file /no/such"),
    (("replace-binding", "x", "--kubeconfig", "/a\x1b[2J\nb"), "there is no file /a\\U0000001B[2J\\U0000000Ab"),
    (("replace-binding", "x", "--kubeconfig", str(EXAMPLE)), f"no cluster to talk to: {EXAMPLE}: "),
    (("replace-binding", "x", "--profile", "/no/such.yaml"), "/no/such.yaml: cannot be read: No such file or directory"),
]  # fmt: skip


@pytest.mark.parametrize(("words", "sentence"), USAGE, ids=[" ".join(each[0]) for each in USAGE])
def test_a_mistake_is_one_line(words: tuple[str, ...], sentence: str) -> None:
    done = run(*words)
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1
    assert sentence in done.stderr


def test_its_three_names() -> None:
    expected = f"podfacts {__version__}\n"
    assert run("--version").stdout == expected
    assert run("--version", program="kubectl-podfacts").stdout == expected
    module = subprocess.run(
        [sys.executable, "-m", "podfacts", "--version"], capture_output=True, text=True, check=False
    )
    assert module.stdout == expected
    assert "Usage: kubectl podfacts inject" in run("inject", "--help", program="kubectl-podfacts").stdout


def test_a_server_can_be_set_by_environment() -> None:
    done = subprocess.run(
        [SCRIPTS / "podfacts", "webhook"],
        env={"PODFACTS_TLS_MIN": "1.1", "PATH": "/usr/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "(env var: 'PODFACTS_TLS_MIN'): '1.1' is not one of '1.3', '1.2'" in done.stderr


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("kind: [", "profile.yaml:1: "),
        ("# nothing\n", "profile.yaml: holds no Profile"),
        ("apiVersion: podfacts.dev/v1alpha1\nkind: Profile\nmetadata:\n  name: x\nspec:\n  facts:\n  - name: a\n    field: spec.x\n", "profile.yaml:8: spec.facts[0].field: must be one of "),
        ("apiVersion: podfacts.dev/v1alpha1\nkind: Profile\nmetadata:\n  name: x\nspec:\n  facts:\n  - name: a\n    field: metadata.name\n  apiAccess:\n    expirationSeconds: 599\n", "profile.yaml:10: spec.apiAccess.expirationSeconds: must be a whole number of seconds, at least 600: "),
        ("apiVersion: podfacts.dev/v1alpha1\nkind: Profile\nmetadata:\n  name: x\nspec:\n  facts:\n  - name: a\n    field: metadata.name\n  apiAccess:\n    audience: a b\n", "profile.yaml:10: spec.apiAccess.audience: must be printable ASCII without spaces"),
        ("apiVersion: podfacts.dev/v1alpha1\nkind: Profile\nmetadata:\n  name: x\nspec:\n  facts:\n  - name: a\n    field: metadata.name\n  ambassador:\n    acceptPaths:\n    - ^/version$\n    - ^/api(\n", "profile.yaml:12: spec.ambassador.acceptPaths[1]: '^/api(' is no regular expression ("),
        ("apiVersion: podfacts.dev/v1alpha1\nkind: Profile\nmetadata:\n  name: x\nspec:\n  facts:\n  - name: a\n    field: metadata.name\n  ambassador:\n    acceptPaths: [^.*]\n", "profile.yaml:10: spec.ambassador.acceptPaths[0]: must begin with ^/"),
    ],
)  # fmt: skip
def test_a_bad_profile_is_refused_with_its_line(tmp_path: Path, text: str, sentence: str) -> None:
    file = tmp_path / "profile.yaml"
    file.write_text(text)
    done = run("inject", "-f", str(EXAMPLE), "--profile", str(file))
    assert (done.returncode, done.stdout) == (2, "")
    assert sentence in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_two_profiles_of_one_name_are_refused(tmp_path: Path) -> None:
    example = EXAMPLE.parent / "profile.yaml"
    copy = tmp_path / "copy.yaml"
    copy.write_text(example.read_text())
    done = run("inject", "-f", str(EXAMPLE), "--profile", str(example), "--profile", str(copy))
    assert done.returncode == 2
    assert f"profile web stands in {example}:5 already" in done.stderr
