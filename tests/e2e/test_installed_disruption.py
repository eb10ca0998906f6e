"""What opted-in pods notice while replicas of the installed webhook come and go: nothing, as long as one is there.

A replica that dies or hangs is in tests/faults/test_installed_faults.py, for what it takes along is asked again. Where nobody is
left the pod is refused, and the controllers of Deployments and the like try again by themselves.
"""

import json
import time
from collections.abc import Iterator
from http import HTTPStatus

import pytest

from tests.e2e.api import Said
from tests.e2e.conftest import REPOSITORY, wait_for
from tests.e2e.install import (
    COMPONENTS,
    CONFIGURATION,
    MANIFEST,
    SYSTEM,
    Installed,
    Tree,
    namespaced,
    seconds,
)
from tests.e2e.install_load import Admissions, injected, not_injected, opted_in
from tests.e2e.install_replicas import SPARE, busiest, ready, settled
from tests.e2e.install_rights import asked, odd, rules

pytestmark = [
    pytest.mark.node,
    pytest.mark.timeout(1800),
]  # Some wait for kubelets and restarts, one after another.

DEPLOYMENT = "deployment/podfacts-webhook"
SPARE_DEPLOYMENT = f"deployment/podfacts-{SPARE}"
LAST = 'failed calling webhook "pods-again.podfacts.dev"'


@pytest.fixture(scope="module")
def namespace(here: Installed) -> Iterator[str]:
    with namespaced(here.api, "-disruption") as name:
        yield name


@pytest.fixture(scope="module", autouse=True)
def cron_job(here: Installed, namespace: str) -> None:
    """A job every minute, from the beginning: whatever is done to the webhook, its pods are to know their facts."""
    main = {"name": "main", "image": "busybox:stable", "command": ["sh", "-c", "env"]}
    template = {
        "metadata": {"labels": {"podfacts.dev/inject": "true"}},
        "spec": {"restartPolicy": "Never", "containers": [main]},
    }
    tree = {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"name": "minutely"},
        "spec": {"schedule": "* * * * *", "jobTemplate": {"spec": {"template": template}}},
    }
    here.cluster.kubectl("apply", "-n", namespace, "-f", "-", stdin=json.dumps(tree))


# -- in order --------------------------------------------------------------------------------------------------------


@pytest.mark.fault("T7", "T8")
def test_a_rolling_update_refuses_nobody(here: Installed, namespace: str) -> None:
    before = {pod["metadata"]["name"] for pod in here.pods("webhook")}
    with Admissions(here.cluster, namespace) as load:
        for _ in range(2):
            here.kubectl("rollout", "restart", DEPLOYMENT, "-n", SYSTEM)
            here.kubectl("rollout", "status", DEPLOYMENT, "-n", SYSTEM, "--timeout=120s")
        wait_for(lambda: settled(here))
    assert not before & {pod["metadata"]["name"] for pod in here.pods("webhook")}
    assert load.failed == []
    assert load.admitted > 100


def evict(here: Installed, name: str) -> Said:
    """Ask for a pod's eviction, as a drained node does."""
    path = f"/api/v1/namespaces/{SYSTEM}/pods/{name}"
    return here.api.call("POST", f"{path}/eviction", {"metadata": {"name": name}})


@pytest.mark.fault("T7", "T8")
def test_a_drain_refuses_nobody(here: Installed, namespace: str) -> None:
    """Both replicas are evicted, one after the other as the disruption budget lets them go."""
    first, second = (pod["metadata"]["name"] for pod in ready(here))
    with Admissions(here.cluster, namespace) as load:
        assert evict(here, first).status == HTTPStatus.CREATED
        refused = evict(here, second)
        assert refused.status == HTTPStatus.TOO_MANY_REQUESTS
        assert "disruption budget" in refused.body["message"]
        wait_for(lambda: evict(here, second).status == HTTPStatus.CREATED, every=1)
        wait_for(lambda: settled(here))
    assert not {first, second} & {pod["metadata"]["name"] for pod in here.pods("webhook")}
    assert load.failed == []
    assert load.admitted > 100


# -- by force --------------------------------------------------------------------------------------------------------


@pytest.mark.fault("T8")
def test_a_replica_that_is_deleted_by_force_refuses_nobody(here: Installed, namespace: str) -> None:
    """The object goes at once, and the address with it; the kubelet still lets the process end in two seconds."""
    with Admissions(here.cluster, namespace) as load:
        gone = busiest(here)["metadata"]["name"]
        here.kubectl("delete", "pod", gone, "-n", SYSTEM, "--force", "--grace-period=0")
        wait_for(lambda: settled(here))
        time.sleep(1)
    assert load.failed == []
    assert load.admitted > 50


def test_the_pods_of_a_cron_job(here: Installed, namespace: str) -> None:
    """Made while all this went on, by the CronJob's own controller."""
    path = f"/api/v1/namespaces/{namespace}/pods"
    pods = wait_for(lambda: here.api.call("GET", path, labelSelector="job-name").body["items"], 75)
    assert all(map(injected, pods))
    name = pods[0]["metadata"]["name"]
    assert name.startswith("minutely-")
    words = ("logs", "-n", namespace, name)  # Refused until its container has started.
    wait_for(lambda: f"POD_NAME={name}" in here.cluster.kubectl(*words, check=False).stdout.splitlines(), 20)
    here.kubectl("delete", "cronjob", "minutely", "-n", namespace)


