"""The audit agrees with the authorizer: what a finding says that somebody may do is a yes to who asks for it."""

from collections import defaultdict
from collections.abc import Iterable, Iterator

from hypothesis import given, settings
from hypothesis import strategies as st

from podfacts.audit.asked import Who
from podfacts.audit.escalation.paths import paths
from podfacts.audit.finding import Finding, Severity
from podfacts.audit.inventory import Inventory, Rule, Subject
from podfacts.audit.judgement.findings import findings
from podfacts.audit.powers.danger import ANY, Need
from podfacts.audit.powers.dangers import DANGERS
from podfacts.audit.powers.mastery import ALL, LOCAL, WAYS
from podfacts.audit.questions import Questions
from podfacts.audit.subjects import groups_of, key
from podfacts.rights.holders import account_named
from podfacts.rights.request import Request
from podfacts.rights.rules import Key, allows
from tests.audit.small import inventory

RBAC = "rbac.authorization.k8s.io"
UNNAMED = ("create", "deletecollection", "list")
SUBJECTS = (
    "User bob",
    "User system:anonymous",
    "User system:serviceaccount:shop:app",
    "ServiceAccount shop/app",
    "ServiceAccount shop/default",
    "Group devs",
    "Group system:authenticated",
    "Group system:serviceaccounts",
    "Group system:serviceaccounts:shop",
    "Group system:unauthenticated",
)
# What a rule gives, in pieces that make something of each other: halves, and what covers what.
VERBS = "get list create update patch delete * bind escalate impersonate approve"
RESOURCES = (
    "secrets pods pods/exec pods/* nodes nodes/proxy */proxy serviceaccounts serviceaccounts/token users groups "
    "namespaces configmaps deployments roles clusterroles rolebindings clusterrolebindings signers "
    "certificatesigningrequests certificatesigningrequests/approval mutatingwebhookconfigurations apiservices * *"
)
PIECES = {
    "verbs": VERBS.split(),
    "apiGroups": ["", RBAC, "apps", "certificates.k8s.io", "admissionregistration.k8s.io", "*"],
    "resources": RESOURCES.split(),
}
RULE = st.fixed_dictionaries(
    {field: st.lists(st.sampled_from(words), min_size=1, max_size=4) for field, words in PIECES.items()},
    optional={
        "resourceNames": st.lists(st.sampled_from(["a", "shop", "coredns", "cluster-admin", "*"]), max_size=2)
    },
)
URLS = st.fixed_dictionaries(
    {"verbs": st.just(["get"]), "nonResourceURLs": st.sampled_from([["*"], ["/metrics"]])}
)
# Everything but what one verb does, so that two of them may be everything.
HALF = st.fixed_dictionaries(
    {
        "verbs": st.sampled_from([["get", "list", "watch"], ["create", "delete"], ["patch"], ["*"]]),
        "apiGroups": st.just(["*"]),
        "resources": st.just(["*"]),
    }
)
ROLES = st.lists(
    st.lists(st.one_of(RULE, RULE, RULE, HALF, URLS), min_size=1, max_size=3), min_size=1, max_size=4
)
BOUND = st.lists(
    st.tuples(
        st.sampled_from(["", "shop/", "kube-system/"]),
        st.sampled_from(["r0", "r1", "r2", "r3", "view", "edit", "admin", "cluster-admin"]),
        st.lists(st.sampled_from(SUBJECTS), min_size=1, max_size=2),
    ),
    min_size=1,
    max_size=6,
)
INVENTORIES = st.builds(
    lambda roles, bound: inventory(
        {
            "roles": {f"r{number}": rules for number, rules in enumerate(roles)},
            "bindings": {
                f"{home}b{number}": [role, *subjects] for number, (home, role, subjects) in enumerate(bound)
            },
        }
    ),
    ROLES,
    BOUND,
)


def who(subject: Subject) -> Who:
    """The subject, as the authorizer sees it, with the groups that it is always in."""
    kind, name = key(subject)
    return Who(name, groups_of((kind, name))) if kind == "User" else Who("", (name, *groups_of((kind, name))))


def asked(need: Need, rules: Iterable[Rule], namespace: str) -> Iterator[Request]:
    """What a need asks, by every name that one of these rules may mean it for."""
    for rule in rules:
        for ask in need.asks:
            for verb in (each for each in ask.verbs if "*" not in each):
                for kind in (each for each in ask.on if each.resource != "*" and each.subresource != "*"):
                    nameless = verb in ("create", "deletecollection") and not kind.subresource
                    names = rule.tree.get("resourceNames") or ("" if verb in ("list", "watch") else ANY,)
                    home = "" if need.wide else namespace
                    # In a namespace nothing is asked of another one.
                    itself = (home,) if kind.resource == "namespaces" and home else ()
                    for name in ("",) if nameless else itself or names:
                        yield Request(verb, kind.group, kind.resource, kind.subresource, home, name)


