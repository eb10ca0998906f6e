"""What rules amount to: ``cases/powers.yaml``, and what holds for all rules."""

import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from podfacts.audit.catalogue import RULES
from podfacts.audit.finding import Severity
from podfacts.audit.inventory import Place, Rule, Tree
from podfacts.audit.powers import hits as powers
from podfacts.audit.powers.danger import ANY
from podfacts.audit.powers.dangers import DANGERS
from podfacts.audit.powers.hits import COMBINED, Hit, hits
from podfacts.core.resources import BUILT_IN

CASES: dict[str, list[dict[str, Any]]] = yaml.safe_load(
    (Path(__file__).parent / "cases" / "powers.yaml").read_text()
)
FLAT = [(rule, each) for rule, cases in CASES.items() for each in cases]
HITTING = [(rule, each) for rule, each in FLAT if each.get("hit")]
# Of these the judgement says who the subject is, or what of a role or log is not in its rules.
OF_OTHERS = {"RB01", "RB02", "RB03", "RB06", "RB07", "RB08", "RB09", "RB32", "RB34", "RB35"}
EDIT: list[Any] = [
    ["get list watch", "core", "pods/attach pods/exec pods/portforward pods/proxy secrets services/proxy"],
    ["impersonate", "core", "serviceaccounts"],
    ["create delete deletecollection patch update", "core", "pods pods/attach pods/exec pods/portforward"],
    ["create delete deletecollection patch update", "core", "configmaps secrets serviceaccounts services"],
    ["create", "core", "serviceaccounts/token"],
    ["create delete deletecollection patch update", "apps", "daemonsets deployments statefulsets"],
    ["create delete deletecollection patch update", "batch", "cronjobs jobs"],
]
ADMIN: list[Any] = [
    *EDIT,
    ["create delete get list patch update watch", "rbac.authorization.k8s.io", "roles rolebindings"],
]


def named(case: tuple[str, dict[str, Any]]) -> str:
    return f"{case[0]}: {case[1]['case']}"


def trees(written: list[Any]) -> list[Tree]:
    return [_tree(*each) for each in written]


def _tree(verbs: str, groups: str, resources: str, names: str = "") -> dict[str, list[str]]:
    if groups == "url":
        return {"verbs": verbs.split(), "nonResourceURLs": resources.split()}
    tree = {
        "verbs": verbs.split(),
        "apiGroups": ["" if each == "core" else each for each in groups.split()],
        "resources": resources.split(),
    }
    return {**tree, "resourceNames": names.split()} if names else tree


def rules(written: list[Tree], role: str = "x") -> tuple[Rule, ...]:
    return tuple(Rule(tree, Place("x.yaml", 1), role, index) for index, tree in enumerate(written))


def of(case: dict[str, Any]) -> dict[str, Hit]:
    return {each.rule: each for each in hits(rules(trees(case["rules"])), case.get("in", ""))}


@pytest.mark.parametrize("case", FLAT, ids=map(named, FLAT))
def test_rules_amount_to_what_the_case_says(case: tuple[str, dict[str, Any]]) -> None:
    rule, told = case
    found = of(told)
    if not told.get("hit"):
        assert rule not in {*found, *(also for each in found.values() for also in each.also)}
        return
    hit = found[rule]
    assert str(hit.severity) == told["hit"]
    assert set(told.get("also", ())) <= set(hit.also) - set(found)
    assert set(told.get("beside", ())) <= set(found)
    if told.get("by"):
        assert sorted(each.index for each in hit.rules) == told["by"]


def test_every_rule_that_is_about_rules_has_cases_that_hit_and_as_many_that_do_not() -> None:
    assert set(CASES) == {each.rule for each in RULES} - OF_OTHERS
    for rule, cases in CASES.items():
        told = Counter(bool(each.get("hit")) for each in cases)
        assert min(told[True], told[False]) >= 2, rule
    assert sum(not each.get("hit") for _, each in FLAT) >= len(FLAT) * 0.45


