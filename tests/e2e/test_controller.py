"""What the controller does about pods and profiles: a process of its own, on a real API server and a real node."""

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from tests.cluster import Cluster
from tests.e2e.api import Api
from tests.e2e.conftest import wait_for
from tests.e2e.keeping import PROFILES, USER, Keeping, Waiting, keeping, restart_api_server
from tests.e2e.proxy import Proxy
from tests.e2e.running import Pod

pytestmark = [pytest.mark.api, pytest.mark.timeout(240)]
RACK = {"name": "rack", "nodeLabel": "example.com/rack"}


@pytest.fixture
def here(cluster: Cluster, api: Api) -> Iterator[Keeping]:
    with keeping(cluster, api, f"keep-{os.getpid()}-{time.monotonic_ns() % 10**6}") as made:
        yield made


def test_facts_of_a_pod_are_told_and_kept(here: Keeping) -> None:
    """Each source reaches the pod, changes follow, and where nothing changes nothing is written."""
    here.profile(
        "whole",
        RACK,
        {"name": "team", "namespaceLabel": "example.com/team"},
        {"name": "workload", "owner": "name", "required": True},
        {"name": "workload-kind", "owner": "kind"},
        {"name": "cluster", "value": "east"},
    )
    here.label(f"/api/v1/namespaces/{here.namespace}", {"example.com/team": "shop"})
    here.node("far", {"example.com/rack": "r1"})
    here.create(here.injected(here.tree("one", "whole", nodeName="far")))
    leader = here.start()
    wanted = {"rack": "r1", "team": "shop", "workload": "one", "workload-kind": "Pod", "cluster": "east"}
    wait_for(lambda: here.annotations("one") == wanted, seconds=15)

    here.label("/api/v1/nodes/far", {"example.com/rack": "r2"})
    wait_for(lambda: here.annotations("one")["rack"] == "r2", seconds=5)
    here.label(f"/api/v1/namespaces/{here.namespace}", {"example.com/team": None})
    wait_for(lambda: here.annotations("one")["team"] == "", seconds=5)

    said = here.api.call("GET", f"{here.pods}/one").body
    writes = len(here.requests("patch", "pods", "status"))
    assert writes == 3
    here.label("/api/v1/nodes/far", {"example.com/other": "1"})
    here.label(f"/api/v1/namespaces/{here.namespace}", {"example.com/other": "1"})
    here.label(f"{here.pods}/one", {"example.com/other": "1"})
    time.sleep(2)
    assert len(here.requests("patch", "pods", "status")) == writes, "no fact has changed"

    here.api.call("DELETE", "/api/v1/nodes/far")
    here.label(f"{here.pods}/one", {"example.com/other": "2"})
    time.sleep(1)
    assert here.annotations("one")["rack"] == "r2", "a node that is gone takes nothing along"
    assert said["metadata"]["uid"] == here.api.call("GET", f"{here.pods}/one").body["metadata"]["uid"]
    assert leader.stop() == 0


@pytest.mark.node
def test_a_running_container_reads_what_changes(here: Keeping, node: Cluster) -> None:
    """The digest of its image, its owner, and a node's label: files of a pod that really runs, within seconds."""
    here.profile(
        "files",
        RACK,
        {"name": "digest", "image": "digest"},
        {"name": "workload", "owner": "name", "required": True},
        {"name": "annotations", "field": "metadata.annotations"},
    )
    here.start()
    machine = here.api.call("GET", "/api/v1/nodes").body["items"][0]["metadata"]["name"]
    path = f"/api/v1/nodes/{machine}"
    here.label(path, {"example.com/rack": "r1"})
    try:
        pod = Waiting(node, here.api, here.namespace, here.injected(here.tree("run", "files")))
        assert pod.env("main")["WORKLOAD"] == "run", "the container has waited for it"
        folder = "/etc/downward"
        digest = pod.tree()["status"]["containerStatuses"][0]["imageID"].rpartition("@")[2]
        wait_for(
            lambda: pod.exec("main", "cat", f"{folder}/containers/main/digest") == digest,
            seconds=15,
            every=0.5,
        )
        assert pod.exec("main", "cat", f"{folder}/rack") == "r1"
        here.label(path, {"example.com/rack": "r2"})
        wait_for(lambda: pod.exec("main", "cat", f"{folder}/rack") == "r2", seconds=15, every=0.5)
        whole = pod.exec("main", "cat", f"{folder}/annotations")
        assert f'facts.podfacts.dev/digest.main="{digest}"' in whole
        assert 'facts.podfacts.dev/rack="r2"' in whole
    finally:
        here.label(path, {"example.com/rack": None})


