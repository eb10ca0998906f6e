"""The real process: it starts without a certificate, ends in order, and imports nothing it does not need."""

import asyncio
import json
import re
import resource
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from podfacts.authority.certificates import Authority, new_authority
from tests.server.folder import MountedSecret
from tests.server.test_admission import POD, asked
from tests.server.wire import HOST, NAME, Client, Replied, post, trusting

PATIENCE = 15.0  # For a machine that does something else as well.


class Process:
    """A running ``podfacts webhook``, its mounted Secret and its log."""

    def __init__(self, process: asyncio.subprocess.Process, secret: MountedSecret) -> None:
        self.process = process
        self.secret = secret
        self.authority: Authority = new_authority(datetime.now(UTC), timedelta(days=1))
        self.lines: list[str] = []
        self._reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        assert self.process.stderr is not None
        async for line in self.process.stderr:
            self.lines.append(line.decode())

    async def event(self, name: str) -> dict[str, Any]:
        """The first event of that name, waited for."""
        async with asyncio.timeout(PATIENCE):
            while True:
                for line in self.lines:
                    event: dict[str, Any] = json.loads(line)
                    if event["event"] == name:
                        return event
                await asyncio.sleep(0.02)

    async def probe(self, path: str) -> Replied:
        """Ask the probes, once the process has said on which port they are."""
        port = (await self.event("probing"))["port"]
        client = Client(*await asyncio.open_connection(HOST, port))
        await client.send(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        reply = await client.reply()
        await client.close()
        return reply

    async def connect(self) -> Client:
        """Connect as an API server does, once it serves."""
        port = (await self.event("serving"))["port"]
        context = trusting(self.authority.certificate_pem)
        return Client(*await asyncio.open_connection(HOST, port, ssl=context, server_hostname=NAME))

    async def ended(self) -> int:
        """Return the exit code."""
        async with asyncio.timeout(PATIENCE):
            code = await self.process.wait()
            await self._reading
        return code


@asynccontextmanager
async def started(
    tmp_path: Path, *options: str, certificate: bool = True, descriptors: int | None = None
) -> AsyncIterator[Process]:
    def limit() -> None:
        if descriptors is not None:
            resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, descriptors))

    secret = MountedSecret(tmp_path / "certificates")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "podfacts", "webhook", "--port", "0", "--probe-port", "0"),
        *("--certificates", str(secret.path), *options),
        stderr=asyncio.subprocess.PIPE,
        preexec_fn=limit,
    )
    running = Process(process, secret)
    if certificate:
        secret.write_authority(running.authority)
    try:
        yield running
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await running.ended()


async def test_it_waits_for_a_certificate_and_then_serves(tmp_path: Path) -> None:
    async with started(tmp_path, certificate=False) as running:
        assert "holds neither" in (await running.event("certificate not loaded"))["reason"]
        assert (await running.probe("/healthz")).status == 200
        reply = await running.probe("/readyz")
        assert (reply.status, reply.body.startswith(b"no certificate yet")) == (503, True)
        running.secret.write({"ca.crt": b"garbage", "ca.key": b"garbage"})
        await asyncio.sleep(1.2)
        assert (await running.probe("/readyz")).status == 503
        running.secret.write_authority(running.authority)
        client = await running.connect()
        reply = await client.ask(asked(POD))
        assert (reply.status, b'"patch"' in reply.body) == (200, True)
        assert (await running.probe("/readyz")).status == 200
        metrics = (await running.probe("/metrics")).body.decode()
        assert 'podfacts_admission_requests_total{outcome="injected",reason="ok"} 1.0' in metrics
        assert "podfacts_open_connections 1.0" in metrics
        found = re.search(r"^podfacts_certificate_load_failures_total (\S+)", metrics, re.MULTILINE)
        assert found is not None
        assert float(found[1]) >= 2
        await client.close()


async def test_sigterm_drains_and_ends_with_0(tmp_path: Path) -> None:
    async with started(tmp_path, "--drain", "2s") as running:
        kept = await running.connect()
        assert "connection" not in (await kept.ask(asked(POD))).headers
        running.process.send_signal(signal.SIGTERM)
        await running.event("draining")
        reply = await running.probe("/readyz")
        assert (reply.status, reply.body) == (503, b"draining\n")
        assert (await running.probe("/healthz")).status == 200  # Or the kubelet would not let it finish.
        fresh = await running.connect()
        for client in (kept, fresh):
            reply = await client.ask(asked(POD))
            assert (reply.status, reply.headers["connection"]) == (200, "close")
            assert await client.ended(within=PATIENCE)
        begun = await running.connect()
        request = post(asked(POD))
        await begun.send(request[:-1])
        await asyncio.sleep(2.5)  # Past the drain: nothing new is accepted.
        with pytest.raises(ConnectionError):
            await running.connect()
        await begun.send(request[-1:])
        assert (await begun.reply()).status == 200
        assert await running.ended() == 0
        assert (await running.event("stopped"))["cut"] == 0
        for client in (kept, fresh, begun):
            await client.close()