def test_the_catalogue_has_all_rules_once_in_their_order_and_whole_sentences() -> None:
    assert [each.rule for each in RULES] == [f"RB{number:02}" for number in range(1, 36)]
    for each in RULES:
        assert each.title[0].isupper()
        assert not each.title.endswith(".")
        assert re.fullmatch(r"[A-Z].*[^.]\.", each.why), each.rule
        assert re.search(r"Kubernetes|kubernetes|k8s\.io", each.source), each.rule


@pytest.mark.parametrize("case", HITTING, ids=map(named, HITTING))
def test_a_hit_says_what_and_how_to_end_it_in_words_of_the_rule(case: tuple[str, dict[str, Any]]) -> None:
    for hit in of(case[1]).values():
        assert re.match("(may|has) ", hit.what)
        assert not re.search(r"[{}]|\s{2}|[.]$", hit.what)
        assert re.fullmatch(r"[A-Z].*rules\[\d+\] of x.*[.]", hit.fix)
        assert ANY not in hit.what + hit.fix


@pytest.mark.parametrize("case", HITTING, ids=map(named, HITTING))
def test_to_do_what_a_hit_says_ends_it(case: tuple[str, dict[str, Any]]) -> None:
    rule, told = case
    hit = of(told)[rule]
    before = rules(trees(told["rules"]))
    after = [tree for index, each in enumerate(before) for tree in changed(each.tree, index, hit.fix)]
    found = {each.rule: each for each in hits(rules(after), told.get("in", ""))}
    assert rule not in found or found[rule].severity < hit.severity, (hit.fix, after)


VERBS = (
    "get",
    "list",
    "watch",
    "create",
    "update",
    "patch",
    "delete",
    "escalate",
    "bind",
    "impersonate",
    "use",
)


def changed(tree: Tree, index: int, fix: str) -> list[Tree]:
    """What is left of a rule when the sentences about it have been followed."""
    place = re.escape(f"rules[{index}] of x")
    new = {**tree}
    if re.search(f"(?i)remove {place}|needed instead of [^*]*{place}", fix):
        return []
    if match := re.search(f"(?i)remove the (?:verb|resource)s? ([^ ]+(?:, [^ ]+)*) from {place}", fix):
        gone = match[1].split(", ")
        field = "verbs" if set(gone) & set(new["verbs"]) else "resources"
        new[field] = [each for each in new[field] if each not in gone]
        assert [*tree[field]] != new[field]
    if match := re.search(
        f"(?i)move (.*?) from {place} to a rule without the verbs? ([^.;]*?)(?:, and|[.;])", fix
    ):
        moved, verbs = match[1].split(", "), match[2].split(", ")
        rest = {**new, "resources": [each for each in new["resources"] if each not in moved]}
        return [
            rest,
            {**new, "resources": moved, "verbs": [each for each in new["verbs"] if each not in verbs]},
        ]
    if match := re.search(
        f"(?i)write the (.*?) that are needed instead of \\* in {place}, without (.*?)[.;]", fix
    ):
        gone = match[2].split(", ")
        for field, all_ in (("verbs", VERBS), ("resources", ["configmaps", "pods/log"])):
            if field in match[1]:
                new[field] = [each for each in all_ if each not in gone]
    elif re.search(f"Write the words that are needed instead of \\* in .*{place}", fix):
        for field in ("verbs", "apiGroups", "resources", "nonResourceURLs"):
            if "*" in new.get(field, ()):
                new[field] = ["get"]
    return [new]


@pytest.mark.parametrize("written", [EDIT, ADMIN], ids=["edit", "admin"])
@pytest.mark.parametrize(("namespace", "severity"), [("", 4), ("kube-system", 4), ("shop", 3)])
def test_edit_and_admin_are_one_hit_and_not_ten(written: list[Any], namespace: str, severity: int) -> None:
    (hit,) = hits(rules(trees(written)), namespace)
    assert (hit.rule, hit.severity) == ("RB18", severity)
    assert {"RB13", "RB16", "RB17", "RB19", "RB20", "RB21", "RB24"} <= set(hit.also)


