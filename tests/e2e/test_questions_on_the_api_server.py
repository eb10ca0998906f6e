"""What is worked out beside a cluster, and what a cluster makes of the same: aggregation, and the commands' answers.

The roles and subjects are nobody's but this test's.
"""

import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

from podfacts.audit.gathered import Gathered
from podfacts.audit.intake import VERSION, entry
from podfacts.audit.inventory import Place, Role
from tests.cluster import Cluster
from tests.e2e.api import Api
from tests.e2e.conftest import wait_for

pytestmark = pytest.mark.api

Tree = dict[str, Any]

SEED = int(os.environ.get("PODFACTS_SEED", "20262"))
ME = f"questions-{os.getpid()}"
GROUP = "rbac.authorization.k8s.io"
PATH = f"/apis/{GROUP}/v1/clusterroles"
OWNER, FEEDS = "podfacts.test/questions", "podfacts.test/feeds"
LEVELS = 4  # Roles that gather take those of the levels below theirs: a chain of three at the most.
PLAIN, GATHERING, CIRCLING = 20, 15, 4
COLOURS = ("red", "green", "blue")
# A controller that writes in a circle may write the same in another order for a while.
QUIET = 3.0


@pytest.fixture(scope="module")
def written(api: Api) -> Iterator[list[Tree]]:
    """Random ClusterRoles as somebody wrote them; the cluster has them until the tests are over."""
    print(f"PODFACTS_SEED={SEED}")  # noqa: T201 - shown when the test fails
    chance = random.Random(SEED)  # noqa: S311 - the same roles every time
    trees = [plain(chance, number) for number in range(PLAIN)]
    trees += [gathering(chance, number) for number in range(GATHERING)]
    trees += [circling(chance, number) for number in range(CIRCLING)]
    chance.shuffle(trees)
    try:
        for tree in trees:
            api.create(PATH, tree)
        yield trees
    finally:
        api.call("DELETE", PATH, labelSelector=f"{OWNER}={ME}")


def plain(chance: random.Random, number: int) -> Tree:
    rules = [
        {
            "verbs": [chance.choice(("get", "list"))],
            "apiGroups": [""],
            "resources": [f"r{chance.randrange(9)}"],
        }
        for _ in range(chance.randint(0, 3))
    ]
    return {"metadata": metadata(chance, f"plain-{number}", "0"), "rules": rules}


def gathering(chance: random.Random, number: int) -> Tree:
    """One that takes what is below it, by any selectors; a third of them say in ``rules`` what will be overwritten."""
    level = 1 + number % (LEVELS - 1)
    selectors = [selector(chance, level) for _ in range(chance.randint(1, 3))]
    rules = [{"verbs": ["overwritten"], "nonResourceURLs": [f"/{number}"]}] if number % 3 == 0 else []
    return {
        "metadata": metadata(chance, f"gathering-{number}", str(level)),
        "aggregationRule": {"clusterRoleSelectors": selectors},
        "rules": rules,
    }


def circling(chance: random.Random, number: int) -> Tree:
    """One of a few that take all of each other, and some plain roles."""
    others = {"matchLabels": {FEEDS: ME, "level": "circle"}}
    fed = {"matchLabels": {FEEDS: ME, "level": "0", "colour": chance.choice(COLOURS)}}
    return {
        "metadata": metadata(chance, f"circling-{number}", "circle"),
        "aggregationRule": {"clusterRoleSelectors": chance.sample([others, fed], 2)},
    }


def selector(chance: random.Random, level: int) -> Tree:
    below = [str(each) for each in range(level)]
    levels = {"key": "level", "operator": "In", "values": chance.sample(below, chance.randint(1, level))}
    some = {"values": chance.sample(COLOURS, chance.randint(1, 2))}
    colours: list[Tree] = [
        {"key": "colour", "operator": "In", **some},
        {"key": "colour", "operator": "NotIn", **some},
        {"key": "colour", "operator": "Exists"},
        {"key": "colour", "operator": "DoesNotExist"},
    ]
    mine: Tree = {"matchLabels": {FEEDS: ME}, "matchExpressions": [levels, *chance.sample(colours, 1)]}
    if chance.random() < 0.3:
        mine["matchLabels"]["colour"] = chance.choice(COLOURS)
    return mine


def metadata(chance: random.Random, name: str, level: str) -> Tree:
    labels = {OWNER: ME, FEEDS: ME, "level": level}
    if chance.random() < 0.7:
        labels["colour"] = chance.choice(COLOURS)
    return {"name": f"{ME}-{name}", "labels": labels}


