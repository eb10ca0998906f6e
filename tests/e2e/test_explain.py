"""``podfacts explain`` on live pods: what is in place, what is not and why, and what may not be seen."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster import Cluster
from tests.e2e.api import Api
from tests.e2e.conftest import wait_for

pytestmark = [pytest.mark.api, pytest.mark.usefixtures("webhook")]

Tree = dict[str, Any]
Done = subprocess.CompletedProcess[str]

RUNS = {
    "image": "busybox:stable",
    "imagePullPolicy": "IfNotPresent",
    "command": ["sleep", "600"],
}
ME = f"explained-{os.getpid()}"
FACTS: list[Tree] = [
    {"name": "pod-name", "field": "metadata.name"},
    {"name": "cluster", "value": "blue"},
    {"name": "team", "namespaceLabel": "example.com/team", "default": "nobody"},
    {"name": f"rack-{os.getpid()}", "nodeLabel": "example.com/rack", "env": "RACK", "file": "rack"},
    {"name": "workload", "owner": "name"},
]


@pytest.fixture
def explain(cluster: Cluster, namespaces: dict[str, str], tmp_path: Path) -> Callable[..., Done]:
    def run(pod: str, *words: str, door: str = "hooked", kubeconfig: Path | None = None) -> Done:
        command = [sys.executable, "-m", "podfacts", "explain", pod, "-n", namespaces[door], *words]
        environment = {"KUBECONFIG": str(kubeconfig or cluster.kubeconfig)}
        done: Done = cluster.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment)
        assert "Traceback" not in done.stderr, done.stderr
        return done

    return run


def lines(done: Done) -> set[tuple[str, str, str]]:
    """Each line: its part, state and text."""
    return {(each["part"], each["state"], each["text"]) for each in json.loads(done.stdout)["lines"]}


def faults(done: Done) -> list[str]:
    return [each["text"] for each in json.loads(done.stdout)["lines"] if each["state"] == "no"]


@pytest.fixture
def profile(api: Api, profiles: str, namespaces: dict[str, str]) -> Iterator[str]:
    """A Profile in force, and a node with its label."""
    api.create("/api/v1/nodes", {"metadata": {"name": ME, "labels": {"example.com/rack": "r1"}}})
    api.create(profiles, profile_tree(FACTS))
    wait_for(lambda: dry(api, namespaces["hooked"], pod("probe", ME)) == 201)
    yield f"{profiles}/{ME}"
    api.call("DELETE", f"{profiles}/{ME}")
    api.call("DELETE", f"/api/v1/nodes/{ME}")


def profile_tree(facts: list[Tree]) -> Tree:
    return {
        "apiVersion": "podfacts.dev/v1alpha1",
        "kind": "Profile",
        "metadata": {"name": ME},
        "spec": {"facts": facts},
    }


def pod(name: str, inject: str | None, **more: Any) -> Tree:
    labels = {} if inject is None else {"podfacts.dev/inject": inject}
    container = {"name": "main", "image": "app", **more.pop("container", {})}
    return {"metadata": {"name": name, "labels": labels}, "spec": {"containers": [container], **more}}


def dry(api: Api, namespace: str, tree: Tree) -> int:
    return api.call("POST", f"/api/v1/namespaces/{namespace}/pods", tree, dryRun="All").status


@pytest.fixture
def made(api: Api, namespaces: dict[str, str]) -> Iterator[Callable[..., str]]:
    """What makes pods, which go afterwards."""
    paths = []

    def make(tree: Tree, door: str = "hooked") -> str:
        name: str = tree["metadata"]["name"]
        pods = f"/api/v1/namespaces/{namespaces[door]}/pods"
        api.create(pods, tree)
        paths.append(f"{pods}/{name}")
        return paths[-1]

    yield make
    for path in paths:
        api.call("DELETE", path, gracePeriodSeconds="0")


def test_all_in_place(explain: Callable[..., Done], made: Callable[..., str]) -> None:
    made(pod("whole", "true"))
    done = explain("whole", "-o", "json")
    assert done.returncode == 0, done.stdout
    assert json.loads(done.stdout)["inPlace"] is True
    told = lines(done)
    assert ("label", "ok", "podfacts.dev/inject=true: asks for the profile default") in told
    assert ("env", "ok", "main: POD_NAME from field metadata.name") in told
    assert ("files", "ok", "main: 9 at /etc/downward") in told
    assert any(
        part == "webhook" and state == "ok" and "podfacts-process" in text for part, state, text in told
    )
    text = explain("whole").stdout
    assert text.splitlines()[0].startswith("pod hooked-")
    assert text.endswith("all is in place\n")


def test_not_opted_in(explain: Callable[..., Done], made: Callable[..., str]) -> None:
    made(pod("bare", None))
    done = explain("bare")
    assert done.returncode == 0
    assert "not opted in: the pod asks for no facts: label the pod template" in done.stdout


def test_what_the_author_wrote_and_what_was_left_out(
    explain: Callable[..., Done], made: Callable[..., str]
) -> None:
    tree = pod("kept", "true", container={"env": [{"name": "POD_NAME", "value": "mine"}]})
    tree["spec"]["containers"].append({"name": "other", "image": "app"})
    tree["metadata"]["annotations"] = {"podfacts.dev/skip-containers": "other"}
    made(tree)
    done = explain("kept", "-o", "json")
    assert done.returncode == 0
    told = lines(done)
    assert ("env", "note", "main: POD_NAME is the author's own") in told
    assert ("kept", "note", "main: env POD_NAME is the author's") in told
    assert ("skipped", "note", "other: in podfacts.dev/skip-containers") in told
    assert not any(text.startswith("other: POD") for _, _, text in told)


def test_a_label_that_came_later(explain: Callable[..., Done], made: Callable[..., str], api: Api) -> None:
    path = made(pod("later", None))
    created = datetime.fromisoformat(api.call("GET", path).body["metadata"]["creationTimestamp"])
    # The server's times are whole seconds: two of them are surely apart.
    wait_for(lambda: _now(api, path) - created >= timedelta(seconds=2))
    api.call("PATCH", path, {"metadata": {"labels": {"podfacts.dev/inject": "true"}}})
    done = explain("later", "-o", "json")
    assert done.returncode == 1
    (fault,) = faults(done)
    assert "the label podfacts.dev/inject was set after it had been created" in fault


def _now(api: Api, path: str) -> datetime:
    """The API server's time."""
    api.call("PATCH", path, {"metadata": {"annotations": {"tick": os.urandom(4).hex()}}})
    fields = api.call("GET", path).body["metadata"]["managedFields"]
    return max(datetime.fromisoformat(each["time"]) for each in fields)


