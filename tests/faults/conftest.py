"""The installed product, for the tests of faults that need the whole of it."""

from collections.abc import Iterator

import pytest

from tests.cluster import Cluster
from tests.e2e.api import Api
from tests.e2e.install import Installed, installed


@pytest.fixture(scope="module")
def here(cluster: Cluster, api: Api, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installed]:
    with installed(cluster, api, tmp_path_factory.mktemp("installed")) as found:
        yield found