# -- nobody there ----------------------------------------------------------------------------------------------------


def alone(here: Installed) -> None:
    """Take all replicas away, and the spare."""
    here.kubectl("scale", DEPLOYMENT, SPARE_DEPLOYMENT, "-n", SYSTEM, "--replicas=0")
    wait_for(lambda: not here.pods("webhook") and not here.pods(SPARE))


def plain(name: str) -> Tree:
    """Return a pod that did not ask for anything."""
    pod = opted_in(name)
    del pod["metadata"]["labels"]
    return pod


@pytest.mark.fault("T2", "T3")
def test_without_a_replica_only_opted_in_pods_wait(here: Installed, namespace: str) -> None:
    path = f"/api/v1/namespaces/{namespace}/pods"
    alone(here)
    refused = here.api.call("POST", path, opted_in("asks"))
    assert refused.status == HTTPStatus.INTERNAL_SERVER_ERROR
    assert LAST in refused.body["message"]
    here.api.create(path, plain("asks-for-nothing"))
    words = (
        "create",
        "deployment",
        "waits",
        "-n",
        namespace,
        "--image=busybox:stable",
        "--dry-run=client",
        "-o=json",
    )
    tree = json.loads(here.kubectl(*words, "--", "sleep", "999999"))
    tree["spec"]["template"]["metadata"]["labels"]["podfacts.dev/inject"] = "true"
    here.cluster.kubectl("apply", "-n", namespace, "-f", "-", stdin=json.dumps(tree))
    wait_for(lambda: "FailedCreate" in here.kubectl("get", "events", "-n", namespace))
    # Our own pods need nobody's leave, least of all their own.
    start = time.monotonic()
    here.kubectl("scale", DEPLOYMENT, "-n", SYSTEM, "--replicas=2")
    here.kubectl("scale", SPARE_DEPLOYMENT, "-n", SYSTEM, "--replicas=1")
    wait_for(lambda: not not_injected(here.api, path), 60)
    assert time.monotonic() - start < 30
    # And what waited goes on by itself.
    (pod,) = wait_for(lambda: here.api.call("GET", path, labelSelector="app=waits").body["items"], 60)
    assert injected(pod)
    wait_for(lambda: settled(here))


@pytest.mark.fault("T1")
def test_the_overlay_ignore_lets_pods_in_without_facts(here: Installed, namespace: str) -> None:
    path = f"/api/v1/namespaces/{namespace}/pods"
    said = here.kubectl("apply", "-k", str(REPOSITORY / "deploy/overlays/ignore")).splitlines()
    changed = [line for line in said if not line.endswith(" unchanged") and "poddisruptionbudget" not in line]
    assert changed == ["mutatingwebhookconfiguration.admissionregistration.k8s.io/podfacts configured"]
    assert here.trusts()  # The caBundle is not lost by it.
    assert not not_injected(here.api, path)
    alone(here)
    pod = wait_for(lambda: here.api.call("POST", path, opted_in("bare"), dryRun="All"))
    assert pod.status == HTTPStatus.CREATED
    assert not injected(pod.body)
    # Back again: the manifest brings the replicas and the policy.
    assert [line.split()[0] for line in here.apply() if line.endswith(" configured")] == [
        "poddisruptionbudget.policy/podfacts-controller",
        "deployment.apps/podfacts-webhook",
        "poddisruptionbudget.policy/podfacts-webhook",
        "deployment.apps/podfacts-webhook-spare",
        "mutatingwebhookconfiguration.admissionregistration.k8s.io/podfacts",
    ]
    here.wait_available()
    wait_for(lambda: not not_injected(here.api, path))


# -- the end ---------------------------------------------------------------------------------------------------------


def test_the_logs_are_json_and_hold_no_key_and_no_error(here: Installed) -> None:
    lines = here.lines.read()
    assert len(lines) > 10  # Each replica that has been, once for each time it was started.
    assert here.lines.keys()
    assert here.lines.unfit() == []


def test_the_api_server_was_asked_for_nothing_that_rbac_does_not_say(here: Installed) -> None:
    for component in COMPONENTS:
        assert asked(here, component) <= rules(component)
        assert odd(here, component) == []


@pytest.mark.fault("T6")
def test_the_end_with_the_namespace_first(here: Installed, namespace: str) -> None:
    """Who deletes the namespace and nothing else has a cluster that creates every pod: the configuration is the namespace's."""
    path = f"/api/v1/namespaces/{namespace}/pods"
    here.kubectl("delete", "namespace", SYSTEM, "--wait=false")

    def gone() -> bool:
        here.api.create(path, plain("asks-nobody"), dryRun="All")
        return here.api.call("GET", f"/api/v1/namespaces/{SYSTEM}").status == HTTPStatus.NOT_FOUND

    wait_for(gone, 90, 0.5)
    assert (
        seconds(lambda: here.api.call("POST", path, opted_in("asks")).status == HTTPStatus.CREATED, 20) < 10
    )
    assert here.api.call("GET", CONFIGURATION).status == HTTPStatus.NOT_FOUND
    here.kubectl("delete", "--ignore-not-found", "-f", str(MANIFEST))
    assert here.cluster_wide() - here.before == set()
    assert here.lines.unfit(errors=True) == []