@pytest.mark.fault("T1", "T4")
def test_where_the_webhook_is_not_asked(explain: Callable[..., Done], made: Callable[..., str]) -> None:
    made(pod("away", "true"), "plain")
    done = explain("away", "-o", "json", door="plain")
    assert done.returncode == 1
    assert any("its namespaceSelector leaves it out" in each for each in faults(done))
    assert any("runs without its facts: the webhook was away" in each for each in faults(done))


def test_carried_facts_against_what_is_true_now(
    explain: Callable[..., Done], made: Callable[..., str], api: Api, profile: str, namespaces: dict[str, str]
) -> None:
    assert profile
    made(pod("carried", ME, nodeName=ME))
    done = explain("carried", "-o", "json")
    told = lines(done)
    assert ("fact", "ok", "cluster (value blue) is 'blue', as it should be") in told
    assert ("fact", "ok", "team (namespaceLabel example.com/team) is 'nobody', as it should be") in told
    rack = f"rack-{os.getpid()} (nodeLabel example.com/rack)"
    assert ("fact", "ok", f"{rack} is 'r1', as it should be") in told
    # Nobody keeps facts here: what came after the creation is missing, and said to be.
    missing = "workload (owner name) is not written, and it should be 'carried'"
    assert any(each.startswith(missing) for each in faults(done))
    assert any(
        "lacks the label podfacts.dev/node-facts=enabled, so these are empty when containers start: RACK"
        in each
        for each in faults(done)
    )
    assert done.returncode == 1

    namespace = f"/api/v1/namespaces/{namespaces['hooked']}"
    labels = {"example.com/team": "shop", "podfacts.dev/node-facts": "enabled"}
    api.call("PATCH", namespace, {"metadata": {"labels": labels}})
    api.call("PATCH", f"/api/v1/nodes/{ME}", {"metadata": {"labels": {"example.com/rack": "r2"}}})
    try:
        wrong = faults(explain("carried", "-o", "json"))
        assert any("is 'nobody', and it should be 'shop'" in each for each in wrong)
        assert any(each.startswith(f"{rack} is 'r1', and it should be 'r2'") for each in wrong)
        assert not any("lacks the label" in each for each in wrong)
    finally:
        api.call("PATCH", namespace, {"metadata": {"labels": dict.fromkeys(labels)}})


def test_a_profile_that_changed_since(
    explain: Callable[..., Done], made: Callable[..., str], api: Api, profile: str
) -> None:
    made(pod("older", ME))
    new = [*FACTS[:2], {"name": "pod-uid", "field": "metadata.uid"}]
    api.call("PATCH", profile, {"spec": {"facts": new}})
    done = explain("older", "-o", "json")
    assert done.returncode == 0, done.stdout
    assert any(part == "profile" and "has changed since" in text for part, _, text in lines(done))
    assert ("env", "note", "main: POD_UID is not there: it is new in the profile") in lines(done)


