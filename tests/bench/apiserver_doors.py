"""What an API server can be made to ask, each for the namespace of its own: ``opened`` starts and installs all of it.

All is installed all the time, and the namespace decides who is asked. So each request meets the same API server, and two
runs that are compared can follow one another at once; to install each by itself would put seconds, a cold cache and a
compilation of CEL between them. The price: what it costs not to be asked, a look at a namespace's labels, everybody pays,
"no webhook" too, so it is in no difference. With ``--only "no webhook"`` nothing else is installed, and it can be compared.
"""

import base64
import copy
import json
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import processes
import reviews
import rivals
import yaml

from podfacts.authority.certificates import new_authority, sign_leaf
from podfacts.core.options import INJECTED
from podfacts.core.policy import policies
from podfacts.core.profile import DEFAULT
from tests.cluster import Cluster
from tests.e2e.api import Api
from tests.e2e.conftest import ADMISSION, REPOSITORY, define_profiles, wait_for
from tests.e2e.identity import identity
from tests.e2e.test_cases_on_the_api_server import essence, in_any_order_of_token
from tests.e2e.twin import collection

NONE, POLICY, MUTATING = "no webhook", "policies, as printed", "mutating policy alone"
FENCED, NOTHING = "podfacts and its fence", "Go, without a patch"
DOOR = "podfacts.bench/door"

Tree = dict[str, Any]


class Door(NamedTuple):
    """A namespace, and who is asked about the pods that are created there."""

    name: str
    namespace: str
    server: processes.Server | None = None

    @property
    def pods(self) -> str:
        """Where its pods are created."""
        return f"/api/v1/namespaces/{self.namespace}/pods"

    @property
    def hook(self) -> str:
        """The name by which the API server counts it."""
        return f"{self.namespace}.podfacts.bench"


def names(also: list[str]) -> list[str]:
    """All doors, and copies of operator/ beside them."""
    return [NONE, POLICY, MUTATING, rivals.PODFACTS, FENCED, *rivals.NAMES[1:], NOTHING, *also]


@contextmanager
def opened(cluster: Cluster, api: Api, chosen: list[str], made: rivals.Made) -> Iterator[list[Door]]:
    """Every door, and the API server goes by it; everything is gone afterwards."""
    with ExitStack() as stack:
        authority = certificates(made.folder)
        doors = [stack.enter_context(namespace(api, index, name)) for index, name in enumerate(chosen)]
        define_profiles(api, cluster)
        found = []
        for door in doors:
            if door.name in (POLICY, MUTATING):
                trees = list(policies(DEFAULT))[: 4 if door.name == POLICY else 2]
            elif door.name == NONE:
                trees = []
            else:
                started = _started(door, cluster, api, made)
                door = door._replace(server=stack.enter_context(started))  # noqa: PLW2901
                trees = [_configuration(door, authority), *(fence() if door.name == FENCED else [])]
            for tree in trees:
                stack.enter_context(there(api, only_for(tree, door)))
            found.append(door)
        pod = created_pod(4)
        for door in found:
            if door.name not in (NONE, NOTHING):
                wait_for(lambda door=door: _injected(api, door, pod))
        yield found


def compared(api: Api, doors: list[Door], pods: dict[int, Tree]) -> None:
    """Raise ``rivals.Different`` unless the same pod comes of each, but for the record: a policy's says less."""
    injecting = [door for door in doors if door.name not in (NONE, NOTHING)]
    for size, pod in pods.items():
        results = {door.name: _result(api, door, pod) for door in injecting}
        first = next(iter(results.values()), None)
        for name, result in results.items():
            if result != first:
                raise rivals.Different(f"{name}, {size} KB: another pod comes of it than of the first")


def created_pod(kilobytes: int) -> Tree:
    """The pod of the review of that size as its creator sends it: what the API server adds is left to it."""
    pod: Tree = json.loads(reviews.review(kilobytes))["request"]["object"]
    pod.pop("status")
    for key in ("namespace", "ownerReferences"):  # A made-up owner is one whose pods are garbage.
        pod["metadata"].pop(key)
    spec = pod["spec"]
    spec["schedulerName"] = "nobody"
    for key in ("serviceAccountName", "serviceAccount", "priority", "preemptionPolicy"):
        spec.pop(key)
    spec["volumes"] = [each for each in spec["volumes"] if "projected" not in each]
    kept = {each["name"] for each in spec["volumes"]}
    for container in (*spec["containers"], *spec.get("initContainers", [])):
        container["volumeMounts"] = [each for each in container["volumeMounts"] if each["name"] in kept]
    return pod


