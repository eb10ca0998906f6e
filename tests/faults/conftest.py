"""The test cluster for tests of faults: the one that other tests use as well, if it is up already."""

import os
from collections.abc import Iterator

import pytest

from tests.cluster import Cluster, build
from tests.e2e.api import Api
from tests.image import product


@pytest.fixture(scope="session")
def cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """The cluster; this thread and its children are inside its network from here on.

    Who brought it up takes it down: after the tests on it that ran before, it is theirs.
    """
    name = os.environ.get("PODFACTS_CLUSTER", "test")
    before = Cluster.find(name)
    kept = "PODFACTS_CLUSTER" in os.environ or (before is not None and before.running())
    capture = request.config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():
        print()  # noqa: T201 - a cold build takes ten minutes: say so
        found = Cluster.up(name, progress=print)
        if found.has_node:
            product.build(print)  # Now: the cluster's network leads nowhere, and so to no package index.
            build.kwok(print)
    found.enter()
    yield found
    if not kept:
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
