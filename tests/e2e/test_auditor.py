"""The auditor on a real API server, with the rights of rbac/audit: its reports, its metrics, and what it does about trouble."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
import yaml

from podfacts.audit.gathered import Gathered
from podfacts.audit.report import Report
from podfacts.cluster.access import connect
from podfacts.cluster.audit_reports import Reports
from tests.cluster import Cluster
from tests.e2e.api import Api
from tests.e2e.auditing import PATHS, RBAC, Auditing, Running, auditing
from tests.e2e.conftest import REPOSITORY, wait_for
from tests.test_manifests import rendered

pytestmark = [pytest.mark.api, pytest.mark.timeout(180)]

OPEN, OLD = PATHS
NAME = "podfacts-rbac-audit"
NO_IGNORES = "ignores: []\n"


@pytest.fixture(scope="module")
def here(cluster: Cluster, api: Api, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Auditing]:
    with auditing(cluster, api, tmp_path_factory.mktemp("auditing")) as made:
        yield made


@pytest.fixture
def running(here: Auditing) -> Iterator[Running]:
    """An auditor that writes the newer reports."""
    here.define(OPEN)
    here.ignore.write_text(NO_IGNORES)
    process = here.start()
    process.audits(1)
    yield process
    assert process.process.poll() is None, process.log[-1]
    here.stop()


def grants(here: Auditing, name: str, namespace: str = "") -> None:
    """Give an account that is not there the rights of cluster-admin."""
    here.grant(name, "nobody", "cluster-admin", namespace)


def takes_back(here: Auditing, name: str, namespace: str = "") -> None:
    where = f"/namespaces/{namespace}/rolebindings" if namespace else "/clusterrolebindings"
    said = here.api.call("DELETE", f"{RBAC}{where}/{name}")
    assert said.status == HTTPStatus.OK


# -- which reports, in clusters that have them or not ------------------------------------------------------------------


def test_it_writes_the_newest_reports_that_the_cluster_knows(here: Auditing) -> None:
    here.ignore.write_text(NO_IGNORES)
    process = here.start()
    try:
        process.audits(2)
        # Neither is served: metrics only, which is said once, and is no failure.
        assert process.ask("/readyz")[0] == HTTPStatus.OK
        assert process.findings()
        assert len(process.events("reports")) == 1
        assert process.metric('podfacts_audit_failures_total{part="reports"}') == 0

        here.define(OLD)
        wait_for(lambda: here.reports("clusterpolicyreports", OLD))
        assert [each["api"] for each in process.events("reports")][1:] == ["wgpolicyk8s.io/v1alpha2"]

        here.define(OPEN)
        wait_for(here.reports)
        wait_for(lambda: not here.reports("clusterpolicyreports", OLD))
        assert process.events("reports")[-1]["api"] == "openreports.io/v1alpha1"

        here.forget(OPEN)
        wait_for(lambda: here.reports("clusterpolicyreports", OLD))
    finally:
        here.stop()
        for group in PATHS:
            here.forget(group)


# -- what is in them ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("group", PATHS)
def test_reports_follow_bindings_as_they_come_and_go(here: Auditing, group: str) -> None:
    for each in PATHS:
        here.forget(each)
    here.define(group)
    here.ignore.write_text(NO_IGNORES)
    process = here.start()
    process.audits(1)
    wide, narrow, other = f"wide-{os.getpid()}", "narrow", "other"
    assert here.told(wide, group=group) == here.told(narrow, group=group) == []
    grants(here, wide)
    grants(here, narrow, here.name)
    wait_for(lambda: "RB04" in here.told(wide, group=group))
    wait_for(lambda: "RB05" in here.told(narrow, group=group))
    # One more in a report that is there already.
    grants(here, other, here.name)
    wait_for(lambda: "RB05" in here.told(other, group=group))
    assert here.name in here.reported(group)
    takes_back(here, wide)
    for each in (narrow, other):
        takes_back(here, each, here.name)
    wait_for(lambda: here.told(wide, group=group) == [])
    # Nothing is left to be said of the namespace, so nothing is.
    wait_for(lambda: here.name not in here.reported(group))
    assert process.metric('podfacts_audit_report_writes_total{outcome="failed"}') == 0
    here.stop()
    here.forget(group)


def test_its_metrics_are_what_the_command_line_finds(
    here: Auditing, running: Running, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "podfacts", "audit", "-o", "json"]
    environment = {**os.environ, "KUBECONFIG": str(here.cluster.kubeconfig)}
    done = subprocess.run(command, capture_output=True, env=environment, cwd=tmp_path, text=True, check=False)
    told = json.loads(done.stdout)
    counted: dict[tuple[str, str], int] = {}
    for each in told["findings"]:
        key = each["rule"], each["severity"]
        counted[key] = counted.get(key, 0) + 1
    assert running.findings() == counted != {}
    age = time.time() - running.metric("podfacts_audit_last_success_timestamp_seconds")
    assert 0 <= age < 60
    assert running.metric("podfacts_audit_seconds") > 0


def test_nothing_is_written_while_nothing_changes(here: Auditing, running: Running) -> None:
    assert here.reports()
    running.audits(1)
    before = here.writes()
    running.audits(4)
    assert here.writes() == before
    # Nor after a start: what is there is compared, not what is remembered.
    here.start().audits(2)
    assert here.writes() == before


def test_what_somebody_changes_in_a_report_is_put_right_and_what_they_add_to_it_stays(
    here: Auditing, running: Running
) -> None:
    path = f"{PATHS[OPEN]}/clusterreports/{NAME}"
    # A merge patch replaces the list.
    change = {"metadata": {"annotations": {"seen": "yes"}}, "results": [], "summary": {"fail": 0}}
    assert here.api.call("PATCH", path, change).status == HTTPStatus.OK
    wait_for(lambda: here.api.call("GET", path).body["results"])
    assert here.api.call("GET", path).body["metadata"]["annotations"] == {"seen": "yes"}
    assert running.process.poll() is None


def test_stale_reports_of_ours_go_and_nobody_elses(here: Auditing, running: Running) -> None:
    def tree(name: str, **labels: str) -> dict[str, Any]:
        return {
            "apiVersion": "openreports.io/v1alpha1",
            "kind": "ClusterReport",
            "metadata": {"name": name, "labels": labels},
            "summary": {"fail": 0},
            "results": [],
        }

    ours = {"app.kubernetes.io/managed-by": "podfacts"}
    clusterwide = f"{PATHS[OPEN]}/clusterreports"
    for each in (tree(f"{NAME}-9", **ours), tree(f"{NAME}-8"), tree(f"{NAME}-extra", **ours), tree("other")):
        here.api.create(clusterwide, each)
    wait_for(lambda: here.api.call("GET", f"{clusterwide}/{NAME}-9").status == HTTPStatus.NOT_FOUND)
    running.audits(1)
    for name in (f"{NAME}-8", f"{NAME}-extra", "other"):
        assert here.api.call("DELETE", f"{clusterwide}/{name}").status == HTTPStatus.OK


def test_the_ignore_file_is_read_anew_and_a_broken_one_ignores_nothing(
    here: Auditing, running: Running
) -> None:
    name = f"ignored-{os.getpid()}"
    grants(here, name)
    try:
        wait_for(lambda: "RB04" in here.told(name))
        rules = set(here.told(name) + here.told(name, "warn"))
        entry = {
            "binding": f"ClusterRoleBinding {name}",
            "reason": "a test of it",
            "expires": "2099-12-31",
        }
        here.ignore.write_text(yaml.safe_dump({"ignores": [{"rule": each, **entry} for each in rules]}))
        wait_for(lambda: here.told(name) == [] and set(here.told(name, "skip")) == rules)
        assert running.metric("podfacts_audit_ignored") == len(rules)

        here.ignore.write_text("ignores: [\n")
        wait_for(lambda: "RB04" in here.told(name))
        assert running.metric('podfacts_audit_failures_total{part="ignores"}') >= 1
        assert running.metric("podfacts_audit_ignored") == 0
        assert f"{here.ignore}:" in running.events("failed: ignores")[-1]["reason"]

        here.ignore.write_text(yaml.safe_dump({"ignores": [{"rule": "RB04", **entry}]}))
        wait_for(lambda: here.told(name, "skip") == ["RB04"])
    finally:
        takes_back(here, name)
    wait_for(lambda: running.events("the ignore file"))
    assert "matches no finding" in running.events("the ignore file")[-1]["detail"]


# -- trouble --------------------------------------------------------------------------------------------------------------


def test_a_report_that_cannot_be_written_hinders_no_other(here: Auditing, running: Running) -> None:
    full = f"full-{os.getpid()}"
    here.api.create("/api/v1/namespaces", {"metadata": {"name": full}})
    quota = {"metadata": {"name": "none"}, "spec": {"hard": {"count/reports.openreports.io": "0"}}}
    here.api.create(f"/api/v1/namespaces/{full}/resourcequotas", quota)
    path = f"/api/v1/namespaces/{full}/resourcequotas/none"
    wait_for(lambda: here.api.call("GET", path).body.get("status", {}).get("hard"))
    try:
        for each in (full, here.name):
            grants(here, "narrow", each)
        # The one comes before the other in the order of writing, whichever it is.
        wait_for(lambda: here.name in here.reported())
        wait_for(lambda: running.events("a report was not written"))
        assert "exceeded quota" in running.events("a report was not written")[-1]["detail"]
        assert running.metric('podfacts_audit_report_writes_total{outcome="failed"}') >= 1
        assert here.api.call("DELETE", path).status == HTTPStatus.OK
        wait_for(lambda: full in here.reported())
    finally:
        takes_back(here, "narrow", here.name)
        here.api.call("DELETE", f"/api/v1/namespaces/{full}")


def test_an_audit_that_fails_is_counted_and_tried_again(here: Auditing, running: Running) -> None:
    here.unbind()
    try:
        wait_for(lambda: running.metric('podfacts_audit_failures_total{part="audit"}') >= 2)
        assert running.ask("/healthz")[0] == HTTPStatus.OK
        assert running.findings(), "what the last one found stays"
        [*_, last] = running.events("failed: audit")
        assert "cannot list resource" in last["reason"]
        assert "exception" not in last
    finally:
        here.bind()
    running.audits(1)


def test_it_is_not_ready_before_an_audit_came_through(here: Auditing) -> None:
    here.unbind()
    try:
        process = here.start()
        wait_for(lambda: process.events("failed: audit"))
        status, text = process.ask("/readyz")
        assert (status, "no audit has come through yet" in text) == (HTTPStatus.SERVICE_UNAVAILABLE, True)
        assert process.ask("/healthz")[0] == HTTPStatus.OK
    finally:
        here.bind()
    wait_for(lambda: process.ask("/readyz")[0] == HTTPStatus.OK)
    here.stop()


def test_somebody_who_is_quicker_is_no_failure(here: Auditing, monkeypatch: pytest.MonkeyPatch) -> None:
    here.define(OPEN)
    process = here.start()
    process.audits(1)
    assert process.stop() == 0
    api = connect(str(here.kubeconfig))
    path = f"{PATHS[OPEN]}/clusterreports/{NAME}"
    wrote: list[str] = []
    update = api.update
    others = iter(("first", "second"))

    def overtaken(where: str, body: Any) -> Any:
        # Between the list and the write of it somebody else writes, twice.
        if word := next(others, None):
            change = {"metadata": {"annotations": {"quicker": word}}}
            assert here.api.call("PATCH", path, change).status == HTTPStatus.OK
        return update(where, body)

    monkeypatch.setattr(api, "update", overtaken)
    unread = ("a sentence",)
    assert Reports(api, wrote.append).keep(Report((), Gathered().live(), unread=unread)) == 0
    kept = here.api.call("GET", path).body
    assert [each["message"] for each in kept["results"]] == ["a sentence"]
    assert kept["metadata"]["annotations"]["quicker"] == "second"
    assert wrote.count("updated") == 1
    assert "failed" not in wrote


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_when_it_is_told_to(here: Auditing, signum: int) -> None:
    process = here.start(every="1h")
    wait_for(lambda: process.events("audited"))
    assert process.stop(signum) == 0
    assert process.events("stopped")


def test_without_a_cluster_it_says_so(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "podfacts", "auditor", "--probe-port", "0"]
    environment = {**os.environ, "KUBECONFIG": str(tmp_path / "none"), "HOME": str(tmp_path)}
    done = subprocess.run(command, capture_output=True, env=environment, text=True, check=False)
    [line] = done.stderr.splitlines()
    assert done.returncode == 2
    assert json.loads(line)["reason"].startswith("no cluster to talk to: there is no file")


# -- rights, and the installation -----------------------------------------------------------------------------------------


def test_it_asks_for_what_rbac_gives_it_all_of_that_and_nothing_else(here: Auditing) -> None:
    """All the tests before this one, in the audit log."""
    given = {
        (verb, group, resource)
        for tree in yaml.safe_load_all((REPOSITORY / "rbac/audit/audit.yaml").read_text())
        if tree["kind"] == "ClusterRole"
        for rule in tree["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
    asked = {call[:3] for call in here.calls()}
    assert asked - given == set()
    assert given - asked == set()


def test_the_overlay_applies_without_a_warning(cluster: Cluster, api: Api) -> None:
    name = f"podfacts-audit-{os.getpid()}"
    text = rendered("overlays/audit").replace("podfacts-system", name)
    api.create("/api/v1/namespaces", {"metadata": {"name": name}})
    try:
        arguments = ("apply", "--dry-run=server", "--validate=strict", "-f", "-")
        done = cluster.kubectl(*arguments, stdin=text, check=False)
        said = [line for line in done.stderr.splitlines() if "last-applied-configuration" not in line]
        assert (done.returncode, said) == (0, [])
        assert "deployment.apps/podfacts-audit created (server dry run)" in done.stdout
        # The namespace would not keep its standard from a dry run of its own labels: so the pod is asked about by itself.
        labels = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn")}
        api.call("PATCH", f"/api/v1/namespaces/{name}", {"metadata": {"labels": labels}})
        api.create(
            f"/api/v1/namespaces/{name}/serviceaccounts",
            {"metadata": {"name": "podfacts-audit"}, "automountServiceAccountToken": False},
        )
        wait_for(
            lambda: api.call("GET", f"/api/v1/namespaces/{name}/configmaps/kube-root-ca.crt").status == 200
        )
        [template] = [
            each["spec"]["template"]
            for each in yaml.safe_load_all(text)
            if (each["kind"], each["metadata"]["name"]) == ("Deployment", "podfacts-audit")
        ]
        pod = {
            "metadata": {**template["metadata"], "generateName": "podfacts-audit-"},
            "spec": template["spec"],
        }
        said_of_pod = api.call("POST", f"/api/v1/namespaces/{name}/pods", pod, dryRun="All")
        assert (said_of_pod.status, said_of_pod.warnings) == (201, []), said_of_pod.body.get("message")
    finally:
        api.call("DELETE", f"/api/v1/namespaces/{name}")
