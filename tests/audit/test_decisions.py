"""Baselines and ignores: what does not count any more, why, until when, and who is told when that changes."""

import json
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podfacts.audit.decisions import FIELDS, Decisions, baseline, decided, ignore
from podfacts.audit.finding import Finding, Severity
from podfacts.audit.inventory import Address, Place, Subject
from podfacts.core.refusal import BadInput, Refused
from podfacts.offline.audit_settings import decisions

TODAY = date(2027, 1, 31)
PLACE = Place("ignores.yaml", 3)
DEPLOYER = Subject("ServiceAccount", "ci", "deployer")
WIDE: Address = ("ClusterRoleBinding", "", "permissive-binding")
NARROW: Address = ("RoleBinding", "shop", "reader")


def finding(
    rule: str = "RB16",
    severity: Severity = Severity.HIGH,
    subject: Subject | None = DEPLOYER,
    binding: Address | None = NARROW,
    role: Address | None = ("ClusterRole", "", "reader"),
) -> Finding:
    return Finding(rule, severity, subject, binding, role, "It may.", "Do not.", Place("rbac.yaml", 1))


def entry(**more: str) -> dict[str, str]:
    return {"rule": "RB16", "reason": "needed", "expires": "2027-01-31", **more}


def settled(*entries: dict[str, str], known: frozenset[str] = frozenset(), today: date = TODAY) -> Any:
    found = tuple(ignore(each, PLACE) for each in entries)
    return decided([finding()], Decisions(found, known), today)


MATCHING = [
    {"subject": "ServiceAccount ci/deployer"},
    {"binding": "RoleBinding shop/reader"},
    {"binding": "RoleBinding reader in shop"},
    {"role": "ClusterRole reader"},
    {"fingerprint": finding().fingerprint},
    {
        "subject": "ServiceAccount ci/deployer",
        "binding": "RoleBinding shop/reader",
        "role": "ClusterRole reader",
    },
]
NOT_MATCHING = [
    {"subject": "ServiceAccount ci/deployer", "rule": "RB17"},
    {"subject": "ServiceAccount ci/deploy"},
    {"subject": "ServiceAccount dev/deployer"},
    {"subject": "User ci/deployer"},
    {"subject": "Group deployer"},
    {"binding": "ClusterRoleBinding reader"},
    {"binding": "RoleBinding bank/reader"},
    {"subject": "ServiceAccount ci/deployer", "binding": "RoleBinding bank/reader"},
    {"role": "Role shop/reader"},
    {"fingerprint": finding(severity=Severity.CRITICAL).fingerprint},
]


@pytest.mark.parametrize("words", MATCHING, ids=str)
def test_ignored_for_its_reason_until_its_day(words: dict[str, str]) -> None:
    done = settled(entry(**words))
    (ignored,) = done.ignored
    assert (ignored.finding, ignored.reason, ignored.expires) == (finding(), "needed", TODAY)
    assert (done.findings, done.known, done.warnings) == ((), (), ())


@pytest.mark.parametrize("words", NOT_MATCHING, ids=str)
def test_an_ignore_of_another_grant_matches_nothing_and_says_so(words: dict[str, str]) -> None:
    done = settled(entry(**words))
    assert (done.findings, done.ignored) == ((finding(),), ())
    rule = words.get("rule", "RB16")
    assert done.warnings == (f"ignores.yaml:3: this ignore of {rule} matches no finding: remove it",)


def test_an_expired_ignore_ignores_nothing_and_says_so() -> None:
    words = entry(subject="ServiceAccount ci/deployer")
    assert settled(words, today=TODAY).findings == ()
    done = settled(words, today=TODAY + timedelta(days=1))
    assert (done.findings, done.ignored) == ((finding(),), ())
    assert done.warnings == (
        "ignores.yaml:3: this ignore of RB16 expired on 2027-01-31, and what it matches counts again",
    )


def test_of_two_ignores_the_one_that_is_not_expired_counts() -> None:
    old, new = (
        entry(role="ClusterRole reader", expires="2026-01-01"),
        entry(binding="RoleBinding shop/reader"),
    )
    done = settled(old, new)
    assert [each.expires for each in done.ignored] == [TODAY]
    assert len(done.warnings) == 1


def test_a_finding_about_a_role_alone_is_ignored_by_its_role() -> None:
    alone = finding("RB32", subject=None, binding=None)
    found = ignore(entry(rule="RB32", role="ClusterRole reader"), PLACE)
    assert len(decided([alone], Decisions((found,)), TODAY).ignored) == 1


def test_what_is_in_the_baseline_is_known_and_what_got_worse_is_new() -> None:
    known = baseline({"findings": [{"fingerprint": finding().fingerprint}]})
    assert settled(known=known).known == (finding(),)
    worse = finding(severity=Severity.CRITICAL)
    assert decided([worse], Decisions(baseline=known), TODAY).findings == (worse,)


def test_what_was_known_stays_known_by_a_baseline_made_with_one() -> None:
    assert baseline({"findings": [], "known": [{"fingerprint": "a"}]}) == {"a"}


def test_an_ignored_finding_is_no_new_one_and_its_ignore_is_in_use() -> None:
    done = settled(entry(subject="ServiceAccount ci/deployer"), known=frozenset([finding().fingerprint]))
    assert (len(done.ignored), done.known, done.warnings) == (1, (), ())


