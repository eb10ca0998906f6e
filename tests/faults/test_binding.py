"""Nodes that change, go and come while pods are bound to them: what is told is what the node had, or nothing at all."""

import base64
import json
import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import pytest
import yaml

from tests.cluster import Cluster
from tests.e2e.api import Api
from tests.e2e.conftest import ADMISSION, PROFILES, REPOSITORY, define_profiles, wait_for
from tests.e2e.identity import identity
from tests.faults.webhook import Webhook, running

pytestmark = [pytest.mark.api, pytest.mark.fault("T43")]

Tree = dict[str, Any]

NODES = "/api/v1/nodes"
FACTS = "facts.podfacts.dev/"
OURS = "podfacts.test/binding"  # Nodes of these tests.
LEFT, RIGHT = "podfacts.test/left", "podfacts.test/right"
LATE = 2.0  # Seconds: the API server tells of a change within milliseconds, and this is a busy machine.


class Scene:
    """A namespace whose bindings the webhook is asked about, and nodes."""

    def __init__(self, api: Api, cluster: Cluster, namespace: str, webhook: Webhook) -> None:
        self.api, self.cluster, self.webhook = api, cluster, webhook
        self.namespace = namespace
        self._pods = f"/api/v1/namespaces/{namespace}/pods"
        self._number = 0

    def by(self, api: Api) -> "Scene":
        """The same, by another client."""
        return Scene(api, self.cluster, self.namespace, self.webhook)

    def node(self, name: str, value: str) -> None:
        """Make one whose two labels say this."""
        labels = {OURS: self.namespace, LEFT: value, RIGHT: value}
        tree = {"metadata": {"name": name, "labels": labels}, "spec": {"unschedulable": True}}
        self.api.create(NODES, tree)

    def label(self, name: str, value: str) -> None:
        """Change both labels, in one write."""
        labels = {LEFT: value, RIGHT: value}
        said = self.api.call("PATCH", f"{NODES}/{name}", {"metadata": {"labels": labels}})
        assert said.status == 200, said.body

    def bound(self, node: str, **annotations: str) -> dict[str, str]:
        """What a new pod is told once it is bound to that node: fact to value."""
        self._number += 1
        name = f"p-{self._number}"
        spec = {"containers": [{"name": "main", "image": "app"}], "schedulerName": "nobody"}
        self.api.create(
            self._pods, {"metadata": {"name": name}, "spec": {**spec, "terminationGracePeriodSeconds": 0}}
        )
        target = {"apiVersion": "v1", "kind": "Node", "name": node}
        binding = {"metadata": {"name": name, "annotations": annotations}, "target": target}
        self.api.create(f"{self._pods}/{name}/binding", {"apiVersion": "v1", "kind": "Binding", **binding})
        tree = self.api.call("GET", f"{self._pods}/{name}").body
        assert tree["spec"]["nodeName"] == node
        told: dict[str, str] = tree["metadata"].get("annotations", {})
        self.api.call("DELETE", f"{self._pods}/{name}", gracePeriodSeconds="0")
        return {key.removeprefix(FACTS): value for key, value in told.items() if key.startswith(FACTS)}

    def requests(self, since: int) -> list[Tree]:
        """What the webhook's account asked the API server from that place of the audit log on."""
        with self.cluster.audit_log.open() as log:
            log.seek(since)
            events = [json.loads(line) for line in log if f":podfacts-webhook-{self.namespace}" in line]
        return [each for each in events if each["user"]["username"].startswith("system:serviceaccount:")]


