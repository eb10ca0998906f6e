"""The controller as a process on a real API server, with the rights of rbac/ and the fence, and pods for it to keep.

The pods are injected by the same core as the webhook's, and created as its answer would have left them. Those on a node that
no kubelet serves are as good as any for what is written to them, and a thousand of them cost nothing.
"""

import copy
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any

import jsonpatch
import urllib3
import yaml

from podfacts.core.injection import inject
from podfacts.core.profile import parse_profile
from tests.cluster import Cluster, processes
from tests.cluster.start import environment
from tests.e2e.api import Api
from tests.e2e.conftest import REPOSITORY, wait_for
from tests.e2e.installation import PROGRAM, Replica
from tests.e2e.running import Pod

SYSTEM = "podfacts-system"
FACTS = "facts.podfacts.dev/"
USER = f"system:serviceaccount:{SYSTEM}:podfacts-controller"
PROFILES = "/apis/podfacts.dev/v1alpha1/profiles"


class Keeping:
    """An installation without webhook, in a cluster of its own, and a namespace for a test's pods."""

    def __init__(self, cluster: Cluster, api: Api, namespace: str, folder: Path) -> None:
        self.cluster, self.api, self.namespace = cluster, api, namespace
        self.pods = f"/api/v1/namespaces/{namespace}/pods"
        self._folder = folder
        self._replicas: list[Replica] = []
        self._profiles: dict[str, dict[str, Any]] = {}
        self._nodes: list[str] = []

    # -- set up --------------------------------------------------------------------------------------------------

    def install(self, *, evict: bool = True) -> None:
        """Apply what is shipped, without the Deployments and the webhook's configuration."""
        words = ["-f", "deploy/base/00-namespace.yaml", "-f", "deploy/base/05-profiles.yaml"]
        self._apply(*words, "-f", "deploy/base/10-state.yaml")
        self._apply("-k", "rbac")
        if evict:
            self._apply("-k", "rbac/evict")
        else:
            self.cluster.kubectl("delete", "-k", str(REPOSITORY / "rbac/evict"), "--ignore-not-found")
        self.api.create("/api/v1/namespaces", {"metadata": {"name": self.namespace}})
        token = self.cluster.kubectl("create", "token", "podfacts-controller", "-n", SYSTEM).stdout.strip()
        admin = yaml.safe_load(self.cluster.kubeconfig.read_text())
        admin["users"] = [{"name": admin["users"][0]["name"], "user": {"token": token}}]
        self.kubeconfig = self._folder / "kubeconfig"
        self.kubeconfig.write_text(yaml.safe_dump(admin))
        account = Api(self.cluster.kubeconfig, token)
        wait_for(lambda: account.call("GET", PROFILES).status == HTTPStatus.OK)
        wait_for(
            lambda: (
                self.api.call("GET", f"/api/v1/namespaces/{self.namespace}/serviceaccounts/default").status
                == HTTPStatus.OK
            )
        )
        # A lease that a killed controller of the test before has left would cost 15 s.
        self.api.call("PATCH", LEASE, {"spec": None})

    def _apply(self, *words: str) -> None:
        full = [str(REPOSITORY / each) if "/" in each or each == "rbac" else each for each in words]
        self.cluster.kubectl("apply", *full)

    def remove(self) -> None:
        """End the controllers and delete what the test has made."""
        for replica in self._replicas:
            replica.stop(signal.SIGKILL)
            sys.stderr.writelines(
                f"{json.dumps(each)}\n" for each in replica.log
            )  # Shown where a test fails.
        for name in self._profiles:
            self.api.call("DELETE", f"{PROFILES}/{name}")
        self.api.call("DELETE", self.pods, gracePeriodSeconds="0")
        for name in self._nodes:
            self.api.call("DELETE", f"/api/v1/nodes/{name}")
        self.api.call("DELETE", f"/api/v1/namespaces/{self.namespace}")
        # The fence would stand around other tests, and the rights would not be those of an installation.
        # Nor is a Lease left that the next leader would have to wait for.
        for how, what in (("-k", "rbac/evict"), ("-k", "rbac"), ("-f", "deploy/base/10-state.yaml")):
            words = ("delete", how, str(REPOSITORY / what), "--ignore-not-found", "--wait=false")
            self.cluster.kubectl(*words)

    def start(self, kubeconfig: Path | None = None, **settings: Any) -> Replica:
        """Start one controller; floats that are durations are seconds."""
        given = {"probe_port": 0, "host": "127.0.0.1", **settings}
        log = self._folder / f"controller-{len(self._replicas)}.log"
        environment = {**os.environ, "KUBECONFIG": str(kubeconfig or self.kubeconfig)}
        with log.open("wb") as stream:
            process = subprocess.Popen(
                [sys.executable, "-c", PROGRAM, json.dumps(given)], stderr=stream, env=environment
            )
        replica = Replica(process, log)
        self._replicas.append(replica)
        wait_for(lambda: replica.events("standing by"))  # To import everything is seconds of a busy machine.
        return replica

    # -- objects -------------------------------------------------------------------------------------------------

    def profile(self, name: str, *facts: dict[str, Any], **spec: Any) -> dict[str, Any]:
        """Create a profile of these facts."""
        tree = {
            "apiVersion": "podfacts.dev/v1alpha1",
            "kind": "Profile",
            "metadata": {"name": name},
            "spec": {"facts": list(facts), **spec},
        }
        self._profiles[name] = tree
        return self.api.create(PROFILES, tree)

    def edit_profile(self, name: str, spec: dict[str, Any]) -> None:
        """Change its spec, by merge patch."""
        said = self.api.call("PATCH", f"{PROFILES}/{name}", {"spec": spec})
        assert said.status == HTTPStatus.OK, said.body

    def node(self, name: str, labels: dict[str, str] | None = None) -> None:
        """Create a Node that no kubelet serves."""
        self.api.create("/api/v1/nodes", {"metadata": {"name": name, "labels": labels or {}}})
        self._nodes.append(name)

    def label(self, path: str, labels: dict[str, str | None]) -> None:
        """Set labels of any object."""
        said = self.api.call("PATCH", path, {"metadata": {"labels": labels}})
        assert said.status == HTTPStatus.OK, said.body

    def tree(self, name: str, profile: str, **spec: Any) -> dict[str, Any]:
        """A pod that asks for a profile."""
        container: dict[str, Any] = {"name": "main", "image": "busybox:stable", "imagePullPolicy": "Never"}
        container["command"] = ["sleep", "86400"]
        return {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "labels": {"podfacts.dev/inject": profile}},
            "spec": {"containers": [container], "terminationGracePeriodSeconds": 0, **spec},
        }

    def injected(self, tree: dict[str, Any]) -> dict[str, Any]:
        """The pod as the webhook would have left it, without a look at namespace and node."""
        name = tree["metadata"]["labels"]["podfacts.dev/inject"]
        profiles = {name: parse_profile(self._profiles[name])}
        patch = inject(tree, profiles).patch
        done: dict[str, Any] = jsonpatch.apply_patch(copy.deepcopy(tree), [dict(each) for each in patch])
        return done

    def create(self, tree: dict[str, Any]) -> dict[str, Any]:
        """Create a pod."""
        return self.api.create(self.pods, tree)

    def create_many(self, tree: dict[str, Any], count: int) -> None:
        """Create pods like this one: NAME-0 and so on."""
        with ThreadPoolExecutor(8) as pool:
            trees = [copy.deepcopy(tree) for _ in range(count)]
            for at, each in enumerate(trees):
                each["metadata"]["name"] += f"-{at}"
            list(pool.map(self.create, trees))

    def create_deployment(self, name: str, tree: dict[str, Any], replicas: int) -> None:
        """Create a Deployment of pods like this one, with the label ``app``."""
        template = {"metadata": copy.deepcopy(tree["metadata"]), "spec": tree["spec"]}
        del template["metadata"]["name"]
        template["metadata"]["labels"]["app"] = name
        spec = {"replicas": replicas, "selector": {"matchLabels": {"app": name}}, "template": template}
        path = f"/apis/apps/v1/namespaces/{self.namespace}/deployments"
        self.api.create(path, {"metadata": {"name": name}, "spec": spec})

    def annotations(self, name: str) -> dict[str, str]:
        """The facts that a pod carries, by their names."""
        found = self.api.call("GET", f"{self.pods}/{name}").body["metadata"].get("annotations") or {}
        return {key.removeprefix(FACTS): value for key, value in found.items() if key.startswith(FACTS)}

    def all_annotations(self) -> dict[str, dict[str, str]]:
        """The facts of all pods of the namespace."""
        items = self.api.call("GET", self.pods).body["items"]
        return {
            each["metadata"]["name"]: {
                key.removeprefix(FACTS): value
                for key, value in (each["metadata"].get("annotations") or {}).items()
                if key.startswith(FACTS)
            }
            for each in items
        }

    def told(self, fact: str, value: str) -> int:
        """How many pods carry a fact with this value."""
        return sum(found.get(fact) == value for found in self.all_annotations().values())

    def uids(self) -> set[tuple[str, str]]:
        """The pods that are not being deleted: label ``app``, or the name, and uid."""
        items = self.api.call("GET", self.pods).body["items"]
        return {
            (each["metadata"]["labels"].get("app", each["metadata"]["name"]), each["metadata"]["uid"])
            for each in items
            if "deletionTimestamp" not in each["metadata"]
        }

    def ready(self, name: str) -> int:
        """How many pods of a Deployment are Ready."""
        path = f"/apis/apps/v1/namespaces/{self.namespace}/deployments/{name}"
        status: dict[str, int] = self.api.call("GET", path).body["status"]
        return status.get("readyReplicas", 0)

    def status(self, name: str) -> dict[str, Any]:
        """The status of a profile."""
        found: dict[str, Any] = self.api.call("GET", f"{PROFILES}/{name}").body.get("status") or {}
        return found

    def opted_in(self) -> int:
        """How many pods ask for facts, those of other tests among them."""
        query = {"labelSelector": "podfacts.dev/inject,podfacts.dev/inject!=false"}
        return len(self.api.call("GET", "/api/v1/pods", **query).body["items"])

    def missed(self) -> set[str]:
        """Who has been told of missed facts."""
        return {each["involvedObject"]["name"] for each in self.events("FactsMissed")}

    def events(self, reason: str) -> list[dict[str, Any]]:
        """The Events of the namespace with a reason."""
        items = self.api.call("GET", f"/api/v1/namespaces/{self.namespace}/events").body["items"]
        return [each for each in items if each["reason"] == reason]

    # -- what was asked ------------------------------------------------------------------------------------------

    def requests(self, verb: str, resource: str, subresource: str = "") -> list[dict[str, Any]]:
        """What the controller's account has asked about this namespace's objects, from the audit log."""
        found = []
        for line in self.cluster.audit_log.read_text().splitlines():
            if USER not in line or f'"{verb}"' not in line:
                continue
            event = json.loads(line)
            about = event.get("objectRef", {})
            if (
                (event["stage"], event["verb"], about.get("resource"), about.get("subresource", ""))
                == ("ResponseComplete", verb, resource, subresource)
                and about.get("namespace", self.namespace) == self.namespace
                and event["user"]["username"] == USER
            ):
                found.append(event)
        return found

    def writes_by_second(self) -> Counter[int]:
        """How many writes of facts were received in each second."""
        times = [each["requestReceivedTimestamp"] for each in self.requests("patch", "pods", "status")]
        return Counter(int(datetime.fromisoformat(each).timestamp()) for each in times)


