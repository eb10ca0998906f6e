"""The controller while others stand still, or it does itself: what was under way goes on, and nothing is written twice."""

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster import Cluster
from tests.e2e.api import Api
from tests.e2e.conftest import wait_for
from tests.e2e.keeping import SYSTEM, Keeping, keeping
from tests.faults.cluster_parts import Part, answers, back

pytestmark = [pytest.mark.api, pytest.mark.timeout(240)]
RACK = {"name": "rack", "nodeLabel": "example.com/rack"}
# By this the audit log tells two tokens of one account apart.
CREDENTIAL = "authentication.kubernetes.io/credential-id"


@pytest.fixture
def here(cluster: Cluster, api: Api) -> Iterator[Keeping]:
    with keeping(cluster, api, f"pauses-{os.getpid()}-{time.monotonic_ns() % 10**6}") as made:
        yield made


def many(here: Keeping, count: int) -> None:
    """Create pods that lack their rack."""
    here.profile("many", RACK)
    here.node("far", {"example.com/rack": "r1"})
    here.create_many(here.injected(here.tree("x", "many", nodeName="far")), count)


@pytest.mark.fault("T20")
def test_a_leader_that_was_stopped_past_its_lease_writes_nothing_more(here: Keeping, tmp_path: Path) -> None:
    """It has more to write when it is stopped, another one goes on, and it is continued: no write of its own follows."""
    count = 300
    many(here, count)
    first = here.start(writes_per_second=4)
    wait_for(lambda: here.told("rack", "r1") > 0, seconds=30)
    second = here.start(of_another_token(here, tmp_path), writes_per_second=40)
    os.kill(first.process.pid, signal.SIGSTOP)
    try:
        wait_for(lambda: second.events("leading"), seconds=30)
        wait_for(lambda: len(credentials(here)) == 2, seconds=30)
    finally:
        os.kill(first.process.pid, signal.SIGCONT)
    wait_for(lambda: first.events("not leading any more"), seconds=10)
    wait_for(lambda: here.told("rack", "r1") == count, seconds=60, every=1)

    writes = here.requests("patch", "pods", "status")
    old, new = credentials(here)
    assert [of_whom(each) for each in writes] == [old] * of(old, writes) + [new] * of(new, writes)
    assert of(old, writes) + of(new, writes) == count, "each pod once"
    assert len({each["objectRef"]["name"] for each in writes}) == count
    assert first.process.poll() is None
    assert first.ask("/healthz")[0] == 200
    assert first.metric("podfacts_controller_leading") == 0


@pytest.mark.fault("T13")
def test_etcd_stands_still_for_ten_seconds_and_the_controller_resumes(here: Keeping) -> None:
    """Neither process is started anew, by itself or by its probe; what was left to write is written, once."""
    count = 100
    many(here, count)
    replicas = [here.start(writes_per_second=8) for _ in range(2)]
    wait_for(lambda: here.told("rack", "r1") > 0, seconds=30)
    with Part(here.cluster, "etcd").frozen():
        until = time.monotonic() + 10
        while time.monotonic() < until:
            assert {each.ask("/healthz")[0] for each in replicas} == {200}
            time.sleep(0.5)
    wait_for(lambda: answers(here.api), seconds=30)
    assert {each.ask("/healthz")[0] for each in replicas} == {200}
    wait_for(lambda: here.told("rack", "r1") == count, seconds=60, every=1)
    assert [each.process.poll() for each in replicas] == [None, None]
    done = [
        each for each in here.requests("patch", "pods", "status") if each["responseStatus"]["code"] == 200
    ]
    # One whose answer came too late was asked again: the same value, to no effect.
    assert count <= len(done) <= count + 4 * len(replicas)
    for each in replicas:
        wait_for(lambda each=each: each.ask("/readyz")[0] == 200, seconds=10)
    assert [each.stop() for each in replicas] == [0, 0]


@pytest.mark.fault("T5", "T13")
def test_etcd_and_the_api_server_start_anew_and_the_controller_goes_on(here: Keeping) -> None:
    """Both are killed; the same process of the controller tells what has changed meanwhile."""
    many(here, 5)
    leader = here.start()
    wait_for(lambda: here.told("rack", "r1") == 5, seconds=30)
    server, store = Part(here.cluster, "kube-apiserver"), Part(here.cluster, "etcd")
    server.kill()
    store.kill()
    store.start()
    server.start()
    wait_for(lambda: back(here.api, store, server), seconds=90)
    # A server that has just begun knows the rights of nobody yet.
    label = {"metadata": {"labels": {"example.com/rack": "r2"}}}
    wait_for(lambda: here.api.call("PATCH", "/api/v1/nodes/far", label).status == 200, seconds=30)
    wait_for(lambda: here.told("rack", "r2") == 5, seconds=60)
    assert leader.process.poll() is None
    assert leader.ask("/healthz")[0] == 200
    wait_for(lambda: leader.metric("podfacts_watched_pods") == here.opted_in(), seconds=30)
    assert leader.stop() == 0


def of_another_token(here: Keeping, folder: Path) -> Path:
    """A kubeconfig of the same account with another token."""
    token = here.cluster.kubectl("create", "token", "podfacts-controller", "-n", SYSTEM).stdout.strip()
    config = yaml.safe_load(here.kubeconfig.read_text())
    config["users"][0]["user"]["token"] = token
    path = folder / "another.kubeconfig"
    path.write_text(json.dumps(config))
    return path


def credentials(here: Keeping) -> list[str]:
    """Whose writes there are, in the order of the first ones."""
    return list(dict.fromkeys(map(of_whom, here.requests("patch", "pods", "status"))))


def of_whom(event: dict[str, Any]) -> str:
    """The token's id."""
    (found,) = event["user"]["extra"][CREDENTIAL]
    return str(found)


def of(credential: str, writes: list[dict[str, Any]]) -> int:
    """How many are of one."""
    return sum(of_whom(each) == credential for each in writes)
