"""Reports to render: one that is as in real life, an empty one, and any at all."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st

from podfacts.audit.catalogue import RULES
from podfacts.audit.escalation.steps import Path, Step
from podfacts.audit.finding import Finding, Severity
from podfacts.audit.inventory import Binding, Inventory, Place, Pod, Role, Rule, Subject
from podfacts.audit.report import Ignored, Report
from podfacts.rights.request import Account


def inventory_of(roles: int, bindings: int) -> Inventory:
    """As many roles and bindings, with nothing in them."""
    given = [Role("ClusterRole", "", f"r{number}", (), Place("x"), {}) for number in range(roles)]
    to = ("ClusterRole", "", "r0")
    bound = (Binding("", f"b{number}", to, (), Place("x"), {}) for number in range(bindings))
    return Inventory({each.address: each for each in given}, tuple(bound), None, None, None)


EVERYTHING = Rule(
    {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}, Place("rbac/roles.yaml", 7), "cluster-admin", 0
)
SECRETS = Rule(
    {"verbs": ["get", "list"], "apiGroups": [""], "resources": ["secrets"]},
    Place("rbac/roles.yaml", 31),
    "reader",
    1,
)
PERMISSIVE = Finding(
    "RB04",
    Severity.CRITICAL,
    Subject("Group", "", "system:serviceaccounts"),
    ("ClusterRoleBinding", "", "permissive-binding"),
    ("ClusterRole", "", "cluster-admin"),
    "Every service account may do everything, everywhere.",
    "Delete the binding and give each account what it needs.",
    Place("rbac/bindings.yaml", 4),
    rules=(EVERYTHING,),
    accounts=(Account("shop", "web"), Account("shop", "db")),
    pods=(Pod("shop", "web-1", Account("shop", "web")),),
    also=("RB10", "RB13"),
)
READER = Finding(
    "RB16",
    Severity.HIGH,
    Subject("ServiceAccount", "shop", "web"),
    ("RoleBinding", "shop", "reader"),
    ("Role", "shop", "reader"),
    "It reads all Secrets of shop.",
    "Name the Secrets in resourceNames.",
    Place("rbac/bindings.yaml", 19),
    rules=(SECRETS,),
    via=(("RoleBinding", "shop", "other"),),
)
ROLE_ALONE = Finding(
    "RB32",
    Severity.MEDIUM,
    None,
    None,
    ("ClusterRole", "", "silent"),
    "It widens edit.",
    "Take the label off.",
    Place("cluster/ClusterRole//silent"),
)
STEPS = (
    Step(
        "system:serviceaccount:shop:web",
        "system:serviceaccount:shop:boss",
        "creating a pod as it",
        READER.binding,
        READER.role,
    ),
    Step(
        "system:serviceaccount:shop:boss",
        "cluster-admin",
        "binding cluster-admin to itself",
        None,
        None,
        (EVERYTHING,),
    ),
)
REPORT = Report(
    (PERMISSIVE, READER, ROLE_ALONE),
    inventory_of(2, 1),
    known=(replace(READER, rule="RB19"),),
    ignored=(Ignored(replace(READER, rule="RB20"), "the shop deploys itself", date(2027, 1, 31)),),
    unread=("pods could not be listed: forbidden",),
    warnings=("an ignore matches nothing: RB99",),
    paths=(Path("system:serviceaccount:shop:web", "cluster-admin", STEPS),),
    scope="rbac",
    has_baseline=True,
)
EMPTY = Report((), inventory_of(3, 5), scope="the cluster at home")


def many(count: int) -> Report:
    """A report of so many findings, each of an account of its own."""
    subjects = [Subject("ServiceAccount", "shop", f"web-{number}") for number in range(count)]
    return replace(EMPTY, findings=tuple(replace(READER, subject=each) for each in subjects))


# How long one takes to make is the machine's affair.
any_report = settings(
    max_examples=50,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    phases=(Phase.explicit, Phase.reuse, Phase.generate),  # To find a smaller one takes minutes.
)

# What names may hold in a file that somebody else wrote: controls, brackets and braces that SARIF reads.
words = st.text(max_size=6) | st.sampled_from(
    ["\x1b[31mred", "a\nb", "[x](1)", "{0}", "\\", "%2e", "..", "ß字\u202e", "x" * 300, "*"]
)
named = words.filter(bool)
places = st.builds(
    Place,
    st.sampled_from(
        ["<stdin>", "\udcff.yaml", "./a b.yaml", "/x/ü.yaml", "//x", "../a:b", "a:b", "cluster/Role/x/y%z"]
    )
    | named,
    st.integers(-1, 2**31),
)
trees = st.fixed_dictionaries(
    {"verbs": st.lists(words, min_size=1, max_size=2)},
    optional={key: st.lists(words, max_size=2) for key in ("apiGroups", "resources", "nonResourceURLs")},
)
rules = st.builds(Rule, trees, places, named, st.integers(0, 9))
accounts = st.builds(Account, named, named)
addresses = st.tuples(st.sampled_from(["RoleBinding", "ClusterRoleBinding"]), words, named)


def some(of: st.SearchStrategy[object], most: int = 2) -> st.SearchStrategy[Sequence[object]]:
    """A tuple of them."""
    return st.lists(of, max_size=most).map(tuple)


findings = st.builds(
    Finding,
    st.sampled_from([*(each.rule for each in RULES), "RB35", "RB99"]),
    st.sampled_from(Severity),
    st.none() | st.builds(Subject, st.sampled_from(["User", "Group", "ServiceAccount"]), words, named),
    st.none() | addresses,
    st.none() | addresses,
    words,
    words,
    places,
    some(rules),
    some(addresses),
    some(accounts),
    some(st.builds(Pod, named, named, accounts)),
    some(st.sampled_from(["RB10", "RB13"])),
)
steps = st.builds(Step, words, words, words, st.none() | addresses, st.none() | addresses, some(rules))
reports = st.builds(
    Report,
    some(findings),
    st.builds(inventory_of, st.integers(0, 9), st.integers(0, 9)),
    known=some(findings, 1),
    ignored=some(st.builds(Ignored, findings, words, st.dates()), 1),
    unread=some(words),
    warnings=some(words),
    paths=some(st.builds(Path, words, words, some(steps)), 1),
    scope=words | st.just("\udcff.yaml"),  # A name of a file need not be Unicode.
    has_baseline=st.booleans(),
)
