"""What we say Kubernetes ships, held against what a real API server ships, and what the audit says of it."""

from typing import Any

import pytest

from podfacts.audit.bootstrap import shipped_roles, written_roles
from podfacts.audit.finding import Severity
from podfacts.audit.inventory import Inventory
from podfacts.audit.judgement.findings import findings
from podfacts.cluster.access import connect
from podfacts.cluster.inventory import inventory_of
from tests.audit.shipped_rbac import Tree, content, kubernetes
from tests.cluster import Cluster
from tests.e2e.api import Api
from tests.e2e.conftest import wait_for

pytestmark = pytest.mark.api

RBAC = "/apis/rbac.authorization.k8s.io/v1"
KINDS = {
    "ClusterRole": "clusterroles",
    "Role": "roles",
    "ClusterRoleBinding": "clusterrolebindings",
    "RoleBinding": "rolebindings",
}
SHIPPED = "kubernetes.io/bootstrapping"
# What the test cluster adds by itself (tests/cluster/dns.py).
ADDED = {("ClusterRole", "", "system:coredns"), ("ClusterRoleBinding", "", "system:coredns")}


def address(tree: Tree) -> tuple[str, str, str]:
    return tree["kind"], tree["namespace"], tree["name"]


@pytest.fixture
def theirs(api: Api) -> dict[tuple[str, str, str], Tree]:
    """What the API server made sure of. Only here a label says so: nobody else writes it on this cluster."""
    found = {}
    for kind, plural in KINDS.items():
        for each in api.call("GET", f"{RBAC}/{plural}", labelSelector=f"{SHIPPED}=rbac-defaults").body[
            "items"
        ]:
            told = content({"kind": kind, **each})
            found[address(told)] = told
    return found


def test_all_that_it_ships_is_known_and_nothing_else(theirs: dict[tuple[str, str, str], Tree]) -> None:
    ours = {address(each): each for each in kubernetes()}
    assert ours.keys() == theirs.keys()
    for where, told in ours.items():
        if "selectors" not in told:
            assert told == theirs[where]
        else:
            assert {**told, "rules": []} == {**theirs[where], "rules": []}


def test_what_view_edit_and_admin_gather_is_known(api: Api) -> None:
    # Other tests may have roles that flow into these: ours come in the order of the controller, so they are among theirs.
    for role in shipped_roles(each for each in written_roles()).values():
        if role.selectors:
            path = f"{RBAC}/clusterroles/{role.name}"
            wanted = [dict(each.tree) for each in role.rules]
            wait_for(lambda path=path, wanted=wanted: _holds(api, path, wanted), 30)


def _holds(api: Api, path: str, wanted: list[dict[str, Any]]) -> bool:
    rules = api.call("GET", path).body.get("rules") or []
    return [each for each in rules if each in wanted] == wanted


def test_a_new_cluster_has_nothing_above_info(
    cluster: Cluster, theirs: dict[tuple[str, str, str], Tree]
) -> None:
    found, unread = inventory_of(connect(str(cluster.kubeconfig)), lambda _: None)
    assert unread == ()
    new = theirs.keys() | ADDED
    here = Inventory(
        {address: role for address, role in found.roles.items() if address in new},
        tuple(each for each in found.bindings if each.address in new),
        found.accounts,
        found.namespaces,
        found.pods,
        is_live=True,
    )
    said = findings(here)
    assert [each for each in said if each.severity > Severity.INFO] == []
    assert "RB04" in {each.rule for each in said}, "that masters have all is worth knowing"
