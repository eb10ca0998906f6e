"""``podfacts grant`` as a process: logs in, one YAML text out, and what is not granted on stderr."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from tests.rights.events import USER, event, line

PODS = "/api/v1/namespaces/shop/pods"
POD: dict[str, Any] = {"resource": "pods", "namespace": "shop"}
PROXIED = 'I1124 15:16:47.040704   27688 round_trippers.go:632] "Response" verb="GET" url="https://10.96.0.1:443{}" status="{}"\n'


def grant(*words: str, stdin: bytes = b"") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "podfacts", "grant", "--to", "shop/web", *words]
    done = subprocess.run(command, input=stdin, capture_output=True, check=False, timeout=60)
    return subprocess.CompletedProcess(command, done.returncode, done.stdout.decode(), done.stderr.decode())


def rules(text: str) -> list[Any]:
    return [rule for tree in yaml.safe_load_all(text) if tree for rule in tree.get("rules", ())]


def test_an_audit_log_from_a_pipe() -> None:
    log = [
        event("list", PODS, **POD),
        event("get", f"{PODS}/web-7d9f8b6c5-x2x4z", **POD, name="web-7d9f8b6c5-x2x4z"),
        event("get", f"{PODS}/*", 404, **POD, name="*"),
        event("list", "/api/v1/secrets", 403, resource="secrets"),
        event("list", PODS, 403, **POD),  # Before somebody allowed it.
        event("list", "/api/v1/nodes", resource="nodes", user=USER, impersonatedUser={"username": "admin"}),
        event("delete", f"{PODS}/x", **POD, name="x", user="system:serviceaccount:shop:other"),
    ]
    done = grant("--from-audit-log", "-", stdin=b"\n".join(map(line, log)))
    assert done.returncode == 0
    assert done.stderr.splitlines() == [
        "warning: 1 request was denied to shop/web, and not granted: list secrets",
        "warning: 1 request was made by shop/web as somebody else, and not granted: list nodes",
    ]
    assert done.stdout.startswith(
        "# The least rights for shop/web, printed by: podfacts grant --to shop/web --from-audit-log -\n"
        "# get pods in shop: any name, for the next rollout will have others than web-7d9f8b6c5-x2x4z\n"
        "apiVersion: rbac.authorization.k8s.io/v1\n"
    )
    assert rules(done.stdout) == [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]}]


def test_several_logs_and_words_are_one_grant(tmp_path: Path) -> None:
    for name, verb in (("a", "list"), ("b", "watch")):
        (tmp_path / name).write_bytes(line(event(verb, PODS, **POD)))
    proxied = tmp_path / "proxied"
    proxied.write_text(
        "Starting to serve\n"
        + PROXIED.format(PODS + "/web", "200 OK")
        + PROXIED.format("/logs", "403 Forbidden")
    )
    words = ["--from-audit-log", str(tmp_path / "a"), "--from-audit-log", str(tmp_path / "b")]
    done = grant(*words, "--from-ambassador-log", str(proxied), "--read", "services")
    assert done.stderr == "warning: 1 request was denied to shop/web, and not granted: get /logs\n"
    assert rules(done.stdout) == [
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["list", "watch"]},
        {"apiGroups": [""], "resources": ["pods"], "resourceNames": ["web"], "verbs": ["get"]},
        {"apiGroups": [""], "resources": ["services"], "verbs": ["get", "list"]},
    ]
    assert grant(*words).stdout == grant(*words).stdout


def test_a_log_without_the_account_says_which_are_in_it() -> None:
    accounts = [event("list", PODS, user=f"system:serviceaccount:shop:{each}", **POD) for each in "gfedcba"]
    done = grant(
        "--from-audit-log", "-", stdin=b"".join(map(line, [event("get", "/", user="admin"), *accounts]))
    )
    others = "shop/a, shop/b, shop/c, shop/d, shop/e and 2 more"
    assert done.stderr == f"<stdin>: holds no call of shop/web, but calls of {others}\n"
    assert (done.returncode, done.stdout) == (2, "")
    done = grant("--from-audit-log", "-", stdin=line(event("get", "/", user="admin")))
    assert done.stderr == "<stdin>: holds no call of shop/web, but no call of any service account\n"


def test_one_bad_line_and_nothing_is_printed() -> None:
    done = grant("--from-audit-log", "-", stdin=line(event("list", PODS, **POD)) + b'{"kind":"Ev')
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("<stdin>:2: is no JSON")
    assert len(done.stderr.splitlines()) == 1


def test_nothing_beyond_everyones_rights() -> None:
    done = grant("--from-audit-log", "-", stdin=line(event("get", "/version")))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[1:] == ["# Nothing to grant: every service account may do this already."]


def test_nothing_that_a_rule_can_say() -> None:
    version = line(event("get", "/version"))
    done = grant("--from-audit-log", "-", stdin=line(event("get", "/foo*")))
    assert done.stdout.splitlines()[1:] == [
        "# Not granted, for no rule can say it and nothing more: get /foo*",
        "# Nothing to grant: no rule can say what was asked for.",
    ]
    done = grant("--from-audit-log", "-", stdin=line(event("get", "/foo*")) + version)
    assert done.stdout.splitlines()[-1] == (
        "# Nothing to grant: every service account may do some of it already, and no rule can say the rest."
    )


def test_what_others_did_as_the_account_is_not_its_own() -> None:
    def by(user: str, verb: str) -> bytes:
        return line(event(verb, PODS, user=user, impersonatedUser={"username": USER}, **POD))

    log = line(event("watch", PODS, **POD)) + by("eve", "list") + by("bob", "list") + by("bob", "get")
    warning = "warning: 2 requests were made by others (bob, eve) as shop/web, and not granted: "
    done = grant("--from-audit-log", "-", stdin=log)
    assert done.stderr == f"{warning}get pods in shop, list pods in shop\n"
    assert rules(done.stdout) == [{"apiGroups": [""], "resources": ["pods"], "verbs": ["watch"]}]
    # Nor does it take away what the account did.
    assert "list" in grant("--from-audit-log", "-", stdin=log + line(event("list", PODS, **POD))).stdout
    alone = grant("--from-audit-log", "-", stdin=by("bob", "list"))
    assert (alone.returncode, alone.stdout) == (2, "")
    assert alone.stderr == "<stdin>: holds no call of shop/web, but calls that bob made as it\n"


def test_what_a_log_says_is_printed_on_its_line() -> None:
    strange = "x\nwarning: fine\x1b[2J"
    as_another = event("list", PODS, impersonatedUser={"username": strange}, **POD)
    by_another = event("list", PODS, user=strange, impersonatedUser={"username": USER}, **POD)
    for log in ([as_another, by_another], [event("get", "/", user=f"system:serviceaccount:{strange}")]):
        done = grant("--from-audit-log", "-", stdin=b"".join(map(line, log)))
        assert done.stderr.replace("\n", "").isprintable()
        assert len(done.stderr.splitlines()) == len(log)


def test_a_log_writes_nothing_of_its_own() -> None:
    """Line ends, escapes of a terminal and bytes that are no text, in names that a caller made up."""
    log = [event("get", f"/x%0Akind:%1B[2J%FF{code}", code) for code in (200, 403)]
    done = grant("--from-audit-log", "-", stdin=b"".join(map(line, log)))
    assert done.returncode == 0
    assert len(done.stderr.splitlines()) == 1
    assert (done.stdout + done.stderr).replace("\n", "").isprintable()
    assert done.stdout.splitlines()[1] == (
        "# Not granted, for no rule can say it and nothing more: get /x\\U0000000Akind:\\U0000001B[2J\\U0000DCFF200"
    )


def test_only_denied() -> None:
    done = grant("--from-audit-log", "-", stdin=line(event("list", PODS, 403, **POD)))
    assert done.returncode == 0
    assert done.stdout.splitlines()[1:] == ["# Nothing to grant: nothing that was asked for was allowed."]


def test_a_name_that_was_written_is_kept() -> None:
    assert rules(grant("--read", "pods", "--name", "web-7d9f8b6c5-x2x4z").stdout)[0]["resourceNames"] == [
        "web-7d9f8b6c5-x2x4z"
    ]


MEASURED = """
import sys
from podfacts.offline.grant import Asked, granted
granted(Asked("shop/web", audit_logs=sys.argv[1:]), sys.stdin.buffer)
print(open("/proc/self/status").read().split("VmHWM:")[1].split()[0])
"""


def test_memory_does_not_grow_with_the_log(tmp_path: Path) -> None:
    used = []
    for times in (10, 600):
        log = tmp_path / str(times)
        with log.open("wb") as file:
            for _ in range(times):
                file.write(line(event("list", PODS, **POD)) * 100)
        command = [sys.executable, "-c", MEASURED, str(log)]
        used.append(int(subprocess.run(command, capture_output=True, check=True).stdout))
    assert used[1] - used[0] < 8_000, used  # KiB, for 35 MB of log.
