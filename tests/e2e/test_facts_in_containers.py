"""What real containers see: every field and resource, as env and as files, in each kind of container."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.cluster import Cluster
from tests.e2e.api import Api
from tests.e2e.conftest import wait_for
from tests.e2e.running import made, variables

pytestmark = [pytest.mark.node, pytest.mark.usefixtures("webhook")]

SHOW = ["sh", "-c", "env; exec sleep 9999999"]
RESOURCES = {
    "requests": {"cpu": "15m", "memory": "2Mi", "ephemeral-storage": "1Mi"},
    "limits": {"cpu": "1500m", "memory": "24Mi", "ephemeral-storage": "3Gi"},
}


def container(name: str, **more: Any) -> dict[str, Any]:
    return {
        "name": name,
        "image": "busybox:stable",
        "imagePullPolicy": "IfNotPresent",
        "command": SHOW,
        **more,
    }


@pytest.fixture
def pod(node: Cluster, api: Api, namespaces: dict[str, str]) -> Iterator[Any]:
    yield from made(node, api, namespaces["hooked"])


def test_every_fact_in_every_kind_of_container(pod: Any, node: Cluster) -> None:
    seen = pod(
        {
            "metadata": {
                "name": "everything",
                "labels": {"podfacts.dev/inject": "everything", "app.kubernetes.io/name": "web"},
                "annotations": {"example.com/team": 'a "b"\nc', "Upper/Case": "x"},
            },
            "spec": {
                "initContainers": [
                    container("setup", resources=RESOURCES, command=["sh", "-c", "env; ls -R /etc/downward"]),
                    container("proxy", resources=RESOURCES, restartPolicy="Always"),
                    container("quiet", restartPolicy="Always"),
                ],
                "containers": [container("main", resources=RESOURCES), container("bare")],
            },
        }
    )
    tree = seen.tree()
    status = tree["status"]
    expected = {
        "POD_NAME": "everything",
        "POD_NAMESPACE": seen.namespace,
        "POD_UID": tree["metadata"]["uid"],
        "LABEL": "web",
        "ANNOTATION": 'a "b"\nc',
        "NODE_NAME": tree["spec"]["nodeName"],
        "SERVICE_ACCOUNT": "default",
        "POD_IP": status["podIP"],
        "POD_IPS": ",".join(each["ip"] for each in status["podIPs"]),
        "HOST_IP": status["hostIP"],
        "HOST_IPS": ",".join(each["ip"] for each in status["hostIPs"]),
        "CPU_REQUEST": "15",
        "CPU_LIMIT": "2",  # 1500m in whole cores: rounded up
        "MEMORY_REQUEST": "2",
        "MEMORY_LIMIT": "26",  # 24Mi in M: rounded up
        "EPHEMERAL_STORAGE_REQUEST": "1024",
        "EPHEMERAL_STORAGE_LIMIT": "3",
        "HUGEPAGES_REQUEST": "0",
        "HUGEPAGES_LIMIT": "0",
    }
    del expected["ANNOTATION"]  # Two lines: looked at by itself.
    for name in ("main", "proxy"):
        env = seen.env(name)
        assert {key: env.get(key) for key in expected} == expected, name
    init = variables(seen.log("setup"))
    assert {key: init.get(key) for key in expected if "POD_IP" not in key} == {
        key: value for key, value in expected.items() if "POD_IP" not in key
    }
    assert seen.exec("main", "sh", "-c", 'printf %s "$ANNOTATION"') == 'a "b"\nc'

    files = seen.files("main", "/etc/downward")
    assert files == seen.files("proxy", "/etc/downward")
    labels = tree["metadata"]["labels"]
    assert files["labels"].splitlines() == [f'{key}="{labels[key]}"' for key in sorted(labels)]
    assert 'example.com/team="a \\"b\\"\\nc"' in files["annotations"]
    assert {key: files[key] for key in ("pod-name", "pod-namespace", "pod-uid", "label", "annotation")} == {
        "pod-name": "everything",
        "pod-namespace": seen.namespace,
        "pod-uid": tree["metadata"]["uid"],
        "label": "web",
        "annotation": 'a "b"\nc',
    }
    assert {key for key in files if key.startswith("containers/main/")} == {
        f"containers/main/{what}-{side}"
        for what in ("cpu", "memory", "ephemeral-storage", "hugepages")
        for side in ("request", "limit")
    }
    assert (files["containers/main/cpu-limit"], files["containers/setup/memory-limit"]) == ("2", "26")
    # No limit: the node's allocatable, as the warning at admission says.
    allocatable = json.loads(node.kubectl("get", "node", tree["spec"]["nodeName"], "-o", "json").stdout)
    cores = int(allocatable["status"]["allocatable"]["cpu"])
    assert files["containers/bare/cpu-limit"] == seen.env("bare")["CPU_LIMIT"] == str(cores)
    # A sidecar too. Its variable would be 0 if it named its container (kubelet_resources.go): ours does not.
    assert files["containers/quiet/cpu-limit"] == seen.env("quiet")["CPU_LIMIT"] == str(cores)


def test_the_authors_variables_may_use_ours(pod: Any) -> None:
    seen = pod(
        {
            "metadata": {"name": "uses", "labels": {"podfacts.dev/inject": "true"}},
            "spec": {
                "containers": [
                    container(
                        "main",
                        env=[{"name": "HELLO", "value": "I am $(POD_NAME) in $(POD_NAMESPACE)"}],
                        command=["sh", "-c", "echo started as $(POD_NAME); exec sleep 9999999"],
                    )
                ]
            },
        }
    )
    assert seen.env("main")["HELLO"] == f"I am uses in {seen.namespace}"
    assert seen.log("main") == "started as uses\n"


@pytest.mark.fault("T36")
def test_the_author_wins_in_the_container(pod: Any) -> None:
    seen = pod(
        {
            "metadata": {"name": "wins", "labels": {"podfacts.dev/inject": "true"}},
            "spec": {
                "containers": [
                    container(
                        "main",
                        env=[{"name": "POD_NAME", "value": "mine"}, {"name": "B", "value": "$(POD_NAME)"}],
                        volumeMounts=[{"name": "own", "mountPath": "/etc/downward"}],
                    )
                ],
                "volumes": [{"name": "own", "emptyDir": {}}],
            },
        }
    )
    env = seen.env("main")
    assert (env["POD_NAME"], env["B"]) == ("mine", "mine")
    assert env["NODE_NAME"] == seen.tree()["spec"]["nodeName"]
    assert seen.files("main", "/etc/downward") == {}


@pytest.mark.fault("T25", "T39")
def test_a_mount_inside_a_read_only_mount_would_not_start_and_so_is_not_made(
    pod: Any, api: Api, namespaces: dict[str, str]
) -> None:
    settings = {"metadata": {"name": "settings"}, "data": {"hosts": "x"}}
    api.create(f"/api/v1/namespaces/{namespaces['hooked']}/configmaps", settings)
    seen = pod(
        {
            "metadata": {
                "name": "inside",
                "labels": {"podfacts.dev/inject": "true"},
                "annotations": {"podfacts.dev/mount-path": "/data/facts"},
            },
            "spec": {
                "containers": [container("main", volumeMounts=[{"name": "data", "mountPath": "/data"}])],
                "volumes": [{"name": "data", "configMap": {"name": "settings"}}],
            },
        }
    )
    record = json.loads(seen.tree()["metadata"]["annotations"]["podfacts.dev/injected"])
    assert record["kept"] == ["main: the author mounts /data, so nothing is mounted at /data/facts"]
    assert seen.env("main")["POD_NAME"] == "inside"


def test_a_changed_label_reaches_the_file_and_not_thevariables(pod: Any, api: Api) -> None:
    seen = pod(
        {
            "metadata": {
                "name": "follows",
                "labels": {"podfacts.dev/inject": "app-both", "app.kubernetes.io/name": "before"},
            },
            "spec": {"containers": [container("main")]},
        }
    )
    assert seen.files("main", "/etc/facts") == {"app": "before", "team": ""}
    patch = {
        "metadata": {
            "labels": {"app.kubernetes.io/name": "after"},
            "annotations": {"Example.com/Team": "new"},
        }
    }
    assert api.call("PATCH", seen.path, patch).status == 200
    wait_for(lambda: seen.files("main", "/etc/facts") == {"app": "after", "team": "new"}, 30)
    assert (seen.env("main")["APP"], seen.env("main")["TEAM"]) == ("before", "")


@pytest.mark.fault("T39")
def test_a_restricted_namespace_takes_the_injected_pod(
    pod: Any, api: Api, namespaces: dict[str, str]
) -> None:
    path = f"/api/v1/namespaces/{namespaces['hooked']}"
    enforce = {"pod-security.kubernetes.io/enforce": "restricted"}
    api.call("PATCH", path, {"metadata": {"labels": enforce}})
    restricted = {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
    }
    try:
        seen = pod(
            {
                "metadata": {"name": "restricted", "labels": {"podfacts.dev/inject": "true"}},
                "spec": {
                    "securityContext": {
                        "runAsNonRoot": True,
                        "runAsUser": 1000,
                        "seccompProfile": {"type": "RuntimeDefault"},
                    },
                    "containers": [container("main", securityContext=restricted)],
                },
            }
        )
        assert seen.exec("main", "cat", "/etc/downward/pod-name") == "restricted"
    finally:
        api.call("PATCH", path, {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": None}}})


def test_only_the_chosen_container(pod: Any) -> None:
    seen = pod(
        {
            "metadata": {
                "name": "chosen",
                "labels": {"podfacts.dev/inject": "true"},
                "annotations": {
                    "podfacts.dev/skip-containers": "side",
                    "podfacts.dev/mount-path": "/run/facts",
                },
            },
            "spec": {"containers": [container("main"), container("side")]},
        }
    )
    assert "POD_UID" in seen.env("main")
    assert "POD_UID" not in seen.env("side")
    assert seen.exec("main", "cat", "/run/facts/pod-name") == "chosen"
    assert seen.exec("side", "sh", "-c", "test -e /run/facts || echo absent") == "absent\n"
