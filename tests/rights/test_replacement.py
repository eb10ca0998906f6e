"""A binding replaced, on plain data: who holds it, what they get instead, and when that is verified."""

import json
from typing import Any

import pytest
import yaml

from podfacts.core.profile import DEFAULT
from podfacts.rights.audit_log import Recorded
from podfacts.rights.holders import Holders, account_named, holders
from podfacts.rights.powers import POWERS, powers
from podfacts.rights.replacement import REPLACED, State, address, replacement
from podfacts.rights.request import Account, Request
from podfacts.rights.rules import Ref, Rights
from podfacts.rights.usage import Usage, declared_usage, recorded_usage
from podfacts.rights.verification import Answer, verification

Tree = dict[str, Any]

GROUP = "rbac.authorization.k8s.io"
WEB, DB, CONTROLLER = Account("shop", "web"), Account("bank", "db"), Account("kube-system", "job-controller")
WIDE = Ref("", "permissive")
EVERYTHING = {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}
READ = Request("get", resource="pods", namespace="shop", name="a")
LIST = Request("list", resource="pods", namespace="shop")
BY_WIDE = (
    'RBAC: allowed by ClusterRoleBinding "permissive" of ClusterRole "all" to Group "system:serviceaccounts"'
)


def subject(kind: str, name: str, namespace: str = "") -> Tree:
    return {"kind": kind, "name": name, **({"namespace": namespace} if namespace else {})}


ALL = subject("Group", "system:serviceaccounts")


def binding(ref: Ref, role: str, *subjects: Tree, **metadata: Any) -> Tree:
    place = {"namespace": ref.namespace} if ref.namespace else {}
    return {
        "kind": ref.kind,
        "metadata": {"name": ref.name, **place, **metadata},
        "roleRef": {"apiGroup": GROUP, "kind": "ClusterRole", "name": role},
        "subjects": [*subjects],
    }


def pod(name: str, account: Account, **metadata: Any) -> Tree:
    return {
        "metadata": {"name": name, "namespace": account.namespace, **metadata},
        "spec": {"serviceAccountName": account.name, "containers": [{"name": "main", "image": "app"}]},
    }


def state(bound: Tree, *others: Tree, pods: tuple[Tree, ...] = (), roles: tuple[Tree, ...] = ()) -> State:
    bindings = [bound, *others]
    wide = [each for each in bindings if each["kind"] == "ClusterRoleBinding"]
    narrow = [each for each in bindings if each["kind"] == "RoleBinding"]
    readers = {"verbs": ["list"], "apiGroups": [""], "resources": ["pods"]}
    cluster_roles = [
        {"kind": "ClusterRole", "metadata": {"name": name}, "rules": [rule]}
        for name, rule in (("all", EVERYTHING), ("readers", readers))
    ]
    rights = Rights(
        roles=roles, cluster_roles=cluster_roles, role_bindings=narrow, cluster_role_bindings=wide
    )
    taken = frozenset(address(each) for each in (*bindings, *cluster_roles, *roles))
    metadata = bound["metadata"]
    ref = Ref(metadata.get("namespace", ""), metadata["name"])
    return State(ref, bound, rights, taken, [WEB, DB, CONTROLLER], pods)


def used(**calls: Any) -> Usage:
    return Usage({WEB: frozenset(calls["web"])}, "the audit log", calls.get("others", {}), seen=True)


HELD = [
    ([ALL], "", (DB, CONTROLLER, WEB), ()),
    ([subject("Group", "system:serviceaccounts:shop")], "", (WEB,), ()),
    ([subject("Group", "system:authenticated")], "", (DB, CONTROLLER, WEB), ("Group system:authenticated",)),
    ([subject("Group", "system:unauthenticated")], "", (), ("Group system:unauthenticated",)),
    ([subject("User", "alice"), subject("Group", "team")], "", (), ("Group team", "User alice")),
    ([subject("User", WEB.user)], "", (WEB,), ()),
    ([subject("ServiceAccount", "web", "shop")], "bank", (WEB,), ()),
    ([subject("ServiceAccount", "db")], "bank", (DB,), ()),
    ([subject("ServiceAccount", "db")], "", (), ()),
    # Whoever creates it has it.
    ([subject("ServiceAccount", "later", "shop")], "", (Account("shop", "later"),), ()),
    ([], "", (), ()),
]


