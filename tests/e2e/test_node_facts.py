"""The facts of a node, in place before a container starts: real Bindings, real containers, and nobody in the way."""

import copy
import json
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.cluster import Cluster
from tests.e2e.api import Api, Said
from tests.e2e.conftest import ADMISSION, configuration, wait_for
from tests.e2e.running import Pod, made

pytestmark = [pytest.mark.api, pytest.mark.usefixtures("webhook")]

FACTS = "facts.podfacts.dev/"
PROFILE = {
    "apiVersion": "podfacts.dev/v1alpha1",
    "kind": "Profile",
    "metadata": {"name": "node-facts"},
    "spec": {
        "facts": [
            {"name": "zone", "nodeLabel": "topology.kubernetes.io/zone"},
            {"name": "machine", "nodeLabel": "node.kubernetes.io/instance-type", "env": "INSTANCE_TYPE"},
            {"name": "place", "nodeAnnotation": "example.com/rack", "env": "RACK"},
            {
                "name": "memory",
                "nodeField": "status.allocatable.memory",
                "divisor": "1Mi",
                "env": "NODE_MEMORY_MIB",
            },
            {"name": "cluster-name", "value": "prod-1"},
        ]
    },
}
LINE = 'echo "$ZONE $INSTANCE_TYPE $RACK $NODE_MEMORY_MIB $CLUSTER_NAME"; exec sleep 999999'
LABELS = {"topology.kubernetes.io/zone": "zone-a", "node.kubernetes.io/instance-type": "m5.large"}


@pytest.fixture(scope="module")
def namespace(api: Api, namespaces: dict[str, str]) -> Iterator[str]:
    """The hooked namespace, with the label that switches node facts on."""
    path = f"/api/v1/namespaces/{namespaces['hooked']}"
    api.call("PATCH", path, {"metadata": {"labels": {"podfacts.dev/node-facts": "enabled"}}})
    yield namespaces["hooked"]
    api.call("PATCH", path, {"metadata": {"labels": {"podfacts.dev/node-facts": None}}})


@pytest.fixture(scope="module")
def profile(api: Api, profiles: str, namespace: str) -> Iterator[str]:
    """The profile, in force at the webhook."""
    api.call("DELETE", f"{profiles}/node-facts")
    api.create(profiles, PROFILE)
    wait_for(lambda: "podfacts.dev/injected" in json.dumps(dry(api, namespace, pod("probe")).body))
    yield "node-facts"
    api.call("DELETE", f"{profiles}/node-facts")


@pytest.fixture
def make(cluster: Cluster, api: Api, node: Cluster, namespace: str) -> Iterator[Callable[[Any], Pod]]:
    assert node.has_node
    yield from made(cluster, api, namespace)


def pod(name: str, profile: str = "node-facts", **spec: Any) -> dict[str, Any]:
    main = {
        "name": "main",
        "image": "busybox:stable",
        "imagePullPolicy": "IfNotPresent",
        "command": ["sh", "-c", LINE],
    }
    return {
        "metadata": {"name": name, "labels": {"podfacts.dev/inject": profile}},
        "spec": {"containers": [main], **spec},
    }


def dry(api: Api, namespace: str, tree: dict[str, Any]) -> Said:
    return api.call("POST", f"/api/v1/namespaces/{namespace}/pods", tree, dryRun="All")


@pytest.fixture(scope="module")
def labelled(api: Api, node: Cluster) -> Iterator[str]:
    """The real node, with labels and an annotation; it has allocatable memory by itself."""
    [name] = [each["metadata"]["name"] for each in api.call("GET", "/api/v1/nodes").body["items"]]
    assert node.has_node
    metadata = {"labels": LABELS, "annotations": {"example.com/rack": "r7"}}
    api.call("PATCH", f"/api/v1/nodes/{name}", {"metadata": metadata})
    time.sleep(1)  # The webhook hears of it by its watch.
    yield name
    gone = {key: dict.fromkeys(value) for key, value in metadata.items()}
    api.call("PATCH", f"/api/v1/nodes/{name}", {"metadata": gone})


