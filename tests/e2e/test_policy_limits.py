"""How large a pod a policy injects, inside the API server, and what it does with a larger one."""

import time
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from podfacts.core.options import INJECT
from tests.e2e.api import Api
from tests.e2e.conftest import REPOSITORY
from tests.e2e.test_cases_on_the_api_server import dry
from tests.e2e.twin import PRINTED, Twin, collection, twinned

pytestmark = pytest.mark.api


@pytest.fixture(scope="module")
def twin(api: Api) -> Iterator[Twin]:
    """The policies of the largest profile."""
    with twinned(api, "limits", [PRINTED["everything"]], ()) as found:
        yield found


def large(containers: int, env: int, mounts: int) -> dict[str, Any]:
    """A pod of that many containers, with so many entries and mounts each."""
    entries = [{"name": f"SETTING_{index}", "value": "x" * 50} for index in range(env)]
    places = [{"name": "data", "mountPath": f"/data/{index}"} for index in range(mounts)]
    each = {"image": "app", "env": entries, "volumeMounts": places}
    return {
        "metadata": {"name": "web", "labels": {INJECT: "everything"}},
        "spec": {
            "containers": [{"name": f"c{index}", **each} for index in range(containers)],
            "volumes": [{"name": "data", "emptyDir": {}}],
        },
    }


def test_the_largest_pod_stays_within_the_budget_of_cel(api: Api, twin: Twin) -> None:
    """Each container has the token's mount too."""
    said = dry(api, twin.namespaces["{}"], large(50, 40, 9))
    assert said.status == 201, said.body["message"]
    assert len(said.body["spec"]["containers"][49]["env"]) == 40 + len(PRINTED["everything"].env)


@pytest.mark.parametrize(
    ("containers", "env", "mounts"), [(51, 1, 1), (1, 2001, 1), (1, 1, 500), (1, 20_000, 1)]
)
def test_a_larger_one_is_refused(containers: int, env: int, mounts: int, api: Api, twin: Twin) -> None:
    said = dry(api, twin.namespaces["{}"], large(containers, env, mounts))
    assert said.status == 422
    assert "let the webhook inject this one" in said.body["message"]


@pytest.mark.parametrize(
    "annotations",
    [
        {f"example.com/a{index}": "" for index in range(1001)},
        {f"facts.podfacts.dev/a{index}": "" for index in range(5000)},
        {"podfacts.dev/containers": "a," * 120_000},
        {"podfacts.dev/mount-path": "/a" * 120_000},
    ],
    ids=["many", "many of ours", "a long list", "a long path"],
)
def test_nobody_keeps_the_api_server_busy(annotations: dict[str, str], api: Api, twin: Twin) -> None:
    """Each of these took five seconds and more when it was read to its end; a busy machine gets two."""
    pod = large(1, 1, 1)
    pod["metadata"]["annotations"] = annotations
    started = time.monotonic()
    said = dry(api, twin.namespaces["{}"], pod)
    assert said.status == 422
    assert "podfacts: " in said.body["message"]
    assert time.monotonic() - started < 2


def test_the_example_is_what_the_server_takes(api: Api) -> None:
    for tree in yaml.safe_load_all((REPOSITORY / "deploy/examples/policy.yaml").read_text()):
        api.create(collection(tree), tree, dryRun="All")