def said(rules: list[Tree] | None) -> list[tuple[tuple[str, ...], ...]]:
    fields = ("verbs", "apiGroups", "resources", "resourceNames", "nonResourceURLs")
    return [tuple(tuple(each.get(field) or ()) for field in fields) for each in rules or ()]


def test_aggregated_roles_are_what_the_controller_writes(api: Api, written: list[Tree]) -> None:
    ours = offline(written)
    wait_for(lambda: quiet(api), 120, 1)
    theirs = live(api)
    circle = {name for name in ours if "-circling-" in name}
    # In a circle the order is that of who was quicker, and may never come to rest.
    assert {name: set(ours[name]) for name in circle} == {name: set(theirs[name]) for name in circle}
    assert {name: ours[name] for name in ours.keys() - circle} == {
        name: theirs[name] for name in theirs.keys() - circle
    }
    gathered = [theirs[name] for name in theirs if "-plain-" not in name]
    assert sum(map(bool, gathered)) > len(gathered) / 2, "or nothing was gathered"
    assert not any(rule[0] == ("overwritten",) for rules in theirs.values() for rule in rules)


def offline(written: list[Tree]) -> dict[str, list[tuple[tuple[str, ...], ...]]]:
    gathered = Gathered()
    for tree in written:
        each = entry({**tree, "kind": "ClusterRole", "apiVersion": VERSION}, lambda _: Place("here"), "")
        assert isinstance(each, Role)
        gathered.add(each)
    roles = gathered.offline().roles.values()
    return {each.name: said([dict(rule.tree) for rule in each.rules]) for each in roles}


def live(api: Api) -> dict[str, list[tuple[tuple[str, ...], ...]]]:
    items = api.call("GET", PATH, labelSelector=f"{OWNER}={ME}").body["items"]
    return {each["metadata"]["name"]: said(each.get("rules")) for each in items}


def quiet(api: Api) -> bool:
    before = {name: set(rules) for name, rules in live(api).items()}
    time.sleep(QUIET)
    return before == {name: set(rules) for name, rules in live(api).items()}


@pytest.fixture(scope="module")
def shop(api: Api) -> Iterator[str]:
    """A namespace where an account reads pods."""
    name = f"{ME}-shop"
    path = f"/apis/{GROUP}/v1/namespaces/{name}"
    api.create("/api/v1/namespaces", {"metadata": {"name": name}})
    rule = {"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}
    api.create(f"{path}/roles", {"metadata": {"name": "reader"}, "rules": [rule]})
    api.create(
        f"{path}/rolebindings",
        {
            "metadata": {"name": "web"},
            "roleRef": {"apiGroup": GROUP, "kind": "Role", "name": "reader"},
            "subjects": [{"kind": "ServiceAccount", "name": "web"}],
        },
    )
    yield name
    api.call("DELETE", f"/api/v1/namespaces/{name}")


def podfacts(cluster: Cluster, *words: str) -> tuple[int, str, str]:
    argv = [sys.executable, "-m", "podfacts", *words, "--kubeconfig", str(cluster.kubeconfig)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


def test_can_and_who_can_say_which_rule_of_the_cluster(cluster: Cluster, shop: str) -> None:
    web = f"system:serviceaccount:{shop}:web"
    code, out, err = podfacts(cluster, "can", "get", "pods", "--as", web, "-n", shop)
    granted = f"yes: RoleBinding web in {shop} gives Role reader rules[0] to ServiceAccount {shop}/web\n"
    assert (code, out) == (0, granted)
    assert f"there is no service account web in {shop}" in err  # Whoever makes one has it.
    code, out, err = podfacts(cluster, "can", "get", "pods", "--as", web)
    assert (code, err) == (1, "")
    assert f"no: only in the namespace {shop}" in out  # The context's namespace is another.
    code, out, _ = podfacts(cluster, "who-can", "get", "pods", "-n", shop)
    assert code == 0
    assert f"ServiceAccount {shop}/web: RoleBinding web in {shop}" in out


def test_an_account_that_is_not_there_is_said(cluster: Cluster, shop: str) -> None:
    code, out, _ = podfacts(cluster, "can", "list", "pods", "--as", f"system:serviceaccount:{shop}:gone")
    assert code == 1
    assert f"there is no service account {shop}/gone" in out


def test_what_everybody_has_is_a_binding_of_the_cluster(cluster: Cluster) -> None:
    code, out, _ = podfacts(cluster, "can", "get", "/version", "--as", "user:anybody")
    assert code == 0
    assert "ClusterRoleBinding system:discovery gives ClusterRole system:discovery" in out
