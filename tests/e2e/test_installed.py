"""What deploy/install.yaml installs, from nothing to nothing: its rights, whom it touches and whom not, and its end."""

import json
import time
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

import pytest

from tests.e2e.conftest import wait_for
from tests.e2e.install import (
    COMPONENTS,
    DEPLOYED,
    MANIFEST,
    SYSTEM,
    Installed,
    namespaced,
    seconds,
)
from tests.e2e.install_facts import FACT, PROFILE, SHOW_NODE, accepted, complete, of_kind, profile_file
from tests.e2e.install_load import injected, opted_in
from tests.e2e.install_rights import Call, asked, granted, may, odd, rules

pytestmark = [
    pytest.mark.node,
    pytest.mark.timeout(1800),
]  # Some wait for kubelets and restarts, one after another.

SHOW = ["sh", "-c", "env; cat /etc/downward/pod-name; echo; [ -z $STAYS ] || exec sleep 999999"]


@pytest.fixture(scope="module")
def namespace(here: Installed) -> Iterator[str]:
    with namespaced(here.api) as name:
        yield name


# -- from nothing ----------------------------------------------------------------------------------------------------


def test_it_installs_from_nothing(here: Installed) -> None:
    # Seven seconds, when nothing else runs on the two cores.
    assert here.ready_after < 60
    assert here.restarts() == 0
    assert [len(here.pods(component)) for component in DEPLOYED] == [2, 1, 2]
    assert set(here.secret()) == {"ca.crt", "ca.key"}
    assert here.bundle() == here.secret()["ca.crt"]


def test_each_identity_may_what_rbac_says_and_nothing_else(here: Installed) -> None:
    everybody = granted(here, "default:default")
    for component in COMPONENTS:
        found = granted(here, f"{SYSTEM}:podfacts-{component}")
        assert found - everybody == rules(component)
        assert everybody <= found


VERBS = ("get", "list", "watch", "create", "update", "patch", "delete", "deletecollection")
PODS = (
    "pods",
    "pods/status",
    "pods/exec",
    "pods/binding",
    "pods/ephemeralcontainers",
    "pods/log",
    "pods/eviction",
)


def test_what_nobody_of_ours_may(here: Installed) -> None:
    hooks = "mutatingwebhookconfigurations"
    admission = "admissionregistration.k8s.io"
    rbac = "rbac.authorization.k8s.io"
    refused: list[Call] = [
        ("create", "", "secrets", ""),
        ("list", "", "secrets", ""),
        ("watch", "", "secrets", "podfacts-ca"),
        ("delete", "", "secrets", "podfacts-ca"),
        ("get", "", "secrets", "another"),
        ("create", admission, hooks, ""),
        ("patch", admission, hooks, "another"),
        ("update", admission, hooks, "podfacts"),
        ("delete", admission, hooks, "podfacts"),
        ("patch", admission, "validatingwebhookconfigurations", "podfacts"),
        ("create", "coordination.k8s.io", "leases", ""),
        ("create", "", "serviceaccounts/token", "podfacts-controller"),
        ("bind", rbac, "clusterroles", "cluster-admin"),
        ("escalate", rbac, "roles", "podfacts-controller"),
        ("impersonate", "", "users", "admin"),
        *((verb, "", resource, "") for verb in VERBS for resource in PODS),
    ]
    given = {
        ("controller", "list", "pods"),
        ("controller", "watch", "pods"),
        ("controller", "patch", "pods/status"),
    }
    for component in COMPONENTS:
        asked = [call for call in refused if (component, call[0], call[2]) not in given]
        assert [call for call in asked if may(here, component, call)] == []
    # The very rights are for our namespace's objects only, and the question can be answered with yes.
    secret = ("get", "", "secrets", "podfacts-ca")
    answers = [may(here, "controller", secret, namespace) for namespace in (SYSTEM, "default", "kube-system")]
    assert answers == [True, False, False]


