"""Rights that nobody used, by the calls of a log."""

from collections.abc import Sequence
from typing import Any

import yaml

from podfacts.audit.finding import Finding, Severity
from podfacts.audit.inventory import Inventory, Subject
from podfacts.audit.judgement.unused import proposals, unused
from podfacts.rights.audit_log import Recorded
from podfacts.rights.request import Account, Request
from podfacts.rights.rules import Rights
from tests.audit.small import inventory

WEB = Account("shop", "web")
GET_PODS = Request("get", resource="pods", namespace="shop", name="a")
ROLE: list[Any] = [
    {"verbs": ["get", "list"], "resources": ["pods"]},
    {"verbs": ["get"], "resources": ["configmaps"]},
    {"verbs": ["list"], "resources": ["secrets"]},
]


def called(*requests: Request, user: str = WEB.user, by: str = "", allowed: bool = True) -> list[Recorded]:
    return [Recorded(user, each, allowed, "", by) for each in requests]


def bound(*subjects: str, rules: Sequence[Any] = ROLE, wide: bool = False) -> Inventory:
    name = "b" if wide else "shop/b"
    return inventory({"roles": {"x": rules}, "bindings": {name: ["x", *subjects]}})


def only(found: tuple[Finding, ...]) -> Finding:
    (finding,) = found
    return finding


def test_a_rule_that_no_call_needed_is_told_with_what_to_do() -> None:
    found = only(unused(bound("ServiceAccount shop/web"), called(GET_PODS, GET_PODS)))
    assert (found.rule, found.severity) == ("RB35", Severity.MEDIUM)
    assert [each.index for each in found.rules] == [1, 2]
    assert found.also == ("RB16",)
    assert "needed 1 of the 3 rules" in found.message
    assert "its 2 calls in the log, which holds 2 calls" in found.message
    assert "get of configmaps in API groups core" in found.message
    assert "Remove rules[1] of x, rules[2] of x" in found.remediation


def test_a_role_that_kubernetes_ships_is_not_to_be_changed() -> None:
    shipped = inventory({"bindings": {"shop/b": ["view", "ServiceAccount shop/web"]}})
    fix = only(unused(shipped, called(GET_PODS))).remediation
    assert fix.startswith("Take ServiceAccount shop/web out of the RoleBinding b in shop, and apply:\n")
    assert "Remove" not in fix


def test_it_is_low_where_the_unused_rules_are_no_risk() -> None:
    found = only(unused(bound("ServiceAccount shop/web", rules=ROLE[:2]), called(GET_PODS)))
    assert (found.severity, [each.index for each in found.rules]) == (Severity.LOW, [1])


def test_nothing_is_told_where_every_rule_was_needed() -> None:
    assert not unused(bound("ServiceAccount shop/web", rules=ROLE[:1]), called(GET_PODS))


def test_who_made_no_call_is_said_to_have_made_none() -> None:
    log = called(GET_PODS, user="somebody")
    found = only(unused(bound("ServiceAccount shop/web"), log))
    assert found.message.startswith("ServiceAccount shop/web made no call in the log, which holds 1 call,")
    assert found.remediation == "Take ServiceAccount shop/web out of the RoleBinding b in shop."


def test_refused_calls_are_no_need() -> None:
    found = only(unused(bound("ServiceAccount shop/web"), called(GET_PODS, allowed=False)))
    assert len(found.rules) == 3
    assert "needed 0 of the 3 rules" in found.message


def test_calls_in_another_namespace_need_no_rolebinding_but_a_wide_one() -> None:
    there = Request("get", resource="pods", namespace="bank", name="a")
    assert len(only(unused(bound("ServiceAccount shop/web"), called(there))).rules) == 3
    assert len(only(unused(bound("ServiceAccount shop/web", wide=True), called(there))).rules) == 2


def test_what_others_did_as_an_account_is_no_need_of_it_but_the_right_to_do_so_is_theirs() -> None:
    log = called(GET_PODS, by="jane")
    assert "made no call" in only(unused(bound("ServiceAccount shop/web"), log)).message
    impersonating = [{"verbs": ["impersonate"], "resources": ["serviceaccounts"]}]
    assert not unused(bound("User jane", rules=impersonating), log)


def test_a_group_of_accounts_needs_what_one_of_them_does() -> None:
    for group in ("system:serviceaccounts", "system:serviceaccounts:shop", "system:authenticated"):
        found = only(unused(bound(f"Group {group}"), called(GET_PODS)))
        assert [each.index for each in found.rules] == [1, 2], group
    assert (
        "made no call" in only(unused(bound("Group system:serviceaccounts:bank"), called(GET_PODS))).message
    )


def test_of_a_group_whose_members_no_log_tells_nothing_is_said() -> None:
    assert not unused(bound("Group devs"), called(GET_PODS))


def test_a_user_who_is_an_account_by_name_is_that_account() -> None:
    found = only(unused(bound(f"User {WEB.user}"), called(GET_PODS)))
    assert [each.index for each in found.rules] == [1, 2]


def test_what_kubernetes_ships_is_not_told() -> None:
    shipped = inventory(
        {"bindings": {"system:basic-user": ["system:basic-user", "Group system:authenticated"]}}
    )
    assert not unused(shipped, called(GET_PODS))


def test_a_log_is_read_once_and_may_be_a_stream() -> None:
    streamed = iter(called(GET_PODS))
    assert len(unused(bound("ServiceAccount shop/web", "User jane"), streamed)) == 2


def test_the_proposal_allows_what_was_called_and_nothing_that_the_binding_does_not() -> None:
    calls = [GET_PODS, Request("list", resource="pods", namespace="shop")]
    (text,) = proposals(bound("ServiceAccount shop/web"), called(*calls))
    documents = list(yaml.safe_load_all(text))
    kinds = [each["kind"] for each in documents]
    assert kinds == ["Role", "RoleBinding"]
    rights = Rights(
        roles=documents[:1], cluster_roles=[], role_bindings=documents[1:], cluster_role_bindings=[]
    )
    for each in calls:
        assert rights.granting(WEB.user, WEB.groups, each)
    for resource in ("secrets", "configmaps"):
        wished = Request("get", resource=resource, namespace="shop", name="a")
        assert not rights.granting(WEB.user, WEB.groups, wished)
    found = only(unused(bound("ServiceAccount shop/web"), called(*calls)))
    assert text in found.remediation


def test_a_name_that_looks_made_up_stays_where_the_binding_gave_no_other() -> None:
    pod = Request("get", resource="pods", namespace="shop", name="web-x2bcd")
    rules = [{"verbs": ["get"], "resources": ["pods"], "resourceNames": ["web-x2bcd"]}, ROLE[1]]
    (text,) = proposals(bound("ServiceAccount shop/web", rules=rules), called(pod))
    assert next(yaml.safe_load_all(text))["rules"][0]["resourceNames"] == ["web-x2bcd"]
    (wider,) = proposals(bound("ServiceAccount shop/web"), called(pod))
    assert "resourceNames" not in next(yaml.safe_load_all(wider))["rules"][0]


def test_the_same_grant_has_the_same_fingerprint_whatever_the_log_says_more() -> None:
    one = only(unused(bound("ServiceAccount shop/web"), called(GET_PODS)))
    other = only(unused(bound("ServiceAccount shop/web"), called(GET_PODS, GET_PODS)))
    assert one.fingerprint == other.fingerprint
    assert one.subject == Subject("ServiceAccount", "shop", "web")
