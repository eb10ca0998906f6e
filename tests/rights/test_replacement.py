"""A binding replaced, on plain data: who holds it, and what they get instead."""

import json

import pytest
import yaml

from podfacts.core.profile import DEFAULT
from podfacts.rights.audit_log import Recorded
from podfacts.rights.holders import Holders, account_named, holders
from podfacts.rights.powers import POWERS, powers
from podfacts.rights.replacement import REPLACED, command, deletion, replacement
from podfacts.rights.request import Account, Request
from podfacts.rights.rules import Ref
from podfacts.rights.usage import declared_usage, recorded_usage, within
from podfacts.rights.verification import Answer, verification
from tests.rights.bindings import (
    ALL,
    BY_WIDE,
    CONTROLLER,
    DB,
    EVERYTHING,
    GROUP,
    LIST,
    READ,
    WEB,
    WIDE,
    Tree,
    binding,
    pod,
    state,
    subject,
    used,
)

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


def test_what_no_rule_can_say_is_told_and_not_granted() -> None:
    anything = {"verbs": ["get"], "nonResourceURLs": ["*"]}
    role = {"kind": "ClusterRole", "metadata": {"name": "urls"}, "rules": [anything]}
    bound = state(binding(WIDE, "urls", ALL), wider=(role,))
    done = replacement(bound, used(web=[Request("get", path="/foo*")]))
    assert len(objects(done.text)) == 1
    assert (
        "# No rule can say what is needed: nothing is granted.\n"
        "# Not granted, for no rule can say it and nothing more: get /foo*\n"
    ) in done.text


def test_nobody_gets_what_the_binding_did_not_give() -> None:
    """A log is older than the rights: what nothing allows today is not granted."""
    bound = binding(WIDE, "readers", ALL)
    secrets = Request("list", resource="secrets", namespace="shop")
    done = replacement(state(bound), used(web=[secrets]))
    assert [each["kind"] for each in objects(done.text)] == ["ClusterRoleBinding"]
    assert "# No account is known to need it: nothing is granted.\n" in done.text
    assert done.warnings == ("calls that no binding allows any more are granted to nobody: of shop/web (1)",)


@pytest.mark.parametrize("names", [["web-x2x4z"], []])
def test_a_made_up_name_becomes_any_only_where_the_binding_gave_any(names: list[str]) -> None:
    rule = {"verbs": ["delete"], "apiGroups": [""], "resources": ["pods"], "resourceNames": names}
    role = {"kind": "Role", "metadata": {"name": "one", "namespace": "shop"}, "rules": [rule]}
    bound = binding(Ref("shop", "one"), "one", subject("ServiceAccount", "web", "shop"))
    bound["roleRef"]["kind"] = "Role"
    call = Request("delete", resource="pods", namespace="shop", name="web-x2x4z")
    done = replacement(state(bound, roles=(role,)), used(web=[call]))
    (granted,) = objects(done.text)[0]["rules"]
    assert granted.get("resourceNames", []) == names
    assert ("any name, for the next rollout" in done.text) == (not names)


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


def test_what_others_did_as_an_account_is_no_need_of_it() -> None:
    def call(request: Request, by: str) -> Recorded:
        return Recorded(WEB.user, request, allowed=True, reason=BY_WIDE, impersonator=by)

    assert recorded_usage([call(READ, "eve")], WIDE).calls == {WEB: frozenset()}
    calls = [call(READ, "eve"), call(READ, "bob"), call(LIST, "bob"), call(LIST, WEB.user)]
    usage = recorded_usage(calls, WIDE)
    assert usage.seen
    impersonation = Request("impersonate", resource="serviceaccounts", namespace="shop", name="web")
    assert usage.calls == {WEB: {LIST, impersonation}}
    done = replacement(state(binding(WIDE, "all", ALL)), usage)
    said = "what others did as service accounts is no need of those: 2 calls, by bob, eve"
    assert said in done.warnings
    assert "get" not in json.dumps(objects(done.text))
    assert said in verification(WIDE, [WEB], usage, [], lambda *_: Answer(allowed=True, reason="")).lines


def test_calls_in_namespaces_that_are_gone_are_left_out() -> None:
    """A Role cannot be made there, and half of the YAML would be refused."""
    call = Request("get", resource="pods", namespace="gone")
    done = replacement(state(binding(WIDE, "all", ALL)), used(web=[call, READ]))
    assert [each["metadata"].get("namespace") for each in objects(done.text)] == ["shop", "shop", None]
    said = "calls in namespaces that are gone are left out: gone"
    assert said in done.warnings
    usage = within(used(web=[call, READ]), {"shop"})
    assert said in verification(WIDE, [WEB], usage, [], lambda *_: Answer(allowed=True, reason="")).lines


def test_the_powers_of_a_role() -> None:
    everywhere = [each.request for each in POWERS]
    assert powers([EVERYTHING], "") == powers(None, "") == everywhere
    some = powers([{"verbs": ["list"], "apiGroups": [""], "resources": ["secrets"]}], "")
    assert some == [Request("list", resource="secrets")]
    assert {each.namespace for each in powers([EVERYTHING], "shop")} == {"shop"}
    assert powers([], "") == []


def test_what_came_from_elsewhere_is_printed_on_its_line() -> None:
    strange = "x\nwarning: fine\x1b[2J\udcff"
    bound = binding(Ref("", strange), "all", ALL)
    done = replacement(state(bound), used(web=[], others={strange: 1}))
    assert done.warnings
    assert all(each.isprintable() for each in done.warnings)


def test_names_in_commands_are_quoted() -> None:
    ref = Ref("", "x; rm -r a")
    assert command(ref) == "podfacts replace-binding 'x; rm -r a'"
    assert deletion(ref) == "kubectl delete clusterrolebinding 'x; rm -r a'"
    assert deletion(Ref("shop", "a:b")) == "kubectl delete rolebinding a:b -n shop"
