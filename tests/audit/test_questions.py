"""Answers, and who may. Many random ones, beside Kubernetes' own code: tests/authorizer."""

import pytest

from podfacts.audit.asked import who
from podfacts.audit.inventory import Binding, Inventory, Place, Role, Rule, Subject
from podfacts.audit.questions import Questions
from podfacts.rights.request import Account, Request

WEB = who("system:serviceaccount:shop:web")


def rule(verbs: str, resources: str, *names: str, groups: str = "core") -> dict[str, list[str]]:
    return {
        "verbs": verbs.split(),
        "apiGroups": ["" if each == "core" else each for each in groups.split()],
        "resources": resources.split(),
        "resourceNames": [*names],
    }


def role(name: str, *trees: dict[str, list[str]], namespace: str = "") -> Role:
    kind = "Role" if namespace else "ClusterRole"
    rules = tuple(Rule(tree, Place("roles.yaml", at + 10), name, at) for at, tree in enumerate(trees))
    return Role(kind, namespace, name, rules, Place("roles.yaml"), {})


def bound(name: str, to: Role, *subjects: Subject, namespace: str = "") -> Binding:
    return Binding(namespace, name, to.address, subjects, Place("bindings.yaml"), {})


def inventory(
    *has: Role | Binding, accounts: frozenset[Account] | None = None, live: bool = True
) -> Inventory:
    roles = {each.address: each for each in has if isinstance(each, Role)}
    bindings = tuple(each for each in has if isinstance(each, Binding))
    return Inventory(roles, bindings, accounts, None, None, is_live=live)


ACCOUNT = Subject("ServiceAccount", "shop", "web")


def test_a_yes_names_every_rule_that_gives_it_with_its_line() -> None:
    reader = role("reader", rule("get", "pods"), rule("list", "pods"), rule("*", "*"))
    everyone = Subject("Group", "", "system:serviceaccounts")
    here = inventory(
        reader,
        bound("one", reader, ACCOUNT, everyone),
        bound("two", reader, Subject("User", "", "system:serviceaccount:shop:web"), namespace="shop"),
        bound("elsewhere", reader, ACCOUNT, namespace="bank"),
        bound("others", reader, Subject("ServiceAccount", "bank", "web")),
    )
    grants = Questions(here).answer(WEB, Request("get", "", "pods", "", "shop")).grants
    assert [(each.binding.name, each.rule.index, str(each.rule.place)) for each in grants] == [
        ("one", 0, "roles.yaml:10"),
        ("one", 2, "roles.yaml:12"),
        ("two", 0, "roles.yaml:10"),
        ("two", 2, "roles.yaml:12"),
    ]
    assert grants[0].subjects == (ACCOUNT, everyone)


def test_system_masters_is_above_rbac() -> None:
    answer = Questions(inventory()).answer(who("user:root", ["system:masters"]), Request("get", "", "pods"))
    assert answer.allowed
    assert answer.reasons == ("the group system:masters may do everything: RBAC is not asked",)


def test_files_leave_out_what_kubernetes_gives_to_everybody_and_a_cluster_does_not() -> None:
    version = Request("get", path="/version")
    assert Questions(inventory(live=False)).answer(WEB, version).allowed
    assert not Questions(inventory(live=False)).answer(who("user:system:anonymous"), version).allowed
    assert not Questions(inventory(live=True)).answer(WEB, version).allowed