def answered(need: Need, found: Finding, here: Questions, namespace: str) -> list[Rule]:
    """The finding's rules that give its subject what the need asks, and the authorizer says so too."""
    assert found.subject
    one = who(found.subject)
    return [
        rule
        for rule in found.rules
        if any(
            allows(rule.tree, each) and here.answer(one, each).allowed
            for each in asked(need, [rule], namespace)
        )
    ]


def place(found: Finding, inventory: Inventory) -> str:
    """The namespace in which it is so; "" for the whole cluster."""
    wanted = (found.binding, *found.via)
    return max(each.namespace for each in inventory.bindings if each.address in wanted)


@given(INVENTORIES)
@settings(max_examples=200, deadline=None)
def test_what_a_finding_says_is_a_yes_of_the_authorizer_and_each_of_its_rules_is_part_of_that(
    here: Inventory,
) -> None:
    questions = Questions(here)
    for found in findings(here):
        rows = [each for each in DANGERS if each.rule == found.rule]
        # What is asked for RB14 is any verb on anything.
        if rows and found.rule != "RB14":
            given_ = [
                [answered(need, found, questions, place(found, here)) for need in row.needs] for row in rows
            ]
            assert any(all(row) for row in given_), found
            assert {rule for row in given_ for need in row for rule in need} == set(found.rules), found


@given(INVENTORIES)
@settings(max_examples=200, deadline=None)
def test_no_url_is_told_that_only_a_rolebinding_gives(here: Inventory) -> None:
    for found in findings(here):
        urls = [each for each in found.rules if each.tree.get("nonResourceURLs")]
        if urls and found.rule != "RB34":
            assert "" in {
                each.namespace for each in here.bindings if each.address in (found.binding, *found.via)
            }


@given(INVENTORIES)
@settings(max_examples=200, deadline=None)
def test_who_has_everything_may_do_everything(here: Inventory) -> None:
    questions = Questions(here)
    for found in findings(here):
        if found.rule in ("RB04", "RB05"):
            assert found.subject
            home = place(found, here) if found.rule == "RB05" else ""
            for group, resource in LOCAL if home else ALL:
                for verbs in WAYS:
                    requests = [
                        Request(each, group, resource, "", home, "" if each in UNNAMED else "x")
                        for each in verbs
                    ]
                    assert any(questions.answer(who(found.subject), each).allowed for each in requests), (
                        requests
                    )


ASKED = {
    "RB13": Request("impersonate", "", "users", "", "", "none"),
    "RB15": Request("get", "", "nodes", "proxy", "", "none"),
    "RB16": Request("list", "", "secrets", "", "shop"),
    "RB18": Request("create", "", "serviceaccounts", "token", "shop", "none"),
    "RB19": Request("create", "", "pods", "", "shop"),
    "RB27": Request("create", "", "persistentvolumes"),
    "RB31": Request("patch", "apiregistration.k8s.io", "apiservices", "", "", "none"),
}


@given(INVENTORIES)
@settings(max_examples=200, deadline=None)
def test_whoever_may_do_it_has_a_finding_that_says_so(here: Inventory) -> None:
    """Its own, or one of a group that it is in."""
    questions = Questions(here)
    told: dict[Key, set[str]] = defaultdict(set)
    for found in findings(here):
        if found.subject and found.severity > Severity.INFO:
            told[key(found.subject)].update((found.rule, *found.also))
    for subject in {each for binding in here.bindings for each in binding.subjects}:
        around = [key(subject), *(("Group", each) for each in groups_of(key(subject)))]
        for rule, request in ASKED.items():
            if questions.answer(who(subject), request).allowed:
                assert rule in {each for one in around for each in told[one]}, (subject, request)


@given(INVENTORIES)
@settings(max_examples=200, deadline=None)
def test_whoever_may_bind_a_role_that_gives_everything_is_critical(here: Inventory) -> None:
    questions = Questions(here)
    bind = Request("bind", RBAC, "clusterroles", "", "", "cluster-admin")
    create = Request("create", RBAC, "clusterrolebindings")
    for found in findings(here):
        if found.rule == "RB11" and found.subject and found.severity > Severity.INFO:
            one = who(found.subject)
            both = [questions.answer(one, each) for each in (bind, create)]
            if all(each.allowed for each in both) and not place(found, here):
                assert found.severity == Severity.CRITICAL, found


@given(INVENTORIES)
@settings(max_examples=100, deadline=None)
def test_from_whoever_has_everything_there_is_a_way_up(here: Inventory) -> None:
    reached = {each.source for each in paths(here, goal="cluster-admin")}
    for found in findings(here):
        everything = "RB04" in (found.rule, *found.also)
        if everything and found.severity == Severity.CRITICAL and found.subject:
            kind, name = key(found.subject)
            assert (name if account_named(name) else f"{kind.lower()}:{name}") in reached