@pytest.mark.parametrize(("subjects", "namespace", "accounts", "others"), HELD)
def test_who_holds_it(
    subjects: list[Tree], namespace: str, accounts: tuple[Account, ...], others: tuple[str, ...]
) -> None:
    assert holders(subjects, namespace, [WEB, DB, CONTROLLER]) == Holders(accounts, others)


@pytest.mark.parametrize(
    "user",
    ["alice", "system:serviceaccount:shop", "system:serviceaccount::web", "x:shop:web", f"{WEB.user}:x"],
)
def test_a_user_who_is_no_account(user: str) -> None:
    assert account_named(user) is None


def objects(text: str) -> list[Tree]:
    return [each for each in yaml.safe_load_all(text) if each]


def test_the_grants_come_first_and_the_emptied_binding_last() -> None:
    annotations = {"kubectl.kubernetes.io/last-applied-configuration": "{}", "kept": "yes"}
    bound = binding(WIDE, "all", ALL, labels={"team": "x"}, annotations=annotations)
    *grants, last = objects(replacement(state(bound), used(web=[READ])).text)
    assert [each["kind"] for each in grants] == ["Role", "RoleBinding"]
    assert grants[0]["rules"] == [
        {"apiGroups": [""], "resources": ["pods"], "resourceNames": ["a"], "verbs": ["get"]}
    ]
    assert grants[1]["subjects"] == [{"kind": "ServiceAccount", "name": "web", "namespace": "shop"}]
    assert last == {
        "apiVersion": f"{GROUP}/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {
            "name": "permissive",
            "labels": {"team": "x"},
            "annotations": {
                "kept": "yes",
                REPLACED: '{"subjects":[{"kind":"Group","name":"system:serviceaccounts"}]}',
            },
        },
        "roleRef": bound["roleRef"],
        "subjects": [],
    }


def test_what_another_binding_allows_needs_no_grant() -> None:
    other = binding(Ref("shop", "reads"), "readers", subject("ServiceAccount", "web", "shop"))
    grants = objects(replacement(state(binding(WIDE, "all", ALL), other), used(web=[READ, LIST])).text)
    assert [each["rules"][0]["verbs"] for each in grants if "rules" in each] == [["get"]]


def test_what_everyone_may_needs_no_grant() -> None:
    review = Request("create", "authorization.k8s.io", "selfsubjectaccessreviews")
    done = replacement(state(binding(WIDE, "all", ALL)), used(web=[review]))
    assert len(objects(done.text)) == 1
    assert "# No account is known to need it: nothing is granted.\n" in done.text


def test_nobody_gets_what_the_binding_did_not_give() -> None:
    """A log is older than the rights: what nothing allows today is not granted."""
    bound = binding(WIDE, "readers", ALL)
    secrets = Request("list", resource="secrets", namespace="shop")
    done = replacement(state(bound), used(web=[secrets]))
    assert [each["kind"] for each in objects(done.text)] == ["ClusterRoleBinding"]
    assert "# No account is known to need it: nothing is granted.\n" in done.text
    assert done.warnings == ("calls that no binding allows any more are granted to nobody: of shop/web (1)",)


def test_who_did_not_hold_it_gets_nothing() -> None:
    bound = binding(WIDE, "all", subject("ServiceAccount", "db", "bank"))
    assert len(objects(replacement(state(bound), used(web=[READ])).text)) == 1


def test_a_role_binding_is_emptied_in_its_namespace() -> None:
    ref = Ref("shop", "wide")
    done = replacement(state(binding(ref, "all", ALL)), used(web=[READ]))
    *_, last = objects(done.text)
    assert (last["kind"], last["metadata"]["namespace"]) == ("RoleBinding", "shop")
    assert "#     kubectl delete rolebinding wide -n shop\n" in done.text


def test_a_grant_is_never_applied_over_one_that_is_there() -> None:
    """Which gives what this one leaves out, for it is allowed."""
    there = [{"kind": "Role", "metadata": {"name": "podfacts-web", "namespace": "shop"}, "rules": []}]
    role, bound, _ = objects(
        replacement(state(binding(WIDE, "all", ALL), roles=tuple(there)), used(web=[READ])).text
    )
    assert (role["metadata"]["name"], bound["roleRef"]["name"]) == ("podfacts-web-2", "podfacts-web-2")
    assert bound["metadata"]["name"] == "podfacts-web"


