"""The cluster of all tests that need one, and the product installed in it.

It is one of the tests' own and goes when they end; with ``PODFACTS_CLUSTER=name`` it is the one of that name,
which stays.
"""

import os
from collections.abc import Iterator

import pytest

from tests.cluster import Cluster, build
from tests.e2e.api import Api
from tests.e2e.install import Installed, installed
from tests.image import product


@pytest.fixture(scope="session")
def cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """The cluster; this thread and its children are inside its network from here on."""
    name = os.environ.get("PODFACTS_CLUSTER", "test")
    capture = request.config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():
        print()  # noqa: T201 - a cold build takes ten minutes: say so
        found = Cluster.up(name, progress=print)
        if found.has_node:
            product.build(print)  # Now: the cluster's network leads nowhere, and so to no package index.
            build.kwok(print)
    found.enter()
    yield found
    if "PODFACTS_CLUSTER" not in os.environ:
        found.down()


@pytest.fixture(scope="session")
def api(cluster: Cluster) -> Api:
    """The API server as its administrator."""
    return Api(cluster.kubeconfig)


@pytest.fixture(scope="session")
def node(cluster: Cluster) -> Cluster:
    """The cluster with a real node; a skip with the reason where none can be had."""
    if not cluster.has_node:
        pytest.skip(" ".join(cluster.left_out))
    return cluster


@pytest.fixture(scope="module")
def here(cluster: Cluster, api: Api, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installed]:
    """The installed product, anew for each module. Modules that need another thing have a ``here`` of their own."""
    with installed(cluster, api, tmp_path_factory.mktemp("installed")) as found:
        yield found
