"""The reports of the audit on a real API server, with the definitions that OpenReports and Kyverno ship."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from podfacts.audit.inventory import Subject
from podfacts.audit.report import Report
from podfacts.reports.as_openreports import Api as Kind
from podfacts.reports.as_openreports import rendered, report_objects
from tests.audit.reports.found import EMPTY, READER, REPORT, many
from tests.cluster import Cluster
from tests.e2e.api import Api
from tests.e2e.conftest import wait_for

pytestmark = pytest.mark.api

CRDS = Path(__file__).parents[1] / "audit/reports/crds"
PATHS = {
    "openreports": ("/apis/openreports.io/v1alpha1", "clusterreports", "reports"),
    "wgpolicy": ("/apis/wgpolicyk8s.io/v1alpha2", "clusterpolicyreports", "policyreports"),
}
HOSTILE = replace(
    READER, message="\x1b[2J 字 {{ template }}", subject=Subject("User", "", "\n---\nkind: Secret"), rules=()
)
REPORTS = [REPORT, EMPTY, replace(EMPTY, findings=(HOSTILE,), unread=("a\x00b",))]


@pytest.fixture(scope="module", autouse=True)
def definitions(cluster: Cluster, api: Api) -> Iterator[None]:
    """The definitions, and the namespace of the sample report."""
    cluster.kubectl("apply", "-f", str(CRDS))
    api.call("POST", "/api/v1/namespaces", {"metadata": {"name": "shop"}})
    for root, *kinds in PATHS.values():
        for kind in kinds:
            wait_for(lambda path=f"{root}/{kind}": api.call("GET", path).status == 200)
    yield
    api.call("DELETE", "/api/v1/namespaces/shop")
    cluster.kubectl("delete", "-f", str(CRDS))


def path(kind: Kind, tree: dict[str, Any]) -> str:
    root, cluster_wide, namespaced = PATHS[kind]
    namespace = tree["metadata"].get("namespace")
    return f"{root}/namespaces/{namespace}/{namespaced}" if namespace else f"{root}/{cluster_wide}"


@pytest.mark.parametrize("kind", ["openreports", "wgpolicy"])
@pytest.mark.parametrize("report", REPORTS, ids=["full", "empty", "hostile"])
def test_every_field_is_one_of_the_definition(api: Api, kind: Kind, report: Report) -> None:
    for tree in report_objects(report, kind):
        said = api.call("POST", path(kind, tree), tree, fieldValidation="Strict", dryRun="All")
        assert (said.status, said.warnings) == (201, []), said.body.get("message")
        assert {key: said.body.get(key) for key in ("results", "summary")} == {
            key: tree[key] for key in ("results", "summary")
        }


def test_the_definition_is_strict(api: Api) -> None:
    tree = report_objects(REPORT, "openreports")[0]
    for wrong in ({"no_such_field": "x"}, {"result": "bad"}, {"severity": "worst"}):
        broken = {**tree, "results": [{**tree["results"][1], **wrong}]}
        said = api.call("POST", path("openreports", tree), broken, fieldValidation="Strict", dryRun="All")
        assert said.status in (400, 422), wrong


@pytest.mark.parametrize("report", [REPORT, many(3000)], ids=["full", "3000 findings"])
def test_kubectl_applies_the_yaml_and_again_changes_nothing(
    cluster: Cluster, api: Api, tmp_path: Path, report: Report
) -> None:
    file = tmp_path / "reports.yaml"
    file.write_text(rendered(report))
    count = len([*yaml.safe_load_all(rendered(report))])
    first = cluster.kubectl("apply", "-f", str(file)).stdout.splitlines()
    assert len(first) == count
    again = cluster.kubectl("apply", "-f", str(file)).stdout.splitlines()
    assert {line.rpartition(" ")[2] for line in again} == {"unchanged"}
    shown = api.call("GET", "/apis/openreports.io/v1alpha1/reports").body["items"]
    assert sum(len(each["results"]) for each in shown) == len([*_of_shop(report)])
    cluster.kubectl("delete", "clusterreports,reports", "-A", "-l", "app.kubernetes.io/managed-by=podfacts")
    assert api.call("GET", "/apis/openreports.io/v1alpha1/reports").body["items"] == []


def _of_shop(report: Report) -> Iterator[dict[str, Any]]:
    for each in report_objects(report, "openreports"):
        if each["kind"] == "Report":
            yield from each["results"]
