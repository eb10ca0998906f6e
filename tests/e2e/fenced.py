"""Doors to the API server for those whom rbac/fence.yaml holds back, and pods for them to try it on."""

import itertools
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.cluster import Cluster
from tests.e2e.api import Api, Said
from tests.e2e.conftest import REPOSITORY, wait_for

SYSTEM = "podfacts-system"
CONTROLLER = f"system:serviceaccount:{SYSTEM}:podfacts-controller"
TENANT, NODE = "fence-tenant", "fence-node"
ZONE, RECORD = "facts.podfacts.dev/zone", "podfacts.dev/injected"
TOPOLOGY = "topology.kubernetes.io/zone"
RBAC = "/apis/rbac.authorization.k8s.io/v1"
POLICIES = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies"
NUMBERS = itertools.count()
Tree = dict[str, Any]


class As(Api):
    """The API server, as the administrator who impersonates a user, in one group more than system:authenticated."""

    def __init__(self, kubeconfig: Path, user: str, group: str = "") -> None:
        super().__init__(kubeconfig)
        self._headers["Impersonate-User"] = user
        if group:
            self._headers["Impersonate-Group"] = group


class Fence:
    """rbac/ on the cluster, with two namespaces whose admin is the tenant: ``plain``, and ``room`` with node facts."""

    def __init__(self, cluster: Cluster, api: Api) -> None:
        self.cluster, self.admin = cluster, api
        self.there = api.call("GET", f"/api/v1/namespaces/{SYSTEM}").status == 200
        self.plain, self.room = (f"fence-{each}-{os.getpid()}-{next(NUMBERS)}" for each in ("plain", "room"))
        self.tenant = As(cluster.kubeconfig, TENANT)
        self.kubelet = As(cluster.kubeconfig, f"system:node:{NODE}", "system:nodes")

    def up(self) -> None:
        """Create what is missing, and wait until it holds."""
        if not self.there:
            self.admin.create("/api/v1/namespaces", {"metadata": {"name": SYSTEM}})
        self.cluster.kubectl("apply", "-k", str(REPOSITORY / "rbac"))
        self._namespace(self.plain, {})
        self._namespace(self.room, {"podfacts.dev/node-facts": "enabled"})
        # Unschedulable: the scheduler must not use it for the pods of others.
        self.admin.create("/api/v1/nodes", {"metadata": {"name": NODE}, "spec": {"unschedulable": True}})
        self.controller = Api(self.cluster.kubeconfig, self._token())
        wait_for(self._standing, 20)

    def _namespace(self, name: str, labels: dict[str, str]) -> None:
        self.admin.create("/api/v1/namespaces", {"metadata": {"name": name, "labels": labels}})
        self.bind(name, "ClusterRole", "admin", TENANT)
        account = f"/api/v1/namespaces/{name}/serviceaccounts/default"
        wait_for(lambda: self.admin.call("GET", account).status == 200)

    def _token(self) -> str:
        path = f"/api/v1/namespaces/{SYSTEM}/serviceaccounts/podfacts-controller/token"
        return str(self.admin.create(path, {"spec": {}})["status"]["token"])

    def _standing(self) -> bool:
        """Whether each policy refuses: the API server takes a second to know them."""
        pods, big = f"/api/v1/namespaces/{self.room}/pods", {"big": "x" * 249 * 1024}
        for annotations in ({ZONE: "a"}, big):
            if (
                self.admin.call("POST", pods, pod("probe", annotations=annotations), dryRun="All").status
                < 400
            ):
                return False
        time.sleep(1)  # They are read together, once a second.
        return self.controller.call("GET", "/api/v1/pods", limit="1").status == 200

    def bind(self, namespace: str, kind: str, role: str, user: str) -> str:
        """Bind a role to a user in a namespace, and return the binding's path."""
        path = f"{RBAC}/namespaces/{namespace}/rolebindings"
        subject = {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}
        reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": role}
        name = f"{role}-{user}".replace(":", "-")
        self.admin.create(path, {"metadata": {"name": name}, "roleRef": reference, "subjects": [subject]})
        return f"{path}/{name}"

    def allow(self, namespace: str, user: str, *resources: str) -> None:
        """Let a user get, update and patch the resources, beside what it may already, and wait until that is so."""
        name = f"fence-{len(resources)}-{time.monotonic_ns()}"
        rule = {"apiGroups": [""], "resources": resources, "verbs": ["get", "update", "patch"]}
        self.admin.create(
            f"{RBAC}/namespaces/{namespace}/roles", {"metadata": {"name": name}, "rules": [rule]}
        )
        self.bind(namespace, "Role", name, user)
        resource, _, subresource = resources[0].partition("/")
        attributes = {"verb": "patch", "resource": resource, "subresource": subresource}
        spec = {"user": user, "resourceAttributes": {**attributes, "namespace": namespace}}
        path = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
        wait_for(lambda: self.admin.create(path, {"spec": spec})["status"]["allowed"])

    def made(self, namespace: str = "", **tree: Tree) -> str:
        """Make a pod that Podfacts has told a zone, and return its path; it goes with its namespace."""
        pods = f"/api/v1/namespaces/{namespace or self.plain}/pods"
        name = f"pod-{next(NUMBERS)}"
        tree = {"labels": {"app": "shop", TOPOLOGY: "a"}, "annotations": {"theirs": "1"}, **tree}
        self.admin.create(pods, pod(name, **tree))
        told(self.controller.call("PATCH", f"{pods}/{name}/status", annotated(zone="a", record="{}")), 200)
        return f"{pods}/{name}"

    def bound(self, path: str, **metadata: Any) -> Said:
        """What is said to the administrator who binds the pod to the node, with this on the Binding."""
        target = {"apiVersion": "v1", "kind": "Node", "name": NODE}
        name = path.rpartition("/")[2]
        return self.admin.call(
            "POST", f"{path}/binding", {"metadata": {"name": name, **metadata}, "target": target}
        )

    def down(self) -> None:
        """Take away what was not there before."""
        for name in (self.plain, self.room):
            # No kubelet is there to end those that are bound.
            self.admin.call("DELETE", f"/api/v1/namespaces/{name}/pods", gracePeriodSeconds="0")
            self.admin.call("DELETE", f"/api/v1/namespaces/{name}")
        self.admin.call("DELETE", f"/api/v1/nodes/{NODE}")
        if not self.there:
            self.cluster.kubectl("delete", "-k", str(REPOSITORY / "rbac"), "--ignore-not-found")
            system = f"/api/v1/namespaces/{SYSTEM}"
            self.admin.call("DELETE", system)
            wait_for(lambda: self.admin.call("GET", system).status == 404)


def fenced(cluster: Cluster, api: Api) -> Iterator[Fence]:
    """Give the fence; it goes afterwards."""
    there = Fence(cluster, api)
    try:
        there.up()
        yield there
    finally:
        there.down()


def told(said: Said, status: int, sentence: str = "") -> Said:
    """Return what was said, when it has the status and, in its message, the sentence."""
    assert said.status == status, said.body
    assert sentence in said.body.get("message", ""), said.body
    return said


def annotations(said: Said) -> dict[str, str]:
    """Return those of the pod that was answered."""
    return dict(said.body["metadata"].get("annotations", {}))


def pod(name: str, labels: Tree | None = None, annotations: Tree | None = None) -> Tree:
    """A pod that no scheduler takes."""
    metadata = {"name": name, "labels": labels or {}, "annotations": annotations or {}}
    spec = {"containers": [{"name": "main", "image": "app"}], "schedulerName": "none"}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def annotated(**annotations: str | None) -> Tree:
    """A merge patch; ``zone`` and ``record`` stand for the annotations that Podfacts writes."""
    keys = {"zone": ZONE, "record": RECORD}
    return {"metadata": {"annotations": {keys.get(key, key): value for key, value in annotations.items()}}}