async def test_a_second_signal_ends_it_at_once(tmp_path: Path) -> None:
    async with started(tmp_path, "--drain", "60s") as running:
        begun = await running.connect()
        await begun.send(post(asked(POD))[:-1])
        await asyncio.sleep(0.2)
        running.process.send_signal(signal.SIGTERM)
        await running.event("draining")
        running.process.send_signal(signal.SIGTERM)
        assert await running.ended() == 1
        assert (await running.event("stopped"))["cut"] == 1
        await begun.close()


async def test_sigterm_while_there_is_no_certificate(tmp_path: Path) -> None:
    async with started(tmp_path, "--drain", "60s", certificate=False) as running:
        await running.event("probing")
        running.process.send_signal(signal.SIGTERM)
        assert await running.ended() == 0


async def test_a_port_already_taken_is_one_clear_line_and_2(tmp_path: Path) -> None:
    async with started(tmp_path / "one", "--drain", "1s") as running:
        port = str((await running.event("serving"))["port"])
        async with started(tmp_path / "two", "--port", port) as second:
            assert await second.ended() == 2
            (line,) = [each for each in second.lines if "cannot listen" in each]
            assert json.loads(line)["reason"] == f"port {port} of ::: Address already in use"
            assert "Traceback" not in "".join(second.lines)


async def test_too_few_descriptors_are_not_the_end(tmp_path: Path) -> None:
    async with started(tmp_path, descriptors=96) as running:
        port = (await running.event("serving"))["port"]
        crowd = [await asyncio.open_connection(HOST, port) for _ in range(150)]
        async with asyncio.timeout(PATIENCE):
            client = await running.connect()
            assert (await client.ask(asked(POD))).status == 200
        assert (await running.probe("/healthz")).status == 200
        await client.close()
        for _, writer in crowd:
            writer.transport.abort()
    assert "Too many open files" not in "".join(running.lines)


async def test_a_crowd_of_connections_is_small(tmp_path: Path) -> None:
    async def resident() -> float:
        metrics = (await running.probe("/metrics")).body.decode()
        found = re.search(r"^process_resident_memory_bytes (\S+)", metrics, re.MULTILINE)
        assert found is not None
        return float(found[1])

    async with started(tmp_path) as running:
        crowd = [await running.connect() for _ in range(20)]
        for client in crowd:
            assert (await client.ask(asked(POD))).status == 200
        before = await resident()
        crowd += [await running.connect() for _ in range(200)]
        for client in crowd:
            await client.send(post(b"x")[:-1])
        more = await resident() - before
        for client in crowd:
            client.writer.transport.abort()
        assert more / 200 < 160 * 1024


async def test_nothing_sent_gets_out_of_its_line_in_the_log(tmp_path: Path) -> None:
    evil = 'x\n{"event":"forged"}\r\x1b[2J\u202e\x9b\u2028'
    pod = {**POD, "metadata": {"name": evil, "labels": {"podfacts.dev/inject": evil}}}
    async with started(tmp_path, "--drain", "1s") as running:
        client = await running.connect()
        for body in (asked(pod, uid=evil), evil.encode(), asked(POD, uid="\x1b" * 100_000)):
            await client.ask(body)
        await client.send(b"\x1b[31m\nforged\r\n\r\n")
        assert (await client.reply()).status == 400
        await client.close()
        running.process.send_signal(signal.SIGTERM)
        assert await running.ended() == 0
    events = [json.loads(line) for line in running.lines]
    assert [each["event"] for each in events].count("review") == 3
    assert "forged" not in {each["event"] for each in events}
    for line in running.lines:
        assert line.removesuffix("\n").isprintable()
        assert len(line.encode()) < 16 * 1024


async def test_neither_kopf_nor_a_kubernetes_client_is_loaded() -> None:
    code = "import sys, podfacts.admission.webhook; print([m for m in ('kopf', 'kubernetes', 'pydantic') if m in sys.modules])"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", code), stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    assert out == b"[]\n"
