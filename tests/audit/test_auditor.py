"""What the auditor writes, and what it leaves alone; what its metrics say; how it waits."""

import asyncio
import threading
import time
from datetime import date

import pytest
from prometheus_client import generate_latest

from podfacts.audit.finding import Finding, Severity
from podfacts.audit.gathered import Gathered
from podfacts.audit.inventory import Place
from podfacts.audit.report import Ignored, Report
from podfacts.cluster.access import Tree
from podfacts.cluster.audit_metrics import AuditMetrics
from podfacts.cluster.audit_reports import Change, Found, Key, changes, digest
from podfacts.cluster.auditor import in_thread, pause

KEY: Key = ("reports", "shop", "podfacts-rbac-audit")
OURS = {"app.kubernetes.io/managed-by": "podfacts"}


def wanted(message: str = "too much") -> Tree:
    metadata = {"name": KEY[2], "namespace": KEY[1], "labels": dict(OURS)}
    results = [{"rule": "RB16", "message": message}]
    return {
        "apiVersion": "openreports.io/v1alpha1",
        "kind": "Report",
        "metadata": metadata,
        "results": results,
    }


def found(tree: Tree, **metadata: object) -> Found:
    given = {"uid": "u", "resourceVersion": "7", "managedFields": [{}], **tree["metadata"], **metadata}
    return Found(given, digest(tree))


def made(tree: Tree, there: Found | None, kept: dict[Key, tuple[str, str]] | None = None) -> list[Change]:
    return list(changes({KEY: tree}, {KEY: there} if there else {}, kept or {}))


def test_what_is_there_as_it_should_be_is_not_written() -> None:
    # Another order of fields, and what others have added to the metadata, make no difference.
    turned = dict(reversed(wanted().items()))
    there = found(turned, labels={**OURS, "team": "x"}, annotations={"seen": "yes"})
    assert made(wanted(), there) == []


def test_what_is_missing_is_created_as_it_is() -> None:
    assert made(wanted(), None) == [Change("created", KEY, wanted())]


def test_what_differs_is_written_over_that_version_and_what_others_have_added_stays() -> None:
    [change] = made(
        wanted("worse"), found(wanted(), labels={**OURS, "team": "x"}, annotations={"seen": "yes"})
    )
    assert (change.outcome, change.body["results"]) == ("updated", wanted("worse")["results"])
    metadata = change.body["metadata"]
    assert (metadata["resourceVersion"], metadata["uid"], metadata["name"]) == ("7", "u", KEY[2])
    assert metadata["labels"] == {**OURS, "team": "x"}
    assert metadata["annotations"] == {"seen": "yes"}
    assert "managedFields" not in metadata


def test_a_field_that_is_not_wanted_any_more_is_a_difference_as_well() -> None:
    more = wanted()
    more["results"][0]["properties"] = {"pods": "shop/web"}
    assert [each.outcome for each in made(wanted(), found(more))] == ["updated"]


def test_what_an_older_definition_drops_is_not_written_again_and_again() -> None:
    kept = wanted()
    del kept["results"][0]["message"]
    remembered = {KEY: (digest(wanted()), digest(kept))}
    assert made(wanted(), found(kept), remembered) == []
    assert [each.outcome for each in made(wanted("worse"), found(kept), remembered)] == ["updated"]
    # Somebody has changed it since.
    assert [each.outcome for each in made(wanted(), found(wanted("nothing")), remembered)] == ["updated"]


def test_our_label_is_put_back() -> None:
    labelled = wanted()
    labelled["metadata"]["labels"]["tier"] = "audit"
    [change] = made(labelled, found(wanted()))
    assert change.body["metadata"]["labels"] == {**OURS, "tier": "audit"}


def test_what_nobody_wants_any_more_goes_if_it_is_still_that_version() -> None:
    [change] = changes({}, {KEY: found(wanted())}, {})
    assert (change.outcome, change.key) == ("deleted", KEY)
    assert change.body["preconditions"] == {"uid": "u", "resourceVersion": "7"}


def finding(rule: str, severity: Severity, namespace: str = "shop") -> Finding:
    binding = ("RoleBinding", namespace, "b")
    return Finding(rule, severity, None, binding, None, "m", "r", Place("f"))


def report(*findings: Finding, ignored: tuple[Ignored, ...] = (), unread: tuple[str, ...] = ()) -> Report:
    return Report(findings, Gathered().live(), ignored=ignored, unread=unread)


def samples(metrics: AuditMetrics) -> dict[str, float]:
    lines = generate_latest(metrics.registry).decode().splitlines()
    return {
        name: float(value)
        for name, _, value in (line.rpartition(" ") for line in lines if not line.startswith("#"))
    }


def test_metrics_say_what_the_last_audit_found_and_a_rule_that_finds_nothing_more_goes_to_0() -> None:
    metrics = AuditMetrics()
    high, low = finding("RB16", Severity.HIGH), finding("RB33", Severity.LOW)
    ignored = Ignored(low, "known", date(2030, 1, 1))
    before = time.time()
    metrics.audited(report(high, high, low, ignored=(ignored,), unread=("Pods",)), 0.5)
    told = samples(metrics)
    assert told['podfacts_audit_findings{rule="RB16",severity="high"}'] == 2
    assert told['podfacts_audit_findings{rule="RB33",severity="low"}'] == 1
    assert (told["podfacts_audit_ignored"], told["podfacts_audit_unread"]) == (1, 1)
    assert told["podfacts_audit_seconds"] == 0.5
    assert before <= told["podfacts_audit_last_success_timestamp_seconds"] <= time.time()
    metrics.audited(report(low), 0.5)
    told = samples(metrics)
    assert told['podfacts_audit_findings{rule="RB16",severity="high"}'] == 0
    assert told['podfacts_audit_findings{rule="RB33",severity="low"}'] == 1
    assert (told["podfacts_audit_ignored"], told["podfacts_audit_unread"]) == (0, 0)


def test_what_has_not_happened_yet_is_0_and_not_absent() -> None:
    told = samples(AuditMetrics())
    for name in (
        *(f'podfacts_audit_failures_total{{part="{part}"}}' for part in ("audit", "ignores", "reports")),
        *(
            f'podfacts_audit_report_writes_total{{outcome="{each}"}}'
            for each in ("created", "updated", "deleted", "failed")
        ),
        "podfacts_audit_last_success_timestamp_seconds",
    ):
        assert told[name] == 0


@pytest.mark.parametrize(
    ("failures", "seconds"), [(0, 3600), (1, 5), (2, 10), (5, 80), (11, 3600), (10**6, 3600)]
)
def test_a_failure_is_followed_by_another_try_and_each_waits_longer(failures: int, seconds: float) -> None:
    assert pause(3600, failures) == seconds


def test_one_who_wants_it_more_often_than_that_gets_it() -> None:
    assert pause(1, 3) == 1


def test_work_in_a_thread_gives_what_it_returns_or_raises() -> None:
    def fail() -> None:
        raise ValueError("no")

    assert asyncio.run(in_thread(lambda: 3)) == 3
    with pytest.raises(ValueError, match="no"):
        asyncio.run(in_thread(fail))


def test_nobody_waits_for_work_that_is_not_wanted_any_more() -> None:
    gate, ended = threading.Event(), threading.Event()

    def work() -> None:
        gate.wait(60)
        ended.set()

    async def leave() -> None:
        task = asyncio.create_task(in_thread(work))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])

    asyncio.run(leave())
    assert not ended.is_set(), "the loop ended before the work"
    gate.set()
    # It has nobody to tell, and that is no failure.
    assert ended.wait(60)