def test_applying_it_again_changes_nothing(here: Installed) -> None:
    # The Lease is renewed by the leader every two seconds.
    kinds = (
        "all,secrets,serviceaccounts,roles,rolebindings,poddisruptionbudgets,networkpolicies,resourcequotas"
    )

    def state() -> dict[str, str]:
        trees = [
            *json.loads(here.kubectl("get", kinds, "-n", SYSTEM, "-o", "json"))["items"],
            *json.loads(here.kubectl("get", *sorted(here.cluster_wide()), "-o", "json"))["items"],
        ]
        return {
            f"{tree['kind']}/{tree['metadata']['name']}": tree["metadata"]["resourceVersion"]
            for tree in trees
        }

    before = state()
    assert {
        "Secret/podfacts-ca",
        "MutatingWebhookConfiguration/podfacts",
        "ClusterRole/podfacts-controller",
    } <= set(before)
    said = here.apply()
    assert state() == before
    assert here.trusts()
    # kubectl says `configured` of every PodDisruptionBudget, though it changes nothing: its selector has the patch
    # strategy `replace`, so that the patch is never empty.
    assert [line for line in said if not line.endswith(" unchanged")] == [
        f"poddisruptionbudget.policy/podfacts-{component} configured"
        for component in ("controller", "webhook")
    ]


# -- whom it touches -------------------------------------------------------------------------------------------------

RESTRICTED = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "runAsNonRoot": True,
    "runAsUser": 1000,
    "seccompProfile": {"type": "RuntimeDefault"},
}


@pytest.mark.fault("T4")
def test_who_is_left_alone(here: Installed, namespace: str) -> None:
    """Not even asked for, by the replicas' own counters."""

    def create(where: str, labels: dict[str, str]) -> dict[str, Any]:
        pod = opted_in("alone")
        pod["metadata"]["labels"] = labels
        pod["spec"]["containers"][0]["securityContext"] = RESTRICTED  # Our own namespace wants that.
        return here.api.create(f"/api/v1/namespaces/{where}/pods", pod, dryRun="All")

    label = {"podfacts.dev/inject": "true"}
    before = here.asked()
    for where in ("kube-system", "kube-node-lease", SYSTEM):
        assert not injected(create(where, label))
    for labels in ({}, {"podfacts.dev/inject": "false"}):
        assert not injected(create(namespace, labels))
    assert here.asked() == before
    assert injected(create(namespace, label))
    assert here.asked() == before + 1


KINDS = ("Deployment", "StatefulSet", "DaemonSet", "Job")


def workload(kind: str) -> dict[str, Any]:
    """Return a workload whose pods have nothing but the label."""
    name = kind.lower()
    labels = {"app": name, "podfacts.dev/inject": "true"}
    stays = {"name": "STAYS", "value": "" if kind == "Job" else "yes"}
    one = {
        "image": "busybox:stable",
        "command": SHOW,
        "env": [stays],
        "resources": {"requests": {"cpu": "5m", "memory": "2Mi"}, "limits": {"cpu": "1", "memory": "24Mi"}},
    }
    spec: dict[str, Any] = {
        "terminationGracePeriodSeconds": 0,
        "containers": [{"name": "main", **one}, {"name": "side", **one}],
    }
    outer: dict[str, Any] = {"selector": {"matchLabels": {"app": name}}}
    if kind == "Job":
        outer = {}
        spec["restartPolicy"] = "Never"
    if kind == "StatefulSet":
        outer["serviceName"] = name
    group = "batch/v1" if kind == "Job" else "apps/v1"
    template = {"metadata": {"labels": labels}, "spec": spec}
    return {
        "apiVersion": group,
        "kind": kind,
        "metadata": {"name": name},
        "spec": {**outer, "template": template},
    }