@pytest.fixture(scope="module")
def scene(api: Api, cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    define_profiles(api, cluster)
    name, folder = f"binding-{os.getpid()}", tmp_path_factory.mktemp("binding")
    labels = {OURS: name, "podfacts.dev/node-facts": "enabled"}
    with (
        there(api, "/api/v1/namespaces", {"metadata": {"name": name, "labels": labels}}),
        there(api, PROFILES, profile(name)),
    ):
        account = f"/api/v1/namespaces/{name}/serviceaccounts/default"
        wait_for(lambda: api.call("GET", account).status == 200)
        with (
            identity(api, cluster, folder / "account", "webhook", name, name) as environment,
            running(folder / "webhook", name=cluster.node_ip, environment=environment) as webhook,
            there(api, ADMISSION, configuration(cluster, name, webhook)),
        ):
            made = Scene(api, cluster, name, webhook)
            try:
                made.node(f"{name}-probe", "there")
                wait_for(lambda: made.bound(f"{name}-probe").get("left") == "there", every=0.3)
                yield made
            finally:
                api.call("DELETE", NODES, labelSelector=f"{OURS}={name}")


@contextmanager
def there(api: Api, path: str, tree: Tree) -> Iterator[None]:
    api.create(path, tree)
    try:
        yield
    finally:
        api.call("DELETE", f"{path}/{tree['metadata']['name']}")


def profile(name: str) -> Tree:
    facts = [{"name": "left", "nodeLabel": LEFT}, {"name": "right", "nodeLabel": RIGHT}]
    kind = {"apiVersion": "podfacts.dev/v1alpha1", "kind": "Profile"}
    return {**kind, "metadata": {"name": name}, "spec": {"facts": facts}}


def configuration(cluster: Cluster, name: str, webhook: Webhook) -> Tree:
    """The shipped one, of the hook that is asked about bindings, for the namespace and the process."""
    tree: Tree = yaml.safe_load((Path(REPOSITORY) / "deploy/base/40-admission.yaml").read_text())
    [hook] = [each for each in tree["webhooks"] if each["name"] == "nodes.podfacts.dev"]
    bundle = base64.b64encode(webhook.authority.certificate_pem).decode()
    url = f"https://{cluster.node_ip}:{webhook.port}/mutate"
    hook["clientConfig"] = {"url": url, "caBundle": bundle}
    hook["namespaceSelector"]["matchLabels"] = {OURS: name}
    return {**tree, "metadata": {"name": f"podfacts-{name}"}, "webhooks": [hook]}


class Flips:
    """A node whose labels count upwards, as fast as the API server takes it, and when each value was there."""

    def __init__(self, scene: Scene, node: str) -> None:
        self.written: list[float] = [
            time.monotonic()
        ]  # When the value of that index was there at the latest.
        self._scene, self._node = scene, node
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def current(self, moment: float) -> int:
        """The value that was certainly written by then."""
        return max(index for index, written in enumerate(self.written) if written <= moment)

    def _run(self) -> None:
        self._scene.cluster.enter()
        while not self._stop.is_set():
            self._scene.label(self._node, str(len(self.written)))
            self.written.append(time.monotonic())


def test_a_pod_bound_while_its_nodes_labels_change_has_what_the_node_had_at_one_moment(scene: Scene) -> None:
    node = f"{scene.namespace}-flips"
    scene.node(node, "0")
    wait_for(lambda: scene.bound(node) == {"left": "0", "right": "0"})
    told = []
    with Flips(scene, node) as flips:
        wait_for(lambda: len(flips.written) > 5)
        for _ in range(40):
            began = time.monotonic()
            told.append((began, scene.bound(node)))
    for began, facts in told:
        assert set(facts) == {"left", "right"}, "never without"
        assert facts["left"] == facts["right"], "never a part of the one and a part of the other"
        value = int(facts["left"])
        assert flips.current(max(began - LATE, flips.written[0])) <= value
        # One more may have been written, and not been answered yet.
        assert value <= len(flips.written)
    assert len({facts["left"] for _, facts in told}) > 5, "they were bound while it changed"
    last = str(len(flips.written) - 1)
    wait_for(lambda: scene.bound(node) == {"left": last, "right": last}, LATE)


def test_of_a_node_that_nobody_knows_a_pod_is_told_nothing_and_of_a_late_one_all(scene: Scene) -> None:
    node = f"{scene.namespace}-late"
    forged = {f"{FACTS}left": "forged", f"{FACTS}other": "forged"}
    assert scene.bound(node, **forged) == {}, "bound all the same, without another's facts"
    scene.node(node, "joined")
    wait_for(lambda: scene.bound(node, **forged) == {"left": "joined", "right": "joined"}, LATE)
    scene.api.call("DELETE", f"{NODES}/{node}")
    wait_for(lambda: scene.bound(node, **forged) == {}, LATE)
    assert scene.webhook.is_well()


def test_a_thousand_nodes_that_change_at_once_are_followed_by_their_watch_alone(scene: Scene) -> None:
    count = 1000
    names = [f"{scene.namespace}-n{number}" for number in range(count)]
    log = scene.cluster.audit_log.stat().st_size
    writers = [scene.by(Api(scene.cluster.kubeconfig)) for _ in range(4)]  # Each keeps its one connection.
    with ThreadPoolExecutor(len(writers), initializer=scene.cluster.enter) as pool:
        list(pool.map(changed, writers, (names[first :: len(writers)] for first in range(len(writers)))))
    expected = {"left": "after", "right": "after"}
    wait_for(lambda: scene.bound(names[-1]) == expected, 5)
    wrong = [name for name in names[::40] if scene.bound(name) != expected]
    assert wrong == []
    assert scene.requests(log) == [], "no list and no new watch, however much changes"
    before = used(scene.webhook)
    time.sleep(3)
    assert used(scene.webhook) - before < 1.0, "and nothing goes round in circles afterwards"
    assert scene.webhook.is_well()


def changed(scene: Scene, names: list[str]) -> None:
    for name in names:
        scene.node(name, "before")
    for name in names:
        scene.label(name, "after")


def used(webhook: Webhook) -> float:
    """Seconds of processor time."""
    stats = [(each / "stat").read_text().rpartition(") ")[2].split() for each in webhook.processes]
    return sum(int(fields[11]) + int(fields[12]) for fields in stats) / os.sysconf("SC_CLK_TCK")
