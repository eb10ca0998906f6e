"""The table: whatever the terminal's width is, all of it, in its order."""

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from podfacts.audit.finding import Severity
from podfacts.audit.inventory import live
from podfacts.audit.judgement.sentences import LEAVE, why
from podfacts.audit.report import Report
from podfacts.reports.as_table import rendered
from podfacts.reports.wording import shortened
from tests.audit.reports.found import EMPTY, PERMISSIVE, READER, REPORT, SECRETS, any_report, reports

ESCAPE = re.compile(r"\x1b\[[0-9;]*m")


def plain(report: Report, width: int = 100) -> str:
    return rendered(report, width=width, colour=False)


def letters(text: str) -> str:
    """What is left of a text when it no longer matters where its lines end."""
    return re.sub(r"\s", "", text)


@any_report
@given(report=reports, width=st.integers(40, 200))
def test_no_line_is_wider_than_the_terminal(report: Report, width: int) -> None:
    assert [line for line in plain(report, width).splitlines() if cell_len(line) > width] == []


@pytest.mark.parametrize("width", [40, 79, 80, 120, 200])
def test_long_words_are_folded_and_not_cut(width: int) -> None:
    long = replace(
        READER, message="x" * 500 + "end", binding=("RoleBinding", "shop", "y" * 253), remediation="字" * 90
    )
    text = letters(plain(replace(EMPTY, findings=(long,)), width))
    for whole in ("x" * 500 + "end", "y" * 253, "字" * 90):
        assert whole in text


def test_a_narrow_terminal_is_still_one_of_forty() -> None:
    assert plain(REPORT, 5) == plain(REPORT, 40)


@any_report
@given(report=reports)
def test_colours_change_nothing_but_the_colours(report: Report) -> None:
    coloured = rendered(report, width=90, colour=True)
    assert ESCAPE.sub("", coloured) == plain(report, 90)


def test_the_argument_decides_about_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "dumb")
    assert ESCAPE.search(rendered(REPORT, width=90, colour=True))
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert "\x1b" not in plain(REPORT)


def test_colour_is_by_severity() -> None:
    text = rendered(REPORT, width=90, colour=True)
    codes = [re.search(rf"\x1b\[([0-9;]*)m{word}", text) for word in ("CRITICAL", "HIGH", "MEDIUM")]
    assert [found and found[1] for found in codes] == ["1;31", "31", "33"]


@pytest.mark.fault("T41")
def test_no_name_moves_the_cursor() -> None:
    hostile = replace(READER, message="\x1b[2J\r\n\u202egone", binding=("RoleBinding", "a\x07", "b\x9b31m"))
    text = plain(replace(EMPTY, findings=(hostile,), scope="\x1b]0;title\x07"))
    assert [each for each in text if each != "\n" and not each.isprintable()] == []
    assert "\\U0000001B" in text


def test_the_worst_subject_comes_first_with_all_that_it_has() -> None:
    worse = replace(READER, rule="RB05", subject=PERMISSIVE.subject)
    lines = plain(replace(EMPTY, findings=(READER, PERMISSIVE, worse))).splitlines()
    subjects = [line for line in lines if line.startswith(("Group", "ServiceAccount"))]
    assert subjects == ["Group system:serviceaccounts", "ServiceAccount shop/web"]
    assert [line.split()[1] for line in lines if line.startswith(("CRITICAL", "HIGH"))] == [
        "RB04",
        "RB05",
        "RB16",
    ]


def test_the_whole_of_one() -> None:
    text = plain(replace(EMPTY, findings=(PERMISSIVE,), scope="rbac"))
    expected = [
        "RBAC audit of rbac: 3 roles, 5 bindings",
        "",
        "Group system:serviceaccounts",
        "CRITICAL  RB04  Everything, everywhere",
        "                Every service account may do everything, everywhere.",
        "                Fix: Delete the binding and give each account what it needs.",
        "                By ClusterRoleBinding permissive-binding to ClusterRole cluster-admin",
        "                (rbac/bindings.yaml:4)",
        "                Rule: * of * in API groups * (rules[0] of cluster-admin, rbac/roles.yaml:7)",
        "                Held now by 2 accounts: shop/web, shop/db",
        "                Held now by 1 pod: shop/web-1",
        "                With it come RB10, RB13",
        "",
        "1 finding: 1 critical, 0 high, 0 medium, 0 low, 0 info",
    ]
    assert text.splitlines()[: len(expected)] == expected
    assert "Next: do what the Fix lines say" in text


