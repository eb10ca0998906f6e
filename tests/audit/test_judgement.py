"""What is said of whom: cases, and what each finding says of itself."""

import random
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from podfacts.audit.bootstrap import written_roles
from podfacts.audit.catalogue import RULES
from podfacts.audit.finding import Severity, worst_first
from podfacts.audit.inventory import Pod
from podfacts.audit.judgement import combination
from podfacts.audit.judgement.findings import findings
from podfacts.rights.request import Account
from tests.audit.small import Tree, inventory, told

FOLDER = Path(__file__).parent / "cases"
CASES: list[Tree] = [
    case for path in sorted(FOLDER.glob("judgement*.yaml")) for case in yaml.safe_load(path.read_text())
]
SECRETS = {"verbs": ["get"], "resources": ["secrets"]}
ALL_ACCOUNTS = "Group system:serviceaccounts"


@pytest.mark.parametrize("case", CASES, ids=lambda each: each["case"])
def test_case(case: Tree) -> None:
    said = [told(each) for each in findings(inventory(case))]
    if "findings" in case:
        assert sorted(said) == sorted(case["findings"])
    assert set(case.get("findings_include", ())) <= set(said)
    assert not set(case.get("findings_exclude", ())) & set(said)


@pytest.mark.parametrize("case", CASES, ids=lambda each: each["case"])
def test_every_finding_of_a_case_is_whole(case: Tree) -> None:
    here = inventory(case)
    found = findings(here)
    assert list(found) == sorted(found, key=worst_first)
    assert len({(each.rule, each.subject, each.binding, each.role) for each in found}) == len(found), "twice"
    assert {each.rule for each in found} <= {each.rule for each in RULES}
    for each in found:
        assert each.message.endswith(".")
        assert each.remediation.endswith(".") or "podfacts replace-binding" in each.remediation
        assert (each.subject is None) == (each.binding is None) == (each.rule == "RB32")
        assert each.place.file == "case.yaml"
        assert each.severity > Severity.INFO or each.rule == "RB34" or "Kubernetes itself" in each.message
        given = {
            each.role or ("", "", ""),
            *(binding.role for binding in here.bindings if binding.address in each.via),
        }
        assert set(each.rules) <= {rule for of in given & here.roles.keys() for rule in here.roles[of].rules}


def whole() -> Tree:
    """A cluster of two namespaces with a pod in each."""
    return {
        "live": True,
        "namespaces": ["default", "kube-system", "shop"],
        "accounts": ["kube-system/dns", "shop/app", "shop/default"],
        "pods": {"kube-system/dns-1": "dns", "shop/app-1": "app", "shop/app-2": "app", "shop/job": "default"},
        "roles": {"all": [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}], "secrets": [SECRETS]},
    }


def test_the_binding_to_all_accounts_lists_them_and_their_pods() -> None:
    (found,) = findings(inventory({**whole(), "bindings": {"permissive-binding": ["all", ALL_ACCOUNTS]}}))
    assert (found.rule, found.severity) == ("RB01", Severity.CRITICAL)
    assert found.accounts == (
        Account("kube-system", "dns"),
        Account("shop", "app"),
        Account("shop", "default"),
    )
    assert [each.name for each in found.pods] == ["dns-1", "app-1", "app-2", "job"]
    assert "RB04" in found.also
    assert "podfacts replace-binding permissive-binding" in found.remediation


def test_the_binding_to_a_namespace_s_accounts_lists_those() -> None:
    (found,) = findings(inventory({**whole(), "bindings": {"shop/b": ["secrets", f"{ALL_ACCOUNTS}:shop"]}}))
    assert found.accounts == (Account("shop", "app"), Account("shop", "default"))
    assert [each.name for each in found.pods] == ["app-1", "app-2", "job"]
    assert "podfacts replace-binding b -n shop" in found.remediation


def test_an_account_s_finding_lists_its_pods() -> None:
    for subject in ("ServiceAccount shop/app", "User system:serviceaccount:shop:app"):
        (found,) = findings(inventory({**whole(), "bindings": {"b": ["secrets", subject]}}))
        account = Account("shop", "app")
        assert found.accounts == ()
        assert found.pods == (Pod("shop", "app-1", account), Pod("shop", "app-2", account))


def test_of_files_nobody_is_listed_who_is_not_known() -> None:
    (found,) = findings(inventory({"bindings": {"b": ["cluster-admin", ALL_ACCOUNTS]}}))
    assert found.accounts == ()
    assert found.pods == ()


