"""A token of ten minutes, and what becomes of those who hold it when it ends.

Kubernetes gives none that is shorter, so the pods are started before the other tests and looked at after them.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import urllib3

from tests.cluster import Cluster
from tests.e2e.api import Api
from tests.e2e.conftest import wait_for
from tests.e2e.kubectl_proxy import proxying
from tests.e2e.running import Pod, made
from tests.e2e.test_api_access import claims, pod
from tests.image import tools

pytestmark = [pytest.mark.node, pytest.mark.usefixtures("webhook")]

# The API server takes a token for a minute more (go-jose's DefaultLeeway, by pkg/serviceaccount/claims.go), and remembers for
# ten seconds that it was good (authentication/token/cache).
LONGER = 60 + 10 + 1


class Rotating:
    """Two pods with short tokens, and the tutorial's proxy: one that was given a token as a word."""

    def __init__(self, bundle: Pod, ambassador: Pod, proxy: str) -> None:
        self.bundle, self.ambassador, self.proxy = bundle, ambassador, proxy
        self.first = self.token()
        self.ends = claims(self.first)["exp"]

    def token(self) -> str:
        return self.bundle.exec("main", "cat", self.bundle.env("main")["KUBERNETES_TOKEN_FILE"])

    def pods(self, token: str) -> str:
        """The HTTP status with which the API server answers this token, asked from the pod."""
        url = f'"$KUBERNETES_API/api/v1/namespaces/{self.bundle.namespace}/pods"'
        script = f'curl -s -o /dev/null -w %{{http_code}} -H "Authorization: Bearer {token}" {url}'
        return self.bundle.exec("main", "sh", "-c", script)

    def through_the_ambassador(self) -> str:
        url = f"localhost:8001/api/v1/namespaces/{self.ambassador.namespace}/pods"
        return self.ambassador.exec("main", "curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", url)

    def through_the_tutorials_proxy(self) -> int:
        url = f"{self.proxy}/api/v1/namespaces/{self.bundle.namespace}/pods"
        return urllib3.request("GET", url, retries=False).status


@pytest.fixture(scope="session")
def rotating(
    node: Cluster, api: Api, namespaces: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Rotating]:
    node.load_image(tools.images(node.binaries))
    namespace = namespaces["hooked"]
    path = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}"
    rule = {"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]}
    api.create(f"{path}/roles", {"metadata": {"name": "lists-pods"}, "rules": [rule]})
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "lists-pods"}
    subject = {"kind": "ServiceAccount", "name": "default", "namespace": namespace}
    binding: dict[str, Any] = {
        "metadata": {"name": "lists-pods"},
        "roleRef": reference,
        "subjects": [subject],
    }
    api.create(f"{path}/rolebindings", binding)
    running = made(node, api, namespace)
    make = next(running)
    bundle = make(pod("holds-a-token", "api-access", "brief", automountServiceAccountToken=False))
    ambassador = make(pod("holds-none", "ambassador", "brief"))
    with _tutorials_proxy(node, bundle, tmp_path_factory.mktemp("proxy")) as url:
        yield Rotating(bundle, ambassador, url)
    next(running, None)


@contextmanager
def _tutorials_proxy(cluster: Cluster, bundle: Pod, folder: Path) -> Iterator[str]:
    """``kubectl proxy --token="$(cat .../token)"``, as the tutorial has it; gives its URL."""
    (folder / "ca.crt").write_text(bundle.exec("main", "sh", "-c", 'cat "$CURL_CA_BUNDLE"'))
    token = bundle.exec("main", "sh", "-c", 'cat "$KUBERNETES_TOKEN_FILE"')
    authority = f"--certificate-authority={folder / 'ca.crt'}"
    with proxying(cluster, folder, f"--server={cluster.server}", authority, f"--token={token}") as (url, _):
        yield url


@pytest.mark.early
def test_at_first_all_three_get_an_answer(rotating: Rotating) -> None:
    told = claims(rotating.first)
    assert told["exp"] - told["iat"] == 600
    assert rotating.pods(rotating.first) == "200"
    assert rotating.through_the_ambassador() == "200"
    assert rotating.through_the_tutorials_proxy() == 200


@pytest.mark.late
@pytest.mark.timeout(900)
def test_who_reads_the_file_again_goes_on_and_who_kept_the_token_does_not(rotating: Rotating) -> None:
    wait_for(lambda: time.time() > rotating.ends + LONGER, 800, 1)
    assert rotating.pods(rotating.first) == "401"
    assert rotating.through_the_tutorials_proxy() == 401
    now = rotating.token()
    assert now != rotating.first
    assert rotating.pods(now) == "200"
    assert rotating.through_the_ambassador() == "200"
    (sidecar,) = rotating.ambassador.tree()["status"]["initContainerStatuses"]
    assert sidecar["restartCount"] == 0
