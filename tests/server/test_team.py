"""Several workers are one server to everybody: one port, one set of probes and numbers, one life."""

import asyncio
import os
import re
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import generate_latest

from podfacts.admission.numbers import Together, counted
from podfacts.admission.team import Team
from tests.server.test_admission import POD, asked
from tests.server.test_process import PATIENCE, Process, started
from tests.server.wire import HOST, Client, post


async def other(running: Process) -> int:
    """The process that the first one forked."""
    await running.event("serving")
    return children(running.process.pid)[0]


def children(process: int) -> list[int]:
    listed = Path(f"/proc/{process}/task/{process}/children").read_text()
    return [int(each) for each in listed.split()]


async def metric(running: Process, name: str) -> float:
    page = (await running.probe("/metrics")).body.decode()
    found = re.search(rf"^{re.escape(name)} (\S+)$", page, re.MULTILINE)
    assert found is not None, page
    return float(found[1])


async def ready(running: Process) -> None:
    async with asyncio.timeout(PATIENCE):
        while (await running.probe("/readyz")).status != 200:  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.05)


@asynccontextmanager
async def crowd(running: Process, size: int) -> AsyncIterator[list[Client]]:
    """So many connections at once, each of which was answered."""
    clients = await asyncio.gather(*(running.connect() for _ in range(size)))
    try:
        for each in clients:
            assert (await each.ask(asked(POD))).status == 200
        yield clients
    finally:
        for each in clients:
            await each.close()


def sockets(process: int) -> int:
    folder = Path(f"/proc/{process}/fd")
    return sum(str(each.readlink()).startswith("socket:") for each in folder.iterdir())


async def test_both_answer_and_their_numbers_are_one(tmp_path: Path) -> None:
    async with started(tmp_path, "--workers", "2", "--drain", "1s") as running:
        await ready(running)
        async with crowd(running, 8):
            answered = 'podfacts_admission_requests_total{outcome="injected",reason="ok"}'
            assert await metric(running, answered) == 8
            assert await metric(running, "podfacts_admission_duration_seconds_count") == 8
            assert await metric(running, "podfacts_open_connections") == 8
            assert await metric(running, "podfacts_build_info" + await _labels(running)) == 1
            running.process.send_signal(signal.SIGTERM)
            assert await running.ended() == 0


async def test_a_crowd_that_comes_at_once_is_shared_evenly(tmp_path: Path) -> None:
    async with started(tmp_path, "--workers", "2", "--drain", "1s") as running:
        await ready(running)
        pids = (running.process.pid, await other(running))
        port = (await running.event("serving"))["port"]
        before = [sockets(each) for each in pids]
        with ExitStack() as stack:
            for _ in range(40):
                stack.enter_context(socket.create_connection((HOST, port)))
            await asyncio.sleep(0.5)
            taken = [sockets(each) - had for each, had in zip(pids, before, strict=True)]
            # Without that, who comes first takes 32 at once.
            assert all(19 <= each <= 21 for each in taken), taken


async def _labels(running: Process) -> str:
    page = (await running.probe("/metrics")).body.decode()
    found = re.search(r"^podfacts_build_info(\{.+\}) ", page, re.MULTILINE)
    assert found is not None
    return found[1]


async def test_at_the_end_each_finishes_what_it_has_begun(tmp_path: Path) -> None:
    async with started(tmp_path, "--workers", "2", "--drain", "1s") as running:
        await ready(running)
        async with crowd(running, 4) as clients:
            request = post(asked(POD))
            for each in clients:
                await each.send(request[:-1])
            await asyncio.sleep(0.2)
            running.process.send_signal(signal.SIGTERM)
            await running.event("draining")
            await asyncio.sleep(1.5)
            for each in clients:
                await each.send(request[-1:])
                reply = await each.reply()
                assert (reply.status, reply.headers["connection"]) == (200, "close")
            assert await running.ended() == 0


async def test_a_worker_that_ends_before_the_first_does_is_no_error(tmp_path: Path) -> None:
    async with (
        started(tmp_path, "--workers", "2", "--drain", "1s") as running,
        AsyncExitStack() as stack,
    ):
        await ready(running)
        worker = await other(running)
        owned: dict[bool, Client] = {}  # One of the worker's, and one of the first's.
        while len(owned) < 2:
            had = sockets(worker)
            client = await running.connect()
            stack.push_async_callback(client.close)
            assert (await client.ask(asked(POD))).status == 200
            owned[sockets(worker) > had] = client
        request = post(asked(POD))
        for client in owned.values():
            await client.send(request[:-1])
        await asyncio.sleep(0.2)
        running.process.send_signal(signal.SIGTERM)
        await running.event("draining")
        await asyncio.sleep(1.5)
        # The worker is gone then, while the first process still waits for the rest of a request.
        for workers in (True, False):
            await owned[workers].send(request[-1:])
            assert (await owned[workers].reply()).status == 200
            await asyncio.sleep(0.5)
        assert await running.ended() == 0
        assert not [line for line in running.lines if '"level":"error"' in line]


