"""The real API server judges install.yaml: every field known, nothing deprecated, and our pods within the restricted standard."""

import copy
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster import Cluster
from tests.e2e.api import Api
from tests.e2e.conftest import wait_for

pytestmark = pytest.mark.api

INSTALL = (Path(__file__).parents[2] / "deploy/install.yaml").read_text()
# Another namespace, since a dry run still needs a real one, and other tests install for real.
NAMESPACE = f"podfacts-dry-run-{os.getpid()}"
OBJECTS = list(yaml.safe_load_all(INSTALL.replace("podfacts-system", NAMESPACE)))
DEPLOYMENTS = {entry["metadata"]["name"]: entry for entry in OBJECTS if entry["kind"] == "Deployment"}


@pytest.fixture(scope="module")
def namespace(api: Api) -> Iterator[str]:
    """Our namespace as shipped, its two service accounts, and nothing else."""
    core = f"/api/v1/namespaces/{NAMESPACE}"
    for entry in OBJECTS:
        if entry["kind"] == "Namespace":
            api.create("/api/v1/namespaces", entry)
        elif entry["kind"] == "ServiceAccount":
            api.create(f"{core}/serviceaccounts", entry)
    # The controller manager publishes it to every namespace; the ServiceAccount plugin wants a token's CA to be there.
    wait_for(lambda: api.call("GET", f"{core}/configmaps/kube-root-ca.crt").status == 200)
    yield NAMESPACE
    api.call("DELETE", f"/api/v1/namespaces/{NAMESPACE}")


def pod(name: str) -> dict[str, Any]:
    """Return a pod as the Deployment's controller would make it, but for the quota, which is not there."""
    template = copy.deepcopy(DEPLOYMENTS[name]["spec"]["template"])
    return {"metadata": {**template["metadata"], "generateName": f"{name}-"}, "spec": template["spec"]}


def test_install_applies_without_a_warning(cluster: Cluster, namespace: str) -> None:
    text = INSTALL.replace("podfacts-system", namespace)
    done = cluster.kubectl(
        "apply", "--dry-run=server", "--validate=strict", "-f", "-", stdin=text, check=False
    )
    # kubectl's own word about objects that were not made by `apply`, as the fixture's were not.
    said = [line for line in done.stderr.splitlines() if "last-applied-configuration" not in line]
    assert (done.returncode, said) == (0, [])
    assert len(done.stdout.splitlines()) == len(OBJECTS)


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_the_pods_pass_the_restricted_standard(api: Api, namespace: str, name: str) -> None:
    said = api.call("POST", f"/api/v1/namespaces/{namespace}/pods", pod(name), dryRun="All")
    assert (said.status, said.warnings) == (201, []), said.body.get("message")
    assert said.body["spec"]["priority"] == 2_000_000_000
    projected = [volume for volume in said.body["spec"].get("volumes", []) if "projected" in volume]
    # The token of its own, and not one more that Kubernetes mounts.
    assert [volume["name"] for volume in projected] == ["token"]


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_the_namespace_would_refuse_them_with_less(api: Api, namespace: str, name: str) -> None:
    weaker = pod(name)
    weaker["spec"]["containers"][0]["securityContext"]["capabilities"] = {"drop": []}
    said = api.call("POST", f"/api/v1/namespaces/{namespace}/pods", weaker, dryRun="All")
    assert said.status == 403
    assert 'violates PodSecurity "restricted:latest"' in said.body["message"]
