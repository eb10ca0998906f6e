"""A cluster's worth of nodes, namespaces, owners and pods, put where the API server keeps them: into etcd.

Thirty thousand pods created through the API are minutes of both cores, and a second write each for their status. Here they are
stored in seconds, as JSON, which the API server reads as well as its own protobuf; its watch caches tell everybody. Each pod is
as the webhook would have left it, is Running, and has the managedFields that a ReplicaSet's pod has.
"""

import base64
import copy
import json
import ssl
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import jsonpatch
import reviews
import urllib3

from podfacts.core.facts import FACTS
from podfacts.core.injection import inject
from podfacts.core.profile import parse_profile
from tests.cluster import Cluster, processes

Tree = dict[str, Any]

NAMESPACES, NODES = 30, 300
OF_ONE_OWNER = 10
WIDE = 1_000  # Pods on the node that is labelled anew.
WIDE_NODE = "bench-0"
PER_WRITE = 100  # etcd takes 128 operations at once.
CREATED = "2026-11-01T00:00:00Z"
RACK = "example.com/rack"
PROFILE = {
    "apiVersion": "podfacts.dev/v1alpha1",
    "kind": "Profile",
    "metadata": {"name": "bench"},
    "spec": {
        "facts": [
            {"name": "rack", "nodeLabel": RACK},
            {"name": "team", "namespaceLabel": "example.com/team"},
            {"name": "workload", "owner": "name"},
            {"name": "digest", "image": "digest"},
            {"name": "pod-name", "field": "metadata.name"},
        ]
    },
}


class Store:
    """The etcd of a test cluster."""

    def __init__(self, cluster: Cluster) -> None:
        (etcd,) = [each for each in processes.recorded(cluster.state) if each.name == "etcd"]
        words = Path(f"/proc/{etcd.pid}/cmdline").read_text().split("\0")
        (self._url,) = [
            word.partition("=")[2] for word in words if word.startswith("--advertise-client-urls=")
        ]
        folder = cluster.state / "credentials"
        context = ssl.create_default_context(cafile=str(folder / "ca.crt"))
        context.load_cert_chain(folder / "apiserver-etcd.crt", folder / "apiserver-etcd.key")
        self._pool = urllib3.PoolManager(ssl_context=context, retries=False, timeout=30)

    def put(self, objects: Iterable[tuple[str, str]]) -> None:
        """Store objects: key below /registry, and JSON."""
        batch: list[Tree] = []
        for key, text in objects:
            request = {"key": _encoded(f"/registry/{key}"), "value": _encoded(text)}
            batch.append({"requestPut": request})
            if len(batch) == PER_WRITE:
                self._write(batch)
                batch = []
        if batch:
            self._write(batch)

    def _write(self, batch: list[Tree]) -> None:
        body = json.dumps({"success": batch}).encode()
        said = self._pool.request("POST", f"{self._url}/v3/kv/txn", body=body)
        if said.status != 200:
            raise SystemExit(f"etcd refuses: {said.data.decode()}")


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def around(pods: int, nodes: int = NODES) -> Iterator[tuple[str, str]]:
    """The namespaces, the nodes, and the ReplicaSets of so many pods."""
    for number in range(NAMESPACES):
        name = f"bench-{number}"
        metadata = _metadata(name, labels={"example.com/team": f"team-{number}", "name": name})
        spec, status = {"finalizers": ["kubernetes"]}, {"phase": "Active"}
        yield (
            f"namespaces/{name}",
            _text("v1", "Namespace", {"metadata": metadata, "spec": spec, "status": status}),
        )
    for number in range(nodes):
        yield f"minions/bench-{number}", _text("v1", "Node", _node(number))
    for number in range(0, pods, OF_ONE_OWNER):
        namespace, name = _namespace(number), _owner(number)
        top = {"apiVersion": "apps/v1", "kind": "Deployment", "name": _top(number), "uid": _uid(_top(number))}
        metadata = {
            **_metadata(name, namespace=namespace),
            "ownerReferences": [{**top, "controller": True}],
        }
        spec = {
            "replicas": OF_ONE_OWNER,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"containers": [{"name": "app-0", "image": "x"}]},
            },
        }
        yield (
            f"replicasets/{namespace}/{name}",
            _text("apps/v1", "ReplicaSet", {"metadata": metadata, "spec": spec}),
        )


def pods(numbers: Iterable[int], *, opted_in: bool, nodes: int = NODES) -> Iterator[tuple[str, str]]:
    """The pods of these numbers. One that has not opted in has the same label with the value false, and was not injected."""
    template = _template(opted_in=opted_in)
    for number in numbers:
        name, namespace = f"{_owner(number)}-{number:05}", _namespace(number)
        node = WIDE_NODE if number < WIDE else f"bench-{1 + number % (nodes - 1)}"
        texts = {
            "@NAME@": name,
            "@NAMESPACE@": namespace,
            "@UID@": _uid(name),
            "@NODE@": node,
            "@OWNER@": _owner(number),
            "@OWNERUID@": _uid(_owner(number)),
            "@TEAM@": namespace.replace("bench", "team"),
            "@RACK@": node.replace("bench", "rack"),
        }
        text = template
        for token, value in texts.items():
            text = text.replace(token, value)
        yield f"pods/{namespace}/{name}", text


def bytes_of_a_pod() -> int:
    """What the API server sends of one."""
    return len(next(iter(pods([0], opted_in=True)))[1])


