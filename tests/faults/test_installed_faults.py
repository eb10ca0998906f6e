"""What can be done to an installation in a minute: many pods at once, a replica lost or frozen, the spare alone, nobody there.

Where nobody is there both replicas and the spare are killed, and the kubelet is held so that it neither starts them again nor
tells anybody: for as long as that lasts the Services lead to addresses where nobody listens, as when machines have just lost
their processes. Where one replica is lost with requests in flight, the spare is asked again.
"""

import contextlib
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import REPOSITORY, wait_for
from tests.e2e.install import SYSTEM, Installed, leaf, namespaced, seconds
from tests.e2e.install_load import Admissions, not_injected
from tests.e2e.install_replicas import SPARE, busiest, process, processes, ready, renewed, settled, spare
from tests.faults.bursts import both, burst, waiting
from tests.faults.cluster_parts import Part, failed_open

pytestmark = [pytest.mark.node, pytest.mark.timeout(600)]

WEBHOOK, AGAIN = "pods.podfacts.dev", "pods-again.podfacts.dev"
TIMEOUT = 3  # Seconds, of both entries as installed.


class Many(Admissions):
    """Opted-in pods, more at once than a kill can meet one by one."""

    THREADS = 6
    PER_SECOND = 48


@pytest.fixture(scope="module")
def namespace(here: Installed) -> Iterator[str]:
    with namespaced(here.api, "-faults") as name:
        yield name


# -- in order --------------------------------------------------------------------------------------------------------


@pytest.mark.fault("T30", "T31")
def test_a_storm_of_2000_pods_is_injected_whole_and_shared_by_both_replicas(
    here: Installed, namespace: str
) -> None:
    before = {pod["metadata"]["name"]: here.answered(pod) for pod in ready(here)}
    assert len(before) == 2
    storm = burst(here.cluster, namespace, (waiting(f"storm-{index}") for index in range(2000)), clients=100)
    assert [each.body for each in storm if not each.injected] == []
    shares = [here.answered(pod) - before[pod["metadata"]["name"]] for pod in ready(here)]
    assert sum(shares) >= 2000
    assert min(shares) >= 0.35 * sum(shares), shares
    assert here.restarts() == 0


@pytest.mark.fault("T27")
def test_whoever_shakes_hands_and_leaves_ends_nobody_elses_connection(
    here: Installed, namespace: str
) -> None:
    """No call is lost, not even one that the spare would make good: the API server's own counter says so."""
    bundle, before = here.bundle(), failed_open(here.api, WEBHOOK)
    with Many(here.cluster, namespace) as load:
        for _ in range(50):
            for pod in ready(here):
                leaf(pod, bundle)
            time.sleep(0.02)
    assert load.failed == []
    assert failed_open(here.api, WEBHOOK) == before


@pytest.mark.fault("T2")
def test_a_replica_killed_with_requests_in_flight_refuses_nobody(here: Installed, namespace: str) -> None:
    """It is stopped first, so that every client waits for it when it dies."""
    wait_for(lambda: settled(here))
    asked = here.answered(spare(here))
    with Many(here.cluster, namespace) as load:
        replica = processes(busiest(here))
        for each in replica:
            os.kill(each, signal.SIGSTOP)
        time.sleep(0.25)
        os.kill(replica[0], signal.SIGKILL)
        time.sleep(3)
    assert load.failed == []
    assert load.admitted > 80
    assert here.answered(spare(here)) > asked


@pytest.mark.fault("T9")
def test_a_replica_that_hangs_refuses_nobody(here: Installed, namespace: str) -> None:
    wait_for(lambda: settled(here))
    with Many(here.cluster, namespace) as load:
        stopped = processes(busiest(here))
        for each in stopped:
            os.kill(each, signal.SIGSTOP)
        try:
            time.sleep(5)
        finally:
            for each in stopped:
                os.kill(each, signal.SIGCONT)
    assert load.failed == []
    assert load.admitted > 50