def test_a_finding_by_several_bindings_names_them_all() -> None:
    writer = {"verbs": ["create"], "resources": ["secrets"]}
    bindings = {"a": ["secrets", "User bob"], "shop/w": ["shop/writer", "User bob"]}
    roles = {"secrets": [SECRETS], "shop/writer": [writer]}
    (found,) = [
        each for each in findings(inventory({"roles": roles, "bindings": bindings})) if each.rule == "RB17"
    ]
    assert {found.binding, *found.via} == {("ClusterRoleBinding", "", "a"), ("RoleBinding", "shop", "w")}
    assert {rule.origin for rule in found.rules} == {"secrets", "writer"}
    assert "together with" in found.message


def test_whose_bindings_are_read_first_changes_no_fingerprint() -> None:
    writes = [{"verbs": ["create"], "resources": ["secrets"]}]
    roles = {"first": writes, "second": writes, "third": [SECRETS]}
    alice = {"a1": ["first", "User alice"], "a2": ["second", "User alice"], "a3": ["third", "User alice"]}
    bob = {"b1": ["second", "User bob"], "b2": ["first", "User bob"], "b3": ["third", "User bob"]}
    one, other = (
        findings(inventory({"roles": roles, "bindings": bindings}))
        for bindings in ({**alice, **bob}, {**bob, **alice})
    )
    assert sorted(map(told, one)) == sorted(map(told, other))


def test_pods_and_nodes_meet_though_one_is_given_in_a_namespace_only() -> None:
    roles = {
        "pods": [{"verbs": ["delete"], "resources": ["pods"]}],
        "nodes": [{"verbs": ["patch"], "resources": ["nodes"]}],
    }
    bindings = {"shop/p": ["pods", "User bob"], "n": ["nodes", "User bob"]}
    assert "RB29" in {each.rule for each in findings(inventory({"roles": roles, "bindings": bindings}))}
    bindings = {"shop/p": ["pods", "User bob"], "shop/n": ["nodes", "User bob"]}
    assert "RB29" not in {each.rule for each in findings(inventory({"roles": roles, "bindings": bindings}))}


def test_a_rule_that_gives_nothing_raises_nothing_else() -> None:
    role = [{"verbs": ["*"], "resources": ["nodes"]}, SECRETS]
    found = findings(inventory({"roles": {"mixed": role}, "bindings": {"shop/b": ["mixed", "User bob"]}}))
    assert {each.rule: [rule.index for rule in each.rules] for each in found} == {"RB16": [1], "RB34": [0]}


def test_what_is_ineffective_in_a_shipped_role_is_no_news_unless_all_of_it_is() -> None:
    nothing = set()
    for kind, _, name in written_roles():
        if kind == "ClusterRole":
            found = findings(inventory({"bindings": {"shop/b": [name, "User bob"]}}))
            nothing |= {name for each in found if each.rule == "RB34"}
    assert {"system:auth-delegator", "system:discovery", "system:basic-user"} <= nothing
    assert not {"admin", "edit", "view", "cluster-admin", "system:node"} & nothing


def test_the_name_and_the_label_of_a_grant_change_nothing() -> None:
    plain = {"roles": {"r": [SECRETS]}, "bindings": {"b": ["r", "User bob"]}}
    shipped = {"kubernetes.io/bootstrapping": "rbac-defaults"}
    named = {
        "roles": {"system:r": [SECRETS]},
        "bindings": {"system:b": ["system:r", "User bob"]},
        "labels": {"system:r": shipped, "system:b": shipped},
    }
    one, other = findings(inventory(plain)), findings(inventory(named))
    assert [(each.rule, each.severity) for each in one] == [(each.rule, each.severity) for each in other]


def test_nobody_is_told_to_change_a_role_that_kubernetes_ships() -> None:
    (found,) = findings(inventory({"bindings": {"b": ["cluster-admin", "User bob"]}}))
    assert found.remediation == (
        "Take User bob out of the ClusterRoleBinding b, "
        "and bind it to a role with what it needs instead of cluster-admin."
    )


