"""SARIF, by its schema and by what GitHub and GitLab ask beyond it."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import given
from jsonschema import Draft4Validator, FormatChecker

from podfacts.audit.report import Report
from podfacts.reports import as_sarif
from podfacts.reports.as_sarif import rendered
from tests.audit.reports.found import EMPTY, PERMISSIVE, READER, REPORT, ROLE_ALONE, any_report, many, reports

SCHEMA = json.loads((Path(__file__).parent / "sarif-schema-2.1.0.json").read_text())
VALID = Draft4Validator(SCHEMA, format_checker=FormatChecker())


def tree(report: Report) -> Any:
    return json.loads(rendered(report))


def results(report: Report) -> list[Any]:
    return [each for run in tree(report)["runs"] for each in run["results"]]


@any_report
@given(report=reports)
def test_any_report_fits_the_schema(report: Report) -> None:
    assert [error.message for error in VALID.iter_errors(tree(report))] == []


def test_the_schema_refuses_what_is_wrong() -> None:
    wrong = tree(REPORT)
    del wrong["runs"][0]["results"][0]["message"]
    wrong["runs"][0]["results"][1]["level"] = "critical"
    assert len([*VALID.iter_errors(wrong)]) == 2


@any_report
@given(report=reports)
def test_any_result_has_what_gitlab_and_github_need(report: Report) -> None:
    for run in tree(report)["runs"]:
        rules = run["tool"]["driver"]["rules"]
        assert len({each["id"] for each in rules}) == len(rules)
        for each in run["results"]:
            assert rules[each["ruleIndex"]]["id"] == each["ruleId"]
            [place] = [found["physicalLocation"] for found in each["locations"]]
            assert place["region"]["startLine"] >= 1
            for located in (*each["locations"], *each["relatedLocations"]):
                uri = located["physicalLocation"]["artifactLocation"]["uri"]
                assert re.fullmatch(r"(file:///)?[-\w.~/%]*", uri, re.ASCII), uri
                assert urlsplit(uri).netloc == ""
            assert each["partialFingerprints"]["primaryLocationLineHash"]


def test_a_message_links_to_the_rules_and_to_nothing_else() -> None:
    hostile = replace(READER, message="[here](http://evil) and {0} and \\ of [2](1)")
    [each] = results(replace(EMPTY, findings=(hostile,)))
    text = each["message"]["text"]
    assert re.findall(r"(?<!\\)\[([^]\\]*(?:\\.[^]\\]*)*)\]\(([^)]*)\)", text) == [
        (r"rules\[1\] of reader", "1")
    ]
    assert "{{0}}" in text
    assert [found["id"] for found in each["relatedLocations"]] == [1]
    place = each["relatedLocations"][0]["physicalLocation"]
    assert (place["artifactLocation"]["uri"], place["region"]["startLine"]) == ("rbac/roles.yaml", 31)


def test_a_result_for_each_rule_binding_and_subject_even_on_one_line() -> None:
    other = replace(READER, subject=PERMISSIVE.subject)
    first, second = results(replace(EMPTY, findings=(READER, other)))
    assert first["locations"][0]["physicalLocation"] == second["locations"][0]["physicalLocation"]
    assert first["partialFingerprints"] != second["partialFingerprints"]


def test_what_was_decided_before_is_said() -> None:
    found = {each["ruleId"]: each for each in results(REPORT)}
    assert found["RB16"]["baselineState"] == "new"
    assert found["RB19"]["baselineState"] == "unchanged"
    assert found["RB20"]["suppressions"] == [
        {
            "kind": "external",
            "status": "accepted",
            "justification": "the shop deploys itself (until 2027-01-31)",
        }
    ]
    assert "baselineState" not in results(replace(EMPTY, findings=(READER,)))[0]


def test_severities_are_those_of_the_worst_result_of_a_rule() -> None:
    rules = {each["id"]: each for each in tree(REPORT)["runs"][0]["tool"]["driver"]["rules"]}
    assert rules["RB04"]["properties"]["security-severity"] == "9.5"
    assert rules["RB04"]["defaultConfiguration"] == {"level": "error"}
    assert rules["RB32"]["properties"]["security-severity"] == "5.5"
    assert "CIS-5.1.1" in rules["RB04"]["properties"]["tags"]
    assert "security" in rules["RB04"]["properties"]["tags"]
    assert max(len(each["properties"]["tags"]) for each in rules.values()) <= 10
    assert [each["level"] for each in results(REPORT) if each["ruleId"] == "RB32"] == ["warning"]


@pytest.mark.parametrize(
    ("file", "uri"),
    [
        ("rbac/roles.yaml", "rbac/roles.yaml"),
        ("./rbac/roles.yaml", "rbac/roles.yaml"),
        ("../a b/ü%.yaml", "../a%20b/%C3%BC%25.yaml"),
        ("c:x.yaml", "c%3Ax.yaml"),
        ("/srv/rbac.yaml", "file:///srv/rbac.yaml"),
        ("//srv/rbac.yaml", "file:///srv/rbac.yaml"),
        ("<stdin>", "stdin"),
        ("cluster/ClusterRole//system:node", "cluster/ClusterRole/system%3Anode"),
    ],
)
def test_a_file_is_a_uri(file: str, uri: str) -> None:
    assert as_sarif.location(file) == uri
    assert unquote(urlsplit(uri).path).endswith(file.rpartition("/")[2].strip("<>"))


def test_very_many_findings_are_runs_of_different_categories_and_none_is_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(as_sarif, "SHOWN", 7)
    runs = tree(many(20))["runs"]
    assert [len(run["results"]) for run in runs] == [7, 7, 6]
    categories = [run.get("automationDetails", {}).get("id", "") for run in runs]
    assert len(set(categories)) == 3
    assert categories[0] == ""
    runs = tree(many(200))["runs"]
    assert len(runs) == 20
    assert sum(len(run["results"]) for run in runs) == 200


def test_no_result_has_more_places_than_are_taken() -> None:
    wide = replace(READER, rules=READER.rules * 1500)
    [each] = results(replace(EMPTY, findings=(wide,)))
    assert len(each["relatedLocations"]) == 100
    assert "and 1495 more" in each["message"]["text"]


def test_an_audit_that_could_not_read_all_was_no_success() -> None:
    [invocation] = tree(REPORT)["runs"][0]["invocations"]
    assert invocation["executionSuccessful"] is False
    levels = [each["level"] for each in invocation["toolExecutionNotifications"]]
    assert levels == ["error", "warning"]
    [empty] = tree(EMPTY)["runs"]
    assert (empty["results"], empty["invocations"][0]["executionSuccessful"]) == ([], True)


def test_a_role_alone_is_a_result_too() -> None:
    [each] = results(replace(EMPTY, findings=(ROLE_ALONE,)))
    place = each["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"] == "cluster/ClusterRole/silent"
    assert each["properties"]["role"] == "ClusterRole silent"


def test_the_worst_come_first_whatever_was_decided_of_them() -> None:
    levels = [each["properties"]["severity"] for each in results(replace(REPORT, known=(PERMISSIVE,)))]
    assert levels == ["critical", "critical", "high", "high", "medium"]
