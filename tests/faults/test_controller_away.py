"""The API server is away from the webhook: it goes on with what it knows, and says how old that is."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest

from tests.cluster import Cluster
from tests.e2e.api import Api
from tests.e2e.conftest import define_profiles, wait_for
from tests.e2e.identity import identity
from tests.e2e.proxy import Proxy
from tests.faults.webhook import POD, Webhook, asked, running

pytestmark = [pytest.mark.api, pytest.mark.fault("T12")]
SILENT = "podfacts_followed_silent_seconds"
PROFILES = "/apis/podfacts.dev/v1alpha1/profiles"


@pytest.fixture
def door(cluster: Cluster, tmp_path: Path) -> Iterator[Proxy]:
    with Proxy(cluster.kubeconfig, tmp_path) as proxy:
        yield proxy


@pytest.fixture
def webhook(cluster: Cluster, api: Api, tmp_path: Path, door: Proxy) -> Iterator[Webhook]:
    """One that follows the cluster through the door, and knows a profile from there."""
    define_profiles(api, cluster)
    spec = {"facts": [{"name": "pod", "field": "metadata.name", "env": "FROM_THE_CLUSTER"}]}
    kind = {"apiVersion": "podfacts.dev/v1alpha1", "kind": "Profile"}
    api.create(PROFILES, {**kind, "metadata": {"name": "away"}, "spec": spec})
    host, port = door._address
    try:
        with identity(api, cluster, tmp_path / "account", "webhook", "default", "away") as variables:
            through = {**variables, "KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": str(port)}
            with running(tmp_path / "webhook", environment=through) as made:
                wait_for(lambda: made.probe("/readyz").status == 200, 20)
                yield made
    finally:
        api.call("DELETE", f"{PROFILES}/away")


@pytest.mark.parametrize("way", ["refused", "silent"])
@pytest.mark.parametrize("seconds", [7, pytest.param(120, marks=pytest.mark.long)])
def test_the_webhook_injects_from_memory_and_stays_ready_while_its_silence_grows(
    webhook: Webhook, door: Proxy, api: Api, way: Literal["refused", "silent"], seconds: int
) -> None:
    door.turn(way)
    away = time.monotonic()
    with_facts = 0
    while time.monotonic() < away + seconds:
        assert webhook.probe("/readyz").status == 200
        assert webhook.probe("/healthz").status == 200
        reply = webhook.ask(review())
        assert reply.status == 200
        assert reply.response["allowed"]
        assert "patch" in reply.response, "the profile of the cluster is known still"
        with_facts += 1
        time.sleep(0.5)
    assert with_facts > seconds / 2
    assert webhook.metric(SILENT) > 3 * (seconds - 2), "the sum of the three that are followed"

    api.call("PATCH", f"{PROFILES}/away", {"spec": {"facts": [{"name": "later", "value": "1"}]}})
    door.turn("cut")
    door.turn("open")
    opened = time.monotonic()
    # Each of them, one after another: who has failed for long asks again in half a minute, and then hears bookmarks only.
    wait_for(lambda: max(webhook.values(SILENT)) < time.monotonic() - opened, 60)
    assert not [each for each in webhook.log if each["level"] == "error"]
    assert webhook.is_well()


def review() -> bytes:
    """Of a pod that asks for the cluster's own profile."""
    return asked({**POD, "metadata": {**POD["metadata"], "labels": {"podfacts.dev/inject": "away"}}})
