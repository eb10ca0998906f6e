"""kubectl and the Python client, through the API server: both see what was injected, and why something was refused."""

import json
from collections.abc import Iterator
from typing import Any

import kubernetes
import pytest

from podfacts.core.options import INJECTED
from tests.cluster import Cluster
from tests.e2e.api import Api
from tests.faults.door import Door, door, plain
from tests.faults.webhook import running

pytestmark = [pytest.mark.api, pytest.mark.fault("T42")]

REFUSED = {"podfacts.dev/mount-path": "/etc/../proc"}


@pytest.fixture(scope="module")
def opened(cluster: Cluster, api: Api, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    with running(tmp_path_factory.mktemp("through") / "webhook", name=cluster.node_ip) as process:
        url = f"https://{cluster.node_ip}:{process.port}/mutate"
        with door(api, "foreign", url, process.authority.certificate_pem) as made:
            yield made
        assert process.is_well()


def test_kubectl_creates_applies_and_reads_a_refusal(opened: Door, cluster: Cluster) -> None:
    words = ("-n", opened.namespace("Fail"), "-f", "-", "-o", "json")
    for verb in ("create", "apply"):
        for dry in (("--dry-run=server",), ()):
            pod = plain(verb)
            made = cluster.kubectl(verb, *words, *dry, stdin=json.dumps(pod))
            assert INJECTED in json.loads(made.stdout)["metadata"]["annotations"]
    said = cluster.kubectl("create", *words, stdin=json.dumps(plain("no", annotations=REFUSED)), check=False)
    assert said.returncode == 1
    assert "podfacts: " in said.stderr
    again = cluster.kubectl(
        "apply", *words, stdin=json.dumps(plain("apply"))
    )  # The second time nothing changes.
    assert INJECTED in json.loads(again.stdout)["metadata"]["annotations"]
    cluster.kubectl("delete", "pods", "--all", "-n", opened.namespace("Fail"), "--force", "--grace-period=0")


def test_the_python_client_creates_a_pod_and_reads_a_refusal(opened: Door, cluster: Cluster) -> None:
    config: Any = kubernetes.config
    client: Any = kubernetes.client.CoreV1Api(config.new_client_from_config(str(cluster.kubeconfig)))
    namespace = opened.namespace("Fail")
    made = client.create_namespaced_pod(namespace, plain("python"))
    assert INJECTED in made.metadata.annotations
    assert made.spec.containers[0].env[0].name == "POD_NAME"
    client.delete_namespaced_pod("python", namespace, grace_period_seconds=0)
    with pytest.raises(kubernetes.client.ApiException, match="podfacts: ") as error:
        client.create_namespaced_pod(namespace, plain("no", annotations=REFUSED), dry_run="All")
    assert error.value.status == 422
    client.api_client.close()
