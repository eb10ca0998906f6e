"""The probes and the metrics, in plain HTTP on a port of their own."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import pytest
from prometheus_client import CollectorRegistry, Counter

from podfacts.serving.probes import LIMITS, probes
from tests.server.wire import HOST, Client, Replied, post


@dataclass
class State:
    """What the process would say of itself."""

    live: str | None = None
    ready: str | None = None
    warned: str | None = None


class Probed:
    """Running probes."""

    def __init__(self, port: int, state: State) -> None:
        self.port = port
        self.state = state

    async def connect(self) -> Client:
        """As the kubelet does."""
        return Client(*await asyncio.open_connection(HOST, self.port))

    async def get(self, path: str) -> Replied:
        """One request on a connection of its own."""
        client = await self.connect()
        await client.send(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        reply = await client.reply()
        await client.close()
        return reply


@asynccontextmanager
async def probing() -> AsyncIterator[Probed]:
    state = State()
    registry = CollectorRegistry()
    Counter("podfacts_test", "Test.", registry=registry).inc(7)
    limits = replace(LIMITS, read=0.3, connections=4)
    async with probes(
        0,
        live=lambda: state.live,
        ready=lambda: state.ready,
        warned=lambda: state.warned,
        registry=registry,
        host=HOST,
        limits=limits,
    ) as port:
        yield Probed(port, state)


async def test_a_warning_takes_nobody_out_of_service() -> None:
    async with probing() as probed:
        probed.state.warned = "the CA ends soon"
        reply = await probed.get("/readyz")
        assert (reply.status, reply.body) == (200, b"ok\nwarning: the CA ends soon\n")
        assert (await probed.get("/healthz")).body == b"ok\n"
        probed.state.ready = "draining"
        assert (await probed.get("/readyz")).status == 503


async def test_fine_is_200() -> None:
    async with probing() as probed:
        for path in ("/healthz", "/readyz", "/readyz?verbose"):
            reply = await probed.get(path)
            assert (reply.status, reply.body) == (200, b"ok\n")


async def test_not_fine_is_503_with_the_reason() -> None:
    async with probing() as probed:
        probed.state.ready = "no certificate yet \ud800"
        assert (await probed.get("/readyz")).status == 503
        assert (await probed.get("/readyz")).body == b"no certificate yet \\ud800\n"
        assert (await probed.get("/healthz")).status == 200
        probed.state.live = "hung"
        reply = await probed.get("/healthz")
        assert (reply.status, reply.body) == (503, b"hung\n")


async def test_the_metrics_are_those_of_the_registry() -> None:
    async with probing() as probed:
        reply = await probed.get("/metrics")
        assert reply.headers["content-type"].startswith("text/plain; version=0.0.4")
        assert b"podfacts_test_total 7.0" in reply.body
        assert b"python_info" not in reply.body


@pytest.mark.parametrize("path", ["/", "/mutate", "/healthz/", "/debug"])
async def test_nothing_else_is_there(path: str) -> None:
    async with probing() as probed:
        assert (await probed.get(path)).status == 404


async def test_nothing_can_be_sent() -> None:
    async with probing() as probed:
        client = await probed.connect()
        assert (await client.ask(b"", "/healthz")).status == 405
        await client.send(post(b"x", "/healthz"))
        assert (await client.reply()).status == 413
        await client.close()


@pytest.mark.fault("T26")
async def test_slow_and_many_clients_do_not_stop_the_kubelet() -> None:
    async with probing() as probed:
        slow = [await probed.connect() for _ in range(12)]
        for client in slow:
            await client.send(b"GET /hea")
        assert (await probed.get("/healthz")).status == 200
        for client in slow:
            assert await client.ended(within=1.0)
            await client.close()


async def test_the_port_is_free_again_afterwards() -> None:
    async with probing() as probed:
        port = probed.port
    with pytest.raises(ConnectionError):
        await asyncio.open_connection(HOST, port)
