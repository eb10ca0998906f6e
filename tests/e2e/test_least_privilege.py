"""Every right that rbac/ gives is needed: with all of them each feature works, and without any single one of them one does not.

That none is given and not used is shown the other way round, by the audit log of a whole installation
(``test_installed.py``).
"""

import copy
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
import yaml

from podfacts.admission.apiserver import connect
from podfacts.admission.following import Picture
from podfacts.controller.term import AGAIN
from podfacts.core.profile import DEFAULT
from tests.cluster import Cluster
from tests.e2e.api import Api
from tests.e2e.conftest import ADMISSION, REPOSITORY, wait_for
from tests.e2e.identity import written
from tests.e2e.install_rights import Call, rules
from tests.e2e.installation import Replica
from tests.e2e.keeping import LEASE, PROFILES, SYSTEM, Keeping, keeping
from tests.e2e.test_following import label, put, until

pytestmark = [pytest.mark.api, pytest.mark.timeout(120)]

RBAC = "/apis/rbac.authorization.k8s.io/v1"
SECRET = f"/api/v1/namespaces/{SYSTEM}/secrets/podfacts-ca"
NODE = "least"
SOON = 20.0  # Seconds in which a feature that works shows.
NEVER = 3.0  # Seconds at least that are looked for one that does not, and twice what it took with all rights.
TAKEN: dict[str, float] = {}

Seen = Callable[[], Any]
Feature = Callable[[Keeping, str], Iterator[Seen]]


@pytest.fixture(scope="module")
def here(cluster: Cluster, api: Api) -> Iterator[Keeping]:
    with keeping(cluster, api, f"least-{os.getpid()}") as made:
        facts = [{"name": "rack", "nodeLabel": "example.com/rack"}]
        facts += [
            {"name": "team", "namespaceLabel": "example.com/team"},
            {"name": "workload", "owner": "name"},
        ]
        made.profile("least", *facts)
        made.profile("anew", {"name": "pod", "field": "metadata.name"}, remediate="evict")
        made.node(NODE, {"example.com/rack": "r"})
        configuration = yaml.safe_load((REPOSITORY / "deploy/base/40-admission.yaml").read_text())
        for each in configuration["webhooks"]:
            # It is there to be written to, and asks nobody.
            each["namespaceSelector"] = {"matchLabels": {"podfacts.test/door": "none"}}
        api.call("DELETE", f"{ADMISSION}/podfacts")
        api.create(ADMISSION, configuration)
        yield made
        api.call("DELETE", f"{ADMISSION}/podfacts")


# -- the features: what is there before the controller starts; then what is done, and how it is seen -------------------


def tells(here: Keeping, tag: str) -> Iterator[Seen]:
    here.create(here.injected(here.tree(tag, "least", nodeName=NODE)))
    yield bool
    yield lambda: {"rack", "team", "workload"} <= set(here.annotations(tag))


def hears_of_pods(here: Keeping, tag: str) -> Iterator[Seen]:
    yield bool
    here.create(here.injected(here.tree(tag, "least", nodeName=NODE)))
    yield lambda: here.annotations(tag).get("rack")


def hears_of_nodes(here: Keeping, tag: str) -> Iterator[Seen]:
    here.create(here.injected(here.tree(tag, "least", nodeName=NODE)))
    yield bool
    here.label(f"/api/v1/nodes/{NODE}", {"example.com/rack": tag})
    yield lambda: here.annotations(tag).get("rack") == tag


def hears_of_namespaces(here: Keeping, tag: str) -> Iterator[Seen]:
    here.create(here.injected(here.tree(tag, "least", nodeName=NODE)))
    yield bool
    here.label(f"/api/v1/namespaces/{here.namespace}", {"example.com/team": tag})
    yield lambda: here.annotations(tag).get("team") == tag


def hears_of_profiles(here: Keeping, tag: str) -> Iterator[Seen]:
    yield bool
    here.profile(tag, {"name": "pod", "field": "metadata.name"})
    yield lambda: here.status(tag).get("conditions")


def judges_profiles(here: Keeping, tag: str) -> Iterator[Seen]:
    here.profile(tag, {"name": "pod", "field": "metadata.name"})
    yield bool
    yield lambda: here.status(tag).get("conditions")


def finds_the_deployment(here: Keeping, tag: str) -> Iterator[Seen]:
    here.create_deployment(tag, here.injected(here.tree("x", "least", nodeName=NODE)), replicas=1)
    yield bool
    yield lambda: here.told("workload", tag)


def finds_the_cron_job(here: Keeping, tag: str) -> Iterator[Seen]:
    template = here.injected(here.tree("x", "least", nodeName=NODE, restartPolicy="Never"))
    del template["metadata"]["name"]
    job = {"template": template}
    here.api.create(
        f"/apis/batch/v1/namespaces/{here.namespace}/jobs", {"metadata": {"name": tag}, "spec": job}
    )
    yield bool
    yield lambda: here.told("workload", tag)


