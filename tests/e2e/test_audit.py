"""A live cluster audited by the command as it is typed: with the read rights it says and no other, and as its export says."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster import Cluster
from tests.e2e.api import Api
from tests.e2e.conftest import wait_for

pytestmark = pytest.mark.api

RBAC = "/apis/rbac.authorization.k8s.io/v1"
NAME = f"audit-{os.getpid()}"
KINDS = ("clusterroles", "roles", "clusterrolebindings", "rolebindings")
CORE = ("namespaces", "serviceaccounts", "pods")
EXPORTED = ",".join((*KINDS, *CORE))


def role(*resources: str) -> list[dict[str, Any]]:
    groups = (("rbac.authorization.k8s.io", KINDS), ("", CORE))
    rules = [(group, [each for each in ours if each in resources]) for group, ours in groups]
    return [{"apiGroups": [group], "resources": found, "verbs": ["list"]} for group, found in rules if found]


class Auditor:
    """An account in a namespace of its own, whose one ClusterRole says what it may list."""

    def __init__(self, cluster: Cluster, api: Api, folder: Path) -> None:
        self._api = api
        wait_for(lambda: api.call("POST", "/api/v1/namespaces", {"metadata": {"name": NAME}}).status == 201)
        # Of a namespace that has just been made anew, admission may believe for a moment that it is being terminated.
        account = {"metadata": {"name": "auditor"}}
        accounts = f"/api/v1/namespaces/{NAME}/serviceaccounts"
        wait_for(lambda: api.call("POST", accounts, account).status == 201)
        api.create(f"{RBAC}/clusterroles", {"metadata": {"name": NAME}, "rules": []})
        reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": NAME}
        subject = {"kind": "ServiceAccount", "name": "auditor", "namespace": NAME}
        binding = {"metadata": {"name": NAME}, "roleRef": reference, "subjects": [subject]}
        api.create(f"{RBAC}/clusterrolebindings", binding)
        path = f"/api/v1/namespaces/{NAME}/serviceaccounts/auditor/token"
        token = api.create(path, {"spec": {"expirationSeconds": 3600}})["status"]["token"]
        config = yaml.safe_load(cluster.kubeconfig.read_text())
        config["users"][0]["user"] = {"token": token}
        self.kubeconfig = folder / "config"
        self.kubeconfig.write_text(yaml.safe_dump(config))
        self.user = Api(cluster.kubeconfig, token)

    def may_list(self, *resources: str) -> None:
        said = self._api.call("PATCH", f"{RBAC}/clusterroles/{NAME}", {"rules": role(*resources)})
        assert said.status == 200, said.body
        wait_for(lambda: all(self.lists(each) == (each in resources) for each in (*KINDS, *CORE)))

    def lists(self, resource: str) -> bool:
        group = RBAC if resource in KINDS else "/api/v1"
        return self.user.call("GET", f"{group}/{resource}", limit="1").status == 200

    def end(self) -> None:
        for kind in ("clusterrolebindings", "clusterroles"):
            self._api.call("DELETE", f"{RBAC}/{kind}/{NAME}")
        self._api.call("DELETE", f"/api/v1/namespaces/{NAME}")


@pytest.fixture
def auditor(cluster: Cluster, api: Api, tmp_path: Path) -> Iterator[Auditor]:
    found = Auditor(cluster, api, tmp_path)
    try:
        yield found
    finally:
        found.end()


@pytest.fixture
def permissive(auditor: Auditor, api: Api) -> Iterator[None]:
    """The tutorial's binding, and a pod that holds it by it."""
    del auditor
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"}
    subject = {
        "apiGroup": "rbac.authorization.k8s.io",
        "kind": "Group",
        "name": f"system:serviceaccounts:{NAME}",
    }
    api.create(
        f"{RBAC}/clusterrolebindings",
        {"metadata": {"name": f"{NAME}-wide"}, "roleRef": reference, "subjects": [subject]},
    )
    container = {"name": "main", "image": "app"}
    api.create(
        f"/api/v1/namespaces/{NAME}/pods",
        {"metadata": {"name": "web"}, "spec": {"serviceAccountName": "auditor", "containers": [container]}},
    )
    yield
    api.call("DELETE", f"{RBAC}/clusterrolebindings/{NAME}-wide")


