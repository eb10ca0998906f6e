"""Pods whose authors mean no good, as little of them as makes the point, and what an answer says of them."""

import base64
import copy
from typing import Any

import orjson

from podfacts.core.patch import Operation
from podfacts.core.review import Answer
from tests.faults.webhook import POD


def pod(annotations: dict[str, str] | None = None, **container: Any) -> dict[str, Any]:
    """An opted-in pod of one container."""
    made = copy.deepcopy(POD)
    if annotations:
        made["metadata"]["annotations"] = annotations
    made["spec"]["containers"][0].update(container)
    return made


def whole() -> dict[str, Any]:
    """An opted-in pod that has something at every place that is looked at."""
    made = pod(
        {"podfacts.dev/mount-path": "/etc/facts", "podfacts.dev/overwrite": "POD_IP", "example.com/a": "b"},
        env=[
            {"name": "POD_IP", "value": "x"},
            {"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        ],
        envFrom=[{"prefix": "POD_", "secretRef": {"name": "s"}}],
        volumeMounts=[{"name": "data", "mountPath": "/data", "subPath": "x"}],
        volumeDevices=[{"name": "disk", "devicePath": "/dev/xvda"}],
        resources={"limits": {"cpu": "1"}},
        terminationMessagePath="/dev/termination-log",
    )
    made["spec"] |= {
        "volumes": [{"name": "data", "emptyDir": {}}],
        "initContainers": [{"name": "init", "image": "app", "restartPolicy": "Always"}],
        "securityContext": {"runAsUser": 1000},
        "nodeName": "n1",
    }
    return made


def response(answer: Answer) -> dict[str, Any]:
    """The response in the review."""
    found: dict[str, Any] = orjson.loads(answer.body)["response"]
    return found


def patch(answer: Answer) -> list[Operation]:
    """The patch in the response; an empty one where there is none."""
    told = response(answer)
    found: list[Operation] = orjson.loads(base64.b64decode(told["patch"])) if "patch" in told else []
    return found