def tells_who_was_missed(here: Keeping, tag: str) -> Iterator[Seen]:
    here.create(here.tree(tag, "least", nodeName=NODE))
    yield bool
    yield lambda: tag in here.missed()


def evicts(here: Keeping, tag: str) -> Iterator[Seen]:
    here.create_deployment(tag, here.tree("x", "anew", nodeName=NODE), replicas=1)
    before = wait_for(partial(_pods_of, here, tag))
    yield bool
    yield lambda: before.isdisjoint(_pods_of(here, tag))


def _pods_of(here: Keeping, app: str) -> set[str]:
    return {uid for name, uid in here.uids() if name == app}


def makes_the_ca(here: Keeping, tag: str) -> Iterator[Seen]:
    assert tag
    here.api.call("PATCH", SECRET, {"data": None})
    yield bool
    yield lambda: here.api.call("GET", SECRET).body.get("data")


def keeps_the_bundle(here: Keeping, tag: str) -> Iterator[Seen]:
    assert tag
    path = f"{ADMISSION}/podfacts"
    tree = here.api.call("GET", path).body
    for each in tree["webhooks"]:
        each["clientConfig"].pop("caBundle", None)
    assert here.api.call("PUT", path, tree).status == HTTPStatus.OK
    yield bool
    yield lambda: all(
        "caBundle" in each["clientConfig"] for each in here.api.call("GET", path).body["webhooks"]
    )


# Right by right: the feature that ends with it. One that is not in this table has no reason to be in rbac/.
NEEDED: dict[Call, Feature] = {
    ("list", "", "pods", ""): tells,
    ("watch", "", "pods", ""): hears_of_pods,
    ("patch", "", "pods/status", ""): tells,
    ("list", "", "nodes", ""): tells,
    ("watch", "", "nodes", ""): hears_of_nodes,
    ("list", "", "namespaces", ""): tells,
    ("watch", "", "namespaces", ""): hears_of_namespaces,
    ("list", "podfacts.dev", "profiles", ""): tells,
    ("watch", "podfacts.dev", "profiles", ""): hears_of_profiles,
    ("patch", "podfacts.dev", "profiles/status", ""): judges_profiles,
    ("create", "", "events", ""): tells_who_was_missed,
    ("get", "apps", "replicasets", ""): finds_the_deployment,
    ("get", "batch", "jobs", ""): finds_the_cron_job,
    ("get", "coordination.k8s.io", "leases", "podfacts-controller"): tells,
    ("update", "coordination.k8s.io", "leases", "podfacts-controller"): tells,
    ("get", "", "secrets", "podfacts-ca"): makes_the_ca,
    ("update", "", "secrets", "podfacts-ca"): makes_the_ca,
    ("get", "admissionregistration.k8s.io", "mutatingwebhookconfigurations", "podfacts"): keeps_the_bundle,
    ("patch", "admissionregistration.k8s.io", "mutatingwebhookconfigurations", "podfacts"): keeps_the_bundle,
    ("create", "", "pods/eviction", ""): evicts,
}


@pytest.mark.fault("T40")
def test_the_table_has_every_right_of_the_controller_and_no_other() -> None:
    assert set(NEEDED) == rules("controller") | rules("evict/evict")


def shown(here: Keeping, feature: Feature, tag: str, seconds: float) -> bool:
    """Whether a controller that starts now shows the feature within the time."""
    here.api.call("PATCH", LEASE, {"spec": None})
    steps = feature(here, tag)
    next(steps)
    leader = here.start(evictions_per_minute=60, poll=0.5)
    try:
        time.sleep(2)  # It leads, and has read what there is.
        seen = next(steps)
        began = time.monotonic()
        while not (found := bool(seen())) and time.monotonic() < began + seconds:
            time.sleep(0.1)
        if found:
            TAKEN.setdefault(feature.__name__, time.monotonic() - began)
        # Without a watch it lists anew every few seconds: late, and it says what is missing.
        return found and not ("hears" in feature.__name__ and complains(leader, 2 * AGAIN))
    finally:
        leader.stop(signal.SIGKILL)