def test_of_a_proxy_no_verb_is_worth_keeping() -> None:
    (hit,) = hits(rules(trees([["get list watch", "core", "nodes nodes/proxy pods"]])), "")
    assert hit.fix.startswith("Remove the resource nodes/proxy from rules[0] of x;")
    (hit,) = hits(rules(trees([["get create", "core", "pods pods/exec"]])), "shop")[1:]
    assert hit.fix == "Remove the resource pods/exec from rules[0] of x."


def test_a_rule_that_names_many_is_a_hit_that_names_them_all() -> None:
    (hit,) = hits(rules(trees([["get", "core", "secrets", "c a b"]])), "")
    assert hit.what == "may read the Secrets a, b, c"


def test_view_is_no_hit() -> None:
    assert not hits(
        rules(trees([["get list watch", "core apps batch", "pods configmaps deployments jobs"]])), ""
    )


def test_what_is_said_does_not_name_the_namespace_but_the_place() -> None:
    written = trees([["get", "core", "secrets"]])
    said = {namespace: hits(rules(written), namespace)[0].what for namespace in ("", "kube-system", "shop")}
    assert said == {
        "": "may read every Secret of the cluster",
        "kube-system": "may read every Secret of kube-system",
        "shop": "may read every Secret of the namespace",
    }


def test_names_are_said_and_cannot_be_more_than_text() -> None:
    (hit,) = hits(rules([_tree("get", "core", "secrets") | {"resourceNames": ["b{place}", "a\x1b[31m"]}]), "")
    assert hit.what == r"may read the Secrets a\U0000001B[31m, b{place}"


def test_a_rule_that_is_read_live_may_lack_every_field() -> None:
    assert hits(rules([{}, {"verbs": None}, {"verbs": ["get"], "resources": None}]), "") == ()


def test_rules_that_are_in_force_everywhere_count_in_a_namespace_and_are_not_told_again() -> None:
    local, wide = trees([["delete", "core", "pods"]]), trees([["patch list", "core", "nodes secrets"]])
    (hit,) = hits(rules(local), "shop", rules(wide, "wide"))
    assert (hit.rule, {each.origin for each in hit.rules}) == ("RB29", {"x", "wide"})


def test_who_has_everything_everywhere_has_no_more_by_everything_in_a_namespace() -> None:
    everything = trees([["*", "*", "*"]])
    assert [each.rule for each in hits(rules(everything), "shop")] == ["RB05"]
    assert hits(rules(everything), "shop", rules(everything, "wide")) == ()


@pytest.mark.parametrize(
    ("rule", "fix"),
    [
        (("get delete", "core", "secrets"), "Remove the verb get from rules[0] of x"),
        (("get", "core", "secrets configmaps"), "Remove the resource secrets from rules[0] of x"),
        (
            ("get delete", "core", "secrets configmaps"),
            "Move secrets from rules[0] of x to a rule without the verb get",
        ),
        (("get", "core", "secrets"), "Remove rules[0] of x"),
    ],
)
def test_the_smallest_change_takes_no_more_from_a_rule_than_it_must(
    rule: tuple[str, str, str], fix: str
) -> None:
    (hit,) = hits(rules([_tree(*rule)]), "")
    assert hit.fix.partition(";")[0] == fix


def test_combined_are_the_rules_with_more_than_one_need() -> None:
    assert COMBINED == ("RB04", "RB05", "RB10", "RB11", "RB14", "RB17", "RB25", "RB28", "RB29")


