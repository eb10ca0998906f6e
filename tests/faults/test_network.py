"""Between the API server and the webhook: a slow network, and one that breaks; by either failure policy.

What the API server cannot have is what the failurePolicy says, within the shipped timeouts of 3 s together; the webhook takes no
harm and says nothing wrong of it; the first call after is answered.
"""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import pytest

from tests.cluster import Cluster
from tests.e2e.api import Api
from tests.e2e.conftest import wait_for
from tests.faults.door import Door, Outcome, Policy, door
from tests.faults.link import Link, State
from tests.faults.middlebox import Middlebox, middlebox, said
from tests.faults.webhook import Webhook, running

pytestmark = pytest.mark.api

POLICIES: tuple[Policy, ...] = ("Fail", "Ignore")
LATEST = 6.0  # Timeouts of 3 s together, with room for a busy machine; its own would be 10 s.


class Way(NamedTuple):
    """Everything between a pod's author and the webhook."""

    door: Door
    link: Link
    box: Middlebox
    webhook: Webhook

    def calls(self, number: int, at_once: int = 1) -> dict[Policy, list[Outcome]]:
        """What becomes of so many pods by each policy."""
        with ThreadPoolExecutor(at_once) as pool:
            return {policy: list(pool.map(self.door.ask, [policy] * number)) for policy in POLICIES}


@pytest.fixture(scope="module")
def process(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Webhook]:
    with running(tmp_path_factory.mktemp("network") / "webhook", name=cluster.node_ip) as webhook:
        yield webhook


@pytest.fixture(scope="module")
def laid(
    cluster: Cluster, api: Api, process: Webhook, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Way]:
    ca = process.authority
    with (
        middlebox(ca, cluster.node_ip, tmp_path_factory.mktemp("box")) as box,
        Link(cluster.node_ip, process.port) as link,
        door(api, "network", f"https://{link.host}:{link.port}/mutate", ca.certificate_pem) as opened,
    ):
        yield Way(opened, link, box, process)


@pytest.fixture
def way(laid: Way) -> Iterator[Way]:
    """The way, open and in order; and after the test it is again, from the first call on."""
    yield laid
    laid.link.delay = 0.0
    laid.link.turn("open")
    if laid.link.target != laid.webhook.port:
        laid.link.lead_to(laid.webhook.port)


def in_order(way: Way) -> bool:
    """Whether the very first calls are good, and nothing of what was is left."""
    for policy in POLICIES:
        outcome = way.door.ask(policy)
        assert outcome.injected, outcome
    wait_for(lambda: way.webhook.metric("podfacts_requests_in_flight") == 0, 20)
    return way.webhook.is_well()


def by_policy(outcomes: dict[Policy, list[Outcome]]) -> bool:
    """Whether each went by its policy and in time."""
    for each in outcomes["Fail"]:
        assert each.refused_by_us, each
    for each in outcomes["Ignore"]:
        assert each.passed_without_us, each
    assert max(each.seconds for each in (*outcomes["Fail"], *outcomes["Ignore"])) < LATEST
    return True


@pytest.mark.fault("T10")
def test_half_a_second_more_is_fine(way: Way) -> None:
    way.link.delay = 0.25  # In each direction.
    outcomes = way.calls(4, at_once=4)
    assert all(each.injected for each in (*outcomes["Fail"], *outcomes["Ignore"])), outcomes


@pytest.mark.fault("T10")
def test_five_seconds_more_go_by_the_policy_and_nothing_piles_up(way: Way) -> None:
    assert in_order(way)
    before = way.webhook.descriptors
    way.link.delay = 5.0
    assert by_policy(way.calls(20, at_once=20))
    way.link.delay = 0.0
    assert in_order(way)
    assert max(each.seconds for each in way.calls(10)["Fail"]) < LATEST
    # For each of two entries an API server keeps up to 25 idle connections.
    wait_for(lambda: way.webhook.descriptors <= before + 64, 30)


BROKEN: tuple[tuple[State, bool], ...] = (("reset", True), ("half", True), ("no tls", True), ("reset", False))


@pytest.mark.fault("T11")
@pytest.mark.parametrize(("state", "known"), BROKEN)
def test_a_connection_that_breaks_goes_by_the_policy_and_the_next_call_is_good(
    way: Way, state: State, *, known: bool
) -> None:
    """``known``: the first call meets a connection that was good before; else every call makes its own."""
    assert in_order(way)
    way.link.turn(state)
    if not known:
        way.link.lead_to(way.webhook.port)
    assert by_policy(way.calls(10))
    way.link.turn("open")
    assert in_order(way)


UID = b'{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","response":{"uid":"another","allowed":true}}'
ANSWERS = {
    "500": said("500 Internal Server Error", b"oops\n"),
    "502": said("502 Bad Gateway", b"<html>bad gateway</html>", "Content-Type: text/html"),
    "503, come again": said("503 Service Unavailable", b"", "Retry-After: 1"),
    "302": said("302 Found", b"", "Location: /login"),
    "200 without a body": said("200 OK", b""),
    "200 with a page": said("200 OK", b"<html>log in</html>", "Content-Type: text/html"),
    "garbage": said("200 OK", bytes(range(256)), "Content-Type: application/json"),
    "half of the json": said("200 OK", UID[:70], "Content-Type: application/json"),
    "half of the answer": said("200 OK", UID[:70], length=len(UID)),
    "the answer of another": said("200 OK", UID, "Content-Type: application/json"),
    "no http": b"\x00\x01\x02" * 40,
    "nothing": b"",
}


@pytest.mark.fault("T11")
@pytest.mark.parametrize("answer", ANSWERS)
def test_what_is_no_answer_goes_by_the_policy_and_the_next_call_is_good(way: Way, answer: str) -> None:
    way.box.says = ANSWERS[answer]
    way.box.asked = 0
    way.link.lead_to(way.box.port)
    assert by_policy(way.calls(1 if "again" in answer else 10))
    assert way.box.asked >= 1
    way.link.lead_to(way.webhook.port)
    assert in_order(way)


@pytest.mark.fault("T11")
def test_a_network_that_breaks_now_and_then_costs_what_it_breaks_and_no_more(way: Way) -> None:
    good = 0
    for number in range(30):
        way.link.turn("reset" if number % 3 == 0 else "open")
        outcome = way.door.ask()
        if number % 3 == 0:
            assert outcome.refused_by_us, outcome
        else:
            good += outcome.injected
    assert good == 20
    began = time.monotonic()
    assert in_order(way)
    assert time.monotonic() - began < LATEST
