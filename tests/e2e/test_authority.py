"""The controller as a process on a real API server, with exactly the rights of rbac/controller.yaml."""

import asyncio
import base64
import random
import signal
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from podfacts.authority.certificates import new_authority, parse_authority
from podfacts.authority.secret import read_bundle
from podfacts.controller.apiserver import Failed, connect
from podfacts.controller.controller import Settings
from podfacts.controller.keeper import Authority, _operations
from podfacts.controller.metrics import ControllerMetrics
from tests.cluster import Cluster
from tests.e2e.api import Api
from tests.e2e.conftest import wait_for
from tests.e2e.installation import NODES, WEBHOOK, Installation, installed
from tests.e2e.proxy import Proxy

pytestmark = pytest.mark.api

NEW_LEADER = 30.0
HEALED = 10.0


@pytest.fixture
def here(cluster: Cluster, api: Api, tmp_path: Path) -> Iterator[Installation]:
    with installed(cluster, api, tmp_path) as installation:
        yield installation


def pair(born: datetime, days: int = 365) -> dict[str, bytes]:
    authority = new_authority(born, timedelta(days=days))
    return {"ca.crt": authority.certificate_pem, "ca.key": authority.key_pem}


@pytest.mark.fault("T16")
def test_first_start_of_three(here: Installation) -> None:
    """The empty Secret is filled, the bundle and the owner set, once; two stand by, ready; SIGTERM hands over at once."""
    replicas = [here.start() for _ in range(3)]
    first = wait_for(here.trusted, seconds=20)
    wait_for(lambda: here.configuration["metadata"].get("ownerReferences"), seconds=20)
    wait_for(lambda: all(replica.ask("/readyz")[0] == 200 for replica in replicas), seconds=10)
    assert [replica.ask("/healthz")[0] for replica in replicas] == [200, 200, 200]
    assert sum(replica.metric("podfacts_controller_leading") for replica in replicas) == 1
    (leader,) = [replica for replica in replicas if replica.events("leading")]
    assert here.secret["ca.crt"] == first

    held_by = here.leader()
    stopped = time.monotonic()
    assert leader.stop(signal.SIGTERM) == 0
    assert time.monotonic() - stopped < 4
    wait_for(lambda: here.leader() not in ("", held_by), seconds=6)
    assert leader.events("lease given back")
    assert here.trusted() == first, "a new leader finds everything right"

    wrote = [each for each in here.requests() if each[0] in ("update", "patch") and each[1] != "leases"]
    patched = ("patch", "mutatingwebhookconfigurations", 200)
    assert wrote == [("update", "secrets", 200), patched, patched]
    assert {each[:2] for each in here.requests()} == {
        ("get", "leases"),
        ("update", "leases"),
        ("get", "secrets"),
        ("update", "secrets"),
        ("get", "mutatingwebhookconfigurations"),
        ("patch", "mutatingwebhookconfigurations"),
    }, "every right is used, and nothing else is asked for"
    assert 403 not in {each[2] for each in here.requests()}


