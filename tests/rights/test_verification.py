"""When a replaced binding is verified, on plain data, and what is said when it is not."""

from typing import Any

import pytest

from podfacts.core.refusal import BadInput
from podfacts.rights.request import Account, Request
from podfacts.rights.rules import Ref
from podfacts.rights.verification import Answer, verification
from tests.rights.bindings import BY_WIDE, CONTROLLER, LIST, READ, WEB, WIDE, used

TOKEN = Request("list", resource="secrets")
OWN = (
    'RBAC: allowed by ClusterRoleBinding "podfacts:shop:web" of ClusterRole "x" to ServiceAccount "web/shop"'
)
LEFT = [
    # Who, by which reason the power is allowed, whether that is verified, and what is said of it.
    (WEB, None, True, ""),
    (WEB, BY_WIDE, False, 'shop/web: still may: list secrets, by ClusterRoleBinding "permissive" of'),
    (WEB, 'RBAC: allowed by ClusterRoleBinding "own" of ClusterRole "x" to ServiceAccount "web/shop"', False, "own"),
    (CONTROLLER, BY_WIDE, False, "kube-system/job-controller: still may"),
    (CONTROLLER, BY_WIDE.replace("permissive", "another"), False, "another"),
    (CONTROLLER, BY_WIDE.replace('Group "system:serviceaccounts"', 'ServiceAccount "x/kube-system"'), False, "still"),
    (CONTROLLER, 'RBAC: allowed by ClusterRoleBinding "system:controller:job-controller" of ClusterRole "x" to ServiceAccount "job-controller/kube-system"', True, "may, by a binding of its own: list secrets"),
    (CONTROLLER, "", False, "an authorizer that is not RBAC"),
]  # fmt: skip


@pytest.mark.parametrize(("account", "reason", "good", "said"), LEFT)
def test_a_power_that_is_left(account: Account, reason: str | None, good: bool, said: str) -> None:
    def ask(asked: Account, request: Request) -> Answer:
        left = reason is not None and (asked, request) == (account, TOKEN)
        return Answer(request == READ or left, reason or "")

    verdict = verification(WIDE, [WEB, CONTROLLER], used(web=[READ]), [TOKEN], ask)
    assert verdict.verified == good
    assert said in "\n".join(verdict.lines)
    verified = "verified: 1 call of 1 account still allowed, and none of 2 accounts has one of 1 power"
    assert verdict.lines[-1].startswith(verified if good else "not verified: powers left: 1")


def test_a_call_that_is_no_longer_allowed() -> None:
    verdict = verification(
        WIDE, [WEB], used(web=[READ, LIST]), [TOKEN], lambda _, asked: Answer(asked == READ, "")
    )
    assert verdict.lines == (
        "shop/web: calls allowed: 1 of 2",
        "shop/web: no longer allowed: list pods in shop",
        "not verified: calls no longer allowed: 1; see the lines above",
    )
    assert not verdict.verified


def test_a_power_that_is_used_is_no_leftover() -> None:
    def ask(*_: Any) -> Answer:
        return Answer(allowed=True, reason=OWN)

    verdict = verification(WIDE, [WEB], used(web=[TOKEN]), [TOKEN], ask)
    assert verdict.verified
    assert verdict.lines == (
        "shop/web: calls allowed: 1 of 1",
        'shop/web: may, as it is known to need: list secrets, by ClusterRoleBinding "podfacts:shop:web"',
        "verified: 1 call of 1 account still allowed, and none of 1 account has one of 1 power, by the "
        "ClusterRoleBinding permissive or otherwise, apart from those above: 1 known to be needed",
    )
    named = Request("list", resource="secrets", name="a")
    assert not verification(WIDE, [WEB], used(web=[named]), [TOKEN], ask).verified


OTHERS = (
    'RBAC: allowed by ClusterRoleBinding "another" of ClusterRole "all" to Group "system:serviceaccounts"'
)


@pytest.mark.parametrize("reason", [BY_WIDE, OTHERS, OWN.replace("podfacts:shop:web", "permissive"), ""])
def test_a_power_that_is_used_is_one_left_where_others_have_it_too(reason: str) -> None:
    """Or by the binding itself. An admin who is told "verified" believes that it is gone."""
    verdict = verification(
        WIDE, [WEB], used(web=[TOKEN]), [TOKEN], lambda *_: Answer(allowed=True, reason=reason)
    )
    assert not verdict.verified
    assert verdict.lines[1].startswith("shop/web: still may: list secrets, by ")
    assert verdict.lines[-1] == "not verified: powers left: 1; see the lines above"


def test_a_call_that_no_rule_can_say_was_never_granted() -> None:
    strange = [Request("get", path="/foo*"), Request("get", path="/\udcff")]

    def ask(_: Account, request: Request) -> Answer:
        return Answer(allowed=request == READ, reason="")

    verdict = verification(WIDE, [WEB], used(web=[READ, *strange]), [TOKEN], ask)
    assert verdict.verified
    assert verdict.lines[:-1] == (
        "shop/web: calls allowed: 1 of 1",
        "shop/web: not granted, for no rule can say it: get /foo*",
        "shop/web: not granted, for no rule can say it: get /\\U0000DCFF",
    )


def test_a_verdict_is_about_somebody() -> None:
    with pytest.raises(BadInput) as refused:
        verification(WIDE, [], used(web=[]), [TOKEN], lambda *_: Answer(allowed=False, reason=""))
    sentence = "no service account is known to have held the ClusterRoleBinding permissive: there is nobody to ask about"
    assert str(refused.value) == sentence


@pytest.mark.parametrize("allowed", [True, False])
def test_what_came_from_elsewhere_is_printed_on_its_line(allowed: bool) -> None:
    strange = "x\nverified: all\x1b[2J\udcff"
    call = Request("get", resource="pods", namespace="shop", name=strange.strip("\udcff"))
    answer = Answer(allowed=allowed, reason=strange)
    verdict = verification(Ref("", strange), [WEB], used(web=[call]), [TOKEN], lambda *_: answer)
    assert len(verdict.lines) == 3
    assert all(each.isprintable() for each in verdict.lines)