def test_a_profile_that_is_not_there(
    explain: Callable[..., Done], made: Callable[..., str], api: Api
) -> None:
    path = made(pod("lost", None))
    api.call("PATCH", path, {"metadata": {"labels": {"podfacts.dev/inject": "no-such"}}})
    done = explain("lost", "-o", "json")
    assert done.returncode == 1
    assert any("there is no profile 'no-such' in force" in each for each in faults(done))


def test_who_may_see_only_pods_is_told_what_is_not_seen(
    explain: Callable[..., Done],
    made: Callable[..., str],
    api: Api,
    cluster: Cluster,
    namespaces: dict[str, str],
    tmp_path: Path,
    profile: str,
) -> None:
    assert profile
    made(pod("seen", "true"))
    kubeconfig = reader(api, cluster, namespaces["hooked"], tmp_path)
    done = explain("seen", "-o", "json", kubeconfig=kubeconfig)
    assert done.returncode == 0, (done.stdout, done.stderr)
    unseen = [text for _, state, text in lines(done) if state == "unknown"]
    assert any("mutatingwebhookconfigurations" in each and "forbidden" in each for each in unseen)
    assert any("profiles.podfacts.dev" in each for each in unseen)
    assert ("env", "ok", "main: POD_NAME from field metadata.name") in lines(done)
    refused = explain("seen", kubeconfig=kubeconfig, door="plain")
    assert refused.returncode == 2
    assert "cannot get resource" in refused.stderr


def reader(api: Api, cluster: Cluster, namespace: str, folder: Path) -> Path:
    """A kubeconfig of an account that may get pods of the namespace, and nothing else."""
    account = f"/api/v1/namespaces/{namespace}/serviceaccounts"
    rbac = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}"
    rules = [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": ME}
    subject = {"kind": "ServiceAccount", "name": ME, "namespace": namespace}
    api.create(account, {"metadata": {"name": ME}})
    api.create(f"{rbac}/roles", {"metadata": {"name": ME}, "rules": rules})
    binding = {"metadata": {"name": ME}, "roleRef": reference, "subjects": [subject]}
    api.create(f"{rbac}/rolebindings", binding)
    token = api.create(f"{account}/{ME}/token", {"spec": {"expirationSeconds": 600}})["status"]["token"]
    config = yaml.safe_load(cluster.kubeconfig.read_text())
    config["users"] = [{"name": config["users"][0]["name"], "user": {"token": token}}]
    file = folder / "kubeconfig"
    file.write_text(yaml.safe_dump(config))
    return file


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("no-such",), "there is no pod no-such in the namespace hooked-"),
        (("a/b",), "'a/b' cannot be the name of a pod"),
        (("x", "-n", "Shop"), "podfacts explain: 'Shop' cannot be the name of a namespace"),
        (("x", "--context", "nobody"), "no cluster to talk to"),
    ],
)
def test_bad_usage_is_one_line(explain: Callable[..., Done], words: tuple[str, ...], sentence: str) -> None:
    done = explain(*words)
    assert (done.returncode, done.stdout) == (2, "")
    assert sentence in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.fixture
def gated(api: Api, profiles: str, namespaces: dict[str, str]) -> Iterator[str]:
    name = f"{ME}-gated"
    fact = {
        "name": f"power-{os.getpid()}",
        "nodeLabel": "example.com/power",
        "env": "POWER",
        "required": True,
    }
    tree = profile_tree([fact])
    tree["metadata"]["name"] = name
    api.create(profiles, tree)
    wait_for(lambda: dry(api, namespaces["hooked"], pod("probe", name)) == 201)
    yield name
    api.call("DELETE", f"{profiles}/{name}")


@pytest.mark.node
def test_a_container_that_waits_says_for_what(
    explain: Callable[..., Done], made: Callable[..., str], api: Api, node: Cluster, gated: str
) -> None:
    path = made(pod("waits", gated, container=RUNS))
    wait_for(lambda: "missing value" in json.dumps(api.call("GET", path).body["status"]), 90)
    done = explain("waits", "-o", "json")
    assert done.returncode == 1
    waiting = [text for part, _, text in lines(done) if part == "waiting"]
    assert waiting == [
        "main waits for POWER (nodeLabel example.com/power), which is empty: "
        f"kubectl label node {api.call('GET', path).body['spec']['nodeName']} example.com/power=VALUE, "
        "and it starts by itself"
    ]
    assert node.has_node
