"""Minutes of pods at fifty a second, while the installed webhook is rolled, renewed, starved, frozen or swapped."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import REPOSITORY, wait_for
from tests.e2e.install import SYSTEM, Installed, leaf, namespaced
from tests.e2e.install_load import Admissions, injected, not_injected, opted_in
from tests.e2e.install_replicas import SPARE, process, ready, settled

pytestmark = [pytest.mark.node, pytest.mark.long, pytest.mark.timeout(1800)]

DEPLOYMENT = "deployment/podfacts-webhook"
BEFORE = "1a8453e"  # A version of this product that is the one before, for everybody who has the history.
OUTSIDE = os.open(
    "/proc/self/ns/net", os.O_RDONLY
)  # The network of before any test: this is read first of all.


class Fifty(Admissions):
    """Opted-in pods, fifty a second."""

    THREADS = 5
    PER_SECOND = 50


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tree of the version before."""
    folder = tmp_path_factory.mktemp("before")
    packed = subprocess.run(["git", "archive", BEFORE], cwd=REPOSITORY, capture_output=True, check=False)
    if packed.returncode:
        pytest.skip(f"the history does not reach back to {BEFORE}: {packed.stderr.decode().strip()}")
    subprocess.run(["tar", "x"], cwd=folder, input=packed.stdout, check=True)
    return folder


@pytest.fixture(scope="module")
def namespace(here: Installed) -> Iterator[str]:
    with namespaced(here.api, "-long") as name:
        yield name


def rolled(here: Installed) -> None:
    """Wait for the rollout to end."""
    here.kubectl("rollout", "status", DEPLOYMENT, "-n", SYSTEM, "--timeout=180s")
    wait_for(lambda: settled(here), 90)


@pytest.mark.fault("T7", "T8")
def test_three_rolling_updates_under_50_pods_a_second_refuse_nobody(here: Installed, namespace: str) -> None:
    start = time.monotonic()
    with Fifty(here.cluster, namespace) as load:
        for _ in range(3):
            here.kubectl("rollout", "restart", DEPLOYMENT, "-n", SYSTEM)
            rolled(here)
        time.sleep(max(0.0, 60 - (time.monotonic() - start)))
    assert load.failed == []
    assert load.admitted > 1500


@pytest.mark.fault("T14")
def test_three_minutes_of_renewed_certificates_refuse_nobody(here: Installed, namespace: str) -> None:
    """Leaves that live for a minute are renewed after 40 s: four or five in three minutes, of each replica."""
    here.kubectl("set", "env", DEPLOYMENT, "-n", SYSTEM, "PODFACTS_LEAF_LIFETIME=60s")
    rolled(here)
    serials: dict[str, set[int]] = {pod["metadata"]["name"]: set() for pod in ready(here)}
    bundle = here.bundle()
    with Fifty(here.cluster, namespace) as load:
        for _ in range(36):
            for pod in ready(here):
                serials[pod["metadata"]["name"]].add(leaf(pod, bundle).serial_number)
            time.sleep(5)
    assert load.failed == []
    assert load.admitted > 5000
    assert [len(each) >= 3 for each in serials.values()] == [True, True]
    assert here.restarts() == 0
    here.kubectl("set", "env", DEPLOYMENT, "-n", SYSTEM, "PODFACTS_LEAF_LIFETIME-")
    rolled(here)


@pytest.mark.fault("T33")
def test_a_tenth_of_a_processor_costs_calls_and_no_restart(here: Installed, namespace: str) -> None:
    here.kubectl("set", "resources", DEPLOYMENT, "-n", SYSTEM, "--limits=cpu=100m,memory=512Mi")
    rolled(here)
    before = here.restarts()
    with Fifty(here.cluster, namespace) as load:
        time.sleep(60)
    assert here.restarts() == before
    assert [said for _, said in load.failed if "failed calling webhook" not in said] == []
    lifted = [{"op": "remove", "path": "/spec/template/spec/containers/0/resources/limits/cpu"}]
    here.kubectl("patch", DEPLOYMENT, "-n", SYSTEM, "--type=json", "-p", json.dumps(lifted))
    rolled(here)
    assert not not_injected(here.api, f"/api/v1/namespaces/{namespace}/pods")


@pytest.mark.fault("T9")
def test_everyone_frozen_refuses_within_the_timeouts_until_liveness_restarts_them(
    here: Installed, namespace: str
) -> None:
    """Nobody wakes them up: the kubelet ends a process that does not answer, though it cannot even hear SIGTERM."""
    path = f"/api/v1/namespaces/{namespace}/pods"
    wait_for(lambda: settled(here))
    before = here.restarts()
    for pid in [process(pod) for pod in (*ready(here), *ready(here, SPARE))]:
        os.kill(pid, signal.SIGSTOP)
    for _ in range(5):
        start = time.monotonic()
        assert "failed calling webhook" in not_injected(here.api, path)
        assert time.monotonic() - start < 3.5
    wait_for(lambda: here.restarts() == before + 3, 180, 1)
    wait_for(lambda: settled(here), 60)
    assert not not_injected(here.api, path)


def image_of(tree: Path, name: str, archive: Path) -> None:
    """Build a tree's image, from outside of the cluster's network, which leads to no package index."""
    command = [sys.executable, "-m", "tests.image", "build", "--tag", name, "--output", str(archive)]
    outside = ["nsenter", f"--net=/proc/self/fd/{OUTSIDE}", "--", *command]
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    said = subprocess.run(
        outside, cwd=tree, env=environment, pass_fds=[OUTSIDE], capture_output=True, text=True, check=False
    )
    assert said.returncode == 0, said.stdout + said.stderr


@pytest.mark.fault("T45")
def test_the_version_before_and_this_one_replace_each_other_and_refuse_nobody(
    here: Installed, namespace: str, before: Path
) -> None:
    name = "ghcr.io/podfacts/podfacts:before"
    image_of(before, name, before / "image.tar")
    here.cluster.load_image(before / "image.tar")
    manifest = before / "before.yaml"
    text = (before / "deploy/install.yaml").read_text()
    manifest.write_text(re.sub(r"ghcr\.io/podfacts/podfacts:\S+", name, text))
    path = f"/api/v1/namespaces/{namespace}/pods"
    old = here.api.create(path, opted_in("ran-before"))
    with Fifty(here.cluster, namespace) as load:
        here.kubectl("apply", "-f", str(manifest))
        here.kubectl("rollout", "status", DEPLOYMENT, "-n", SYSTEM, "--timeout=180s")
        wait_for(lambda: len(here.pods("webhook")) == len(ready(here)) == 2, 90)
        # The version before has no spare: what nobody asks any more is removed by hand.
        here.kubectl("delete", "deployment,service,networkpolicy", f"podfacts-{SPARE}", "-n", SYSTEM)
        here.apply()
        here.wait_available()
        rolled(here)
    assert load.failed == []
    assert load.admitted > 1000
    now = here.api.call("GET", f"{path}/ran-before").body
    assert injected(now)
    assert now["metadata"]["uid"] == old["metadata"]["uid"]
    assert now["spec"]["containers"] == old["spec"]["containers"]