@pytest.mark.node
def test_a_pod_that_waits_for_its_node_starts_by_itself(here: Keeping, node: Cluster) -> None:
    """Pending with the reason; once somebody annotates the node, the same pod runs, with the fact in its env."""
    here.profile("held", {"name": "gpu", "nodeAnnotation": "example.com/gpu", "required": True})
    here.start()
    machine = here.api.call("GET", "/api/v1/nodes").body["items"][0]["metadata"]["name"]
    created = here.create(here.injected(here.tree("patient", "held")))
    path, home = f"{here.pods}/patient", f"/api/v1/nodes/{machine}"

    def waiting() -> dict[str, Any]:
        (status,) = here.api.call("GET", path).body["status"].get("containerStatuses") or [{}]
        found: dict[str, Any] = status.get("state", {}).get("waiting", {})
        return found

    wait_for(lambda: waiting().get("message") == "missing value for GPU", seconds=30)
    try:
        done = here.api.call("PATCH", home, {"metadata": {"annotations": {"example.com/gpu": "/dev/a100"}}})
        assert done.status == 200, done.body
        pod = wait_for(
            lambda: (p := here.api.call("GET", path).body)["status"]["phase"] == "Running" and p, seconds=90
        )
        assert pod["metadata"]["uid"] == created["metadata"]["uid"]
        said = node.kubectl("exec", "-n", here.namespace, "patient", "--", "sh", "-c", "echo $GPU").stdout
        assert said == "/dev/a100\n", "a path is a value as well"
    finally:
        here.api.call("PATCH", home, {"metadata": {"annotations": {"example.com/gpu": None}}})


def test_a_deployment_is_the_owner(here: Keeping) -> None:
    """Of its pods, the Deployment and not the ReplicaSet; one look is enough for all of them."""
    here.profile("owned", {"name": "workload", "owner": "name"}, {"name": "kind", "owner": "kind"})
    here.start()
    here.create_deployment("shop", here.injected(here.tree("x", "owned")), replicas=3)
    wait_for(
        lambda: list(here.all_annotations().values()) == [{"workload": "shop", "kind": "Deployment"}] * 3,
        seconds=20,
    )
    looks = here.requests("get", "replicasets")
    assert 1 <= len(looks) <= 3
    assert {each["responseStatus"]["code"] for each in looks} == {200}


def test_a_forged_owner_leads_nowhere(here: Keeping) -> None:
    """A pod's author writes the owner's name and uid, and Kubernetes checks neither: nobody else is told by them."""
    here.profile("owned", {"name": "workload", "owner": "name"})
    here.create_deployment("shop", here.injected(here.tree("x", "owned")), replicas=1)
    path = f"/apis/apps/v1/namespaces/{here.namespace}/replicasets"
    (owner,) = wait_for(lambda: here.api.call("GET", path).body["items"])
    climbing = f"../../../../../../api/v1/pods?watch=true&x=/../../../..{path}/{owner['metadata']['name']}"
    for at, name in enumerate((climbing, "nobody")):
        forged = here.injected(here.tree(f"forged-{at}", "owned"))
        reference = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": name, "controller": True}
        forged["metadata"]["ownerReferences"] = [{**reference, "uid": owner["metadata"]["uid"]}]
        here.create(forged)
    began = here.cluster.audit_log.stat().st_size
    here.start()
    wait_for(lambda: here.told("workload", "shop") == 1, seconds=20)
    with here.cluster.audit_log.open() as log:
        log.seek(began)
        asked = {json.loads(line)["requestURI"] for line in log if USER in line}
    assert any(f"{path}/{owner['metadata']['name']}" == each for each in asked)
    assert not [each for each in asked if ".." in each or each.startswith("/api/v1/pods?watch=true&x")]
    assert "workload" not in here.annotations("forged-0")
    lists = [each for each in asked if each.startswith("/api/v1/pods?") and "metadata.name" not in each]
    assert lists
    selector = "labelSelector=podfacts.dev/inject,podfacts.dev/inject!=false"
    assert [each for each in lists if selector not in unquote(each)] == [], "the server selects"


