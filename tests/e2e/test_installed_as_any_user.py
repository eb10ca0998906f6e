"""The installation as a platform changes it that gives each namespace user ids of its own: a number nobody knows, group 0."""

import json
from typing import Any

import pytest

from tests.cluster import Cluster
from tests.e2e.api import Api
from tests.e2e.conftest import wait_for
from tests.e2e.install import SYSTEM, installed
from tests.e2e.install_load import not_injected

pytestmark = [pytest.mark.node, pytest.mark.long, pytest.mark.timeout(600)]
USER = 1000730000
CONTEXT = {"runAsUser": USER, "runAsGroup": 0, "fsGroup": USER}
PATCH = json.dumps({"spec": {"template": {"spec": {"securityContext": CONTEXT}}}})
SEEN = """
import os
print(os.getuid(), os.getgid(), os.access("/", os.W_OK), os.statvfs("/").f_flag & os.ST_RDONLY)
"""


def test_every_part_runs_as_a_user_that_nobody_knows_on_a_read_only_root(
    cluster: Cluster, api: Api, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with installed(cluster, api, tmp_path_factory.mktemp("any-user")) as here:
        deployments = here.kubectl("get", "deployments", "-n", SYSTEM, "-o", "name").split()
        for each in deployments:
            here.kubectl("patch", each, "-n", SYSTEM, "--patch", PATCH)
        for each in deployments:
            here.kubectl("rollout", "status", each, "-n", SYSTEM, "--timeout=120s")
        wait_for(lambda: not any("deletionTimestamp" in pod["metadata"] for pod in pods(api)), 60)
        assert len(pods(api)) >= len(deployments) >= 2
        for pod in pods(api):
            name = pod["metadata"]["name"]
            said = here.kubectl("exec", "-n", SYSTEM, name, "--", "python3", "-c", SEEN)
            assert said.split() == [str(USER), "0", "False", "1"]
        wait_for(lambda: not not_injected(api, "/api/v1/namespaces/default/pods"), 10)
        assert (here.restarts(), here.trusts()) == (0, True)


def pods(api: Api) -> list[dict[str, Any]]:
    """Return our pods, those that end too."""
    found: list[dict[str, Any]] = api.call("GET", f"/api/v1/namespaces/{SYSTEM}/pods").body["items"]
    return found
