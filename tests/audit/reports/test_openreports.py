"""The reports as objects. Whether an API server takes them: tests/e2e/test_audit_reports.py."""

from dataclasses import replace

import orjson
import pytest
import yaml
from hypothesis import given

from podfacts.audit.finding import Severity
from podfacts.audit.inventory import Subject
from podfacts.audit.judgement.sentences import LEAVE
from podfacts.audit.report import Report
from podfacts.reports.as_openreports import Api, rendered, report_objects
from tests.audit.reports.found import EMPTY, PERMISSIVE, READER, REPORT, any_report, many, reports

APIS: tuple[Api, ...] = ("openreports", "wgpolicy")


@any_report
@given(report=reports)
def test_the_yaml_is_the_objects(report: Report) -> None:
    assert [*yaml.safe_load_all(rendered(report))] == report_objects(report, "openreports")


@pytest.mark.parametrize("api", APIS)
def test_each_finding_is_where_its_grant_is(api: Api) -> None:
    cluster, shop = report_objects(REPORT, api)
    kinds = {"openreports": ("ClusterReport", "Report"), "wgpolicy": ("ClusterPolicyReport", "PolicyReport")}
    assert (cluster["kind"], shop["kind"]) == kinds[api]
    assert "namespace" not in cluster["metadata"]
    assert shop["metadata"] == {
        "name": "podfacts-rbac-audit",
        "namespace": "shop",
        "labels": {"app.kubernetes.io/managed-by": "podfacts"},
    }
    assert [each["rule"] for each in cluster["results"]] == ["unread", "RB04", "RB32"]
    assert [each["rule"] for each in shop["results"]] == ["RB16", "RB19", "RB20"]


def test_what_counts_fails_and_the_rest_does_not() -> None:
    cluster, shop = report_objects(REPORT, "openreports")
    outcomes = {each["rule"]: each["result"] for each in (*cluster["results"], *shop["results"])}
    assert outcomes == {
        "unread": "error",
        "RB04": "fail",
        "RB32": "warn",
        "RB16": "fail",
        "RB19": "warn",  # Known from the baseline.
        "RB20": "skip",  # Ignored.
    }
    assert cluster["summary"] == {"pass": 0, "fail": 1, "warn": 1, "error": 1, "skip": 0}
    assert shop["summary"] == {"pass": 0, "fail": 1, "warn": 1, "error": 0, "skip": 1}
    assert [each["scored"] for each in shop["results"]] == [True, False, False]


def test_a_result_says_which_objects_and_how_to_end_it() -> None:
    _, shop = report_objects(REPORT, "openreports")
    found = shop["results"][0]
    assert [(each["apiVersion"], each["kind"], each["name"]) for each in found["resources"]] == [
        ("rbac.authorization.k8s.io/v1", "RoleBinding", "reader"),
        ("rbac.authorization.k8s.io/v1", "Role", "reader"),
        ("v1", "ServiceAccount", "web"),
    ]
    assert found["properties"]["fingerprint"] == READER.fingerprint
    assert found["properties"]["remediation"] == READER.remediation
    assert found["properties"]["source"] == "rbac/bindings.yaml:19"
    ignored = shop["results"][2]["properties"]
    assert (ignored["reason"], ignored["expires"]) == ("the shop deploys itself", "2027-01-31")


def test_a_clean_cluster_has_a_report_that_says_so() -> None:
    [report] = report_objects(EMPTY, "openreports")
    assert (report["kind"], report["results"]) == ("ClusterReport", [])
    assert set(report["summary"].values()) == {0}


@pytest.mark.parametrize("report", [many(3000), replace(EMPTY, findings=(PERMISSIVE,) * 900)])
def test_very_many_findings_are_reports_that_kubectl_can_apply(report: Report) -> None:
    objects = report_objects(report, "openreports")
    assert max(len(orjson.dumps(each)) for each in objects) < 240_000
    assert sum(len(each["results"]) for each in objects) == len(report.findings)
    places = [(each["metadata"].get("namespace"), each["metadata"]["name"]) for each in objects]
    assert len(set(places)) == len(places) > 3
    split = [name for namespace, name in places if namespace or len(report.findings) == 900]
    assert split[:3] == ["podfacts-rbac-audit", "podfacts-rbac-audit-2", "podfacts-rbac-audit-3"]


def test_no_single_finding_makes_a_report_too_large() -> None:
    huge = replace(
        PERMISSIVE,
        message="<" * 10**6,
        remediation="\x00" * 10**6,
        subject=Subject("User", "", "&" * 10**6),
        accounts=PERMISSIVE.accounts * 5000,
        rules=PERMISSIVE.rules * 5000,
    )
    objects = report_objects(replace(EMPTY, findings=(huge,) * 30), "openreports")
    assert max(len(orjson.dumps(each)) for each in objects) < 240_000
    assert sum(len(each["results"]) for each in objects) == 30


def test_what_kubernetes_needs_is_passed() -> None:
    needed = replace(READER, severity=Severity.INFO, remediation=LEAVE)
    [_, report] = report_objects(replace(EMPTY, findings=(needed, READER)), "openreports")
    assert report["summary"] == {"pass": 1, "fail": 1, "warn": 0, "error": 0, "skip": 0}
    assert [each["scored"] for each in report["results"]] == [True, False]