@pytest.mark.parametrize(
    ("given", "namespace", "request_", "says"),
    [
        (
            rule("get list", "pods"),
            "shop",
            Request("watch", "", "pods", "", "shop"),
            "only get, list of pods, not watch",
        ),
        (
            rule("get", "pods", "a", "b"),
            "",
            Request("get", "", "pods", "", "shop", "c"),
            "only by name (a, b), not c",
        ),
        (
            rule("get", "pods", "a"),
            "",
            Request("get", "", "pods", "", "shop"),
            "only by name (a), not without a name",
        ),
        (rule("get", "pods"), "", Request("get", "", "pods", "log", "shop"), "only pods, not pods/log"),
        (rule("get", "pods/log"), "", Request("get", "", "pods", "", "shop"), "only pods/log, not pods"),
        (rule("get", "pods/*"), "", Request("get", "", "pods", "log", "shop"), "pods/* is no pattern"),
        (rule("get", "pods"), "bank", Request("get", "", "pods", "", "shop"), "only in the namespace bank"),
        (
            rule("get", "pods"),
            "bank",
            Request("get", "", "pods"),
            "only in the namespace bank, and not in all of them",
        ),
        (rule("get", "nodes"), "shop", Request("get", "", "nodes"), "nodes lie in no namespace"),
        (
            rule("get", "deployments", groups="extensions"),
            "",
            Request("get", "apps", "deployments", "", "shop"),
            "only in another API group (deployments.extensions), not deployments.apps",
        ),
        (
            {"verbs": ["get"], "nonResourceURLs": ["/metrics"]},
            "",
            Request("post", path="/metrics"),
            "only get of /metrics, not post",
        ),
        (
            {"verbs": ["get"], "nonResourceURLs": ["/metrics"]},
            "shop",
            Request("get", path="/metrics"),
            "a URL is given by a ClusterRoleBinding only",
        ),
        (
            rule("get", "secrets"),
            "",
            Request("list", "", "pods"),
            "nothing of the kind is in the one binding of",
        ),
    ],
)
def test_a_no_says_what_comes_nearest(
    given: dict[str, list[str]], namespace: str, request_: Request, says: str
) -> None:
    has = role("some", given)
    answer = Questions(inventory(has, bound("some", has, ACCOUNT, namespace=namespace))).answer(WEB, request_)
    assert not answer.allowed
    assert len(answer.reasons) == 1
    assert says in answer.reasons[0]


def test_a_no_says_that_nobody_is_named_that_a_role_is_not_there_and_that_an_account_is_not() -> None:
    request = Request("get", "", "pods", "", "shop")
    none = Questions(inventory(accounts=frozenset())).answer(WEB, request)
    assert none.reasons == (
        "there is no service account shop/web",
        "no binding names the user system:serviceaccount:shop:web, nor a group that it has",
    )
    gone = Questions(inventory(bound("web", role("gone"), ACCOUNT))).answer(WEB, request)
    assert gone.reasons == ("the ClusterRoleBinding web names the ClusterRole gone, which is not there",)


def test_who_can_lists_each_subject_once_with_all_that_gives_it_and_who_is_in_a_group_now() -> None:
    reader, writer = role("reader", rule("get", "pods")), role("writer", rule("*", "pods"), namespace="shop")
    everyone, alice = Subject("Group", "", "system:serviceaccounts:shop"), Subject("User", "", "alice")
    accounts = frozenset((Account("shop", "web"), Account("shop", "db"), Account("bank", "web")))
    here = inventory(
        reader,
        writer,
        bound("wide", reader, alice, everyone),
        bound("narrow", writer, alice, ACCOUNT, ACCOUNT, namespace="shop"),
        bound("elsewhere", reader, Subject("User", "", "bob"), namespace="bank"),
        bound("nothing", role("gone"), Subject("User", "", "carol")),
        accounts=accounts,
    )
    found = Questions(here).holders(Request("get", "", "pods", "", "shop"))
    assert [(each.subject, [grant.binding.name for grant in each.grants]) for each in found] == [
        (everyone, ["wide"]),
        (ACCOUNT, ["narrow"]),
        (alice, ["wide", "narrow"]),
    ]
    assert found[0].accounts == (Account("shop", "db"), Account("shop", "web"))
    assert found[1].accounts == ()
    assert [each.subject.name for each in Questions(here).holders(Request("get", "", "pods"))] == [
        "system:serviceaccounts:shop",
        "alice",
    ]