def test_of_what_a_shipped_role_and_another_amount_to_the_shipped_one_is_not_to_be_changed() -> None:
    detector, delete = "system:node-problem-detector", [{"verbs": ["delete"], "resources": ["pods"]}]
    told = {"roles": {"d": delete}, "bindings": {"a": [detector, "User bob"], "b": ["d", "User bob"]}}
    (found,) = findings(inventory(told))
    assert found.rule == "RB29"
    assert found.remediation == (
        f"Take User bob out of the ClusterRoleBinding a, and bind it to a role with what it needs instead of {detector}."
    )


def test_what_a_role_gathers_from_a_shipped_one_is_not_to_be_changed_there() -> None:
    selector = {"matchLabels": {"rbac.authorization.k8s.io/aggregate-to-edit": "true"}}
    told = {
        "roles": {"own": []},
        "selectors": {"own": [selector]},
        "bindings": {"shop/b": ["own", "User bob"]},
    }
    (found,) = findings(inventory(told))
    assert "instead of own" in found.remediation
    assert "rules[" not in found.remediation


def test_of_a_namespace_s_labels_it_is_not_said_that_they_are_those_of_all() -> None:
    role = [{"verbs": ["patch"], "resources": ["namespaces"]}]
    said = [
        findings(inventory({"roles": {"r": role}, "bindings": {name: ["r", "User bob"]}}))[0].message
        for name in ("b", "shop/b", "kube-system/b")
    ]
    assert ["labels of every namespace" in each for each in said] == [True, False, False]
    assert "labels of kube-system" in said[2]


def test_what_was_written_into_a_shipped_role_is_to_be_taken_out_of_it() -> None:
    told = {
        "roles": {"system:node-proxier": [SECRETS]},
        "bindings": {"b": ["system:node-proxier", "User bob"]},
    }
    (found,) = findings(inventory(told))
    assert "rules[0] of system:node-proxier" in found.remediation


def test_a_role_of_no_rules_gives_nothing() -> None:
    assert findings(inventory({"roles": {"r": []}, "bindings": {"b": ["r", ALL_ACCOUNTS]}})) == ()


WORDS = {
    "verbs": ["get", "list", "create", "update", "patch", "delete", "bind", "escalate", "*"],
    "apiGroups": ["", "rbac.authorization.k8s.io", "*"],
    "resources": [
        "secrets",
        "pods",
        "nodes",
        "roles",
        "clusterroles",
        "rolebindings",
        "clusterrolebindings",
        "*",
    ],
}
RULE = st.fixed_dictionaries(
    {key: st.lists(st.sampled_from(words), min_size=1, max_size=3) for key, words in WORDS.items()},
    optional={"resourceNames": st.lists(st.sampled_from(["a", "b"]), min_size=1, max_size=2)},
)
ROLES = st.lists(st.lists(RULE, min_size=1, max_size=2), min_size=2, max_size=4)
BINDINGS = st.lists(st.tuples(st.sampled_from(["", "shop/", "kube-system/"]), st.integers(0, 3)), max_size=5)


@given(ROLES, BINDINGS)
@settings(max_examples=100, deadline=None)
def test_what_is_left_unasked_would_have_been_nothing(
    roles: list[list[Tree]], bindings: list[tuple[str, int]]
) -> None:
    here = inventory(
        {
            "roles": {f"r{number}": rules for number, rules in enumerate(roles)},
            "bindings": {
                f"{home}b{number}": [f"r{role % len(roles)}", ALL_ACCOUNTS if number == 4 else "User bob"]
                for number, (home, role) in enumerate(bindings)
            },
        }
    )
    quick = findings(here)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(combination, "more_together", lambda _shares, _scope: True)
        assert [told(each) for each in findings(here)] == [told(each) for each in quick]


@given(ROLES, BINDINGS, st.randoms(use_true_random=False))
@settings(max_examples=100, deadline=None)
def test_the_order_in_which_it_was_read_changes_no_fingerprint(
    roles: list[list[Tree]], bindings: list[tuple[str, int]], chance: random.Random
) -> None:
    named = [(f"r{number}", rules) for number, rules in enumerate(roles)]
    bound = [
        (
            f"{home}b{number}",
            [f"r{role % len(roles)}", *(("User bob",), ("User alice", "User bob"))[number % 2]],
        )
        for number, (home, role) in enumerate(bindings)
    ]
    one = findings(inventory({"roles": dict(named), "bindings": dict(bound)}))
    chance.shuffle(named)
    chance.shuffle(bound)
    other = findings(inventory({"roles": dict(named), "bindings": dict(bound)}))
    assert [each.fingerprint for each in one] == [each.fingerprint for each in other]