def test_a_thousand_pods_at_a_pace(here: Keeping) -> None:
    """A node's label changes: all its pods converge, never more than the rate and the burst in any second."""
    count, rate = 1000, 50
    here.profile("many", RACK)
    here.node("far", {"example.com/rack": "r1"})
    tree = here.injected(here.tree("x", "many", nodeName="far"))
    tree["metadata"].setdefault("annotations", {})["facts.podfacts.dev/rack"] = "r1"
    here.create_many(tree, count)
    leader = here.start(writes_per_second=rate)
    wait_for(lambda: leader.metric("podfacts_watched_pods") == here.opted_in() >= count, seconds=30)
    time.sleep(1)
    assert not here.requests("patch", "pods", "status"), "all of them are right already"

    started = time.monotonic()
    here.label("/api/v1/nodes/far", {"example.com/rack": "r2"})
    wait_for(lambda: here.told("rack", "r2") == count, seconds=60, every=1)
    took = time.monotonic() - started
    writes = here.writes_by_second()
    assert sum(writes.values()) == count, "one for each"
    assert max(writes.values()) <= 2 * rate, "the rate and the burst"
    assert (count - rate) / rate - 2 < took < count / rate + 10
    assert leader.ask("/healthz")[0] == 200


def test_a_leader_that_is_killed_in_the_middle(here: Keeping) -> None:
    """The other one takes over and finishes; what was written is not written again."""
    count = 300
    here.profile("many", RACK)
    here.node("far", {"example.com/rack": "r1"})
    here.create_many(here.injected(here.tree("x", "many", nodeName="far")), count)
    first = here.start(writes_per_second=30)
    wait_for(lambda: first.events("leading"), seconds=10)
    second = here.start(writes_per_second=30)
    wait_for(lambda: here.told("rack", "r1") > count // 3, seconds=30)
    first.stop(signal.SIGKILL)
    assert here.told("rack", "r1") < count
    wait_for(lambda: here.told("rack", "r1") == count, seconds=60, every=1)
    assert second.events("leading")
    assert len(here.requests("patch", "pods", "status")) <= count + 4, "those that were under way, at most"


def test_pods_that_were_missed(here: Keeping) -> None:
    """One Event for each pod and one for their owner, by reason; a restart says nothing again."""
    here.profile("plain", {"name": "pod", "field": "metadata.name"})
    here.create_deployment("shop", here.tree("x", "plain"), replicas=2)
    here.create(here.tree("bare", "plain"))
    here.create(here.tree("nobody", "nowhere"))
    later = here.tree("later", "plain")
    del later["metadata"]["labels"]
    here.create(later)
    time.sleep(2.5)
    here.label(f"{here.pods}/later", {"podfacts.dev/inject": "plain"})
    leader = here.start()
    about = {"shop", "bare", "nobody", "later"}
    wait_for(lambda: about <= here.missed(), seconds=20)
    wait_for(lambda: len(here.events("FactsMissed")) == 6, seconds=5)
    said = {each["involvedObject"]["name"]: each for each in here.events("FactsMissed")}
    assert said["shop"]["involvedObject"]["kind"] == "Deployment"
    assert "the webhook was away, or profile plain not in force," in said["shop"]["message"]
    assert said["shop"]["message"].endswith("delete the pod, its owner makes a new one")
    assert said["bare"]["message"].endswith("delete it and create it anew")
    assert "profile nowhere was not in force" in said["nobody"]["message"]
    assert "the label podfacts.dev/inject was set after" in said["later"]["message"]
    assert said["bare"]["type"] == "Warning"
    for reason, number in (("webhook-away", 3), ("not-in-force", 1), ("label-added-later", 1)):
        assert leader.metric(f'podfacts_missed_pods{{reason="{reason}"}}') == number

    assert leader.stop() == 0
    again = here.start()
    wait_for(lambda: again.metric('podfacts_missed_pods{reason="webhook-away"}') == 3, seconds=10)
    time.sleep(2)
    posts = [each["responseStatus"]["code"] for each in here.requests("create", "events")]
    assert posts.count(201) == 6
    assert set(posts) == {201, 409}
    assert not here.requests("create", "pods", "eviction"), "the profile does not ask for it"
    assert len(here.events("FactsMissed")) == 6


def test_evictions(here: Keeping) -> None:
    """As the profile says: paced, within a budget, never a bare pod, and not the pods made anew that are missed again."""
    here.profile("anew", {"name": "pod", "field": "metadata.name"}, remediate="evict")
    here.create(here.tree("bare", "anew"))
    here.create_deployment("shop", here.tree("x", "anew"), replicas=2)
    here.create_deployment("kept", here.tree("x", "anew"), replicas=1)
    spec = {"minAvailable": 1, "selector": {"matchLabels": {"app": "kept"}}}
    budget = {"metadata": {"name": "kept"}, "spec": spec}
    here.api.create(f"/apis/policy/v1/namespaces/{here.namespace}/poddisruptionbudgets", budget)
    wait_for(lambda: here.ready("shop") == 2 and here.ready("kept") == 1, seconds=60)
    before = here.uids()
    leader = here.start(evictions_per_minute=60)
    wait_for(
        lambda: not {uid for app, uid in here.uids() if app == "shop"} & {u for _, u in before}, seconds=40
    )
    wait_for(lambda: leader.events("not evicted: a pod made anew was missed again"), seconds=20)
    time.sleep(3)
    evicted = [each["objectRef"]["name"] for each in here.requests("create", "pods", "eviction")]
    codes = [each["responseStatus"]["code"] for each in here.requests("create", "pods", "eviction")]
    assert codes.count(201) == 2, "each of the two once, and the new ones never"
    assert 429 in codes, "the budget was asked"
    assert "bare" not in evicted
    left = {uid for app, uid in before if app in ("kept", "bare")}
    assert left <= {uid for _, uid in here.uids()}
    assert leader.metric('podfacts_evictions_total{outcome="evicted"}') == 2
    assert leader.metric('podfacts_evictions_total{outcome="blocked"}') >= 1


def test_profiles_say_what_became_of_them(here: Keeping) -> None:
    """Within a second of the edit; a broken edit leaves the last good version in force, and says so."""
    here.start()
    here.profile("good", RACK, volume={"mountPath": "/etc/facts"})
    status = wait_for(lambda: here.status("good"), seconds=15)
    assert status["conditions"][0]["status"] == "True"
    assert status["inForce"]["generation"] == 1
    since = status["conditions"][0]["lastTransitionTime"]

    here.edit_profile("good", {"volume": None})
    wait_for(lambda: here.status("good")["observedGeneration"] == 2, seconds=1.5, every=0.05)
    assert here.status("good")["inForce"]["spec"] == {"facts": [RACK]}, "nothing is left of the one before"
    assert here.status("good")["conditions"][0]["lastTransitionTime"] == since

    # What is wrong by itself the API server refuses (deploy/base/05-profiles.yaml); two profiles it does not compare.
    here.profile("first", {"name": "row", "nodeLabel": "example.com/row"})
    # Of two that are both new, the older one wins; what is in force goes before both.
    wait_for(lambda: here.status("first"), seconds=1.5, every=0.05)
    here.edit_profile("good", {"facts": [RACK, {"name": "row", "nodeLabel": "example.com/other"}]})
    broken = wait_for(
        lambda: (s := here.status("good"))["observedGeneration"] == 3 and s, seconds=1.5, every=0.05
    )
    assert broken["conditions"][0]["reason"] == "Conflict"
    assert "fact row is nodeLabel example.com/row in profile first" in broken["conditions"][0]["message"]
    assert broken["inForce"]["generation"] == 2

    here.edit_profile("good", {"facts": [RACK]})
    wait_for(lambda: here.status("good")["inForce"]["generation"] == 4, seconds=1.5, every=0.05)
    here.profile("clash", {"name": "rack", "nodeLabel": "example.com/other"})
    status = wait_for(lambda: here.status("clash"), seconds=1.5, every=0.05)
    assert status["conditions"][0]["reason"] == "Conflict"
    assert "inForce" not in status
    here.api.call("DELETE", f"{PROFILES}/good")
    wait_for(lambda: here.status("clash")["conditions"][0]["status"] == "True", seconds=1.5, every=0.05)


def test_late_facts(here: Keeping, node: Cluster) -> None:
    """Containers that started without the binding webhook: told in a file, and the Event says what env may lack.

    Whether the controller came after them, or was quicker than the kubelet.
    """
    here.profile("late", RACK)
    Pod(node, here.api, here.namespace, here.injected(here.tree("before", "late")))
    here.start()
    wait_for(lambda: here.annotations("before") == {"rack": ""}, seconds=15)
    Pod(node, here.api, here.namespace, here.injected(here.tree("after", "late")))
    wait_for(lambda: len(here.events("FactsLate")) == 2, seconds=5)
    said = {each["involvedObject"]["name"]: each["message"] for each in here.events("FactsLate")}
    for name in ("before", "after"):
        assert said[name].startswith(
            f"env RACK may have been empty when the containers of pod {name} started"
        )


def test_a_missing_right(here: Keeping) -> None:
    """It is said once, /readyz says it, the Lease and the CA are kept all the same; granted again, the writes come."""
    here.profile("many", RACK)
    here.node("far", {"example.com/rack": "r1"})
    here.create_many(here.injected(here.tree("x", "many", nodeName="far")), 5)
    role = "/apis/rbac.authorization.k8s.io/v1/clusterroles/podfacts-controller"
    rules: list[dict[str, Any]] = here.api.call("GET", role).body["rules"]
    here.api.call("PATCH", role, {"rules": [each for each in rules if each["resources"] != ["pods"]]})
    leader = here.start()
    try:
        said = wait_for(
            lambda: (a := leader.ask("/readyz"))[0] == 503 and "list pods" in a[1] and a, seconds=15
        )
        assert "forbidden" in said[1]
        assert leader.ask("/healthz")[0] == 200
        assert len(leader.events("cannot watch")) == 1
        assert here.api.call("GET", "/api/v1/namespaces/podfacts-system/secrets/podfacts-ca").body.get("data")
    finally:
        here.api.call("PATCH", role, {"rules": rules})
    wait_for(lambda: here.told("rack", "r1") == 5, seconds=20)
    wait_for(lambda: leader.ask("/readyz")[0] == 200, seconds=5)


def test_a_dead_watch_ends_the_process(here: Keeping) -> None:
    """A watch without a sign of life, while the Lease can be renewed: /healthz fails, so the kubelet starts it anew."""
    leader = here.start(stuck_watch=3.0)
    wait_for(lambda: leader.ask("/readyz")[0] == 200, seconds=10)
    status, said = wait_for(lambda: (a := leader.ask("/healthz"))[0] == 503 and a, seconds=20)
    assert "has shown no life for 3 s" in said
    assert status == 503


def test_pods_that_go_while_they_are_written_to(here: Keeping) -> None:
    """A pod that is gone is no failure; one that was made anew under its name is told its own facts."""
    count = 60
    here.profile("many", RACK)
    here.node("far", {"example.com/rack": "r1"})
    tree = here.injected(here.tree("x", "many", nodeName="far"))
    here.create_many(tree, count)
    leader = here.start(writes_per_second=10)
    wait_for(lambda: here.told("rack", "r1") > 15, seconds=20)
    for at in range(0, count, 2):
        here.api.call("DELETE", f"{here.pods}/x-{at}", gracePeriodSeconds="0")
    anew = {**tree, "metadata": {**tree["metadata"], "name": "x-58"}}
    here.create(anew)
    wait_for(lambda: here.told("rack", "r1") == count // 2 + 1, seconds=20)
    wait_for(lambda: leader.metric("podfacts_watched_pods") == here.opted_in(), seconds=5)
    assert not [each for each in leader.log if each["level"] == "error"]
    assert {each["responseStatus"]["code"] for each in here.requests("patch", "pods", "status")} <= {200, 404}


def test_a_gap_in_the_watches(here: Keeping, tmp_path: Path) -> None:
    """Cut off, and the API server starts anew meanwhile: what changed is told afterwards, what went is forgotten.

    The term goes on if that took less than ten seconds, and another one begins if it did not.
    """
    here.profile("many", RACK)
    here.node("far", {"example.com/rack": "r1"})
    here.create_many(here.injected(here.tree("x", "many", nodeName="far")), 5)
    with Proxy(here.kubeconfig, tmp_path) as proxy:
        leader = here.start(proxy.kubeconfig)
        wait_for(lambda: here.told("rack", "r1") == 5, seconds=15)
        proxy.turn("cut")
        here.label("/api/v1/nodes/far", {"example.com/rack": "r2"})
        here.api.call("DELETE", f"{here.pods}/x-0", gracePeriodSeconds="0")
        restart_api_server(here.cluster, here.api)
        proxy.turn("open")
        wait_for(lambda: here.told("rack", "r2") == 4, seconds=60)
        wait_for(lambda: leader.metric("podfacts_watched_pods") == here.opted_in(), seconds=100, every=1)
        assert leader.ask("/healthz")[0] == 200
        assert leader.process.poll() is None


def test_a_lease_that_is_lost(here: Keeping, tmp_path: Path) -> None:
    """The term ends, the process goes on; with the Lease again there is another term, which tells what is due."""
    here.profile("many", RACK)
    here.node("far", {"example.com/rack": "r1"})
    here.create_many(here.injected(here.tree("x", "many", nodeName="far")), 3)
    with Proxy(here.kubeconfig, tmp_path) as proxy:
        replica = here.start(proxy.kubeconfig)
        wait_for(lambda: here.told("rack", "r1") == 3, seconds=15)
        proxy.turn("cut")
        wait_for(lambda: replica.events("not leading any more"), seconds=20)
        assert replica.metric("podfacts_watched_pods") == 0
        here.label("/api/v1/nodes/far", {"example.com/rack": "r2"})
        proxy.turn("open")
        wait_for(lambda: here.told("rack", "r2") == 3, seconds=30)
        assert len(replica.events("leading")) == 2
        assert replica.stop() == 0, "the signals are still its own"