def complains(leader: Replica, seconds: float) -> bool:
    """Whether it says within the time that it is of no use as it is."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if leader.ask("/readyz")[0] != HTTPStatus.OK:
            return True
        time.sleep(0.1)
    return False


FEATURES = sorted(set(NEEDED.values()), key=lambda feature: feature.__name__)


@pytest.mark.fault("T40")
@pytest.mark.parametrize("feature", FEATURES, ids=lambda feature: feature.__name__)
def test_each_feature_works_with_all_rights(here: Keeping, feature: Feature) -> None:
    assert shown(here, feature, f"with-{feature.__name__.replace('_', '-')}", SOON)


@pytest.mark.fault("T40")
@pytest.mark.parametrize("call", NEEDED, ids=lambda call: "-".join(filter(None, call)))
def test_without_any_one_right_a_feature_fails(here: Keeping, call: Call) -> None:
    tag = "no-" + "-".join(each.lower().replace("/", "-").replace(".", "-") for each in (call[0], call[2]))
    with without(here.api, call, "podfacts-controller"):
        feature = NEEDED[call]
        assert not shown(here, feature, tag, max(NEVER, 2 * TAKEN.get(feature.__name__, 0)))


@contextmanager
def without(api: Api, call: Call, prefix: str) -> Iterator[None]:
    """Take one verb on one resource from the roles whose names begin so."""
    verb, group, resource, _ = call
    changed: list[tuple[str, Any]] = []
    for path in (f"{RBAC}/clusterroles", f"{RBAC}/namespaces/{SYSTEM}/roles"):
        for role in api.call("GET", path).body["items"]:
            name, before = role["metadata"]["name"], role["rules"]
            after = copy.deepcopy(before)
            for rule in after:
                if group in rule.get("apiGroups", []) and resource in rule.get("resources", []):
                    rule["verbs"] = [each for each in rule["verbs"] if each != verb]
            if name.startswith(prefix) and after != before:
                changed.append((f"{path}/{name}", before))
                api.call("PATCH", f"{path}/{name}", {"rules": [each for each in after if each["verbs"]]})
    assert changed
    time.sleep(0.5)  # The authorizer hears of it by a watch of its own.
    try:
        yield
    finally:
        for where, before in changed:
            assert api.call("PATCH", where, {"rules": before}).status == HTTPStatus.OK
        time.sleep(0.5)


# -- the webhook -------------------------------------------------------------------------------------------------------


@pytest.fixture
def account(
    here: Keeping, cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    """The webhook's own account, with the rights that rbac/ gives it."""
    variables = written(here.api, cluster, tmp_path / "account", SYSTEM, "podfacts-webhook")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    yield Path(variables["PODFACTS_SERVICE_ACCOUNT"])
    here.api.call("DELETE", "/api/v1/nodes/followed")


async def shows(picture: Picture, here: Keeping, account: Path, *, changes: bool) -> bool:
    """Whether the webhook knows the cluster; and, where that is asked for, hears of what changes in it."""
    async with AsyncExitStack() as stack:
        door = await stack.enter_async_context(connect(account))
        assert door is not None
        picture.start(door, stack)
        try:
            await until(lambda: picture.lacks() is None, NEVER)
            if changes:
                put(here.api, "heard")
                here.api.call(
                    "PATCH", f"/api/v1/namespaces/{here.namespace}", {"metadata": {"labels": {"heard": "1"}}}
                )
                here.profile("heard", {"name": "pod", "field": "metadata.name"})
                await until(lambda: heard(picture, here), NEVER)
        except TimeoutError:
            return False
        return True


def heard(picture: Picture, here: Keeping) -> bool:
    labels = picture.world.around.namespaces[here.namespace]["metadata"]["labels"]
    return label(picture) == "heard" and "heard" in picture.world.profiles and "heard" in labels


FOLLOWED = sorted(rules("webhook"))


@pytest.mark.fault("T40")
def test_the_webhook_has_these_rights_and_no_other() -> None:
    resources = {("", "nodes"), ("", "namespaces"), ("podfacts.dev", "profiles")}
    assert {(call[1], call[2]) for call in FOLLOWED} == resources
    assert {call[0] for call in FOLLOWED} == {"list", "watch"}


@pytest.mark.fault("T40")
async def test_the_webhook_knows_the_cluster_with_all_rights(here: Keeping, account: Path) -> None:
    forget(here)
    assert await shows(Picture({"default": DEFAULT}, admit_unknown=False), here, account, changes=True)


@pytest.mark.fault("T40")
@pytest.mark.parametrize("call", FOLLOWED, ids=lambda call: "-".join(filter(None, call)))
async def test_without_any_one_right_the_webhook_lacks_something(
    here: Keeping, account: Path, call: Call
) -> None:
    forget(here)
    with without(here.api, call, "podfacts-webhook"):
        picture = Picture({"default": DEFAULT}, admit_unknown=False)
        assert not await shows(picture, here, account, changes=call[0] == "watch")


def forget(here: Keeping) -> None:
    """What a test before has made."""
    put(here.api, None)
    here.api.call("DELETE", f"{PROFILES}/heard")
    here.api.call("PATCH", f"/api/v1/namespaces/{here.namespace}", {"metadata": {"labels": {"heard": None}}})