@pytest.mark.fault("T2")
def test_the_replicas_alone_admit_everybody_and_so_does_the_spare_alone(
    here: Installed, namespace: str
) -> None:
    wait_for(lambda: settled(here))
    with Part(here.cluster, "kubelet").frozen():
        os.kill(process(spare(here)), signal.SIGKILL)
        time.sleep(0.2)
        alone = burst(here.cluster, namespace, (waiting(f"replicas-{index}") for index in range(50)))
    assert [each.body for each in alone if not each.injected] == []
    wait_for(lambda: settled(here))
    here.kubectl("scale", "deployment/podfacts-webhook", "-n", SYSTEM, "--replicas=0")
    wait_for(lambda: not ready(here))
    rest = burst(here.cluster, namespace, (waiting(f"spare-{index}") for index in range(50)))
    assert [each.body for each in rest if not each.injected] == []


# -- nobody there ----------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def everyone_killed(here: Installed) -> Iterator[None]:
    """The processes of the replicas and of the spare are gone, and stay so until this is left."""
    path = "/api/v1/namespaces/default/pods"
    wait_for(lambda: not not_injected(here.api, path), 10)  # Ready is not yet a Service that leads there.
    with Part(here.cluster, "kubelet").frozen():
        for pid in [process(pod) for pod in (*ready(here), *ready(here, SPARE))]:
            os.kill(pid, signal.SIGKILL)
        wait_for(lambda: not_injected(here.api, path), 5)
        yield


def checked(here: Installed, folder: Path) -> list[str]:
    """What ``podfacts check`` prints."""
    command = [sys.executable, "-m", "podfacts", "check"]
    environment = {"KUBECONFIG": str(here.cluster.kubeconfig), "PYTHONPATH": os.environ.get("PYTHONPATH", "")}
    done = here.cluster.run(command, capture_output=True, text=True, cwd=folder, env=environment)
    lines: list[str] = done.stdout.splitlines()
    return lines


@pytest.mark.fault("T2")
def test_with_everyone_killed_opted_in_pods_are_refused_by_our_name_and_others_untouched(
    here: Installed, namespace: str
) -> None:
    here.kubectl("scale", "deployment/podfacts-webhook", "-n", SYSTEM, "--replicas=2")
    renewed(here)
    with everyone_killed(here):
        asked = burst(here.cluster, namespace, both(50, "closed"))
    opted_in, others = asked[::2], asked[1::2]
    assert [each.body for each in others if not each.admitted] == []
    assert [each for each in opted_in if each.admitted] == []
    sentences = {each.body["message"] for each in opted_in}
    # Whom to ask, and where it was looked for.
    assert all(f'failed calling webhook "{AGAIN}"' in each for each in sentences)
    assert all(f"https://podfacts-webhook-spare.{SYSTEM}.svc:443" in each for each in sentences)
    path = f"/api/v1/namespaces/{namespace}/pods"
    assert seconds(lambda: not not_injected(here.api, path), 30) < 20


@pytest.mark.fault("T1")
def test_with_everyone_killed_and_the_overlay_ignore_every_pod_is_admitted_counted_and_reported(
    here: Installed, namespace: str, tmp_path: Path
) -> None:
    """The last one here: nobody puts the installation right."""
    here.kubectl("apply", "-k", str(REPOSITORY / "deploy/overlays/ignore"))
    renewed(here)
    with everyone_killed(here):
        before = [failed_open(here.api, each) for each in (WEBHOOK, AGAIN)]
        asked = burst(here.cluster, namespace, both(50, "open"))
        after = [failed_open(here.api, each) for each in (WEBHOOK, AGAIN)]
    assert [each.body for each in asked if not each.admitted] == []
    assert [each for each in asked if each.injected] == []
    assert max(each.seconds for each in asked) < TIMEOUT + 1
    assert [now - then for now, then in zip(after, before, strict=True)] == [50, 50]
    missed = [line for line in checked(here, tmp_path) if line.startswith("warn  missed: ")]
    assert all(f"{namespace}/open-" in line and "the webhook was away" in line for line in missed[:-1])
    assert len(missed[:-1]) == 10
    assert missed[-1] == "warn  missed: and 40 pods more run without their facts"
