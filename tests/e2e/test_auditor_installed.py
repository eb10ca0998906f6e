"""The overlay ``audit`` on the real node: a pod of the image built from this checkout, as restricted as it is shipped."""

from collections.abc import Iterator
from typing import Any

import pytest
import urllib3
import yaml

from tests.cluster import Cluster
from tests.cluster.progress import quiet
from tests.e2e.api import Api
from tests.e2e.auditing import CRDS, PATHS
from tests.e2e.conftest import wait_for
from tests.e2e.install import SYSTEM
from tests.image import product
from tests.test_manifests import rendered

pytestmark = [pytest.mark.node, pytest.mark.timeout(600)]

PODS = f"/api/v1/namespaces/{SYSTEM}/pods"
OURS = ("podfacts-audit", "podfacts-audit-ignore", SYSTEM)


@pytest.fixture(scope="module")
def pod(node: Cluster, api: Api) -> Iterator[dict[str, Any]]:
    """The pod, ready; the part of the overlay that is not the base is installed, and its namespace."""
    node.load_image(product.build(quiet).path)
    text = rendered("overlays/audit")
    trees = [each for each in yaml.safe_load_all(text) if each["metadata"]["name"] in OURS]
    manifest = yaml.safe_dump_all(trees)
    crd = str(CRDS / "openreports.io.yaml")
    try:
        node.kubectl("apply", "--server-side", "-f", crd)
        node.kubectl("apply", "-f", "-", stdin=manifest)
        yield wait_for(lambda: ready(api), seconds=120)
    finally:
        node.kubectl("delete", "deployments", "--all", "-n", SYSTEM)
        node.kubectl("delete", "pods", "--all", "-n", SYSTEM, "--force")
        node.kubectl("delete", "--ignore-not-found", "-f", "-", stdin=manifest)
        node.kubectl("delete", "--ignore-not-found", "-f", crd)


def ready(api: Api) -> dict[str, Any] | None:
    """The pod, once it is Ready."""
    for each in api.call("GET", PODS).body["items"]:
        conditions = each["status"].get("conditions", [])
        if ("Ready", "True") in [(one["type"], one["status"]) for one in conditions]:
            found: dict[str, Any] = each
            return found
    return None


def test_it_runs_and_its_reports_are_there(api: Api, pod: dict[str, Any]) -> None:
    assert [each["restartCount"] for each in pod["status"]["containerStatuses"]] == [0]
    report = f"{PATHS['openreports.io']}/clusterreports/podfacts-rbac-audit"
    found = wait_for(lambda: api.call("GET", report).body.get("results"))
    assert {each["source"] for each in found} == {"podfacts"}


def test_its_metrics_can_be_scraped(pod: dict[str, Any]) -> None:
    url = f"http://{pod['status']['podIP']}:8080/metrics"
    lines = urllib3.PoolManager(timeout=5).request("GET", url).data.decode().splitlines()
    told = {
        name: float(value)
        for name, _, value in (each.rpartition(" ") for each in lines)
        if not name.startswith("#")
    }
    assert told["podfacts_audit_last_success_timestamp_seconds"] > 0
    # The mounted ignore file is as it is shipped: read, and empty.
    assert told['podfacts_audit_failures_total{part="ignores"}'] == 0
    assert told["podfacts_audit_ignored"] == 0
    assert told["podfacts_audit_unread"] == 0
    assert told["process_resident_memory_bytes"] < 200e6