def _template(*, opted_in: bool) -> str:
    pod = reviews._pod(reviews.SHAPES[4])
    pod["metadata"] |= _metadata("@NAME@", namespace="@NAMESPACE@") | {"uid": "@UID@"}
    pod["metadata"]["labels"] |= {"app": "@OWNER@", "podfacts.dev/inject": "bench"}
    pod["metadata"]["ownerReferences"][0] |= {"name": "@OWNER@", "uid": "@OWNERUID@"}
    if opted_in:
        patch = inject(pod, {"bench": parse_profile(PROFILE)}).patch
        pod = jsonpatch.apply_patch(copy.deepcopy(pod), [dict(each) for each in patch])
        # As the webhooks leave it: what is known when it is created, and when it is bound.
        pod["metadata"]["annotations"] |= {f"{FACTS}team": "@TEAM@", f"{FACTS}rack": "@RACK@"}
    else:
        pod["metadata"]["labels"]["podfacts.dev/inject"] = "false"
    pod["spec"]["nodeName"] = "@NODE@"
    pod["spec"]["tolerations"] = [{"operator": "Exists"}]
    pod["status"] = _status(pod)
    managed = [("kube-controller-manager", "", ("metadata", "spec")), ("kubelet", "status", ("status",))]
    pod["metadata"]["managedFields"] = [_managed(pod, *each) for each in managed]
    return json.dumps(pod)


def _managed(pod: Tree, manager: str, subresource: str, parts: tuple[str, ...]) -> Tree:
    fields = {f"f:{part}": _fields(pod[part]) for part in parts}
    whole = {"manager": manager, "operation": "Update", "apiVersion": "v1", "time": CREATED}
    if subresource:
        whole["subresource"] = subresource
    return {**whole, "fieldsType": "FieldsV1", "fieldsV1": fields}


def _fields(tree: Any) -> Tree:
    """The names of the fields; of a list with names those of its items, as the API server keeps them."""
    if isinstance(tree, dict):
        return {f"f:{key}": _fields(value) for key, value in tree.items()}
    if isinstance(tree, list):
        named = [each for each in tree if isinstance(each, dict) and "name" in each]
        return {f"k:{json.dumps({'name': each['name']})}": {".": {}, **_fields(each)} for each in named}
    return {}


def _status(pod: Tree) -> Tree:
    conditions = ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled")
    return {
        "phase": "Running",
        "conditions": [
            {"type": each, "status": "True", "lastProbeTime": None, "lastTransitionTime": CREATED}
            for each in conditions
        ],
        "hostIP": "198.19.0.1",
        "podIP": "198.18.0.1",
        "podIPs": [{"ip": "198.18.0.1"}],
        "startTime": CREATED,
        "qosClass": "Burstable",
        "containerStatuses": [
            {
                "name": each["name"],
                "image": each["image"],
                "imageID": f"registry.example.com/shop/app@sha256:{'0123456789abcdef' * 4}",
                "containerID": f"containerd://{'0123456789abcdef' * 4}",
                "ready": True,
                "started": True,
                "restartCount": 0,
                "state": {"running": {"startedAt": CREATED}},
            }
            for each in pod["spec"]["containers"]
        ],
    }


def _node(number: int) -> Tree:
    name = f"bench-{number}"
    labels = {
        "kubernetes.io/hostname": name,
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": "amd64",
        "node.kubernetes.io/instance-type": "m7i.4xlarge",
        "topology.kubernetes.io/region": "region-1",
        "topology.kubernetes.io/zone": f"zone-{number % 3}",
        RACK: f"rack-{number}",
    }
    amounts = {"cpu": "64", "memory": "256Gi", "ephemeral-storage": "1Ti", "pods": "1100"}
    kinds = ("MemoryPressure", "DiskPressure", "PIDPressure", "Ready")
    conditions = [
        {
            "type": each,
            "status": "True" if each == "Ready" else "False",
            "lastHeartbeatTime": CREATED,
            "lastTransitionTime": CREATED,
            "reason": "KubeletReady",
            "message": "kubelet is posting ready status",
        }
        for each in kinds
    ]
    # A kubelet tells of fifty images by default.
    images = [
        {
            "names": [
                f"registry.example.com/shop/app-{at}@sha256:{'0123456789abcdef' * 4}",
                f"registry.example.com/shop/app-{at}:1.24.3",
            ],
            "sizeBytes": 50_000_000,
        }
        for at in range(50)
    ]
    status = {"capacity": amounts, "allocatable": amounts, "conditions": conditions, "images": images}
    return {"metadata": _metadata(name, labels=labels), "spec": {}, "status": status}


def _metadata(name: str, *, namespace: str = "", labels: dict[str, str] | None = None) -> Tree:
    found: Tree = {"name": name, "uid": _uid(name), "creationTimestamp": CREATED}
    if namespace:
        found["namespace"] = namespace
    if labels:
        found["labels"] = labels
    return found


def _text(api_version: str, kind: str, tree: Tree) -> str:
    return json.dumps({"apiVersion": api_version, "kind": kind, **tree})


def _uid(name: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_DNS, name))


def _namespace(number: int) -> str:
    return f"bench-{number // OF_ONE_OWNER % NAMESPACES}"


def _owner(number: int) -> str:
    return f"web-{number // OF_ONE_OWNER:05}-5d4f7c8b9"


def _top(number: int) -> str:
    return f"web-{number // OF_ONE_OWNER:05}"