def expected(api: Api, node: str) -> str:
    memory = api.call("GET", f"/api/v1/nodes/{node}").body["status"]["allocatable"]["memory"]
    mebibytes = -(-int(memory.removesuffix("Ki")) // 1024)
    return f"zone-a m5.large r7 {mebibytes} prod-1"


@pytest.mark.node
def test_the_very_first_line_has_the_facts_of_the_node(
    api: Api, profile: str, labelled: str, make: Callable[[Any], Pod]
) -> None:
    running = make(pod("first-line", profile))
    assert running.log("main").splitlines()[0] == expected(api, labelled)
    files = running.files("main", "/etc/downward")
    assert (files["zone"], files["place"]) == ("zone-a", "r7")


@pytest.mark.node
def test_a_pod_created_with_its_node(
    api: Api, profile: str, labelled: str, make: Callable[[Any], Pod]
) -> None:
    running = make(pod("no-binding", profile, nodeName=labelled))
    assert running.log("main").splitlines()[0] == expected(api, labelled)


@pytest.mark.node
def test_another_scheduler_and_the_older_bindings(
    api: Api, profile: str, labelled: str, namespace: str
) -> None:
    root = f"/api/v1/namespaces/{namespace}"
    for name, path in (("by-pods", "pods/by-pods/binding"), ("by-bindings", "bindings")):
        api.create(f"{root}/pods", pod(name, profile, schedulerName="mine", terminationGracePeriodSeconds=0))
        target = {"apiVersion": "v1", "kind": "Node", "name": labelled}
        said = api.call(
            "POST",
            f"{root}/{path}",
            {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": name}, "target": target},
        )
        assert said.status == 201, said.body
        tree = api.call("GET", f"{root}/pods/{name}").body
        assert tree["spec"]["nodeName"] == labelled
        assert tree["metadata"]["annotations"][f"{FACTS}machine"] == "m5.large"
        assert tree["metadata"]["labels"]["topology.kubernetes.io/zone"] == "zone-a"
        api.call("DELETE", f"{root}/pods/{name}", gracePeriodSeconds="0")


def bound(api: Api, namespace: str, name: str, node: str, **annotations: str) -> dict[str, Any]:
    """The pod as it is after somebody has bound it with these annotations."""
    root = f"/api/v1/namespaces/{namespace}/pods"
    binding = {
        "apiVersion": "v1",
        "kind": "Binding",
        "metadata": {"name": name, "annotations": annotations},
        "target": {"kind": "Node", "name": node},
    }
    said = api.call("POST", f"{root}/{name}/binding", binding)
    assert said.status == 201, said.body
    return api.call("GET", f"{root}/{name}").body


@pytest.fixture
def fake(api: Api) -> Iterator[Callable[..., str]]:
    """Give what makes Node objects that no kubelet serves."""
    names: list[str] = []

    def make(name: str, **metadata: Any) -> str:
        api.call("DELETE", f"/api/v1/nodes/{name}")
        api.create("/api/v1/nodes", {"metadata": {"name": name, **metadata}, "spec": {"unschedulable": True}})
        names.append(name)
        time.sleep(0.5)
        return name

    yield make
    for name in names:
        api.call("DELETE", f"/api/v1/nodes/{name}")


@pytest.fixture
def waiting(api: Api, namespace: str) -> Iterator[Callable[..., str]]:
    """Give what makes pods that nobody schedules."""
    names: list[str] = []
    path = f"/api/v1/namespaces/{namespace}/pods"

    def make(name: str, profile: str = "node-facts", **metadata: Any) -> str:
        tree = pod(name, profile, schedulerName="nobody", terminationGracePeriodSeconds=0)
        tree["metadata"] |= metadata
        api.create(path, tree)
        names.append(name)
        return name

    yield make
    for name in names:
        api.call("DELETE", f"{path}/{name}", gracePeriodSeconds="0")


@pytest.mark.fault("T38")
def test_nobody_can_set_a_nodes_fact_beforehand(
    api: Api, namespace: str, profile: str, fake: Callable[..., str], waiting: Callable[..., str]
) -> None:
    assert profile
    forged = {f"{FACTS}{name}": "forged" for name in ("machine", "place", "zone", "anything")}
    name = waiting("forger", annotations={**forged, "example.com/mine": "stays"})
    path = f"/api/v1/namespaces/{namespace}/pods/{name}"
    created = api.call("GET", path).body["metadata"]["annotations"]
    assert {key: value for key, value in created.items() if key.startswith(FACTS)} == {
        f"{FACTS}cluster-name": "prod-1"
    }
    assert created["example.com/mine"] == "stays"
    # The one who binds may not forge either; what the node lacks is empty, and no longer unset.
    after = bound(api, namespace, name, fake("bare"), **forged)["metadata"]["annotations"]
    facts = {key.removeprefix(FACTS): value for key, value in after.items() if key.startswith(FACTS)}
    assert "forged" not in facts.values()
    shown = {key: facts.get(key) for key in ("machine", "place", "memory", "cluster-name", "anything")}
    assert shown == {"machine": "", "place": "", "memory": "", "cluster-name": "prod-1", "anything": None}


@pytest.mark.fault("T22", "T43")
def test_a_bad_value_never_bricks_a_later_update(
    api: Api, namespace: str, profile: str, fake: Callable[..., str], waiting: Callable[..., str]
) -> None:
    assert profile
    node = fake("bad", annotations={"example.com/rack": "x" * 200_000})
    name = waiting("brickable", annotations={"example.com/big": "y" * 200_000})
    tree = bound(api, namespace, name, node)
    assert tree["metadata"]["annotations"][f"{FACTS}place"] == ""
    said = api.call(
        "PATCH",
        f"/api/v1/namespaces/{namespace}/pods/{name}",
        {"metadata": {"annotations": {"example.com/later": "fine"}}},
    )
    assert said.status == 200, said.body


def test_the_target_is_never_touched_and_what_is_not_ours_is_bound_as_ever(
    api: Api, namespace: str, profile: str, fake: Callable[..., str], waiting: Callable[..., str]
) -> None:
    assert profile
    node = fake("target", annotations={"example.com/rack": "r9"})
    name = waiting("bystander", labels={"app": "bystander"})
    tree = bound(api, namespace, name, node, **{"example.com/scheduler": "mine"})
    assert tree["spec"]["nodeName"] == node
    assert tree["metadata"]["annotations"]["example.com/scheduler"] == "mine"
    assert tree["metadata"]["labels"] == {"app": "bystander"}


def test_a_namespace_without_the_label_is_not_asked_for(
    api: Api,
    namespace: str,
    namespaces: dict[str, str],
    profile: str,
    fake: Callable[..., str],
    waiting: Callable[..., str],
) -> None:
    assert profile
    path = f"/api/v1/namespaces/{namespaces['hooked']}"
    node = fake("unasked", annotations={"example.com/rack": "r1"})
    try:
        api.call("PATCH", path, {"metadata": {"labels": {"podfacts.dev/node-facts": None}}})
        said = wait_for(
            lambda: [
                each for each in dry(api, namespace, pod("warned", profile)).warnings if "node-facts" in each
            ]
        )
        assert said == [
            "podfacts: env INSTANCE_TYPE, RACK, NODE_MEMORY_MIB: empty when the containers start, unless the namespace "
            "has the label podfacts.dev/node-facts=enabled"
        ]
        name = waiting("without")
        assert f"{FACTS}place" not in bound(api, namespace, name, node)["metadata"]["annotations"]
    finally:
        api.call("PATCH", path, {"metadata": {"labels": {"podfacts.dev/node-facts": "enabled"}}})
        wait_for(
            lambda: (
                not [
                    each
                    for each in dry(api, namespace, pod("warned", profile)).warnings
                    if "node-facts" in each
                ]
            )
        )


@pytest.mark.fault("T1", "T11")
@pytest.mark.parametrize("behaviour", ["refused", "silent"])
def test_a_binding_goes_through_whatever_the_webhook_does(
    api: Api,
    cluster: Cluster,
    namespaces: dict[str, str],
    profile: str,
    fake: Callable[..., str],
    behaviour: str,
) -> None:
    """The shipped entry for bindings, led to a port where nobody listens, or where nobody answers."""
    assert profile
    where, name = f"/api/v1/namespaces/{namespaces['plain']}", f"podfacts-{behaviour}"
    with socket.create_server((cluster.node_ip, 0)) as door:
        port = door.getsockname()[1]
        if behaviour == "refused":
            door.close()
        tree = configuration(cluster, b"")
        tree["metadata"]["name"] = name
        tree["webhooks"] = [each for each in tree["webhooks"] if each["name"] == "nodes.podfacts.dev"]
        (hook,) = tree["webhooks"]
        hook["clientConfig"] = {"url": f"https://{cluster.node_ip}:{port}/mutate"}
        hook["namespaceSelector"] = {"matchLabels": {"podfacts.test/door": "plain"}}
        api.create(ADMISSION, tree)
        try:
            time.sleep(1)  # The API server hears of it by a watch.
            api.create(f"{where}/pods", pod(name, "true", schedulerName="nobody"))
            node = fake("away", annotations={"example.com/rack": "r1"})
            began = time.monotonic()
            bound(api, namespaces["plain"], name, node)
            took = time.monotonic() - began
            assert took < 3
            assert (took > 1.5) == (behaviour == "silent"), "it was asked"
        finally:
            api.call("DELETE", f"{ADMISSION}/{name}")
            api.call("DELETE", f"{where}/pods/{name}", gracePeriodSeconds="0")


def test_an_edit_reaches_the_webhook_without_a_restart_and_a_broken_one_changes_nothing(
    api: Api, namespace: str, profile: str, profiles: str
) -> None:
    path = f"{profiles}/{profile}"

    def env() -> list[str]:
        tree = dry(api, namespace, pod("edited", profile)).body
        return [each["name"] for each in tree["spec"]["containers"][0]["env"]]

    before = env()
    began = time.monotonic()
    changed = copy.deepcopy(PROFILE)["spec"]["facts"] + [{"name": "region-name", "value": "eu"}]  # type: ignore[index]
    said = api.call("PATCH", path, {"spec": {"facts": changed}})
    assert said.status == 200, said.body
    wait_for(lambda: env() == [*before, "REGION_NAME"], seconds=5, every=0.02)
    assert time.monotonic() - began < 2
    # Only code can see that this is no resource.
    broken = {"facts": changed, "apiAccess": {"reads": ["pod"]}}
    said = api.call("PATCH", path, {"spec": broken})
    assert said.status == 200, said.body
    time.sleep(1)
    assert env() == [*before, "REGION_NAME"]
    api.call("PATCH", path, {"spec": {**PROFILE["spec"], "apiAccess": None}})  # type: ignore[dict-item]
    wait_for(lambda: env() == before)


def test_a_pod_that_names_a_missing_profile_is_refused_with_what_to_write(api: Api, namespace: str) -> None:
    said = dry(api, namespace, pod("missing", "nobody"))
    assert said.status == 422
    assert 'there is no profile \'nobody\' in force: write "true", "false" or one of' in said.body["message"]


@pytest.mark.node
def test_a_required_fact_that_is_missing_keeps_the_pod_pending_with_a_reason(
    api: Api, namespace: str, profiles: str, labelled: str, cluster: Cluster
) -> None:
    tree = {**PROFILE, "metadata": {"name": "held-back"}}
    tree["spec"] = {"facts": [{"name": "gpu", "nodeLabel": "example.com/gpu", "required": True}]}
    api.create(profiles, tree)
    path = f"/api/v1/namespaces/{namespace}/pods"
    try:
        wait_for(lambda: dry(api, namespace, pod("held", "held-back")).status == 201)
        api.create(path, pod("held", "held-back", terminationGracePeriodSeconds=0))
        reason = wait_for(lambda: waiting_for(api, f"{path}/held"))
        assert reason == {"reason": "CreateContainerConfigError", "message": "missing value for GPU"}
        assert api.call("GET", f"{path}/held").body["status"]["phase"] == "Pending"
        api.call("PATCH", f"/api/v1/nodes/{labelled}", {"metadata": {"labels": {"example.com/gpu": "a100"}}})
        time.sleep(1)
        api.create(path, pod("lucky", "held-back", terminationGracePeriodSeconds=0))
        wait_for(lambda: api.call("GET", f"{path}/lucky").body["status"]["phase"] == "Running")
        assert (
            cluster.kubectl("exec", "-n", namespace, "lucky", "--", "sh", "-c", "echo $GPU").stdout
            == "a100\n"
        )
    finally:
        api.call("DELETE", f"{profiles}/held-back")
        api.call("PATCH", f"/api/v1/nodes/{labelled}", {"metadata": {"labels": {"example.com/gpu": None}}})
        for name in ("held", "lucky"):
            api.call("DELETE", f"{path}/{name}", gracePeriodSeconds="0")


def waiting_for(api: Api, path: str) -> dict[str, str] | None:
    """Why the first container waits, once the kubelet has said more than that it creates it."""
    statuses = api.call("GET", path).body["status"].get("containerStatuses") or [{}]
    waiting: dict[str, str] = statuses[0].get("state", {}).get("waiting", {})
    return waiting if waiting.get("reason") not in (None, "ContainerCreating") else None