def _injected(api: Api, door: Door, pod: Tree) -> bool:
    said = api.call("POST", door.pods, pod, dryRun="All")
    return said.status == 201 and INJECTED in said.body["metadata"]["annotations"]


def _result(api: Api, door: Door, pod: Tree) -> Tree:
    found = in_any_order_of_token(essence(api.create(door.pods, pod, dryRun="All")))
    found["metadata"]["annotations"].pop(INJECTED)
    return found


@contextmanager
def namespace(api: Api, index: int, name: str) -> Iterator[Door]:
    where = f"bench-{index}-{os.getpid()}"
    path = f"/api/v1/namespaces/{where}"
    api.create("/api/v1/namespaces", {"metadata": {"name": where, "labels": {DOOR: where}}})
    try:
        wait_for(lambda: api.call("GET", f"{path}/serviceaccounts/default").status == 200)
        yield Door(name, where)
    finally:
        api.call("DELETE", path)


@contextmanager
def _started(door: Door, cluster: Cluster, api: Api, made: rivals.Made) -> Iterator[processes.Server]:
    """The process behind a door. Podfacts is what is shipped: it follows the cluster with the rights of rbac/."""
    if door.name in (rivals.KOPF, *rivals.GO):
        with rivals.running(door.name, made, processes.all_cores()) as server:
            yield server
        return
    folder = made.folder
    if door.name == NOTHING:
        port = processes.free_port()
        words = [str(made.binary), "-kind", "nothing", "-address", f"127.0.0.1:{port}"]
        words += ["-certificate", str(folder / "tls.crt"), "-key", str(folder / "tls.key")]
        with rivals.started(words, os.environ, port) as process:
            yield processes.Server(door.name, process, port)
        return
    source = None if door.name == FENCED else rivals.copy(door.name)
    with following(cluster, api, made, door.name, door.namespace, source) as server:
        yield server


@contextmanager
def following(
    cluster: Cluster, api: Api, made: rivals.Made, name: str, namespace: str, source: Path | None = None
) -> Iterator[processes.Server]:
    """The webhook, with an identity of its own in the cluster."""
    port = processes.free_port()
    with identity(api, cluster, made.folder / namespace, "webhook", namespace, namespace) as given:
        argv = made.runtime.command(*rivals.webhook(port, made.folder), source=source)
        environment = {**made.runtime.environment(source), **given}
        with rivals.started(argv, environment, port) as process:
            yield processes.Server(name, process, port)


def certificates(folder: Path) -> bytes:
    """Write what every server shows; return the CA that the API server trusts them by."""
    now = datetime.now(UTC)
    authority = new_authority(now, timedelta(days=1))
    leaf = sign_leaf(authority.certificate_pem, authority.key_pem, ["127.0.0.1"], now, timedelta(hours=12))
    (folder / "tls.crt").write_bytes(leaf.chain)
    (folder / "tls.key").write_bytes(leaf.key)
    return authority.certificate_pem


def _configuration(door: Door, authority: bytes) -> Tree:
    """The shipped one, of the hook that is asked about pods, for this process."""
    tree: Tree = yaml.safe_load((REPOSITORY / "deploy/base/40-admission.yaml").read_text())
    [hook] = [each for each in tree["webhooks"] if each["name"] == "pods.podfacts.dev"]
    hook["name"] = door.hook
    port = door.server.port if door.server else 0
    bundle = base64.b64encode(authority).decode()
    hook["clientConfig"] = {"url": f"https://127.0.0.1:{port}/mutate", "caBundle": bundle}
    return {**tree, "webhooks": [hook]}


def fence() -> list[Tree]:
    """The policies that are installed with podfacts, and see every pod."""
    return list(yaml.safe_load_all((REPOSITORY / "rbac/fence.yaml").read_text()))


def only_for(tree: Tree, door: Door) -> Tree:
    """The object under a name of the door's, for its namespace alone."""
    tree = copy.deepcopy(tree)
    name = f"{tree['metadata']['name']}-{door.namespace}"
    tree["metadata"] = {"name": name}
    chosen = {"matchLabels": {DOOR: door.namespace}}
    for hook in tree.get("webhooks", []):
        hook["namespaceSelector"] = {**hook["namespaceSelector"], **chosen}
    if "policyName" in tree.get("spec", {}):
        tree["spec"]["policyName"] += f"-{door.namespace}"
        tree["spec"].setdefault("matchResources", {})["namespaceSelector"] = chosen
    return tree


@contextmanager
def there(api: Api, tree: Tree) -> Iterator[None]:
    path = ADMISSION if tree["kind"] == "MutatingWebhookConfiguration" else collection(tree)
    api.create(path, tree)
    try:
        yield
    finally:
        api.call("DELETE", f"{path}/{tree['metadata']['name']}")