@pytest.mark.fault("T16")
async def test_three_that_all_believe_to_lead_make_one_ca(
    here: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The Lease keeps it from happening; compare-and-swap keeps it from doing harm."""
    monkeypatch.setenv("KUBECONFIG", str(here.kubeconfig))
    settings = Settings(namespace=here.name, webhook_configuration=here.name)
    metrics = ControllerMetrics()
    conflicts = 0
    async with connect(5.0) as api:
        for _ in range(20):
            here.write_secret({})
            here.write_bundle(b"")
            racing = [
                Authority(api, settings.place, settings.policy, metrics, leads=lambda: True) for _ in range(3)
            ]
            ended = await asyncio.gather(*(each.round() for each in racing), return_exceptions=True)
            failures = [each for each in ended if isinstance(each, BaseException)]
            assert all(isinstance(each, Failed) for each in failures), failures
            assert len(failures) < 3, "one wins"
            conflicts += len(failures)
            for each in racing:
                await _until_unchanged(each)
            secret = here.secret
            parse_authority(secret["ca.crt"], secret["ca.key"])
            assert secret["ca.crt"] in here.bundle
    assert conflicts > 0, "no race has happened"
    made = [
        metrics.registry.get_sample_value("podfacts_authority_changes_total", {"action": action})
        for action in ("created", "regenerated")
    ]
    assert sum(filter(None, made)) == 20, "one CA each time"


@pytest.mark.fault("T19")
async def test_a_patch_meant_for_another_order_of_webhooks_touches_nothing(
    here: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An admin is quicker between our read and our patch: the patch is refused whole. Who does not lead writes nothing."""
    monkeypatch.setenv("KUBECONFIG", str(here.kubeconfig))
    settings = Settings(namespace=here.name, webhook_configuration=here.name)

    def another_in_front(tree: dict[str, Any]) -> None:
        tree["webhooks"].insert(0, {**tree["webhooks"][0], "name": "first.example.com"})

    async with connect(5.0) as api:
        read = await api.get(settings.place.configuration)
        here.edit_configuration(another_in_front)
        before = here.configuration
        current = {**read, "metadata": before["metadata"]}
        # Stopped by the resourceVersion alone, and by the webhook's name alone.
        for known, index in ((read, 1), (current, 0)):
            with pytest.raises(Failed) as refused:
                await api.patch(settings.place.configuration, _operations(known, {index: WEBHOOK}, b"# ours"))
            assert refused.value.reason == "refused"
        follower = Authority(api, settings.place, settings.policy, ControllerMetrics(), leads=lambda: False)
        assert await follower.round() == "unchanged"
    assert here.configuration == before
    assert here.secret == {}


async def _until_unchanged(authority: Authority) -> None:
    for _ in range(5):
        try:
            if await authority.round() == "unchanged":
                return
        except Failed as error:
            if error.reason not in ("conflict", "refused"):
                raise
    pytest.fail("rounds that write without end")


@pytest.mark.fault("T17")
def test_an_unsound_secret_is_made_anew(here: Installation) -> None:
    """Garbage, torn, expired, of the future, emptied: trusted again in one round, and nothing crashes."""
    replica = here.start(poll=0.5, slack=1.0, leaf_lifetime=1.0)
    wait_for(here.trusted)
    now = datetime.now(UTC)
    planted: dict[str, dict[str, bytes]] = {
        "garbage": {"ca.crt": b"\xff\x00 garbage", "ca.key": b"garbage", "previous-until": b"soon"},
        "torn": {"ca.crt": pair(now)["ca.crt"], "ca.key": pair(now)["ca.key"]},
        "half": {"ca.crt": here.secret["ca.crt"]},
        "expired": pair(now - timedelta(days=400)),
        "future": pair(now + timedelta(days=2)),
        "empty": {},
    }
    for content in planted.values():
        before = here.signing()
        here.write_secret(content)
        wait_for(lambda before=before: here.signing() not in (b"", before), seconds=HEALED)
    assert replica.process.poll() is None
    regenerated = [
        each["detail"]
        for each in replica.events("certificate authority changed")
        if each["action"] == "regenerated"
    ]
    assert len(regenerated) == 5
    for detail, reason in zip(
        regenerated,
        ["not PEM", "do not belong together", "not an unencrypted", "expired", "valid only from"],
        strict=True,
    ):
        assert reason in detail
    assert replica.metric('podfacts_authority_changes_total{action="regenerated"}') == 5


@pytest.mark.fault("T19")
def test_a_blanked_bundle_is_healed_without_a_hot_loop(here: Installation) -> None:
    """Ten times in a row, as a GitOps tool would: healed in 10 s, and not more than one write in 5 s."""
    here.start()
    ca = wait_for(here.trusted)
    began = time.monotonic()
    for overwritten in [b"", pair(datetime.now(UTC))["ca.crt"], ca + ca, b"# none", b""] * 2:
        here.write_bundle(overwritten)
        time.sleep(random.uniform(0.1, 1.4))  # noqa: S311
    wait_for(lambda: here.trusted() == ca, seconds=HEALED)
    spent = time.monotonic() - began
    patches = [each for each in here.requests() if each[:2] == ("patch", "mutatingwebhookconfigurations")]
    assert 2 <= len(patches) <= spent / 5 + 2


@pytest.mark.fault("T19")
def test_nothing_but_our_own_bundle_is_touched(here: Installation) -> None:
    """An admin adds webhooks before and after ours, and annotations: only one field ever differs."""

    def between_others(tree: dict[str, Any]) -> None:
        ours, again, nodes = tree["webhooks"]
        others = [
            {**ours, "name": f"{name}.example.com", "failurePolicy": "Ignore"} for name in ("first", "last")
        ]
        for other in others:
            other["clientConfig"] = {
                "url": "https://127.0.0.1:1/",
                "caBundle": base64.b64encode(b"# theirs").decode(),
            }
        tree["webhooks"] = [others[0], ours, others[1], again, nodes]
        tree["metadata"]["annotations"] = {"example.com/keep": "me"}

    here.edit_configuration(between_others)
    before = here.configuration
    here.start(poll=0.5)
    ca = wait_for(here.trusted)
    after = here.configuration
    for index in (1, 3, 4):
        assert after["webhooks"][index]["clientConfig"].pop("caBundle") == base64.b64encode(ca).decode()
    assert after["webhooks"] == before["webhooks"]
    assert after["metadata"]["annotations"] == {"example.com/keep": "me"}

    def turned(tree: dict[str, Any]) -> None:
        tree["webhooks"].reverse()
        for webhook in tree["webhooks"]:
            if webhook["name"] == NODES:  # One of the two is enough.
                webhook["clientConfig"]["caBundle"] = ""

    here.edit_configuration(turned)
    wait_for(lambda: here.trusted(NODES) == ca, seconds=HEALED)
    assert [each["name"] for each in here.configuration["webhooks"]] == [
        NODES,
        "pods-again.podfacts.dev",
        "last.example.com",
        WEBHOOK,
        "first.example.com",
    ]


def test_the_configuration_goes_when_the_namespace_goes(here: Installation, api: Api) -> None:
    """Kubernetes deletes what the namespace owns; left there alone it would refuse every pod that asks for facts."""
    leader = here.start(poll=0.5)
    wait_for(here.trusted)
    [owner] = wait_for(lambda: here.configuration["metadata"].get("ownerReferences"))
    namespace = api.call("GET", f"/api/v1/namespaces/{here.name}").body["metadata"]
    assert (owner["kind"], owner["name"], owner["uid"]) == ("Namespace", here.name, namespace["uid"])
    assert len(leader.events("the webhook configuration goes when the namespace goes")) == 1

    def somebody_elses(tree: dict[str, Any]) -> None:
        tree["metadata"]["ownerReferences"][0].update(kind="Node", name="none")

    here.edit_configuration(somebody_elses)  # Whoever owns it knows why.
    here.write_bundle(b"")
    wait_for(here.trusted, seconds=HEALED)
    assert here.configuration["metadata"]["ownerReferences"][0]["kind"] == "Node"


def test_what_is_away_is_waited_for(here: Installation) -> None:
    """No configuration (an uninstall), no Secret, no right: said once, clearly; then it goes on."""
    configuration = here.configuration
    here.api.call("DELETE", here.configuration_path)
    replica = here.start(poll=0.5)
    wait_for(lambda: here.secret)
    assert replica.events("webhook configuration not there")
    time.sleep(1.2)
    assert len(replica.events("webhook configuration not there")) == 1
    for field in ("resourceVersion", "uid", "managedFields", "generation", "creationTimestamp"):
        configuration["metadata"].pop(field, None)
    here.api.create(here.configuration_path.rpartition("/")[0], configuration)
    ca = wait_for(here.trusted, seconds=5)

    secret = here.api.call("GET", here.secret_path).body
    here.api.call("DELETE", here.secret_path)
    wait_for(lambda: replica.ask("/readyz")[0] == 503)
    assert "not found" in replica.ask("/readyz")[1]
    assert here.bundle == ca
    secret["metadata"] = {"name": "podfacts-ca"}
    here.api.create(here.secret_path.rpartition("/")[0], secret)
    wait_for(lambda: replica.ask("/readyz")[0] == 200, seconds=HEALED)
    assert here.trusted() == ca

    role = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{here.name}/roles/podfacts-controller-ca"
    rules = here.api.call("GET", role).body["rules"]
    here.api.call("PATCH", role, {"rules": [rule for rule in rules if rule["resources"] != ["secrets"]]})
    missing = wait_for(lambda: replica.events("a right is missing"))[0]
    assert (missing["verb"], missing["resource"]) == ("get", f"secrets/podfacts-ca in namespace {here.name}")
    assert replica.ask("/healthz")[0] == 200
    here.api.call("PATCH", role, {"rules": rules})
    wait_for(lambda: replica.ask("/readyz")[0] == 200, seconds=HEALED)
    assert replica.process.poll() is None


@pytest.mark.fault("T15")
def test_a_rotation_that_is_asked_for(here: Installation) -> None:
    """Trusted first, signing later, the old one gone in the end; one annotation, one rotation."""
    here.start(poll=0.3, settle=2.0, leaf_lifetime=1.0, slack=2.0)
    old = wait_for(here.trusted)
    here.rotate()
    seen: list[tuple[frozenset[str], bool, int]] = []

    def ended() -> bool:
        secret, bundle = here.secret, here.bundle
        state = (frozenset(secret), secret["ca.crt"] == old, len(read_bundle(bundle)))
        assert secret["ca.crt"] in bundle, "what signs is trusted at every moment"
        if not seen or seen[-1] != state:
            seen.append(state)
        return here.trusted() not in (b"", old)

    asked = time.monotonic()
    wait_for(ended, seconds=20, every=0.02)
    assert time.monotonic() - asked > 2 + 3, "settled, and then kept for the old CA's leaves"
    ca, introduced, previous = (
        {"ca.crt", "ca.key"},
        {"next.crt", "next.key"},
        {"previous.crt", "previous-until"},
    )
    way = [
        (frozenset(ca), True, 1),
        (frozenset(ca | introduced), True, 2),
        (frozenset(ca | previous), False, 2),
        (frozenset(ca), False, 1),
    ]
    # The Secret and the bundle are read one after the other, so a step may show half done; never out of order.
    stages = [each for each in seen if each in way]
    assert stages == sorted(stages, key=way.index)
    assert set(way[1:3]) <= set(stages)
    assert "annotations" not in here.api.call("GET", here.secret_path).body["metadata"]


@pytest.mark.fault("T20")
def test_a_killed_leader_is_replaced_and_a_stale_lease_adopted(
    here: Installation, cluster: Cluster, api: Api, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    with installed(cluster, api, tmp_path / "other") as other:
        # As after a restore from a backup: a holder that nobody has heard of for a year, and a strange duration.
        left = {
            "holderIdentity": "gone",
            "renewTime": "2025-01-01T00:00:00.000000Z",
            "leaseDurationSeconds": 9999,
        }
        assert api.call("PATCH", other.lease_path, {"spec": left}).status == 200
        adopting = other.start()

        leader = here.start()
        ca = wait_for(here.trusted)
        standby = here.start()
        wait_for(lambda: standby.ask("/readyz")[0] == 200)
        assert not standby.events("leading")
        held_by = here.leader()
        leader.stop(signal.SIGKILL)
        killed = time.monotonic()
        assert here.leader() == held_by, "the Lease is left behind"
        wait_for(lambda: standby.events("leading"), seconds=NEW_LEADER)
        assert 10 < time.monotonic() - killed < NEW_LEADER, "neither before the old one gave up, nor late"
        here.write_bundle(b"")
        wait_for(lambda: here.trusted() == ca, seconds=HEALED)

        (began, led) = (adopting.events(event)[0]["time"] for event in ("standing by", "leading"))
        assert 10 < (datetime.fromisoformat(led) - datetime.fromisoformat(began)).total_seconds() < NEW_LEADER
        assert other.lease["leaseTransitions"] == 1


@pytest.mark.fault("T20")
def test_a_leader_that_is_cut_off_stops_and_comes_back(here: Installation, tmp_path: Path) -> None:
    """Nothing comes through to the leader: another one leads in 30 s, and the first is none the worse for it."""
    with Proxy(here.kubeconfig, tmp_path) as door:
        first = here.start(door.kubeconfig)
        ca = wait_for(here.trusted)
        second = here.start()
        wait_for(lambda: second.ask("/readyz")[0] == 200)
        door.turn("silent")
        shut = time.monotonic()
        wait_for(lambda: first.events("not leading any more"), seconds=NEW_LEADER)
        assert not second.events("leading"), "the old one stops before the new one starts"
        assert first.ask("/healthz") == (200, "ok\n")
        wait_for(lambda: second.events("leading"), seconds=NEW_LEADER - (time.monotonic() - shut))
        wait_for(lambda: any("no answer in 5 s" in str(each) for each in first.events("lease not available")))
        door.turn("cut")
        door.turn("open")
        assert first.metric("podfacts_controller_leading") == 0
        here.write_bundle(b"")
        wait_for(lambda: here.trusted() == ca, seconds=HEALED)
        second.stop(signal.SIGTERM)
        wait_for(lambda: len(first.events("leading")) == 2, seconds=HEALED)
        assert first.stop() == 0


@pytest.mark.fault("T13")
def test_an_api_server_that_goes_away_and_comes_back(here: Installation, tmp_path: Path) -> None:
    with Proxy(here.kubeconfig, tmp_path) as door:
        replica = here.start(door.kubeconfig, poll=0.5)
        ca = wait_for(here.trusted)
        door.turn("cut")
        wait_for(lambda: replica.events("the round did not end"), seconds=HEALED)
        assert replica.ask("/healthz")[0] == 200
        assert replica.ask("/readyz")[0] == 200, "nothing that anybody could put right"
        here.write_bundle(b"")
        time.sleep(2)
        assert here.bundle == b""
        door.turn("open")
        wait_for(lambda: here.trusted() == ca, seconds=HEALED)
        assert replica.process.poll() is None


def test_without_a_cluster_it_says_so(here: Installation, tmp_path: Path) -> None:
    replica = here.start(tmp_path / "missing")
    assert replica.process.wait(20) == 2
    said = replica.log[-1]
    assert said["event"] == "cannot start"
    assert "no cluster to talk to" in said["reason"]