class Waiting(Pod):
    """A pod that may wait for its facts: a container that cannot be made yet is no failure."""

    def failed(self) -> bool:
        """Whether it will never be Ready."""
        return bool(self.tree()["status"]["phase"] == "Failed")


def restart_api_server(cluster: Cluster, api: Api) -> None:
    """Kill it and start it anew: its watch caches begin with what is there then, and no older watch can go on."""
    (outer,) = [each for each in processes.recorded(cluster.state) if each.name == "kube-apiserver"]
    argv = Path(f"/proc/{outer.pid}/cmdline").read_text().split("\0")[:-1]
    inner = Path(f"/proc/{outer.pid}/task/{outer.pid}/children").read_text().split()
    for pid in (*map(int, inner), outer.pid):
        os.kill(pid, signal.SIGKILL)
    wait_for(lambda: not _ready(api), seconds=5)
    processes.spawn("kube-apiserver", argv, cluster.state, environment())
    wait_for(lambda: _ready(api), seconds=60)


def _ready(api: Api) -> bool:
    try:
        return api.call("GET", "/readyz").status == HTTPStatus.OK
    except urllib3.exceptions.HTTPError:
        return False


LEASE = f"/apis/coordination.k8s.io/v1/namespaces/{SYSTEM}/leases/podfacts-controller"


@contextmanager
def keeping(cluster: Cluster, api: Api, namespace: str, **options: Any) -> Iterator[Keeping]:
    """An installation for one test."""
    with tempfile.TemporaryDirectory() as folder:
        made = Keeping(cluster, api, namespace, Path(folder))
        try:
            made.install(**options)
            yield made
        finally:
            made.remove()
