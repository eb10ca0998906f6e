"""Reviews as an API server sends them, of 4, 40 and 400 KB: an opted-in pod of a Deployment, its defaults filled in.

Size comes from where it comes from in clusters: containers, their variables, annotations. Every pod has something to be
kept (a variable of its author's), something that is there already, and a limit that is unset, so that no answer is trivial.
"""

import json
from typing import Any, NamedTuple


class Shape(NamedTuple):
    """How many containers and init containers, and how many variables each of them has."""

    containers: int
    init_containers: int
    variables: int


# The rest, up to the size, are annotations: about a third of it.
SHAPES = {4: Shape(1, 0, 6), 40: Shape(4, 1, 45), 400: Shape(10, 2, 190)}
ANNOTATION = 900


def review(kilobytes: int) -> bytes:
    """The review of that size, to a few bytes; as compact as Go writes it."""
    whole = _review(_pod(SHAPES[kilobytes]))
    annotations = whole["request"]["object"]["metadata"]["annotations"]
    missing = kilobytes * 1000 - len(_bytes(whole))
    while missing > 60:
        text = _text(len(annotations), min(ANNOTATION, missing - 40))
        annotations[f"example.com/note-{len(annotations)}"] = text
        missing = kilobytes * 1000 - len(_bytes(whole))
    return _bytes(whole)


def _review(pod: dict[str, Any]) -> dict[str, Any]:
    pods = {"group": "", "version": "v1", "resource": "pods"}
    kind = {"group": "", "version": "v1", "kind": "Pod"}
    request = {
        "uid": "705ab4f5-6393-11e8-b7cc-42010a800002",
        "kind": kind,
        "resource": pods,
        "requestKind": kind,
        "requestResource": pods,
        "namespace": "shop",
        "operation": "CREATE",
        "userInfo": {
            "username": "system:serviceaccount:kube-system:replicaset-controller",
            "uid": "2f1e0c7a-5a43-4a39-9d55-2b1f6f0a6f5f",
            "groups": [
                "system:serviceaccounts",
                "system:serviceaccounts:kube-system",
                "system:authenticated",
            ],
        },
        "object": pod,
        "oldObject": None,
        "dryRun": False,
        "options": {"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1"},
    }
    return {"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": request}


def _pod(shape: Shape) -> dict[str, Any]:
    volumes = [
        {"name": "settings", "configMap": {"name": "web-settings", "defaultMode": 420}},
        {"name": "kube-api-access-7xk2p", "projected": {"sources": _token_sources(), "defaultMode": 420}},
    ]
    spec: dict[str, Any] = {
        "volumes": volumes,
        "containers": [_container(index, "app", shape) for index in range(shape.containers)],
        "restartPolicy": "Always",
        "terminationGracePeriodSeconds": 30,
        "dnsPolicy": "ClusterFirst",
        "serviceAccountName": "web",
        "serviceAccount": "web",
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "schedulerName": "default-scheduler",
        "priority": 0,
        "enableServiceLinks": True,
        "preemptionPolicy": "PreemptLowerPriority",
    }
    if shape.init_containers:
        spec["initContainers"] = [_container(index, "init", shape) for index in range(shape.init_containers)]
    owner = {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "name": "web-5d4f7c8b9",
        "uid": "0ad38a8c-6b59-4f3a-9d4e-3f1f3a8f2f10",
        "controller": True,
        "blockOwnerDeletion": True,
    }
    metadata = {
        "generateName": "web-5d4f7c8b9-",
        "namespace": "shop",
        "labels": {"app": "web", "pod-template-hash": "5d4f7c8b9", "podfacts.dev/inject": "true"},
        "annotations": {"prometheus.io/scrape": "true", "prometheus.io/port": "8080"},
        "ownerReferences": [owner],
    }
    return {"kind": "Pod", "apiVersion": "v1", "metadata": metadata, "spec": spec, "status": {}}


def _container(index: int, prefix: str, shape: Shape) -> dict[str, Any]:
    amounts = {"cpu": "100m", "memory": "128Mi"}
    # The last one has no limit of the processor.
    limits = {"memory": "256Mi"} if index == shape.containers - 1 else {"cpu": "1", "memory": "256Mi"}
    token = "/var/run/secrets/kubernetes.io/serviceaccount"  # noqa: S105 - a path
    return {
        "name": f"{prefix}-{index}",
        "image": f"registry.example.com/shop/{prefix}-{index}:1.24.3",
        "ports": [{"name": "http", "containerPort": 8080 + index, "protocol": "TCP"}],
        "env": [_variable(number) for number in range(shape.variables)],
        "resources": {"limits": limits, "requests": amounts},
        "volumeMounts": [
            {"name": "settings", "mountPath": "/etc/settings"},
            {"name": "kube-api-access-7xk2p", "readOnly": True, "mountPath": token},
        ],
        "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "File",
        "imagePullPolicy": "IfNotPresent",
        "securityContext": {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True},
    }


def _variable(number: int) -> dict[str, Any]:
    if number == 1:  # What podfacts sets too, and means the same.
        field = {"apiVersion": "v1", "fieldPath": "metadata.name"}
        return {"name": "POD_NAME", "valueFrom": {"fieldRef": field}}
    if number == 3:  # What podfacts sets too, and the author otherwise.
        return {"name": "NODE_NAME", "value": "none"}
    if number % 7 == 5:
        reference = {"name": "web-credentials", "key": f"key-{number}"}
        return {"name": f"SHOP_SECRET_{number}", "valueFrom": {"secretKeyRef": reference}}
    return {"name": f"SHOP_SETTING_{number}", "value": f"https://service-{number}.shop.svc:8443/v1?a=b"}


def _token_sources() -> list[dict[str, Any]]:
    namespace = {"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}, "path": "namespace"}
    return [
        {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
        {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
        {"downwardAPI": {"items": [namespace]}},
    ]


def _text(number: int, length: int) -> str:
    """What annotations hold, the last applied configuration first of all: JSON in a string, so full of quotes."""
    words = f'{{"kind":"Deployment","step":{number},"note":"rolled out by the pipeline of the shop"}} '
    text = (words * (length // len(words) + 1))[:length]
    # Each quote becomes two bytes.
    return text[: max(1, length - text.count('"'))]


def _bytes(whole: dict[str, Any]) -> bytes:
    return json.dumps(whole, separators=(",", ":")).encode()
