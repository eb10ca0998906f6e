"""The cluster as somebody outside of it reaches it: the ground on which the tests of API access from inside stand."""

import base64
import json
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import urllib3
import yaml

from tests.cluster import Cluster
from tests.e2e.api import Api
from tests.e2e.conftest import REPOSITORY, wait_for
from tests.e2e.kubectl_proxy import proxying

pytestmark = pytest.mark.api

POD = "/api/v1/namespaces/default/pods/downward-api-volume"


def test_cluster_info_names_the_control_plane(cluster: Cluster) -> None:
    said = cluster.kubectl("cluster-info").stdout.replace("\x1b", "")
    assert "Kubernetes control plane" in said
    assert cluster.server in said


def test_an_anonymous_request_to_the_root_is_forbidden(cluster: Cluster) -> None:
    # Verified by the CA of the kubeconfig, and without its client certificate.
    (config,) = yaml.safe_load(cluster.kubeconfig.read_text())["clusters"]
    authority = base64.b64decode(config["cluster"]["certificate-authority-data"]).decode()
    context = ssl.create_default_context(cadata=authority)
    with urllib3.PoolManager(ssl_context=context, retries=False) as http:
        said = http.request("GET", f"{cluster.server}/")
    assert said.status == 403
    status = said.json()
    assert (status["kind"], status["reason"]) == ("Status", "Forbidden")
    assert status["message"] == 'forbidden: User "system:anonymous" cannot get path "/"'
    with urllib3.PoolManager(retries=False) as nobodys, pytest.raises(urllib3.exceptions.SSLError):
        nobodys.request("GET", f"{cluster.server}/")


@pytest.fixture
def downward_api_volume(cluster: Cluster, api: Api) -> Iterator[None]:
    """The tutorial's pod: that which is there, or one as it is written, scheduled to no node."""
    if api.call("GET", POD).status == 200:
        yield
        return
    tree = yaml.safe_load((REPOSITORY / "deploy/examples/downward-api-volume.yaml").read_text())
    tree["spec"]["schedulerName"] = "none"
    cluster.kubectl("create", "-n", "default", "-f", "-", stdin=json.dumps(tree))
    yield
    api.call("DELETE", POD, gracePeriodSeconds="0")


@pytest.fixture
def proxy(cluster: Cluster, tmp_path: Path) -> Iterator[str]:
    """A ``kubectl proxy`` of the administrator's."""
    with proxying(cluster, tmp_path, kubeconfig=cluster.kubeconfig) as (url, _):
        yield url


@pytest.mark.usefixtures("downward_api_volume")
def test_the_proxy_shows_what_kubectl_shows(cluster: Cluster, proxy: str) -> None:
    def both() -> tuple[Any, Any]:
        # kubectl leaves the managed fields out unless asked (cli-runtime's json_yaml_flags.go); the API server does not.
        by_proxy = urllib3.request("GET", f"{proxy}{POD}", retries=False).json()
        words = ("get", "pod", "downward-api-volume", "-n", "default", "-o", "json", "--show-managed-fields")
        return by_proxy, json.loads(cluster.kubectl(*words).stdout)

    # Read until nobody has written in between.
    def same_version() -> tuple[Any, Any] | None:
        pair = both()
        versions = {each["metadata"]["resourceVersion"] for each in pair}
        return pair if len(versions) == 1 else None

    by_proxy, by_kubectl = wait_for(same_version, 20)
    assert by_proxy == by_kubectl
    assert by_proxy["metadata"]["name"] == "downward-api-volume"
