"""RBAC's evaluation put to the real authorizer: random roles and bindings, random questions, no difference.

They are answered as ``podfacts can`` does: from the cluster's own lists. The subjects are nobody's but this test's, so what is bound here gives nothing to anybody else on the cluster.
"""

import os
import random
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from podfacts.audit.asked import Who
from podfacts.audit.questions import Questions
from podfacts.cluster.access import ApiServer, connect
from podfacts.cluster.inventory import inventory_of
from podfacts.cluster.replace_binding import answer
from podfacts.rights.request import Account, Request
from podfacts.rights.rules import Ref
from podfacts.rights.usage import names
from tests.cluster import Cluster
from tests.e2e.api import Api
from tests.e2e.conftest import wait_for

pytestmark = pytest.mark.api

Tree = dict[str, Any]

SEED = 20260
QUESTIONS = 5000
CONNECTIONS = 4
ME = f"rules-{os.getpid()}"
GROUP = "rbac.authorization.k8s.io"
RBAC = f"/apis/{GROUP}/v1"
HOMES = (f"{ME}-a", f"{ME}-b")
ACCOUNTS = tuple(Account(home, name) for home in HOMES for name in ("one", "two"))
USERS = (f"{ME}-alice", f"{ME}-bob")
TEAM = f"{ME}-team"
LABELS = {"podfacts.test/rules": ME}

VERBS = ["get", "list", "create", "use", "*"]
GROUPS = ["", "apps", "metrics.k8s.io", "*", "*.k8s.io"]
RESOURCES = ["pods", "pods/log", "pods/*", "*/log", "*", "*/*", "secrets", "pods/log/x", "Pods", "po*"]
NAMES = ["a", "b", "*"]
URLS = ["/x", "/x/*", "/x*", "/x/**", "*", "/x/y", "/*/y"]


def some(chance: random.Random, words: list[str], most: int = 2) -> list[str]:
    return chance.sample(words, chance.randint(1, most))


def rule(chance: random.Random, *, wide: bool) -> Tree:
    if wide and chance.random() < 0.3:
        return {"verbs": some(chance, VERBS), "nonResourceURLs": some(chance, URLS)}
    written = {
        "verbs": some(chance, VERBS),
        "apiGroups": some(chance, GROUPS),
        "resources": some(chance, RESOURCES),
    }
    return {**written, "resourceNames": some(chance, NAMES)} if chance.random() < 0.4 else written


def subject(chance: random.Random, home: str) -> Tree:
    account = chance.choice(ACCOUNTS)
    groups = (TEAM, f"system:serviceaccounts:{account.namespace}")
    here = {} if home and chance.random() < 0.3 else {"namespace": account.namespace}
    return chance.choice(
        [
            {"kind": "ServiceAccount", "name": account.name, **here},
            {"kind": "User", "apiGroup": GROUP, "name": chance.choice([*USERS, account.user])},
            {"kind": "Group", "apiGroup": GROUP, "name": chance.choice(groups)},
        ]
    )


def binding(chance: random.Random, number: int, home: str) -> Tree:
    # Some roles are not there; a Role of that name may be in the other namespace only.
    kind = chance.choice(["Role", "ClusterRole"]) if home else "ClusterRole"
    return {
        "metadata": {"name": f"{ME}-{number}", "labels": LABELS},
        "roleRef": {"apiGroup": GROUP, "kind": kind, "name": f"{ME}-{chance.randrange(18)}"},
        "subjects": [subject(chance, home) for _ in range(chance.randint(1, 2))],
    }


def question(chance: random.Random) -> Request:
    verb = chance.choice(VERBS)
    if chance.random() < 0.2:
        return Request(verb, path=chance.choice([*URLS, "/", "/x/", "/xy", "/a/y"]))
    return Request(
        verb,
        chance.choice(["", "apps", "metrics.k8s.io"]),
        chance.choice(["pods", "secrets", "Pods", "po", "*"]),
        chance.choice(["", "", "log", "x", "log/x", "*"]),
        chance.choice(["", "default", *HOMES, *HOMES]),
        chance.choice(["", "a", "b", "*", "c"]),
    )


def asker(chance: random.Random) -> Who:
    if chance.random() < 0.6:
        account = chance.choice(ACCOUNTS)
        return Who(account.user, account.groups)
    user, group = chance.choice(USERS), chance.choice([(), (TEAM,)])
    return Who(user, (*group, "system:authenticated"))


@pytest.fixture
def chance() -> random.Random:
    print(f"seed {SEED}")  # noqa: T201 - shown when the test fails
    return random.Random(SEED)  # noqa: S311 - the same questions every time


@pytest.fixture
def bound(api: Api, chance: random.Random) -> Iterator[None]:
    """Random roles and bindings in two namespaces and cluster-wide."""
    try:
        for home in HOMES:
            api.create("/api/v1/namespaces", {"metadata": {"name": home}})
        for home in ("", *HOMES):
            kind = "role" if home else "clusterrole"
            path = f"{RBAC}/namespaces/{home}" if home else RBAC
            for number in range(15):
                rules = [rule(chance, wide=not home) for _ in range(chance.randint(1, 3))]
                metadata = {"name": f"{ME}-{number}", "labels": LABELS}
                api.create(f"{path}/{kind}s", {"metadata": metadata, "rules": rules})
                api.create(f"{path}/{kind}bindings", binding(chance, number, home))
        yield
    finally:
        for kind in ("clusterrolebindings", "clusterroles"):
            api.call("DELETE", f"{RBAC}/{kind}", labelSelector=f"podfacts.test/rules={ME}")
        for home in HOMES:
            api.call("DELETE", f"/api/v1/namespaces/{home}")


@pytest.mark.usefixtures("bound")
def test_five_thousand_random_questions(cluster: Cluster, chance: random.Random) -> None:
    servers = [connect(str(cluster.kubeconfig)) for _ in range(CONNECTIONS)]
    inventory, unread = inventory_of(servers[0], lambda _count: None)
    assert unread == ()
    here = Questions(inventory)
    asked = [(asker(chance), question(chance)) for _ in range(QUESTIONS)]
    # The authorizer hears of the last binding a moment later than we do.
    wait_for(lambda: not differences(servers, here, asked[:200]), 10, 1)
    assert differences(servers, here, asked) == []
    yes = sum(here.answer(*each).allowed for each in asked)
    assert QUESTIONS / 10 < yes < QUESTIONS * 9 / 10, "or the questions would say nothing"


def differences(
    servers: Sequence[ApiServer], here: Questions, asked: Sequence[tuple[Who, Request]]
) -> list[str]:
    """Where yes or no is another, or a binding is named that would not have allowed it."""

    def found(number: int) -> list[str]:
        part = asked[number :: len(servers)]
        return [said for each in part if (said := difference(servers[number], here, *each))]

    with ThreadPoolExecutor(len(servers)) as pool:
        return [each for part in pool.map(found, range(len(servers))) for each in part]


def difference(server: ApiServer, here: Questions, who: Who, request: Request) -> str:
    ours, theirs = here.answer(who, request), answer(server, who.user, who.groups, request)
    refs = {Ref(each.binding.namespace, each.binding.name) for each in ours.grants}
    if theirs.allowed == ours.allowed and (not refs or any(names(theirs.reason, each) for each in refs)):
        return ""
    return f"{who} {request}: {[str(each) for each in refs]}, but {theirs}"
