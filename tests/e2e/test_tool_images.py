"""The images with curl and kubectl run as the public ones do, in real pods that know nothing of Podfacts."""

import json
import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.cluster import Cluster, build
from tests.e2e.api import Api
from tests.e2e.conftest import wait_for
from tests.e2e.running import Pod, made
from tests.image import tools

pytestmark = pytest.mark.node

CA = "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt"


@pytest.fixture(scope="module")
def loaded(node: Cluster) -> Cluster:
    """The cluster with both images."""
    node.load_image(tools.images(node.binaries))
    return node


@pytest.fixture
def make(loaded: Cluster, api: Api) -> Iterator[Callable[[dict[str, Any]], Pod]]:
    """In the namespace default: only there does https://kubernetes resolve."""
    yield from made(loaded, api, "default")


def pod(name: str, image: str, **container: Any) -> dict[str, Any]:
    main = {"name": "main", "image": image, "imagePullPolicy": "Never", **container}
    return {
        "metadata": {"name": f"{name}-{os.getpid()}"},
        "spec": {"containers": [main], "restartPolicy": "Never"},
    }


def test_curl_resolves_the_api_server_and_trusts_it_with_its_ca_only(
    make: Callable[[dict[str, Any]], Pod],
) -> None:
    seen = make(pod("tool-curl", tools.CURL, args=["sleep", "9999999"]))
    assert seen.exec("main", "id", "-u").strip() == "100"
    assert seen.exec("main", "sh", "-c", "echo AbC | tr a-z A-Z | grep ABC | cat") == "ABC\n"
    refused = seen.exec("main", "sh", "-c", "curl -sS https://kubernetes 2>&1; echo exit $?")
    assert "certificate" in refused
    assert refused.endswith("exit 60\n")
    said = json.loads(seen.exec("main", "curl", "-sS", "--cacert", CA, "https://kubernetes"))
    assert (said["kind"], said["code"]) == ("Status", 403)
    token = f'-H "Authorization: Bearer $(cat {CA.replace("ca.crt", "token")})"'
    known = seen.exec("main", "sh", "-c", f"curl -sS --cacert {CA} {token} https://kubernetes/version")
    assert json.loads(known)["gitVersion"] == build.pinned("k8s.io/kubernetes")


def test_options_alone_are_curls(loaded: Cluster, api: Api) -> None:
    assert run_to_end(loaded, api, pod("tool-options", tools.CURL, args=["--version"])).startswith("curl ")


@pytest.mark.usefixtures("loaded")
def test_curls_user_is_a_name_which_the_kubelet_cannot_tell_from_root(api: Api) -> None:
    tree = pod("tool-nonroot", tools.CURL, args=["--version"], securityContext={"runAsNonRoot": True})
    path = "/api/v1/namespaces/default/pods"
    api.create(path, tree)
    try:
        waiting = wait_for(lambda: _waiting(api, f"{path}/{tree['metadata']['name']}"))
        assert "image has non-numeric user (curl_user)" in waiting
    finally:
        api.call("DELETE", f"{path}/{tree['metadata']['name']}", gracePeriodSeconds="0")


def test_kubectl_runs_as_anybody_on_a_read_only_root(loaded: Cluster, api: Api) -> None:
    context = {
        "runAsUser": 65532,
        "runAsNonRoot": True,
        "readOnlyRootFilesystem": True,
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
    }
    tree = pod("tool-kubectl", tools.KUBECTL, args=["version", "--client"], securityContext=context)
    assert f"Client Version: {build.pinned('k8s.io/kubernetes')}\n" in run_to_end(loaded, api, tree)


def run_to_end(cluster: Cluster, api: Api, tree: dict[str, Any]) -> str:
    """What a pod prints that ends well."""
    path, name = "/api/v1/namespaces/default/pods", tree["metadata"]["name"]
    api.create(path, tree)
    try:
        wait_for(lambda: api.call("GET", f"{path}/{name}").body["status"]["phase"] in ("Succeeded", "Failed"))
        said = cluster.kubectl("logs", "-n", "default", name).stdout
        assert api.call("GET", f"{path}/{name}").body["status"]["phase"] == "Succeeded", said
    finally:
        api.call("DELETE", f"{path}/{name}", gracePeriodSeconds="0")
    return said


def _waiting(api: Api, path: str) -> str:
    """The kubelet's own words for why the container does not start."""
    statuses: list[dict[str, Any]] = api.call("GET", path).body["status"].get("containerStatuses", [])
    return "".join(each["state"].get("waiting", {}).get("message", "") for each in statuses)
