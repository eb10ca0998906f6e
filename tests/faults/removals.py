"""The end of an installation: pods are created, nothing of ours is left, and what ran before runs on."""

from collections.abc import Callable

from tests.e2e.conftest import wait_for
from tests.e2e.install import SYSTEM, Installed, Tree, seconds
from tests.e2e.install_load import injected, opted_in
from tests.faults.bursts import waiting


def running(here: Installed, namespace: str) -> Tree:
    """A pod that runs with its facts."""
    path = f"/api/v1/namespaces/{namespace}/pods"
    here.api.create(path, opted_in("stays"))

    def runs() -> Tree | None:
        pod = here.api.call("GET", f"{path}/stays").body
        return pod if pod["status"].get("phase") == "Running" else None

    pod: Tree = wait_for(runs)
    assert injected(pod)
    return pod


def removed(here: Installed, namespace: str, *steps: Callable[[], object]) -> None:
    """Take the steps: then pods are created, nothing of ours is left, and what ran before runs on."""
    before = running(here, namespace)
    for step in steps:
        step()
    path = f"/api/v1/namespaces/{namespace}/pods"
    afterwards = waiting("afterwards")
    assert seconds(lambda: here.api.call("POST", path, afterwards).status == 201, 20) < 10
    assert here.cluster_wide() - here.before == set()
    assert here.api.call("GET", f"/api/v1/namespaces/{SYSTEM}").status == 404
    now = here.api.call("GET", f"{path}/stays").body
    assert now["metadata"]["uid"] == before["metadata"]["uid"]
    assert now["status"]["phase"] == "Running"
    assert [each["restartCount"] for each in now["status"]["containerStatuses"]] == [0]
