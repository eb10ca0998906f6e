"""Every order in which a cluster can come back, and those of an uninstall that no other test takes.

The README's own order and the namespace alone are in tests/e2e.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster import Cluster
from tests.e2e.api import Api
from tests.e2e.install import MANIFEST, SYSTEM, Installed, installed, namespaced
from tests.e2e.install_replicas import renewed
from tests.faults.removals import removed
from tests.faults.restarts import ORDERS, converges

pytestmark = [pytest.mark.node, pytest.mark.long, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def lasting(cluster: Cluster, api: Api, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installed]:
    with installed(cluster, api, tmp_path_factory.mktemp("installed")) as found:
        yield found


@pytest.fixture
def here(cluster: Cluster, api: Api, tmp_path: Path) -> Iterator[Installed]:
    with installed(cluster, api, tmp_path) as found:
        yield found


@pytest.fixture
def namespace(api: Api) -> Iterator[str]:
    with namespaced(api, "-orders") as name:
        yield name


@pytest.mark.fault("T5")
def test_a_cluster_that_comes_back_in_any_order_injects_again(lasting: Installed, namespace: str) -> None:
    for order in ORDERS:
        renewed(lasting)
        converges(lasting, namespace, order)


@pytest.mark.fault("T6")
def test_the_manifest_in_one_go_leaves_no_cluster_that_refuses_pods(here: Installed, namespace: str) -> None:
    """The namespace is the first in it, the configuration the last."""
    removed(here, namespace, lambda: here.kubectl("delete", "-f", str(MANIFEST)))


@pytest.mark.fault("T6")
def test_the_deployments_first_leave_no_cluster_that_refuses_pods(here: Installed, namespace: str) -> None:
    removed(
        here,
        namespace,
        lambda: here.kubectl("delete", "deployments", "--all", "-n", SYSTEM),
        lambda: here.kubectl("delete", "-f", str(MANIFEST), "--ignore-not-found"),
    )
