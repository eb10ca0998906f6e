"""The same cases, asked of a real API server: by the webhook, and by hand with the offline result."""

import copy
import json
from io import BytesIO
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings

from podfacts.core.carried import Surroundings
from podfacts.core.injection import inject
from podfacts.core.refusal import Refused
from podfacts.offline.inject import inject_sources
from tests.case import CASES, PROFILES, Case
from tests.cluster import Cluster
from tests.e2e.api import Api, Said
from tests.e2e.conftest import REPOSITORY
from tests.pods import pods

pytestmark = [pytest.mark.api, pytest.mark.usefixtures("webhook")]

ASKED = [case for case in CASES if case.anywhere and case.told.get("api") != "refuses"]
TAKEN = [case for case in ASKED if "refused" not in case.told]
REFUSED = [case for case in ASKED if "refused" in case.told]
TRIED: list[bool] = []


def dry(api: Api, namespace: str, pod: dict[str, Any]) -> Said:
    return api.call("POST", f"/api/v1/namespaces/{namespace}/pods", pod, dryRun="All")


def essence(pod: dict[str, Any]) -> dict[str, Any]:
    """The pod without what the API server makes up for each one anew."""
    pod = copy.deepcopy(pod)
    metadata = pod["metadata"]
    if "generateName" in metadata:
        metadata.pop("name")
    for key in ("uid", "creationTimestamp", "namespace", "managedFields"):
        metadata.pop(key, None)
    # The token volume has a random name.
    names = [each["name"] for each in pod["spec"].get("volumes", [])]
    text = json.dumps(pod)
    for token in (name for name in names if name.startswith("kube-api-access-")):
        text = text.replace(token, "kube-api-access-xxxxx")
    result: dict[str, Any] = json.loads(text)
    return result


def in_any_order_of_token(pod: dict[str, Any]) -> dict[str, Any]:
    """By hand our volume comes before the token's, by webhook behind it: the order of volumes means nothing."""
    pod["spec"].get("volumes", []).sort(key=lambda volume: volume["name"])
    for kind in ("containers", "initContainers"):
        for container in pod["spec"].get(kind, []):
            container.get("volumeMounts", []).sort(key=lambda mount: mount["mountPath"])
    return pod


@pytest.mark.parametrize("case", TAKEN, ids=lambda case: case.name)
def test_webhook_and_offline_agree(case: Case, api: Api, namespaces: dict[str, str]) -> None:
    written = yaml.safe_dump({"apiVersion": "v1", "kind": "Pod", **case.pod}).encode()
    # The command's own way, through its reader and writer of YAML.
    offline = yaml.safe_load(inject_sources(["-"], PROFILES, "yaml", BytesIO(written)).text)
    by_webhook = dry(api, namespaces["hooked"], case.pod)
    by_hand = dry(api, namespaces["plain"], offline)
    both = dry(api, namespaces["hooked"], offline)
    assert (by_webhook.status, by_hand.status, both.status) == (201, 201, 201), (by_webhook, by_hand, both)
    expected = in_any_order_of_token(essence(by_hand.body))
    assert in_any_order_of_token(essence(by_webhook.body)) == expected
    assert in_any_order_of_token(essence(both.body)) == expected


@pytest.mark.parametrize("case", TAKEN, ids=lambda case: case.name)
def test_the_api_server_shows_our_warnings(case: Case, api: Api, namespaces: dict[str, str]) -> None:
    said = dry(api, namespaces["hooked"], case.pod)
    ours = [each for each in said.warnings if each.startswith("podfacts: ")]
    namespace = namespaces["hooked"]
    offline = inject(case.pod, PROFILES, Surroundings({}, {namespace: {"metadata": {}}}), namespace)
    assert ours == [f"podfacts: {each}" for each in offline.warnings]


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case.name)
def test_a_users_mistake_is_a_clear_refusal(case: Case, api: Api, namespaces: dict[str, str]) -> None:
    said = dry(api, namespaces["hooked"], case.pod)
    assert said.status == 422
    assert said.body["message"] == (
        f'admission webhook "pods.podfacts.dev" denied the request: podfacts: {case.told["refused"]}'
    )


def test_a_created_pod_is_found_injected(api: Api, namespaces: dict[str, str]) -> None:
    """Not by dry run: written, and read back."""
    path = f"/api/v1/namespaces/{namespaces['hooked']}/pods"
    case = next(case for case in CASES if "built-in profile, whole" in case.name)
    pod = copy.deepcopy(case.pod)
    pod["metadata"]["name"] = "written"
    pod["spec"]["nodeName"] = "nowhere"
    api.create(path, pod)
    read = api.call("GET", f"{path}/written").body
    assert [each["name"] for each in read["spec"]["containers"][0]["env"]] == [
        each["name"] for each in PROFILES["default"].env
    ]
    api.call("DELETE", f"{path}/written", gracePeriodSeconds="0")


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pod=pods(("true", "everything", "app-both", "labels-file", "cpu-limit-both", "vault", "proxied")))
def test_what_the_api_server_takes_it_takes_injected(
    pod: dict[str, Any], api: Api, namespaces: dict[str, str]
) -> None:
    plain = dry(api, namespaces["plain"], pod)
    TRIED.append(plain.status == 201)
    hooked = dry(api, namespaces["hooked"], pod)
    if hooked.status == 422 and "podfacts: " in hooked.body["message"]:
        # A sentence of ours, about a wish that cannot be had by a pod that has its token by then.
        with pytest.raises(Refused):
            inject(essence(plain.body) if plain.status == 201 else pod, PROFILES)
        return
    assert (hooked.status == 201) == (plain.status == 201), (plain.body, hooked.body)
    if plain.status == 201:
        again = dry(api, namespaces["hooked"], essence(hooked.body))
        assert again.status == 201
        assert in_any_order_of_token(essence(again.body)) == in_any_order_of_token(essence(hooked.body))


def test_enough_of_the_random_pods_were_taken() -> None:
    """Or the test above would say nothing."""
    assert len(TRIED) >= 150
    assert sum(TRIED) > len(TRIED) / 4


def test_a_refusal_as_kubectl_shows_it(cluster: Cluster, namespaces: dict[str, str]) -> None:
    """The README quotes it."""
    case = next(case for case in REFUSED if "a relative mount path" in case.name)
    tree = json.dumps({"apiVersion": "v1", "kind": "Pod", **case.pod})
    said = cluster.kubectl("apply", "-n", namespaces["hooked"], "-f", "-", stdin=tree, check=False)
    shown = " ".join(said.stderr.split())
    assert shown in " ".join((REPOSITORY / "README.md").read_text().split()), shown
