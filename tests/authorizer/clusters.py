"""Random clusters, small and full of edges, and random questions of which about half are allowed."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from podfacts.audit.asked import Who
from podfacts.rights.request import Account, Request

Tree = dict[str, Any]

GROUP = "rbac.authorization.k8s.io"
HOMES = ("a", "b")
ACCOUNTS = tuple(Account(home, name) for home in HOMES for name in ("one", "two", "default"))
USERS = ("alice", "bob", "system:anonymous", "system:serviceaccount:a", "system:serviceaccounts")
IMPLIED = ("system:authenticated", "system:unauthenticated", "system:serviceaccounts")
TEAMS = ("team", "system:masters", "system:serviceaccounts:a", "system:serviceaccounts:b", "system:anonymous")

VERBS = ("get", "list", "create", "use", "impersonate", "deletecollection", "*", "GET", "get*")
GROUPS = ("", "apps", "metrics.k8s.io", "*", "*.k8s.io")
RESOURCES = (
    "pods",
    "pods/log",
    "pods/*",
    "*/log",
    "*",
    "*/*",
    "secrets",
    "log",
    "pods/log/x",
    "Pods",
    "po*",
    "*/",
    "/log",
)
NAMES = ("a", "b", "*", "")
URLS = ("/x", "/x/*", "/x*", "/x/**", "*", "**", "/x/y", "/*/y", "/", "/X")

ASKED_VERBS = ("get", "list", "watch", "create", "use", "impersonate", "deletecollection", "*", "GET")
ASKED_GROUPS = ("", "", "apps", "metrics.k8s.io", "*")
ASKED_RESOURCES = ("pods", "pods", "secrets", "log", "Pods", "po", "*", "pods/log", "users")
SUBRESOURCES = ("", "", "", "log", "x", "log/x", "*")
PLACES = ("", *HOMES, *HOMES, "default")
PATHS = ("/x", "/x/", "/x/y", "/xy", "/", "/X", "/a/y", "/*/y", "/x*", "*")


@dataclass(frozen=True, slots=True)
class Cluster:
    """The four lists; ``valid`` when an API server would have taken all that is in them."""

    valid: bool
    roles: Sequence[Tree]
    cluster_roles: Sequence[Tree]
    role_bindings: Sequence[Tree]
    cluster_role_bindings: Sequence[Tree]


def cluster(chance: random.Random) -> Cluster:
    """One of them; of five, one holds what no API server would take: the evaluation must be the same for that too."""
    valid = chance.random() < 0.8
    return Cluster(
        valid,
        [_role(chance, home, number, valid=valid) for home in HOMES for number in range(4)],
        [_role(chance, "", number, valid=valid) for number in range(6)],
        [_binding(chance, home, number, valid=valid) for home in HOMES for number in range(4)],
        [_binding(chance, "", number, valid=valid) for number in range(5)],
    )


def question(chance: random.Random, of: Cluster) -> tuple[Who, Request]:
    """Who asks, and for what: near to what some binding gives to somebody, or anything."""
    bindings = [each for each in (*of.role_bindings, *of.cluster_role_bindings) if each["subjects"]]
    if chance.random() < 0.2 or not bindings:
        return _who(chance), _anything(chance)
    binding = chance.choice(bindings)
    home = binding["metadata"].get("namespace", "")
    rules = _rules(of, binding, home)
    request = _near(chance, chance.choice(rules), home) if rules else _anything(chance)
    named = chance.random() < 0.8
    return _named(chance.choice(binding["subjects"]), home) if named else _who(chance), request


def _rules(of: Cluster, binding: Tree, home: str) -> Sequence[Tree]:
    ref = binding["roleRef"]
    where, roles = (home, of.roles) if ref["kind"] == "Role" else ("", of.cluster_roles)
    found = (each for each in roles if each["metadata"] == {**each["metadata"], "name": ref["name"]})
    return [
        rule
        for each in found
        if each["metadata"].get("namespace", "") == where
        for rule in each["rules"] or ()
    ]


def _named(subject: Tree, home: str) -> Who:
    account = Account(subject.get("namespace") or home, subject["name"])
    match subject["kind"]:
        case "ServiceAccount":
            return Who(account.user, account.groups)
        case "Group":
            return Who("somebody", (subject["name"], "system:authenticated"))
        case _:
            return Who(subject["name"], ("system:authenticated",))


def _some(chance: random.Random, words: Sequence[str], most: int = 2) -> list[str]:
    return chance.sample(words, chance.randint(1, most))


def _rule(chance: random.Random, *, wide: bool, valid: bool) -> Tree:
    if wide and chance.random() < 0.25:
        return {"verbs": _some(chance, VERBS), "nonResourceURLs": _some(chance, URLS)}
    rule: Tree = {
        "verbs": _some(chance, VERBS, 3),
        "apiGroups": _some(chance, GROUPS, 3),
        "resources": _some(chance, RESOURCES, 3),
    }
    if chance.random() < 0.3:
        rule["resourceNames"] = chance.choice([[], _some(chance, NAMES), _some(chance, NAMES)])
    if not valid and chance.random() < 0.4:
        rule["nonResourceURLs"] = chance.choice([[], _some(chance, URLS)])
        rule[chance.choice(list(rule))] = chance.choice([[], None])
    return rule


def _role(chance: random.Random, home: str, number: int, *, valid: bool) -> Tree:
    rules = [_rule(chance, wide=not home, valid=valid) for _ in range(chance.randint(0, 3))]
    tree: Tree = {"metadata": _metadata(home, number), "rules": rules or chance.choice([[], None])}
    if not home:
        tree["metadata"]["labels"] = {"feeds": str(number)}
        if chance.random() < 0.2:  # A live cluster's rules are what the controller wrote, and are believed.
            tree["aggregationRule"] = {"clusterRoleSelectors": [{"matchLabels": {"feeds": str(number - 1)}}]}
    return tree


def _metadata(home: str, number: int) -> Tree:
    return {"name": f"r{number}", **({"namespace": home} if home else {})}


def _binding(chance: random.Random, home: str, number: int, *, valid: bool) -> Tree:
    # Some roles are not there; a Role of that name may be in the other namespace only.
    kinds = ["Role", "ClusterRole"] if home or not valid else ["ClusterRole"]
    if not valid and chance.random() < 0.1:
        kinds = ["clusterrole", "User", ""]
    return {
        "metadata": _metadata(home, number),
        "roleRef": {"apiGroup": GROUP, "kind": chance.choice(kinds), "name": f"r{chance.randrange(7)}"},
        "subjects": [_subject(chance, home, valid=valid) for _ in range(chance.choice([0, 1, 1, 2, 3]))],
    }


def _subject(chance: random.Random, home: str, *, valid: bool) -> Tree:
    account = chance.choice(ACCOUNTS)
    here = {} if (home or not valid) and chance.random() < 0.3 else {"namespace": account.namespace}
    made = chance.choice(
        [
            {"kind": "ServiceAccount", "name": account.name, **here},
            {"kind": "ServiceAccount", "name": account.name, **here},
            {"kind": "User", "apiGroup": GROUP, "name": chance.choice([*USERS, account.user])},
            {"kind": "Group", "apiGroup": GROUP, "name": chance.choice([*TEAMS, *IMPLIED])},
        ]
    )
    if not valid and chance.random() < 0.3:
        made |= chance.choice(
            [{"kind": "user"}, {"name": "a:one"}, {"name": ""}, {"namespace": "system:serviceaccount"}]
        )
    return made


def _who(chance: random.Random) -> Who:
    if chance.random() < 0.5:
        account = chance.choice(ACCOUNTS)
        return Who(account.user, account.groups)
    groups = tuple(_some(chance, (*TEAMS, *IMPLIED), 3)) if chance.random() < 0.6 else ()
    return Who(chance.choice([*USERS, "", *TEAMS]), groups)


def _near(chance: random.Random, rule: Tree, home: str) -> Request:
    """What the rule allows, with the words that are patterns filled in; sometimes one thing is different."""
    verb = chance.choice(rule["verbs"] or ["get"])
    verb = "get" if verb == "*" and chance.random() < 0.8 else verb
    if rule.get("nonResourceURLs"):
        path = chance.choice(rule["nonResourceURLs"])
        return Request(verb, path=path.rstrip("*") + chance.choice(["", "y"]) or "/")
    group = chance.choice(rule["apiGroups"] or [""])
    resource, _, subresource = chance.choice(rule["resources"] or ["pods"]).partition("/")
    made = {
        "verb": verb,
        "group": "apps" if group == "*" else group,
        "resource": "pods" if resource == "*" else resource,
        "subresource": chance.choice(["log", "*"]) if subresource == "*" else subresource,
        "namespace": home or chance.choice(PLACES),
        "name": chance.choice(rule.get("resourceNames") or ["", "a", "c"]),
    }
    if chance.random() < 0.3:
        other = _anything(chance)
        field = chance.choice(list(made))
        made[field] = getattr(other, field)
    return Request(**made)


def _anything(chance: random.Random) -> Request:
    if chance.random() < 0.2:
        return Request(chance.choice(ASKED_VERBS), path=chance.choice(PATHS))
    return Request(
        chance.choice(ASKED_VERBS),
        chance.choice(ASKED_GROUPS),
        chance.choice(ASKED_RESOURCES),
        chance.choice(SUBRESOURCES),
        chance.choice(PLACES),
        chance.choice(["", "a", "b", "*", "c"]),
    )
