"""The admission server against clients that are slow, many, or large: whoever really asks is answered all the time."""

import asyncio
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.crowd import (
    HEAD,
    Clients,
    with_slow_body,
    with_slow_headers,
    without_handshake,
)
from tests.faults.memory import capped
from tests.faults.webhook import HOST, MIB, POD, Webhook, asked, raw, running, sized

CAP = 1024  # Connections that are held at a time.
BODY = 8 * MIB
SLOW = (without_handshake, with_slow_headers, with_slow_body)
CUT = 13.0  # Seconds: the deadline of ten, the second between two looks, and a busy machine.


@pytest.fixture
def webhook(tmp_path: Path) -> Iterator[Webhook]:
    with running(tmp_path / "webhook") as process:
        yield process


async def crowded(webhook: Webhook, of_each: int, per_second: float, lost: float = 0.0) -> None:
    """Let slow ones come, once each; all of them are cut in time, and nobody who asks meanwhile fails."""
    clients = Clients(webhook)
    await clients.ask()
    before = webhook.descriptors
    crowd = [asyncio.create_task(kind(webhook)) for kind in SLOW for _ in range(of_each)]
    asking = asyncio.create_task(clients.steadily(per_second, lambda: all(each.done() for each in crowd)))
    most = 0
    while not asking.done():
        most = max(most, webhook.descriptors)
        await asyncio.sleep(0.5)
    lasted = [await each for each in crowd]
    assert len((await asking).failed) <= lost * len(clients.asked.seconds), clients.asked.failed
    assert max(lasted) < CUT
    assert most < before + min(len(crowd), CAP) + 64
    await asyncio.sleep(1.5)  # For their goodbyes.
    assert webhook.descriptors < before + 16
    assert webhook.is_well()


@pytest.mark.fault("T26")
async def test_slow_connections_are_cut_while_every_review_is_answered(webhook: Webhook) -> None:
    await crowded(webhook, 100, 20)
    assert webhook.metric("podfacts_connections_cut_total") >= 300


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.fault("T26")
async def test_more_slow_connections_than_places_do_not_stop_a_review(webhook: Webhook) -> None:
    for _ in range(3):
        # On a machine whose cores the crowd takes, a handshake may last until its place is wanted by another.
        await crowded(webhook, 500, 50, lost=0.01)
    assert webhook.resident < 300 * MIB


async def flooded(webhook: Webhook, seconds: float) -> int:
    """Let connections come as fast as they can; return how many there were."""
    flood = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.faults.flood", "connect", str(webhook.port), str(seconds)),
        stdout=asyncio.subprocess.PIPE,
    )
    said = asyncio.create_task(flood.communicate())
    clients = Clients(webhook)
    most = 0
    asking = asyncio.create_task(clients.steadily(20, said.done))
    while not said.done():
        most = max(most, webhook.descriptors)
        await asyncio.sleep(0.2)
    assert (await asking).all_answered, clients.asked.failed
    assert most < CAP + 128
    after = Clients(webhook)
    began = time.monotonic()
    await after.ask(kept=False)
    assert after.asked.all_answered
    assert time.monotonic() - began < 5
    assert webhook.is_well()
    return int((await said)[0])


@pytest.mark.fault("T27")
async def test_a_flood_of_connections_does_not_stop_a_review(webhook: Webhook) -> None:
    assert await flooded(webhook, 4) > 200


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.fault("T27")
async def test_a_long_flood_of_connections_leaves_nothing_behind(webhook: Webhook) -> None:
    assert await flooded(webhook, 10) > CAP
    first = webhook.resident
    for _ in range(3):
        await flooded(webhook, 10)
    await asyncio.sleep(6)  # The longest handshake.
    assert webhook.descriptors < 64
    assert webhook.resident < first + 32 * MIB


@pytest.fixture
def ca(webhook: Webhook, tmp_path: Path) -> Path:
    path = tmp_path / "ca.pem"
    path.write_bytes(webhook.authority.certificate_pem)
    return path