def test_the_heading_tells_the_reviewer() -> None:
    pods = tuple(pod(f"web-{number:02}", WEB) for number in range(23))
    said = replacement(state(binding(WIDE, "all", ALL), pods=pods), used(web=[READ, LIST])).text
    for line in (
        "Service accounts that hold it: 3",
        "    kube-system/job-controller",
        "Pods that run as one of them: 23",
        "    shop/web-19",
        "    ... and 3 more pods",
        "    * of * in API groups *",
        "Needs are those of the audit log.",
        "    shop/web: 2",
    ):
        assert f"# {line}\n" in said
    assert "web-20" not in said


def test_a_strange_name_stays_a_comment() -> None:
    strange = "eve\n---\nkind: Secret"
    usage = used(web=[READ], others={strange: 1})
    *_, last = objects(replacement(state(binding(WIDE, "all", subject("User", strange))), usage).text)
    assert last["kind"] == "ClusterRoleBinding"
    assert json.loads(last["metadata"]["annotations"][REPLACED])["subjects"][0]["name"] == strange


def test_people_who_used_it_are_named_and_granted_nothing() -> None:
    bound = binding(WIDE, "all", subject("Group", "system:authenticated"))
    done = replacement(state(bound), used(web=[READ], others={"alice": 2}))
    warning = "users who are no service accounts used it, and are granted nothing: alice (2 calls)"
    assert warning in done.warnings
    assert f"# {warning}\n" in done.text
    assert "alice" not in json.dumps(objects(done.text))


def test_needs_without_a_log_are_those_of_the_opted_in_pods() -> None:
    opted = pod(
        "a", WEB, labels={"podfacts.dev/inject": "true"}, annotations={"podfacts.dev/api-access": "true"}
    )
    silent = pod("b", DB)
    usage = declared_usage([opted, silent], {"default": DEFAULT})
    done = replacement(state(binding(WIDE, "all", ALL), pods=(opted, silent)), usage)
    role, bound, _ = objects(done.text)
    assert (role["metadata"]["namespace"], bound["subjects"][0]["name"]) == ("shop", "web")
    assert [each for each in done.warnings if each.startswith("what these pods need is not known")] == [
        "what these pods need is not known, they declare nothing: bank/b. An --audit-log would tell"
    ]


def test_a_log_tells_whom_the_binding_let_in() -> None:
    impersonated = Recorded("bob", LIST, allowed=True, reason="RBAC: allowed by other", impersonator=WEB.user)
    usage = recorded_usage(
        [
            Recorded(WEB.user, READ, allowed=True, reason=BY_WIDE),
            Recorded(DB.user, READ, allowed=False, reason=""),
            Recorded("alice", READ, allowed=True, reason=BY_WIDE),
            Recorded("alice", LIST, allowed=True, reason=BY_WIDE.replace("permissive", "permissive-2")),
            impersonated,
        ],
        WIDE,
    )
    assert usage.calls == {WEB: {READ, Request("impersonate", resource="users", name="bob")}}
    assert usage.others == {"alice": 1}
    assert usage.seen
    assert not recorded_usage([impersonated], WIDE).seen


def test_calls_in_namespaces_that_are_gone_are_left_out() -> None:
    """A Role cannot be made there, and half of the YAML would be refused."""
    call = Request("get", resource="pods", namespace="gone")
    done = replacement(state(binding(WIDE, "all", ALL)), used(web=[call, READ]))
    assert [each["metadata"].get("namespace") for each in objects(done.text)] == ["shop", "shop", None]
    assert "calls in namespaces that are gone are left out: gone" in done.warnings


def test_the_powers_of_a_role() -> None:
    everywhere = [each.request for each in POWERS]
    assert powers([EVERYTHING], "") == powers(None, "") == everywhere
    some = powers([{"verbs": ["list"], "apiGroups": [""], "resources": ["secrets"]}], "")
    assert some == [Request("list", resource="secrets")]
    assert {each.namespace for each in powers([EVERYTHING], "shop")} == {"shop"}
    assert powers([], "") == []


TOKEN = Request("list", resource="secrets")
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
        return Answer(allowed=True, reason="RBAC: allowed by RoleBinding podfacts")

    assert verification(WIDE, [WEB], used(web=[TOKEN]), [TOKEN], ask).verified
    named = Request("list", resource="secrets", name="a")
    assert not verification(WIDE, [WEB], used(web=[named]), [TOKEN], ask).verified