def audit(*words: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "podfacts", "audit", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


def told(done: subprocess.CompletedProcess[str]) -> Any:
    assert done.stdout, done.stderr
    return json.loads(done.stdout)


def prints(tree: Any) -> set[str]:
    return {each["fingerprint"] for each in tree["findings"]}


def said(finding: Any) -> Any:
    """What it says, without where it was read."""
    return {key: value for key, value in finding.items() if key not in ("source", "rules")}


def test_the_rights_it_names_are_enough_and_secrets_are_not_among_them(auditor: Auditor) -> None:
    auditor.may_list(*KINDS, *CORE)
    assert auditor.user.call("GET", "/api/v1/secrets").status == 403
    done = audit("--kubeconfig", auditor.kubeconfig, "-o", "json", "--fail-on", "critical")
    assert done.returncode in (0, 1)
    assert done.stderr == ""
    assert told(done)["unread"] == []


def messages(tree: Any) -> list[str]:
    """What is said. Of a role that is not there files know less: there may be one elsewhere."""
    return [each["message"] for each in tree["findings"] if each["rule"] != "RB08"]


@pytest.mark.usefixtures("permissive")
def test_live_and_exported_it_is_the_same(auditor: Auditor, tmp_path: Path) -> None:
    auditor.may_list(*KINDS, *CORE)
    kubectl = ["kubectl", "--kubeconfig", str(auditor.kubeconfig), "get", EXPORTED, "-A"]
    live = told(audit("--kubeconfig", auditor.kubeconfig, "-o", "json"))
    assert f"{NAME}-wide" in {each["binding"]["name"] for each in live["findings"] if each["binding"]}
    for form in ("yaml", "json"):
        exported = tmp_path / f"state.{form}"
        with exported.open("wb") as file:
            subprocess.run([*kubectl, "-o", form], stdout=file, check=True)
        files = told(audit("-f", exported, "-o", "json"))
        assert prints(files) == prints(live)
        assert all(each["source"]["line"] > 1 for each in files["findings"])
        assert messages(files) == messages(live)


@pytest.mark.parametrize(
    ("missing", "kind"),
    [("pods", "Pods"), ("serviceaccounts", "ServiceAccounts"), ("namespaces", "Namespaces")],
)
def test_what_may_not_be_listed_is_said_and_the_audit_goes_on(
    auditor: Auditor, missing: str, kind: str
) -> None:
    auditor.may_list(*KINDS, *(each for each in CORE if each != missing))
    done = audit("--kubeconfig", auditor.kubeconfig, "-o", "json")
    assert done.returncode in (0, 1)
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"warning: {kind} could not be listed, so the audit does not know ")
    assert f'cannot list resource "{missing}" in API group ""' in line
    assert told(done)["unread"] == [line.removeprefix("warning: ")]


@pytest.mark.parametrize("missing", KINDS)
def test_without_a_kind_of_rbac_there_is_no_audit(auditor: Auditor, missing: str) -> None:
    auditor.may_list(*CORE, *(each for each in KINDS if each != missing))
    done = audit("--kubeconfig", auditor.kubeconfig)
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("the cluster at https://")
    assert f'User "system:serviceaccount:{NAME}:auditor" cannot list resource "{missing}"' in line


def test_without_any_right_it_is_one_line(auditor: Auditor) -> None:
    done = audit("--kubeconfig", auditor.kubeconfig, "-o", "sarif")
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1


def test_a_list_of_many_pages_is_read_whole(auditor: Auditor, api: Api) -> None:
    auditor.may_list(*KINDS, *CORE)
    path = f"{RBAC}/namespaces/{NAME}/roles"
    for number in range(510):
        api.create(path, {"metadata": {"name": f"many-{number}"}, "rules": []})
    binding = {
        "metadata": {"name": "last"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "many-509"},
        "subjects": [{"kind": "ServiceAccount", "name": "auditor", "namespace": NAME}],
    }
    api.create(f"{RBAC}/namespaces/{NAME}/rolebindings", binding)
    found = told(audit("--kubeconfig", auditor.kubeconfig, "-o", "json"))["findings"]
    # A role that was left out would be one that does not exist.
    assert [each for each in found if each["rule"] == "RB08" and each["binding"]["name"] == "last"] == []
