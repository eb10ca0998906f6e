"""What holds for every output: the same report is the same bytes, and no name in it becomes more than a name."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace

import orjson
import pytest
import yaml
from hypothesis import given

from podfacts.audit.finding import Severity
from podfacts.audit.report import Report
from podfacts.reports import as_json, as_openreports, as_sarif, as_table
from tests.audit.reports.found import EMPTY, PERMISSIVE, READER, REPORT, ROLE_ALONE, any_report, reports


def table(report: Report) -> str:
    return as_table.rendered(report, width=100, colour=False)


OUTPUTS = pytest.mark.parametrize(
    "output", [table, as_json.rendered, as_sarif.rendered, as_openreports.rendered]
)


@OUTPUTS
@any_report
@given(report=reports)
def test_any_report_is_said_in_printable_lines_and_twice_the_same(
    output: Callable[[Report], str], report: Report
) -> None:
    text = output(report)
    assert text == output(report)
    assert text.encode()
    assert text.endswith("\n")
    assert [each for each in text if each != "\n" and not each.isprintable()] == []


@OUTPUTS
def test_every_finding_is_in_every_output(output: Callable[[Report], str]) -> None:
    text = output(REPORT)
    for each in (PERMISSIVE, READER, ROLE_ALONE):
        assert each.rule in text
        assert each.message in text
        assert each.remediation in text


@OUTPUTS
def test_what_could_not_be_read_is_in_every_output(output: Callable[[Report], str]) -> None:
    assert "pods could not be listed: forbidden" in output(REPORT)
    assert "pods could not be listed: forbidden" in output(replace(EMPTY, unread=REPORT.unread))


def test_json_keeps_its_contract() -> None:
    tree = orjson.loads(as_json.rendered(REPORT))
    found = tree["findings"][1]
    contract = {
        "rule": "RB16",
        "severity": "high",
        "subject": {"kind": "ServiceAccount", "namespace": "shop", "name": "web"},
        "binding": {"kind": "RoleBinding", "namespace": "shop", "name": "reader"},
        "role": {"kind": "Role", "namespace": "shop", "name": "reader"},
        "message": "It reads all Secrets of shop.",
        "remediation": "Name the Secrets in resourceNames.",
        "fingerprint": READER.fingerprint,
        "source": {"file": "rbac/bindings.yaml", "line": 19},
    }
    assert {key: found[key] for key in contract} == contract
    assert tree["summary"] == {"critical": 1, "high": 1, "medium": 1, "low": 0, "info": 0}
    assert list(tree["summary"]) == [str(each) for each in sorted(Severity, reverse=True)]


def test_json_has_the_exact_rules_and_who_has_it_now() -> None:
    first, second, third = orjson.loads(as_json.rendered(REPORT))["findings"]
    assert first["rules"] == [
        {
            "text": "* of * in API groups *",
            "file": "rbac/roles.yaml",
            "line": 7,
            "origin": "cluster-admin",
            "index": 0,
        }
    ]
    assert first["accounts"] == [{"namespace": "shop", "name": "web"}, {"namespace": "shop", "name": "db"}]
    assert first["pods"] == [{"namespace": "shop", "name": "web-1", "serviceAccountName": "web"}]
    assert first["also"] == ["RB10", "RB13"]
    assert second["via"] == [{"kind": "RoleBinding", "namespace": "shop", "name": "other"}]
    assert (third["subject"], third["binding"]) == (None, None)


def test_json_tells_what_was_decided_before_and_the_ways_up() -> None:
    tree = orjson.loads(as_json.rendered(REPORT))
    assert [(each["rule"], each["reason"], each["expires"]) for each in tree["ignored"]] == [
        ("RB20", "the shop deploys itself", "2027-01-31")
    ]
    assert [each["rule"] for each in tree["known"]] == ["RB19"]
    [path] = tree["paths"]
    assert (path["source"], path["goal"]) == ("system:serviceaccount:shop:web", "cluster-admin")
    assert [each["end"] for each in path["steps"]] == ["system:serviceaccount:shop:boss", "cluster-admin"]
    assert path["steps"][0]["binding"]["name"] == "reader"
    assert path["steps"][1]["rules"][0]["line"] == 7


def test_rich_is_loaded_by_the_table_alone() -> None:
    code = (
        "import sys; from podfacts.reports import as_table, as_json, as_sarif, as_openreports\n"
        "print([each for each in ('rich', 'kopf', 'kubernetes', 'asyncio') if each in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, timeout=60)
    assert done.stdout == b"[]\n"


def test_a_proposal_keeps_its_lines_in_every_output() -> None:
    fix = "Bind this instead:\nkind: Role\nrules: []"
    report = replace(EMPTY, findings=(replace(READER, remediation=fix),))
    assert [line.strip() for line in table(report).splitlines()][6:8] == ["kind: Role", "rules: []"]
    assert orjson.loads(as_json.rendered(report))["findings"][0]["remediation"] == fix
    [run] = orjson.loads(as_sarif.rendered(report))["runs"]
    assert "kind: Role\nrules: \\[\\]" in run["results"][0]["message"]["text"]
    assert run["results"][0]["properties"]["remediation"] == fix
    *_, written = yaml.safe_load_all(as_openreports.rendered(report))
    assert written["results"][0]["properties"]["remediation"] == fix
