"""What Kubernetes ships, and who has it."""

from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from podfacts.audit.bootstrap import gives, shipped_roles, ships, written_roles
from podfacts.audit.coverage import atoms, covers
from podfacts.audit.inventory import Place, Rule, Subject
from podfacts.rights.request import Request
from podfacts.rights.rules import allows
from tests.audit.shipped_rbac import DATA, POLICY, Tree, module_cache, shipped

EVERYBODY = Subject("Group", "", "system:authenticated")


def rule(**tree: list[str]) -> Rule:
    return Rule(tree, Place("here"), "role", 0)


def resources(verbs: list[str], group: str, *names: str) -> Rule:
    return rule(verbs=verbs, apiGroups=[group], resources=list(names))


def test_the_file_is_what_the_sources_say() -> None:
    sources = module_cache() / POLICY
    if not sources.exists():
        pytest.skip("the sources of Kubernetes are there once the test cluster was built")
    assert DATA.read_text() == shipped(sources), "python -m tests.audit.shipped_rbac writes it"


def test_a_role_that_gathers_others_is_given_with_their_rules() -> None:
    view = ("ClusterRole", "", "view")
    found = shipped_roles([view, ("ClusterRole", "", "nobody's"), ("Role", "shop", "view")])
    assert list(found) == [view]
    assert found[view].built_in
    assert not written_roles()[view].rules
    assert any("configmaps" in each.tree["resources"] for each in found[view].rules)
    assert not any("secrets" in each.tree["resources"] for each in found[view].rules)


def test_what_it_gives_a_subject_is_shipped_to_that_subject_only() -> None:
    review = resources(["create"], "authorization.k8s.io", "selfsubjectaccessreviews")
    assert ships(review, EVERYBODY, "")
    assert ships(review, EVERYBODY, "shop"), "what is given everywhere is given in each namespace"
    assert not ships(review, Subject("Group", "", "system:serviceaccounts"), "")
    assert not ships(review, Subject("User", "", "system:authenticated"), "")


def test_less_is_shipped_too_and_more_is_not() -> None:
    version = rule(verbs=["get"], nonResourceURLs=["/version"])
    assert ships(version, EVERYBODY, "")
    assert not ships(rule(verbs=["get", "post"], nonResourceURLs=["/version"]), EVERYBODY, "")
    assert not ships(rule(verbs=["get"], nonResourceURLs=["/version", "/metrics"]), EVERYBODY, "")
    reviews = resources(
        ["create"], "authorization.k8s.io", "selfsubjectaccessreviews", "subjectaccessreviews"
    )
    assert not ships(reviews, EVERYBODY, "")


def test_a_rule_put_together_from_several_shipped_ones_is_shipped() -> None:
    urls = rule(verbs=["get"], nonResourceURLs=["/healthz", "/apis/*", "/openapi/v2"])
    assert ships(urls, EVERYBODY, "")


def test_an_account_is_itself_under_its_long_name() -> None:
    given = resources(["update"], "apps", "deployments/status")
    account = Subject("ServiceAccount", "kube-system", "deployment-controller")
    assert ships(given, account, "")
    assert ships(given, Subject("User", "", "system:serviceaccount:kube-system:deployment-controller"), "")
    assert not ships(given, Subject("ServiceAccount", "shop", "deployment-controller"), "")


def test_what_is_shipped_in_a_namespace_is_not_shipped_elsewhere() -> None:
    info = rule(verbs=["get"], apiGroups=[""], resources=["configmaps"], resourceNames=["cluster-info"])
    anonymous = Subject("User", "", "system:anonymous")
    assert ships(info, anonymous, "kube-public")
    assert not ships(info, anonymous, "kube-system")
    assert not ships(info, anonymous, "")
    assert not ships(resources(["get"], "", "configmaps"), anonymous, "kube-public"), "any name is more"


def test_what_a_feature_gate_adds_is_shipped_as_well() -> None:
    pods: Tree = {"verbs": ["create"], "apiGroups": ["scheduling.k8s.io"], "resources": ["podgroups"]}
    edit = ("ClusterRole", "", "edit")
    assert gives(edit, rule(**pods))
    assert pods not in [each.tree for each in shipped_roles([edit])[edit].rules]


WORDS = {
    "verbs": ["get", "create", "*"],
    "apiGroups": ["", "apps", "*"],
    "resources": ["pods", "pods/log", "*/log", "pods/*", "*"],
}
RULE = st.fixed_dictionaries(
    {key: st.lists(st.sampled_from(words), min_size=1, max_size=2) for key, words in WORDS.items()},
    optional={"resourceNames": st.lists(st.sampled_from(["a", "b", ""]), min_size=1, max_size=2)},
)
URLS = st.fixed_dictionaries(
    {
        "verbs": st.lists(st.sampled_from(["get", "*"]), min_size=1, max_size=2),
        "nonResourceURLs": st.lists(
            st.sampled_from(["/x", "/x/*", "/x*", "*", "/x/y"]), min_size=1, max_size=2
        ),
    }
)
REQUESTS = [
    *(
        Request(verb, group, "pods", subresource, "", name)
        for verb, group, subresource, name in product(
            ("get", "create", "other"), ("", "apps", "x"), ("", "log", "y"), ("", "a", "b", "c")
        )
    ),
    *(Request(verb, path=path) for verb in ("get", "post") for path in ("/x", "/x/y", "/xy", "/y")),
]


@given(RULE | URLS, RULE | URLS)
@settings(deadline=None)
def test_what_is_covered_allows_nothing_more(one: Tree, other: Tree) -> None:
    if all(covers(one, atom) for atom in atoms(other)):
        for request in REQUESTS:
            assert allows(one, request) or not allows(other, request), request