@given(
    st.dictionaries(
        st.sampled_from([*FIELDS, "x"]), st.none() | st.text() | st.lists(st.text()) | st.just("RB16")
    )
)
def test_whatever_an_ignore_is_it_is_refused_or_narrow(tree: Any) -> None:
    try:
        found = ignore(tree, PLACE)
    except Refused:
        return
    assert found.subject or found.binding or found.role or found.fingerprint


def test_files_become_decisions_with_their_lines(tmp_path: Path) -> None:
    ignores, known = tmp_path / "ignores.yaml", tmp_path / "known.json"
    ignores.write_text(
        "# why\nignores:\n- rule: RB01\n  binding: ClusterRoleBinding permissive-binding\n"
        "  reason: until the 1st\n  expires: 2027-02-01\n"
    )
    known.write_text(json.dumps({"findings": [{"fingerprint": "a"}], "summary": {}}))
    found = decisions([str(ignores)], [str(known)])
    (only,) = found.ignores
    assert (only.binding, only.expires, only.place) == (WIDE, date(2027, 2, 1), Place(str(ignores), 3))
    assert found.baseline == {"a"}


GOOD = "ignores:\n- rule: RB16\n  subject: User jane\n  reason: r\n  expires: 2027-01-31\n"
LIST_OF_FIELDS = "rule, subject, binding, role, fingerprint, reason, expires"
BAD_IGNORES = {
    "empty": ("", ": holds no documents: write ignores: and a list below it"),
    "two documents": (f"{GOOD}---\n{GOOD}", ": holds 2 documents: write ignores: and a list below it"),
    "a list": ("- rule: RB16\n", ":1: is no ignore file: write ignores: and a list below it, and nothing else"),
    "something else": (f"{GOOD}more: 1\n", ":1: is no ignore file: write ignores: and a list below it, and nothing else"),
    "broken": ("ignores: [", ":1: not YAML: while parsing a flow node did not find expected node content"),
    "no entry": ("ignores:\n- RB16\n", ":2: ignores[0]: an ignore must be a mapping with rule, subject or binding, reason and expires"),
    "no reason": (GOOD.replace("  reason: r\n", ""), ":2: ignores[0]: an ignore needs reason: write why this is accepted, for whoever reads it next"),
    "an empty reason": (GOOD.replace("reason: r", "reason: ' '"), ":4: ignores[0].reason: must be a text that is not empty"),
    "no end": (GOOD.replace("  expires: 2027-01-31\n", ""), ":2: ignores[0]: an ignore needs expires: write the last day, such as 2027-01-31"),
    "no day": (GOOD.replace("01-31", "02-30"), ":5: ignores[0].expires: '2027-02-30' is no day: write the last day, such as 2027-01-31"),
    "a date in another form": (GOOD.replace("2027-01-31", "31.1.2027"), ":5: ignores[0].expires: '31.1.2027': write the last day, such as 2027-01-31"),
    "no rule": (GOOD.replace("rule: RB16", "rule: '*'"), ":2: ignores[0].rule: '*': write one rule, RB01 to RB35"),
    "a rule that is none": (GOOD.replace("rule: RB16", "rule: RB91"), ":2: ignores[0].rule: 'RB91': write one rule, RB01 to RB35"),
    "a whole rule": (GOOD.replace("  subject: User jane\n", ""), ":2: ignores[0]: an ignore needs subject, binding, role or fingerprint: it is about one grant, not about a whole rule"),
    "no subject": (GOOD.replace("User jane", "jane"), ":3: ignores[0].subject: 'jane' is no subject: write ServiceAccount NAMESPACE/NAME, User NAME or Group NAME"),
    "no binding": (GOOD.replace("subject: User jane", "binding: RoleBinding x"), ":3: ignores[0].binding: 'RoleBinding x' is no binding: write RoleBinding NAMESPACE/NAME or ClusterRoleBinding NAME"),
    "no fingerprint": (GOOD.replace("subject: User jane", "fingerprint: abc"), ":3: ignores[0].fingerprint: 'abc': write the 32 letters and digits that -o json gives"),
    "a field that is none": (GOOD.replace("subject", "subjekt"), f":3: ignores[0].subjekt: is no field of an ignore: write {LIST_OF_FIELDS}"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "line"), BAD_IGNORES.values(), ids=BAD_IGNORES)
def test_a_bad_ignore_file_is_one_line(text: str, line: str, tmp_path: Path) -> None:
    file = tmp_path / "ignores.yaml"
    file.write_text(text)
    with pytest.raises(BadInput) as caught:
        decisions([str(file)], [])
    assert str(caught.value) == f"{file}{line}"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", ":1: is no JSON (Expecting value): write a baseline by podfacts audit -o json"),
        ("[" * 100_000, ": is nested too deep: write a baseline by podfacts audit -o json"),
        ("[]", ": is no baseline: write one by podfacts audit -o json"),
        ('{"runs": []}', ": is no baseline: write one by podfacts audit -o json"),
        ('{"findings": [{"rule": "RB01"}]}', ": is no baseline: a finding in it has no fingerprint"),
    ],
)
def test_a_bad_baseline_is_one_line(text: str, line: str, tmp_path: Path) -> None:
    file = tmp_path / "known.json"
    file.write_text(text)
    with pytest.raises(BadInput) as caught:
        decisions([], [str(file)])
    assert str(caught.value) == f"{file}{line}"


def test_stdin_is_not_for_settings() -> None:
    with pytest.raises(BadInput, match="^-: is read from a file: stdin is for manifests and logs$"):
        decisions(["-"], ["-"])