@pytest.fixture(scope="module")
def workloads(here: Installed, namespace: str) -> dict[str, dict[str, Any]]:
    """The pod of each workload, when it runs or has run."""
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": [workload(kind) for kind in KINDS]})
    here.cluster.kubectl("apply", "-n", namespace, "-f", "-", stdin=text)
    path = f"/api/v1/namespaces/{namespace}/pods"

    def pod(kind: str) -> dict[str, Any] | None:
        found = here.api.call("GET", path, labelSelector=f"app={kind.lower()}").body["items"]
        return found[0] if found and found[0]["status"]["phase"] in ("Running", "Succeeded") else None

    return {kind: wait_for(lambda kind=kind: pod(kind)) for kind in KINDS}


@pytest.mark.parametrize("kind", KINDS)
def test_the_pods_of_a_workload(here: Installed, namespace: str, workloads: Any, kind: str) -> None:
    pod = workloads[kind]
    name = pod["metadata"]["name"]
    # A pod from a template has no name yet when it is admitted, but for the StatefulSet's.
    assert "generateName" in pod["metadata"]
    assert name.startswith(f"{kind.lower()}-")
    assert injected(pod)
    for container in ("main", "side"):
        words = ("logs", "-n", namespace, name, "-c", container)
        lines = wait_for(lambda words=words: here.kubectl(*words)).splitlines()
        expected = {
            f"POD_NAME={name}",
            f"POD_UID={pod['metadata']['uid']}",
            "CONTAINER_CPU_LIMIT_MILLICORES=1000",
        }
        assert expected <= set(lines)
        assert lines[-1] == name


# -- what only the cluster knows ----------------------------------------------------------------------------------


def test_node_owner_namespace_and_image_reach_a_pod(here: Installed, namespace: str) -> None:
    """The whole product at once: Profile, binding, first line, runtime facts, status, and whom it missed."""
    path = f"/api/v1/namespaces/{namespace}"
    here.api.call(
        "PATCH",
        path,
        {"metadata": {"labels": {"podfacts.dev/node-facts": "enabled", "example.com/team": "blue"}}},
    )
    here.kubectl("apply", "-f", str(profile_file(here.folder)))
    wait_for(lambda: accepted(here, PROFILE))
    trees = [of_kind(kind, PROFILE, SHOW_NODE) for kind in ("Deployment", "Job")]
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": trees})
    here.cluster.kubectl("apply", "-n", namespace, "-f", "-", stdin=text)
    for kind, owner in (("deployment", "Deployment facts-deployment"), ("job", "Job facts-job")):
        pod = wait_for(lambda kind=kind: complete(here, namespace, f"facts-{kind}"))
        facts = pod["metadata"]["annotations"]
        assert f"{facts[FACT + 'owner-kind']} {facts[FACT + 'owner-name']}" == owner
        assert facts[f"{FACT}team"] == "blue"
        assert facts[f"{FACT}image.main"].startswith("sha256:")
        said = wait_for(lambda pod=pod: here.kubectl("logs", "-n", namespace, pod["metadata"]["name"]))
        [node] = here.api.call("GET", "/api/v1/nodes").body["items"]
        assert said.splitlines()[0] == f"{node['status']['nodeInfo']['kernelVersion']} {namespace}"


def test_a_pod_that_was_labelled_too_late_is_told_of(here: Installed, namespace: str) -> None:
    path = f"/api/v1/namespaces/{namespace}/pods"
    tree = opted_in("late")
    tree["metadata"]["labels"] = {}
    here.api.create(path, tree)
    time.sleep(2)
    here.kubectl("label", "pod", "late", "-n", namespace, "podfacts.dev/inject=true")
    query = {"fieldSelector": "involvedObject.name=late,reason=FactsMissed"}
    events = wait_for(
        lambda: here.api.call("GET", f"/api/v1/namespaces/{namespace}/events", **query).body["items"]
    )
    assert [each["type"] for each in events] == ["Warning"]
    here.api.call("DELETE", f"{path}/late", gracePeriodSeconds="0")


