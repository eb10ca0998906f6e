"""What the API server makes of our answers: to random pods, to the largest ones, and to the same one again."""

import copy
import os
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from podfacts.core.injection import inject
from podfacts.core.patch import apply
from podfacts.core.refusal import Refused
from tests.case import PROFILES
from tests.cluster import Cluster
from tests.core.test_properties import within, without_record
from tests.e2e.api import Api, Said
from tests.e2e.conftest import wait_for
from tests.faults.door import Door, door, plain
from tests.faults.webhook import POD, Webhook, running
from tests.pods import automounted, pods

pytestmark = pytest.mark.api

NAMES = ("true", "everything", "app-both", "labels-file", "cpu-limit-both", "vault", "proxied")
PODS = st.one_of(pods(NAMES), pods(NAMES), automounted(NAMES))
TAKEN: list[bool] = []


@pytest.fixture(scope="module")
def process(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Webhook]:
    with running(tmp_path_factory.mktemp("reviews") / "webhook", name=cluster.node_ip) as webhook:
        yield webhook


@pytest.fixture(scope="module")
def opened(cluster: Cluster, api: Api, process: Webhook) -> Iterator[Door]:
    url = f"https://{cluster.node_ip}:{process.port}/mutate"
    with door(api, "reviews", url, process.authority.certificate_pem) as found:
        yield found


@pytest.fixture(scope="module")
def unasked(api: Api) -> Iterator[str]:
    """The path of pods in a namespace about which nobody is asked."""
    name = f"unasked-{os.getpid()}"
    path = f"/api/v1/namespaces/{name}"
    api.create("/api/v1/namespaces", {"metadata": {"name": name}})
    wait_for(lambda: api.call("GET", f"{path}/serviceaccounts/default").status == 200)
    yield f"{path}/pods"
    api.call("DELETE", path)


def essence(pod: dict[str, Any]) -> dict[str, Any]:
    """The pod without what the API server makes up for each one anew, the token's volume among it.

    Nor its quality of service: a sidecar with requests makes a pod burstable that had none.
    """
    pod = copy.deepcopy(pod)
    del pod["status"]
    for key in ("uid", "resourceVersion", "creationTimestamp", "managedFields"):
        pod["metadata"].pop(key, None)
    spec = pod["spec"]
    made = [each["name"] for each in spec.get("volumes", []) if each["name"].startswith("kube-api-access-")]
    spec["volumes"] = [each for each in spec.get("volumes", []) if each["name"] not in made]
    for container in (*spec["containers"], *spec.get("initContainers", [])):
        mounts = container.get("volumeMounts", [])
        container["volumeMounts"] = [each for each in mounts if each["name"] not in made]
    return pod


def taken_alike(api: Api, path: str, pod: dict[str, Any]) -> None:
    """Our patch is taken if the pod itself is; what it does not touch stays; and twice is once."""
    dry = partial(api.call, "POST", path, dryRun="All")
    bare = dry(pod)
    # As a webhook gets it: with Kubernetes' defaults, and behind the plugin that mounts the token.
    seen = bare.body if bare.status == 201 else pod
    try:
        answer = dry(apply(seen, inject(seen, PROFILES).patch))
    except Refused:
        return
    TAKEN.append(bare.status == 201)
    assert (answer.status == 201) == (bare.status == 201), (bare.body, answer.body)
    if bare.status != 201:
        return
    replaced = frozenset(pod["metadata"].get("annotations", {}).get("podfacts.dev/overwrite", "").split(","))
    before, after = without_record(essence(seen)), essence(answer.body)
    automount = before["spec"].pop("automountServiceAccountToken", None)
    assert after["spec"].get("automountServiceAccountToken", automount) in (automount, False)
    assert within(before, after, replaced)
    assert inject(answer.body, PROFILES).patch == ()


RANDOM = settings(
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.mark.fault("T25")
@settings(RANDOM, max_examples=500)
@given(pod=PODS)
def test_the_api_server_takes_our_patch_of_500_pods_just_where_it_takes_the_pod(
    pod: dict[str, Any], api: Api, unasked: str
) -> None:
    taken_alike(api, unasked, pod)


@pytest.mark.fault("T25")
def test_enough_of_the_random_pods_were_taken() -> None:
    """Or the test above would say nothing."""
    assert sum(TAKEN) > len(TAKEN) / 4
    assert len(TAKEN) > 300


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.fault("T25")
@settings(RANDOM, max_examples=5000)
@given(pod=PODS)
def test_the_api_server_takes_our_patch_of_5000_pods_just_where_it_takes_the_pod(
    pod: dict[str, Any], api: Api, unasked: str
) -> None:
    taken_alike(api, unasked, pod)


def large(size: int, label: str) -> dict[str, Any]:
    """A pod with so many bytes in its variables."""
    pod = copy.deepcopy(POD)
    pod["metadata"]["labels"]["podfacts.dev/inject"] = label
    pod["spec"]["nodeName"] = "nowhere"  # No scheduler looks at it.
    whole, rest = divmod(size, 100_000)
    lengths = [100_000] * whole + [rest]
    pod["spec"]["containers"][0]["env"] = [
        {"name": f"V{number}", "value": "x" * length} for number, length in enumerate(lengths)
    ]
    return pod


def written(door: Door, pod: dict[str, Any]) -> Said:
    """What comes of it, not by dry run; and it goes again."""
    said = door.create(pod, fieldManager="tests")
    if said.status == 201:
        path = f"/api/v1/namespaces/{door.namespace('Fail')}/pods/{said.body['metadata']['name']}"
        door.api.call("DELETE", path, gracePeriodSeconds="0")
    return said


@pytest.mark.fault("T21")
def test_a_pod_of_1_4_mib_is_stored_with_its_facts(opened: Door) -> None:
    said = written(opened, large(1400 * 1024, "true"))
    assert said.status == 201, said.body
    assert "podfacts.dev/injected" in said.body["metadata"]["annotations"]


@pytest.mark.fault("T22")
def test_the_largest_pod_that_can_be_stored_is_refused_with_a_warning_that_says_why(opened: Door) -> None:
    fits, too_large = 1400 * 1024, 1600 * 1024
    while too_large - fits > 200:  # Our facts take more than that.
        middle = (fits + too_large) // 2
        if written(opened, large(middle, "false")).status == 201:
            fits = middle
        else:
            too_large = middle
    said = written(opened, large(fits, "true"))
    assert (said.status, said.body["message"]) == (500, "etcdserver: request is too large")
    [ours] = [each for each in said.warnings if "KiB" in each]
    assert ours.endswith("more than the 1.5 MiB that Kubernetes stores; if it is refused, make it smaller")


@pytest.mark.fault("T42")
def test_a_dry_run_leaves_nothing_and_gets_what_a_real_one_gets(opened: Door) -> None:
    dry = opened.create(plain("same"))
    pods = f"/api/v1/namespaces/{opened.namespace('Fail')}/pods"
    assert opened.api.call("GET", f"{pods}/same").status == 404
    real = opened.create(plain("same"), fieldManager="tests")
    opened.api.call("DELETE", f"{pods}/same", gracePeriodSeconds="0")
    assert (dry.status, real.status) == (201, 201)
    assert essence(dry.body) == essence(real.body)
    assert dry.warnings == real.warnings
