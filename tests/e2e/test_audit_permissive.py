"""The binding that this all began with: cluster-admin to every service account, on a real cluster."""

import os
from collections.abc import Iterator

import pytest

from podfacts.audit.finding import Finding, Severity
from podfacts.audit.judgement.findings import findings
from podfacts.cluster.access import connect
from podfacts.cluster.inventory import inventory_of
from podfacts.rights.request import Account
from tests.cluster import Cluster
from tests.e2e.api import Api
from tests.e2e.conftest import wait_for

pytestmark = pytest.mark.api

HOME = f"permissive-{os.getpid()}"
BINDINGS = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings"
NAME = "permissive-binding"


@pytest.fixture(scope="module")
def pods(api: Api) -> Iterator[None]:
    """A namespace with an account of its own, a pod that is to run as it, and one that has ended."""
    home = f"/api/v1/namespaces/{HOME}"
    api.create("/api/v1/namespaces", {"metadata": {"name": HOME}})
    try:
        wait_for(lambda: api.call("GET", f"{home}/serviceaccounts/default").status == 200)
        api.create(f"{home}/serviceaccounts", {"metadata": {"name": "app"}})
        for name in ("waits", "ended"):
            spec = {
                "serviceAccountName": "app",
                "nodeName": "nowhere",
                "containers": [{"name": "main", "image": "app"}],
                "tolerations": [{"operator": "Exists"}],
            }
            api.create(f"{home}/pods", {"metadata": {"name": name}, "spec": spec})
        said = api.call("PATCH", f"{home}/pods/ended/status", {"status": {"phase": "Succeeded"}})
        assert said.status == 200, said.body
        yield
    finally:
        api.call("DELETE", home)


@pytest.fixture
def permissive(api: Api) -> Iterator[None]:
    """``kubectl create clusterrolebinding permissive-binding``, as the documentation of Kubernetes has it."""
    group = {"kind": "Group", "name": "system:serviceaccounts", "apiGroup": "rbac.authorization.k8s.io"}
    role = {"kind": "ClusterRole", "name": "cluster-admin", "apiGroup": "rbac.authorization.k8s.io"}
    api.call("DELETE", f"{BINDINGS}/{NAME}")
    api.create(BINDINGS, {"metadata": {"name": NAME}, "roleRef": role, "subjects": [group]})
    yield
    api.call("DELETE", f"{BINDINGS}/{NAME}")


def of_binding(cluster: Cluster) -> list[Finding]:
    here, _ = inventory_of(connect(str(cluster.kubeconfig)), lambda _: None)
    return [each for each in findings(here) if each.binding == ("ClusterRoleBinding", "", NAME)]


@pytest.mark.usefixtures("pods", "permissive")
def test_it_is_critical_and_tells_who_holds_it_now(cluster: Cluster) -> None:
    (found,) = of_binding(cluster)
    assert (found.rule, found.severity) == ("RB01", Severity.CRITICAL)
    assert {Account(HOME, "app"), Account(HOME, "default"), Account("kube-system", "default")} <= set(
        found.accounts
    )
    # A pod that waits for its node is one: its token is asked for when it starts. One that has ended is none any more.
    assert [each.name for each in found.pods if each.namespace == HOME] == ["waits"]
    assert "podfacts replace-binding permissive-binding" in found.remediation
    assert found.place.file == f"cluster/ClusterRoleBinding//{NAME}"


@pytest.mark.usefixtures("pods")
def test_without_it_there_is_nothing(cluster: Cluster) -> None:
    assert of_binding(cluster) == []