# -- how big a pod may be --------------------------------------------------------------------------------------------


def big(name: str, size: int, label: str = "true") -> dict[str, Any]:
    """Return a pod of that size, for no node. Annotations may hold 256 KiB at most, so its env is big."""
    pod = opted_in(name, nodeSelector={"podfacts.test/node": "none"})
    pod["metadata"]["labels"]["podfacts.dev/inject"] = label
    pod["spec"]["containers"][0]["env"] = [
        {"name": f"BIG_{index}", "value": "x" * (size // 4)} for index in range(4)
    ]
    return pod


@pytest.mark.fault("T21")
def test_a_big_pod_is_injected(here: Installed, namespace: str) -> None:
    path = f"/api/v1/namespaces/{namespace}/pods"
    made = here.api.create(path, big("big", 1_360_000))
    here.api.call("DELETE", f"{path}/big", gracePeriodSeconds="0")
    assert injected(made)
    # Nobody stores a dry run, so here the API server's own limit is the next: 3 MiB of JSON.
    assert injected(here.api.create(path, big("bigger", 2_900_000), dryRun="All"))


@pytest.mark.fault("T22")
def test_what_etcd_does_not_take_is_refused_at_once(here: Installed, namespace: str) -> None:
    """1.5 MiB. A pod that fits without its facts and not with them is refused like any other that is too big."""
    path = f"/api/v1/namespaces/{namespace}/pods"
    just = 1_571_200
    here.api.create(path, big("just", just, "false"))
    assert here.api.call("DELETE", f"{path}/just", gracePeriodSeconds="0").status == HTTPStatus.OK
    for size in (just, 1_900_000):
        start = time.monotonic()
        said = here.api.call("POST", path, big("over", size))
        assert (
            said.status == HTTPStatus.INTERNAL_SERVER_ERROR
        )  # The API server's own, with our webhook or without.
        assert said.body["message"] == "etcdserver: request is too large"
        assert time.monotonic() - start < 3


# -- what it left behind ---------------------------------------------------------------------------------------------


def test_the_logs_are_json_and_hold_no_key_and_no_error(here: Installed) -> None:
    lines = here.lines.read()
    assert len(lines) == 5
    assert min(map(len, lines.values())) > 0
    assert here.lines.keys()
    assert here.lines.unfit() == []


@pytest.mark.fault("T40")
def test_the_api_server_was_asked_for_what_rbac_says_and_nothing_else(here: Installed) -> None:
    for component in COMPONENTS:
        # None that is not used, either.
        assert asked(here, component) == rules(component)
        assert odd(here, component) == []


@pytest.mark.fault("T6")
def test_the_end_in_the_order_of_the_readme(here: Installed, namespace: str, workloads: Any) -> None:
    path = f"/api/v1/namespaces/{namespace}/pods"
    here.kubectl("delete", "mutatingwebhookconfiguration", "podfacts")
    # This is the rescue as well: from now on nobody is asked.
    assert seconds(lambda: not injected(here.api.create(path, opted_in("asks"), dryRun="All")), 5) < 5
    here.kubectl("delete", "-f", str(MANIFEST), "--ignore-not-found")
    assert here.cluster_wide() - here.before == set()
    assert here.kubectl("get", "namespaces", "-o", "name").split().count(f"namespace/{SYSTEM}") == 0
    here.api.create(path, opted_in("afterwards"))
    for kind in KINDS[:3]:
        name = workloads[kind]["metadata"]["name"]
        now = here.api.call("GET", f"{path}/{name}").body
        assert now["metadata"]["uid"] == workloads[kind]["metadata"]["uid"]
        assert [each["restartCount"] for each in now["status"]["containerStatuses"]] == [0, 0]
        assert (
            here.kubectl("exec", "-n", namespace, name, "-c", "main", "--", "cat", "/etc/downward/pod-name")
            == name
        )
    assert here.lines.unfit(errors=True) == []