async def kept_alive(webhook: Webhook, ca: Path, count: int) -> None:
    """Let so many connections be opened, served and kept, while others ask, and be gone again."""
    crowd = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.faults.flood", "keep", str(webhook.port), str(count), str(ca)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert crowd.stdin is not None
    assert crowd.stdout is not None
    made = asyncio.create_task(crowd.stdout.readline())
    clients = Clients(webhook)
    asking = asyncio.create_task(
        clients.steadily(20, lambda: made.done() and len(clients.asked.seconds) > 20)
    )
    most = 0
    while not asking.done():
        most = max(most, webhook.descriptors)
        await asyncio.sleep(0.2)
    assert (await asking).all_answered, clients.asked.failed
    assert most < CAP + 192
    assert webhook.metric("podfacts_open_connections") <= CAP
    crowd.stdin.close()
    served, left = map(int, (await crowd.stdout.read()).split())
    await crowd.wait()
    assert served > count * 0.98  # A few may be crowded out between their handshake and their request.
    assert CAP - 64 < left <= CAP
    await asyncio.sleep(1.5)
    assert webhook.descriptors < 64
    assert webhook.is_well()


@pytest.mark.fault("T27")
async def test_more_kept_connections_than_places_are_all_served_and_the_oldest_make_room(
    webhook: Webhook, ca: Path
) -> None:
    await kept_alive(webhook, ca, 3 * CAP // 2)
    assert webhook.most_resident < 200 * MIB


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.fault("T27")
async def test_ten_thousand_kept_connections_are_served_within_the_same_memory(
    webhook: Webhook, ca: Path
) -> None:
    await kept_alive(webhook, ca, 3 * CAP // 2)
    first = webhook.resident
    await kept_alive(webhook, ca, 10_000)
    assert webhook.most_resident < 200 * MIB
    assert webhook.resident < first + 16 * MIB


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.fault("T28")
async def test_two_hundred_handshakes_a_second_take_less_than_a_core(webhook: Webhook) -> None:
    clients = Clients(webhook)
    before, began = processor(webhook), time.monotonic()
    async with asyncio.TaskGroup() as group:
        for number in range(4000):
            group.create_task(clients.ask(kept=False))
            await asyncio.sleep(max(0.0, began + number / 200 - time.monotonic()))
    assert clients.asked.all_answered, clients.asked.failed
    assert (processor(webhook) - before) / 20 < 1


def processor(webhook: Webhook) -> float:
    """Seconds of the processor so far."""
    words = Path(f"/proc/{webhook.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / 100


# An API server takes requests of at most 3 MiB, and a CREATE has no oldObject, so a review is hardly ever larger than
# that. Go's JSON writes each of < > & as six bytes: 8 MiB leave room for 1.3 MiB of nothing else, which is about the most
# that etcd takes.
@pytest.mark.fault("T21")
def test_every_body_up_to_the_limit_is_reviewed_in_bounded_memory(webhook: Webhook) -> None:
    connection = webhook.connection(30)
    assert webhook.ask(b"", connection).status == 400
    for size in (1024, MIB - 1, MIB + 1, 3 * MIB // 2, 3 * MIB, 7 * MIB - 1, 7 * MIB, 7 * MIB + 1, BODY):
        reply = webhook.ask(filled(size), connection)
        assert (reply.status, reply.response["allowed"], "patch" in reply.response) == (200, True, True), size
    connection.close()
    assert webhook.most_resident < 256 * MIB
    assert webhook.is_well()


def filled(size: int) -> bytes:
    """A review of exactly this size: nine tenths of what is missing are env of a kilobyte, a tenth is small."""
    env = [{"name": f"V{each}", "value": "x" * 1000} for each in range(max(0, size - 2048) // 1100)]
    pod = {**POD, "spec": {"containers": [{"name": "main", "image": "app", "env": env}]}}
    return sized(asked(pod), size)


@pytest.mark.fault("T21")
@pytest.mark.parametrize("expects", [False, True])
def test_one_byte_more_than_the_limit_is_a_413_before_it_is_sent(webhook: Webhook, *, expects: bool) -> None:
    more = webhook.metric("podfacts_admission_requests_total")
    connection = webhook.connection()
    connection.putrequest("POST", "/mutate")
    connection.putheader("Content-Length", str(BODY + 1))
    if expects:
        connection.putheader("Expect", "100-continue")
    connection.endheaders()
    said = connection.getresponse()  # Nothing of the body is sent yet.
    assert (said.status, said.read()) == (413, b"the body is larger than 8388608 bytes\n")
    connection.close()
    assert webhook.metric("podfacts_admission_requests_total") == more + 1
    assert webhook.ask(asked(POD)).status == 200
    assert webhook.is_well()


@pytest.mark.fault("T21")
def test_chunks_without_end_are_refused_at_the_limit_and_cut(webhook: Webhook) -> None:
    before = webhook.resident
    connection = webhook.connection()
    sent = 0

    def chunks() -> Iterator[bytes]:
        nonlocal sent
        # A minute of them. A fast machine sends a gigabyte in the second before the cut.
        while sent < 64 * 1024 * MIB:
            sent += MIB
            yield b" " * MIB

    with pytest.raises(OSError):  # noqa: PT011 - it is still being written to when it is cut
        connection.request("POST", "/mutate", chunks(), encode_chunked=True)
    connection.close()
    assert sent > BODY
    assert webhook.metric("podfacts_admission_requests_total") == 1
    assert webhook.most_resident < before + 64 * MIB
    assert webhook.ask(asked(POD)).status == 200
    assert webhook.is_well()


@pytest.mark.fault("T34")
async def test_64_reviews_of_a_mebibyte_at_once_fit_into_a_container_of_128(tmp_path: Path) -> None:
    with capped(128 * MIB) as cap:
        with running(tmp_path / "webhook", before=cap.before) as webhook:
            clients = Clients(webhook, filled(MIB))
            await asyncio.gather(*(clients.ask() for _ in range(64)))
            clients.leave()
            assert clients.asked.all_answered, clients.asked.failed
            assert len(clients.asked.seconds) == 64
            assert cap.killed == 0
            assert webhook.is_well()
        assert cap.most <= 128 * MIB


@pytest.mark.fault("T34")
async def test_bodies_that_stop_halfway_hold_no_more_memory_than_all_bodies_may(webhook: Webhook) -> None:
    before = webhook.resident
    head = b"POST /mutate HTTP/1.1\r\nHost: podfacts\r\nContent-Length: %d\r\n\r\n" % (4 * MIB)
    context = webhook.trusting()
    crowd = [await asyncio.open_connection(HOST, webhook.port, ssl=context) for _ in range(40)]
    for _, writer in crowd:
        writer.write(head + b" " * (2 * MIB))
    await asyncio.sleep(3)
    clients = Clients(webhook)
    await clients.ask(kept=False)
    assert clients.asked.all_answered, clients.asked.failed
    assert webhook.most_resident < before + 96 * MIB  # 32 MiB of bodies, and the buffers below them.
    for _, writer in crowd:
        writer.transport.abort()
    await asyncio.sleep(1)
    assert webhook.is_well()


@pytest.mark.fault("T26")
def test_a_client_that_resets_at_any_point_leaves_nothing_behind(webhook: Webhook) -> None:
    body = asked(POD)
    before = webhook.descriptors
    for cut in range(0, 200, 7):
        with raw(webhook.port) as one:
            one.sendall((HEAD + b"\r\n\r\n" + body)[:cut])
        connection = webhook.connection()
        connection.connect()
        connection.sock.sendall((HEAD + b"\r\n\r\n" + body)[:cut])
        connection.close()
    assert webhook.ask(body).status == 200
    time.sleep(1.5)
    assert webhook.descriptors <= before + 1
    assert webhook.is_well()