def test_nothing_is_covered_that_is_more_severe() -> None:
    one = powers._Met(Hit("RB18", Severity.HIGH, "", "", ()), "RB18", ("RB16",))
    same, more = (powers._Met(Hit("RB16", Severity(each), "", "", ()), "RB16") for each in (3, 4))
    assert [each.rule for each in powers._told([one, same])] == ["RB18"]
    assert [each.rule for each in powers._told([one, more])] == ["RB18", "RB16"]


def test_no_row_covers_itself_or_what_there_is_not() -> None:
    keys = {each.key for each in DANGERS} | {"RB33"}
    for each in DANGERS:
        assert set(each.covers) <= keys, each.key
        assert each.key not in each.covers


KINDS = sorted({word for danger in DANGERS for need in danger.needs for word in need.words})
WORDS = st.sampled_from(
    [*KINDS, *BUILT_IN["apps"].namespaced, "configmaps", "pods/*", "userextras/scopes", "*/x"]
)
ASKED = sorted(
    {verb for danger in DANGERS for need in danger.needs for ask in need.asks for verb in ask.verbs}
)
SPELT = st.sampled_from([*ASKED, "*", "impersonate-on:user-info:get", "GET", "use"])
GROUPS = st.sampled_from(
    [*sorted({kind.group for d in DANGERS for n in d.needs for a in n.asks for kind in a.on}), "*", "x.io"]
)
NAMES = st.sampled_from(
    ["a", "b", "*", "", "shop", "system:masters", "kubernetes.io/*", "aws-auth", "cluster-admin"]
)
RESOURCE_RULE = st.fixed_dictionaries(
    {
        "verbs": st.lists(SPELT, min_size=1, max_size=4),
        "apiGroups": st.lists(GROUPS, min_size=1, max_size=3),
        "resources": st.lists(WORDS, min_size=1, max_size=4),
    },
    optional={"resourceNames": st.lists(NAMES, max_size=2)},
)
URL_RULE = st.fixed_dictionaries(
    {"verbs": st.lists(SPELT, min_size=1, max_size=2), "nonResourceURLs": st.just(["*"])}
)
ROLES = st.lists(st.one_of(RESOURCE_RULE, RESOURCE_RULE, RESOURCE_RULE, URL_RULE), min_size=1, max_size=4)
SCOPES = st.sampled_from(["", "kube-system", "shop"])


@given(ROLES, SCOPES)
@settings(max_examples=300, deadline=None)
def test_the_quick_way_finds_what_the_plain_way_finds(role: list[Tree], namespace: str) -> None:
    held = rules(role)
    wide = () if namespace else held
    assert powers._hits(held, wide, namespace) == powers._hits(held, wide, namespace, quick=False)


@given(ROLES, ROLES, SCOPES)
@settings(max_examples=100, deadline=None)
def test_more_rules_never_take_away_from_what_is_said(
    role: list[Tree], more: list[Tree], namespace: str
) -> None:
    held = rules(role)
    less = _all(hits(held, namespace))
    whole = hits((*held, *rules(more, "more")), namespace)
    worst = max((each.severity for each in whole), default=Severity.INFO)
    for rule, severity in less.items():
        told = _all(whole)
        assert rule in told or (rule, namespace) == ("RB05", "")
        assert severity <= worst


@given(ROLES, SCOPES)
@settings(max_examples=100, deadline=None)
def test_in_a_namespace_nothing_is_told_that_is_not_told_of_the_cluster(
    role: list[Tree], namespace: str
) -> None:
    everywhere = _all(hits(rules(role), ""))
    for rule, severity in _all(hits(rules(role), namespace)).items():
        assert rule == "RB05" or severity <= everywhere.get(rule, Severity.CRITICAL)
        assert rule in everywhere or rule in ("RB05", "RB28")


def _all(told: tuple[Hit, ...]) -> dict[str, Severity]:
    """Each rule that is said, with how bad it is at the most."""
    return {rule: each.severity for each in reversed(told) for rule in (*each.also, each.rule)}
