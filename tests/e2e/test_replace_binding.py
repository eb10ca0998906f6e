"""The tutorial's permissive-binding found, replaced and proven gone, on a real API server, by the command as it is typed."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from podfacts.cluster import access
from podfacts.rights.request import Account
from tests.cluster import Cluster
from tests.e2e.api import Api
from tests.e2e.conftest import wait_for
from tests.e2e.replacing import (
    ALL,
    BANK,
    CALLS,
    DB,
    GROUP,
    IDLE,
    ME,
    OURS,
    PODS,
    RBAC,
    SHOP,
    WEB,
    WIDE,
    Scene,
    pod,
)

pytestmark = pytest.mark.api

Tree = dict[str, Any]


@pytest.fixture
def scene(cluster: Cluster, api: Api, tmp_path: Path) -> Iterator[Scene]:
    here = Scene(cluster, api, tmp_path)
    try:
        for namespace in (SHOP, BANK):
            wait_for(
                lambda name=namespace: (
                    api.call("POST", "/api/v1/namespaces", {"metadata": {"name": name}}).status == 201
                )
            )
        for each in (WEB, DB, IDLE):
            path = f"/api/v1/namespaces/{each.namespace}"
            api.create(f"{path}/serviceaccounts", {"metadata": {"name": each.name}})
            api.create(f"{path}/pods", pod(each.name, each))
        yield here
    finally:
        api.call("DELETE", f"{WIDE}/{ME}")
        for kind in ("clusterrolebindings", "clusterroles"):
            for tree in api.call("GET", f"{RBAC}/{kind}").body["items"]:
                if ME in tree["metadata"]["name"]:
                    api.call("DELETE", f"{RBAC}/{kind}/{tree['metadata']['name']}")
        for namespace in (SHOP, BANK):
            api.call("DELETE", f"/api/v1/namespaces/{namespace}")
        for namespace in (SHOP, BANK):
            wait_for(lambda name=namespace: api.call("GET", f"/api/v1/namespaces/{name}").status == 404)


@pytest.fixture
def worked(scene: Scene) -> Callable[[tuple[Tree, ...]], str]:
    """Bind cluster-admin to these, let the accounts work, and return the file with the audit log of it."""

    def bound(subjects: tuple[Tree, ...]) -> str:
        scene.bind(ME, subjects)
        wait_for(lambda: scene.reads_secrets(IDLE) == 200, 10)
        since = scene.cluster.audit_log.stat().st_size
        assert scene.work() == [status for *_, status in CALLS]
        return scene.log(since)

    return bound


def objects(text: str) -> list[Tree]:
    return [each for each in yaml.safe_load_all(text) if each]


def test_permissive_binding_from_found_to_deleted(scene: Scene, worked: Callable[..., str]) -> None:
    log = worked(ALL)
    printed = scene.run(ME, "--audit-log", log)
    assert printed.returncode == 0, printed.stderr
    for line in ("#     * of * in API groups *\n", f"#     kubectl delete clusterrolebinding {ME}\n"):
        assert line in printed.stdout
    assert {each["subjects"][0]["name"] for each in objects(printed.stdout) if each.get("subjects")} == {
        "web",
        "db",
    }

    before = scene.run(ME, "--verify", "--audit-log", log)
    assert (before.returncode, before.stdout) == (
        1, f"not verified: the ClusterRoleBinding {ME} is still in force: apply first what replaces it\n"
    )  # fmt: skip

    scene.apply(printed.stdout)
    after = scene.run(ME, "--verify", "--audit-log", log)
    assert after.returncode == 0, after.stdout
    assert after.stdout.splitlines()[-1].startswith("verified: ")
    # Not only by the authorizer's word.
    assert scene.work() == [status for *_, status in CALLS]
    assert [scene.reads_secrets(each) for each in (WEB, DB, IDLE)] == [403, 403, 403]
    again = scene.run(ME, "--audit-log", log)
    assert (again.returncode, again.stdout) == (2, "")
    assert (
        f"has no subjects, so nobody holds it: check with podfacts replace-binding {ME} --verify"
        in again.stderr
    )

    scene.cluster.kubectl("delete", "clusterrolebinding", ME)
    gone = scene.run(ME, "--verify", "--audit-log", log)
    assert gone.returncode == 0, gone.stdout
    assert scene.work() == [status for *_, status in CALLS]
    without = scene.run(ME, "--verify")
    assert (without.returncode, without.stdout) == (2, "")
    assert without.stderr == (
        f"there is no ClusterRoleBinding {ME}; whom it held only a log can tell now: give --audit-log\n"
    )


def test_what_is_wrong_afterwards_is_named(scene: Scene, worked: Callable[..., str]) -> None:
    log = worked(OURS)
    scene.apply(scene.run(ME, "--audit-log", log).stdout)
    assert scene.run(ME, "--verify", "--audit-log", log).returncode == 0

    scene.cluster.kubectl("delete", "rolebinding", "-n", SHOP, f"podfacts-{WEB.name}")
    wait_for(lambda: scene.as_account(WEB).call("GET", PODS).status == 403, 10)
    lacking = scene.run(ME, "--verify", "--audit-log", log)
    assert lacking.returncode == 1
    assert f"{WEB}: no longer allowed: list pods in {SHOP}\n" in lacking.stdout
    assert f"{WEB}: no longer allowed: get pods/log web in {SHOP}\n" in lacking.stdout
    assert lacking.stdout.splitlines()[-1] == "not verified: calls no longer allowed: 3; see the lines above"

    scene.bind(f"{ME}-other", (OURS[1],))
    wait_for(lambda: scene.reads_secrets(IDLE) == 200, 10)
    left = scene.run(ME, "--verify", "--audit-log", log)
    assert left.returncode == 1
    by = f'by ClusterRoleBinding "{ME}-other" of ClusterRole "cluster-admin"'
    assert f"{IDLE}: still may: list secrets, {by}" in left.stdout


def test_what_an_admin_does_as_an_account_is_not_granted_to_it(scene: Scene) -> None:
    since = scene.cluster.audit_log.stat().st_size
    scene.bind(ME, OURS)
    wait_for(lambda: scene.reads_secrets(IDLE) == 200, 10)
    scene.cluster.kubectl("get", "secrets", "-A", "--as", WEB.user)
    log = scene.log(since)
    printed = scene.run(ME, "--audit-log", log)
    assert "warning: what others did as service accounts is no need of those: " in printed.stderr
    held = [each["subjects"][0]["name"] for each in objects(printed.stdout) if each.get("subjects")]
    assert held == [IDLE.name]
    scene.apply(printed.stdout)
    wait_for(lambda: scene.reads_secrets(WEB) == 403, 10)
    assert scene.reads_secrets(IDLE) == 200
    # A power that is needed is named, and no more than that.
    done = scene.run(ME, "--verify", "--audit-log", log)
    assert done.returncode == 0, done.stdout
    needs = (
        f'{IDLE}: may, as it is known to need: list secrets, by ClusterRoleBinding "podfacts:{BANK}:idle"\n'
    )
    assert needs in done.stdout
    assert done.stdout.endswith(" or otherwise, apart from those above: 1 known to be needed\n")


def test_a_binding_that_no_account_held_is_not_verified(scene: Scene) -> None:
    scene.bind(f"{ME}-people", ({"kind": "User", "apiGroup": GROUP, "name": "eve\x1b[2J\nwarning: fine"},))
    printed = scene.run(f"{ME}-people")
    assert printed.stderr == (
        "warning: who else holds it is granted nothing: User eve\\U0000001B[2J\\U0000000Awarning: fine\n"
    )
    scene.apply(printed.stdout)
    done = scene.run(f"{ME}-people", "--verify")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f"no service account is known to have held the ClusterRoleBinding {ME}-people: there is nobody to ask about\n"
    )


def test_without_a_log_the_pods_declare(scene: Scene) -> None:
    labels, access = {"podfacts.dev/inject": "true"}, {"podfacts.dev/api-access": "true"}
    asking = pod("asking", WEB, labels=labels, annotations=access)
    scene.api.create(PODS, asking)
    scene.bind(ME, OURS)
    printed = scene.run(ME)
    assert printed.returncode == 0, printed.stderr
    *grants, last = objects(printed.stdout)
    assert [each["kind"] for each in grants] == ["Role", "RoleBinding"]
    assert grants[0]["metadata"]["namespace"] == SHOP
    assert last["metadata"]["name"] == ME
    assert f"what these pods need is not known, they declare nothing: {DB}, {IDLE}." in printed.stderr
    scene.apply(printed.stdout)
    assert scene.run(ME, "--verify").returncode == 0
    assert scene.as_account(WEB).call("GET", f"{PODS}/asking").status == 200
    assert scene.as_account(WEB).call("GET", f"/api/v1/namespaces/{BANK}/pods").status == 403
    scene.cluster.kubectl("delete", "rolebinding", "-n", SHOP, grants[1]["metadata"]["name"])
    wait_for(lambda: scene.as_account(WEB).call("GET", f"{PODS}/asking").status == 403, 10)
    assert scene.run(ME, "--verify").returncode == 1


def test_a_role_binding(scene: Scene) -> None:
    since = scene.cluster.audit_log.stat().st_size
    scene.bind(ME, ALL, namespace=BANK)
    path = f"/api/v1/namespaces/{BANK}/configmaps"
    wait_for(lambda: scene.as_account(WEB).call("GET", path).status == 200, 10)
    log = scene.log(since)

    other_kind = scene.run(ME)
    assert (other_kind.returncode, other_kind.stdout) == (2, "")
    assert other_kind.stderr == (
        f"there is no ClusterRoleBinding {ME}, but there is a RoleBinding {ME} in {BANK} (write -n {BANK})\n"
    )
    words = (ME, "-n", BANK, "--audit-log", log)
    printed = scene.run(*words)
    assert printed.returncode == 0, printed.stderr
    scene.apply(printed.stdout)
    done = scene.run(*words, "--verify")
    assert done.returncode == 0, done.stdout
    assert scene.as_account(WEB).call("GET", path).status == 200
    assert scene.as_account(WEB).call("GET", f"/api/v1/namespaces/{BANK}/secrets").status == 403
    scene.cluster.kubectl("delete", "rolebinding", ME, "-n", BANK)
    assert scene.run(*words, "--verify").returncode == 0


READS = (
    (GROUP, "roles clusterroles rolebindings clusterrolebindings", "get list"),
    ("", "serviceaccounts pods", "list"),
    ("authorization.k8s.io", "subjectaccessreviews", "create"),
)


def kubeconfig(scene: Scene, account: Account) -> Path:
    """A kubeconfig of an account, by its token."""
    tree = yaml.safe_load(scene.cluster.kubeconfig.read_text())
    scene.as_account(account)
    tree["users"][0]["user"] = {"token": scene.tokens[account]}
    file = scene.folder / f"{account.name}.kubeconfig"
    file.write_text(yaml.safe_dump(tree))
    return file


def test_it_reads_and_asks_and_nothing_else(scene: Scene) -> None:
    reader = kubeconfig(scene, IDLE)
    refused = scene.run(ME, kubeconfig=reader)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert len(refused.stderr.splitlines()) == 1
    assert (
        f'User "{IDLE.user}" cannot get resource "clusterrolebindings" in API group "{GROUP}"'
        in refused.stderr
    )

    rules = [
        {"apiGroups": [group], "resources": resources.split(), "verbs": verbs.split()}
        for group, resources, verbs in READS
    ]
    scene.api.create(f"{RBAC}/clusterroles", {"metadata": {"name": f"{ME}-reader"}, "rules": rules})
    subject = {"kind": "ServiceAccount", "name": IDLE.name, "namespace": IDLE.namespace}
    scene.bind(f"{ME}-reader", (subject,), f"{ME}-reader")
    scene.bind(ME, (OURS[0],))
    wait_for(lambda: scene.run(ME, kubeconfig=reader).returncode == 0, 10)
    since = scene.cluster.audit_log.stat().st_size
    printed = scene.run(ME, kubeconfig=reader)
    scene.apply(printed.stdout)
    assert scene.run(ME, "--verify", kubeconfig=reader).returncode == 0
    lines = Path(scene.log(since)).read_text().splitlines()
    events = [each for each in map(json.loads, lines) if each["user"]["username"] == IDLE.user]
    done = {(each["verb"], each["objectRef"]["resource"]) for each in events}
    may = {
        (verb, resource)
        for _, resources, verbs in READS
        for resource in resources.split()
        for verb in verbs.split()
    }
    assert done <= may
    assert {("list", "pods"), ("get", "clusterrolebindings"), ("create", "subjectaccessreviews")} <= done


def test_lists_are_read_page_by_page(cluster: Cluster, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access, "PAGE", 7)
    path = f"{RBAC}/clusterroles"
    found = access.connect(str(cluster.kubeconfig)).items(path)
    names = [each["metadata"]["name"] for each in found if each["metadata"]["name"].startswith("system:")]
    listed = [each["metadata"]["name"] for each in api.call("GET", path).body["items"]]
    assert names == [each for each in listed if each.startswith("system:")]
    assert len(names) > 3 * 7


def test_a_mistake_is_one_line(scene: Scene) -> None:
    scene.bind(ME, OURS)
    bad = scene.folder / "bad.log"
    bad.write_text("no json\n")
    since = scene.cluster.audit_log.stat().st_size
    scene.as_account(WEB).call("GET", "/version")
    unrelated = scene.log(since)
    elsewhere = scene.folder / "elsewhere"
    tree = yaml.safe_load(scene.cluster.kubeconfig.read_text())
    tree["clusters"][0]["cluster"]["server"] = "https://127.0.0.1:1"
    elsewhere.write_text(yaml.safe_dump(tree))
    mistakes = {
        (f"{ME}-typo",): f"there is no ClusterRoleBinding {ME}-typo\n",
        (
            ME,
            "-n",
            SHOP,
        ): f"there is no RoleBinding {ME} in {SHOP}, but there is a ClusterRoleBinding {ME} (leave -n out)\n",
        (
            f"{ME}-typo",
            "--verify",
        ): f"there is no ClusterRoleBinding {ME}-typo; whom it held only a log can tell now",
        (
            f"{ME}-typo",
            "--verify",
            "--audit-log",
            unrelated,
        ): "and it allowed none of the calls in the audit log\n",
        ("..",): "'..' cannot be the name of a ClusterRoleBinding\n",
        ("",): "'' cannot be the name of a ClusterRoleBinding\n",
        (ME, "-n", "a/b"): "podfacts replace-binding: 'a/b' cannot be the name of a namespace: 1 to 63 of ",
        (ME, "--audit-log", "/no/such"): "/no/such: cannot be read: No such file or directory\n",
        (ME, "--audit-log", str(bad)): f"{bad}:1: is no JSON",
        (ME, "--context", "none"): "there is no context none",
        (ME, "--kubeconfig", str(elsewhere)): "the cluster at https://127.0.0.1:1 cannot be reached: ",
    }
    for words, sentence in mistakes.items():
        done = scene.run(*words)
        assert (done.returncode, done.stdout) == (2, ""), words
        assert sentence in done.stderr
        assert len(done.stderr.splitlines()) == 1, done.stderr