async def test_a_second_signal_ends_all_at_once(tmp_path: Path) -> None:
    async with started(tmp_path, "--workers", "2", "--drain", "60s") as running:
        await ready(running)
        async with crowd(running, 4) as clients:
            for each in clients:
                await each.send(post(asked(POD))[:-1])
            await asyncio.sleep(0.2)
            for _ in range(2):
                running.process.send_signal(signal.SIGTERM)
                await running.event("draining")
            assert await running.ended() == 1


@pytest.mark.fault("T8", "T9")
async def test_when_a_worker_is_killed_the_rest_ends_in_order_with_1(tmp_path: Path) -> None:
    async with started(tmp_path, "--workers", "2", "--drain", "2s") as running:
        await ready(running)
        killed = await other(running)
        os.kill(killed, signal.SIGKILL)
        assert (await running.event("a worker ended"))["process"] == killed
        reply = await running.probe("/readyz")
        assert (reply.status, reply.body) == (503, b"draining\n")
        async with crowd(running, 1):
            assert await running.ended() == 1


@pytest.mark.fault("T1", "T2")
async def test_when_the_first_is_killed_nobody_is_left(tmp_path: Path) -> None:
    async with started(tmp_path, "--workers", "3", "--drain", "60s") as running:
        await ready(running)
        os.kill(running.process.pid, signal.SIGKILL)
        async with asyncio.timeout(PATIENCE):
            await running._reading  # Until nobody has its stderr any more.
        with pytest.raises(ConnectionError):
            await running.connect()


@pytest.mark.fault("T9")
async def test_a_worker_that_hangs_makes_all_unready_and_not_live(tmp_path: Path) -> None:
    async with started(tmp_path, "--workers", "2") as running:
        await ready(running)
        hanging = await other(running)
        os.kill(hanging, signal.SIGSTOP)
        for path in ("/readyz", "/healthz"):
            reply = await running.probe(path)
            assert (reply.status, reply.body) == (503, b"a worker does not answer\n")
        assert (await running.probe("/metrics")).status == 200
        os.kill(hanging, signal.SIGCONT)
        await ready(running)
        assert (await running.probe("/healthz")).status == 200


async def test_nobody_is_ready_before_all_are(tmp_path: Path) -> None:
    async with started(tmp_path, "--workers", "2", certificate=False) as running:
        assert (await running.probe("/readyz")).body.startswith(b"no certificate yet")
        running.process.send_signal(signal.SIGTERM)
        assert await running.ended() == 0


# Numbers, and whose turn it is.


def numbers(open_now: float, expires: float, outcome: str) -> CollectorRegistry:
    registry = CollectorRegistry()
    Gauge("podfacts_open_connections", "-", registry=registry).set(open_now)
    Gauge("podfacts_certificate_expiry_timestamp_seconds", "-", registry=registry).set(expires)
    Counter("podfacts_admission_requests", "-", ["outcome"], registry=registry).labels(outcome).inc(3)
    Histogram("podfacts_admission_duration_seconds", "-", registry=registry, buckets=(1, 2)).observe(1.5)
    return registry


def test_counts_are_added_and_of_the_rest_the_worst_is_shown() -> None:
    others = counted(numbers(2, 50.0, "denied"))
    together = CollectorRegistry()
    together.register(Together(numbers(5, 70.0, "injected"), lambda: [others]))
    page = generate_latest(together).decode().splitlines()
    assert {
        "podfacts_open_connections 7.0",
        "podfacts_certificate_expiry_timestamp_seconds 50.0",
        'podfacts_admission_requests_total{outcome="injected"} 3.0',
        'podfacts_admission_requests_total{outcome="denied"} 3.0',
        'podfacts_admission_duration_seconds_bucket{le="1.0"} 0.0',
        'podfacts_admission_duration_seconds_bucket{le="2.0"} 2.0',
        "podfacts_admission_duration_seconds_sum 3.0",
    } <= set(page)


def test_the_next_connection_is_for_who_has_fewest() -> None:
    team = Team(2)
    team._connections[1] = 3
    assert [team.mine(each) for each in (2, 3, 4)] == [True, True, False]