def test_what_the_message_says_is_not_said_again() -> None:
    said = "It may read, by RoleBinding reader in shop and RoleBinding other in shop, which give Role reader in shop."
    text = plain(replace(EMPTY, findings=(replace(READER, message=said),)))
    assert "                At rbac/bindings.yaml:19" in text.splitlines()
    assert "By RoleBinding" not in text
    assert "By RoleBinding reader in shop and RoleBinding other" in plain(replace(EMPTY, findings=(READER,)))


def test_of_a_cluster_no_files_are_told() -> None:
    rule = replace(SECRETS, place=live("Role", "shop", "reader"))
    text = plain(
        replace(
            EMPTY, findings=(replace(READER, place=live("RoleBinding", "shop", "reader"), rules=(rule,)),)
        )
    )
    assert "(rules[1] of reader)" in text
    assert "cluster/" not in text


def test_why_a_rule_matters_is_told_once() -> None:
    message = f"Somebody may read. {why('RB16')}"
    other = replace(READER, subject=PERMISSIVE.subject, message=message.replace("Somebody", "Everybody"))
    text = " ".join(plain(replace(EMPTY, findings=(replace(READER, message=message), other))).split())
    assert "Somebody may read." in text
    assert "Everybody may read." in text
    assert text.count(why("RB16")) == 1


def test_what_kubernetes_needs_is_counted_and_not_shown() -> None:
    needed = replace(READER, severity=Severity.INFO, message="The scheduler reads.", remediation=LEAVE)
    text = plain(replace(EMPTY, findings=(PERMISSIVE, needed, needed)))
    assert "3 findings: 1 critical, 0 high, 0 medium, 0 low, 2 info" in text
    assert "Given by Kubernetes itself, which needs it, and not shown: 2" in text
    assert "The scheduler reads." not in text


def test_who_asks_for_ways_is_told_of_ways() -> None:
    text = plain(replace(REPORT, ways="to cluster-admin"))
    assert "to cluster-admin in 2 steps" in text
    assert READER.message not in text
    assert "3 findings: 1 critical" in text


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ((), ""),
        (("RB10", "RB13"), "RB10, RB13"),
        (("RB04", "RB10", "RB11", "RB12", "RB14", "RB15"), "RB04, RB10 to RB12, RB14, RB15"),
        (("RB34", "RB35", "RB99"), "RB34, RB35, RB99"),
    ],
)
def test_rules_in_a_row_are_said_as_one(rules: tuple[str, ...], said: str) -> None:
    assert shortened(rules) == said


def test_what_is_not_shown_is_counted() -> None:
    text = plain(REPORT)
    assert "Known from the baseline, and not shown: 1" in text
    assert "Ignored, and not shown: 1; the first comes back after 2027-01-31" in text
    assert "Could not be read, and may hide more: 1" in text


def test_a_way_up_is_told_step_by_step() -> None:
    text = " ".join(plain(REPORT).split())
    assert "shop:web to cluster-admin in 2 steps" in text
    steps = text[text.index("in 2 steps") :]
    one, two = "system:serviceaccount:shop:web", "system:serviceaccount:shop:boss"
    assert (
        f"1 {one} gets {two} by creating a pod as it (RoleBinding reader in shop to Role reader in shop)"
        in steps
    )
    assert f"2 {two} gets cluster-admin by binding cluster-admin to itself" in steps


def test_that_there_is_no_way_up_is_said_to_whoever_asked() -> None:
    assert "Ways up There is none to node." in " ".join(plain(replace(EMPTY, ways="to node")).split())
    assert "Ways up" not in plain(EMPTY)


def test_a_proposal_keeps_its_lines() -> None:
    proposal = "Bind this role instead:\nkind: Role\nrules:\n  - verbs: [get]"
    lines = plain(replace(EMPTY, findings=(replace(READER, remediation=proposal),))).splitlines()
    at = next(number for number, line in enumerate(lines) if "Bind this role instead:" in line)
    assert [line[16:] for line in lines[at + 1 : at + 4]] == ["kind: Role", "rules:", "  - verbs: [get]"]


@pytest.mark.parametrize(
    ("report", "said"),
    [
        (EMPTY, "Nothing found."),
        (replace(EMPTY, known=(READER,)), "Nothing found that was not decided before."),
        (replace(EMPTY, unread=("pods: forbidden",)), "Nothing found in what could be read."),
    ],
)
def test_nothing_found_says_what_was_looked_at(report: Report, said: str) -> None:
    lines = plain(report).splitlines()
    assert lines[:3] == ["RBAC audit of the cluster at home: 3 roles, 5 bindings", "", said]
