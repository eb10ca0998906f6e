"""Opting in enlarges nobody's rights: asked of the real authorizer, by those who would try."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from podfacts.core.options import AMBASSADOR, API_ACCESS, CONTAINERS, INJECTED, MOUNT_PATH
from tests.cluster import Cluster
from tests.e2e.api import Api
from tests.e2e.conftest import wait_for

pytestmark = [pytest.mark.api, pytest.mark.usefixtures("webhook")]

TENANT = "tenant"


@pytest.fixture(scope="module")
def namespace(api: Api, namespaces: dict[str, str]) -> Iterator[str]:
    """A namespace whose admin is the tenant, with a strong service account; the tenant is nobody elsewhere."""
    name = namespaces["hooked"]
    path = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{name}/rolebindings"
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "admin"}
    subject = {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": TENANT}
    api.create(path, {"metadata": {"name": TENANT}, "roleRef": reference, "subjects": [subject]})
    wait_for(lambda: _may(api, "create", "pods", name), 10)
    yield name
    api.call("DELETE", f"{path}/{TENANT}")


def _may(api: Api, verb: str, resource: str, namespace: str = "") -> bool:
    attributes = {"verb": verb, "resource": resource, "namespace": namespace}
    spec = {"user": TENANT, "groups": ["system:authenticated"], "resourceAttributes": attributes}
    said = api.create("/apis/authorization.k8s.io/v1/subjectaccessreviews", {"spec": spec})
    return bool(said["status"]["allowed"])


def tree(name: str) -> dict[str, Any]:
    metadata = {"name": name, "labels": {"podfacts.dev/inject": "true"}, "annotations": {}}
    spec = {"containers": [{"name": "main", "image": "app"}], "schedulerName": "none"}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def as_tenant(cluster: Cluster, namespace: str, pod: dict[str, Any]) -> Any:
    """What becomes of the pod, created by the tenant: the object, or kubectl's complaint."""
    words = ("create", "-n", namespace, "-f", "-", "-o", "json", f"--as={TENANT}")
    done = cluster.kubectl(*words, stdin=json.dumps(pod), check=False)
    return json.loads(done.stdout) if done.returncode == 0 else done.stderr


def rules(cluster: Cluster, namespace: str, user: str) -> list[str]:
    """All that a user may do, as the authorizer itself lists it, in whatever order."""
    review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectRulesReview"}
    text = json.dumps({**review, "spec": {"namespace": namespace}})
    path = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews"
    said = cluster.kubectl("create", "--raw", path, "-f", "-", f"--as={user}", stdin=text)
    status = json.loads(said.stdout)["status"]
    assert not status["incomplete"]
    return sorted(map(json.dumps, (*status["resourceRules"], *status["nonResourceRules"])))


def bindings(cluster: Cluster) -> set[str]:
    """Every role and binding of the cluster with its version."""
    kinds = "roles,rolebindings,clusterroles,clusterrolebindings"
    how = r"jsonpath={range .items[*]}{.kind}/{.metadata.namespace}/{.metadata.name}@{.metadata.resourceVersion}{'\n'}{end}"
    return set(cluster.kubectl("get", kinds, "-A", "-o", how).stdout.split())


@pytest.mark.fault("T38")
@pytest.mark.parametrize("wish", [API_ACCESS, AMBASSADOR])
def test_opting_in_changes_no_right_of_anybody(cluster: Cluster, api: Api, namespace: str, wish: str) -> None:
    account = f"system:serviceaccount:{namespace}:default"
    before = rules(cluster, namespace, account), rules(cluster, namespace, TENANT), bindings(cluster)
    pod = tree("opted-in")
    pod["metadata"]["annotations"][wish] = "true"
    made = as_tenant(cluster, namespace, pod)
    assert INJECTED in made["metadata"]["annotations"], made
    after = rules(cluster, namespace, account), rules(cluster, namespace, TENANT), bindings(cluster)
    api.call("DELETE", f"/api/v1/namespaces/{namespace}/pods/opted-in", gracePeriodSeconds="0")
    assert after == before


@pytest.mark.fault("T38")
@pytest.mark.parametrize(
    ("key", "value"),
    [
        (API_ACCESS, "kube-system/default"),
        (API_ACCESS, "system:serviceaccount:kube-system:admin"),
        (AMBASSADOR, "../../kube-system"),
        (API_ACCESS, "true\nfalse"),
        (AMBASSADOR, "%74rue"),
        (MOUNT_PATH, "/proc/1/root"),
        (CONTAINERS, " , "),
    ],
)
def test_a_wish_for_more_is_refused(cluster: Cluster, namespace: str, key: str, value: str) -> None:
    pod = tree("wishes")
    pod["metadata"]["annotations"][key] = value
    said = as_tenant(cluster, namespace, pod)
    assert isinstance(said, str), said
    assert 'admission webhook "pods.podfacts.dev" denied the request: podfacts: ' in " ".join(said.split())


@pytest.mark.fault("T38")
def test_a_forged_record_decides_nothing(cluster: Cluster, api: Api, namespace: str) -> None:
    pod = tree("forged")
    pod["metadata"]["annotations"] = {
        INJECTED: '{"profile":"vault","hash":"0","access":"bundle"}',
        "podfacts.dev/service-account": "kube-system/default",
        "podfacts.dev/profile": "vault",
        "podfacts.dev/audience": "https://kubernetes.default.svc",
    }
    made = as_tenant(cluster, namespace, pod)
    api.call("DELETE", f"/api/v1/namespaces/{namespace}/pods/forged", gracePeriodSeconds="0")
    record = json.loads(made["metadata"]["annotations"][INJECTED])
    assert (record["profile"], "access" in record) == ("default", False)
    assert [each["name"] for each in made["spec"]["volumes"] if "kube-api-access" not in each["name"]] == [
        "podfacts"
    ]


@pytest.mark.fault("T38", "T39")
@pytest.mark.parametrize("profile", ["vault", "proxied", "true"])
def test_the_token_is_of_the_pods_own_account_whatever_the_profile(
    cluster: Cluster, api: Api, namespace: str, profile: str
) -> None:
    """No volume that we write can name an account: Kubernetes gives the pod's, which is in the pod's namespace."""
    pod = tree("own")
    pod["metadata"]["labels"]["podfacts.dev/inject"] = profile
    if profile == "true":
        pod["metadata"]["annotations"][API_ACCESS] = "true"
        pod["spec"]["automountServiceAccountToken"] = False
    made = as_tenant(cluster, namespace, pod)
    api.call("DELETE", f"/api/v1/namespaces/{namespace}/pods/own", gracePeriodSeconds="0")
    assert made["spec"]["serviceAccountName"] == "default"
    tokens = [
        source["serviceAccountToken"]
        for volume in made["spec"]["volumes"]
        for source in volume.get("projected", {}).get("sources", [])
        if "serviceAccountToken" in source
    ]
    assert tokens
    assert all(set(each) <= {"audience", "expirationSeconds", "path"} for each in tokens)
    foreign = tree("foreign")
    foreign["spec"]["serviceAccountName"] = "no-such-account"
    assert "no-such-account" in as_tenant(cluster, namespace, foreign)


@pytest.mark.fault("T38")
def test_the_tenant_reaches_nothing_beyond_the_namespace(api: Api, namespace: str) -> None:
    assert _may(api, "get", "secrets", namespace)
    for verb, resource, where in (
        ("get", "secrets", "kube-system"),
        ("create", "pods", "kube-system"),
        ("list", "secrets", ""),
        ("create", "clusterrolebindings", ""),
    ):
        assert not _may(api, verb, resource, where), (verb, resource, where)
