"""Does a crowd of slow clients stop admission? ``python tests/bench/flood.py [--slow 500] [--seconds 30]``.

As many connections as ``--slow`` says of each kind (no handshake, headers drop by drop, body drop by drop, idle after the
handshake) are opened, and opened again as they are cut, while 50 real reviews a second are asked for on a few kept
connections and on new ones in turns, as an API server does. Then a flood of new connections as fast as one process can.
"""

import argparse
import asyncio
import ssl
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack, suppress
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent.parent / "operator")]

import servers  # noqa: E402

HEAD = b"POST /mutate HTTP/1.1\r\nHost: x\r\nContent-Length: 9000\r\n\r\n"
RATE = 50


class Crowd:
    """Everybody who attacks."""

    def __init__(self, port: int, context: ssl.SSLContext) -> None:
        self.port = port
        self.context = context
        self.ended: dict[str, list[float]] = {}

    async def one(self, kind: str, sent: bytes) -> None:
        """One connection after another: each sends a byte a second until it is cut."""
        while True:
            began = time.monotonic()
            with suppress(OSError, TimeoutError):
                tls = {} if kind == "no handshake" else {"ssl": self.context}
                reader, writer = await asyncio.open_connection("127.0.0.1", self.port, **tls)  # type: ignore[arg-type]
                try:
                    with suppress(OSError):
                        await self.linger(kind, sent, reader, writer)
                finally:
                    writer.transport.abort()
                self.ended.setdefault(kind, []).append(time.monotonic() - began)
            await asyncio.sleep(0.2)

    async def linger(
        self, kind: str, sent: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Stay until cut."""
        for byte in sent:
            writer.write(bytes([byte]))
            await asyncio.sleep(1.0)
            if writer.transport.is_closing():
                return
        if kind in ("idle", "no handshake"):
            await reader.read()

    async def flood(self) -> None:
        """New connections without a handshake, as fast as they can be made."""
        count = 0
        try:
            while True:
                with suppress(OSError):
                    _, writer = await asyncio.open_connection("127.0.0.1", self.port)
                    count += 1
                    asyncio.get_running_loop().call_later(2.0, writer.transport.abort)
        finally:
            self.ended["flood"] = [float(count)]


async def ask(port: int, context: ssl.SSLContext, body: bytes, seconds: float) -> tuple[list[float], int]:
    """Return the milliseconds that each review took, and how many failed."""
    request = b"POST /mutate HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
    times: list[float] = []
    failed = 0

    async def one(*, kept: bool) -> None:
        nonlocal failed
        began = time.monotonic()
        try:
            async with asyncio.timeout(3.0):
                while (
                    idle and idle[-1][0].at_eof()
                ):  # As an API server does: what was closed is not used again.
                    idle.pop()[1].transport.abort()
                reader, writer = (
                    idle.pop()
                    if idle and kept
                    else await asyncio.open_connection("127.0.0.1", port, ssl=context)
                )
                writer.write(request)
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length: ")[2].split()[0])
                await reader.readexactly(length)
                assert head.startswith(b"HTTP/1.1 200")
            times.append((time.monotonic() - began) * 1000)
            if kept:
                idle.append((reader, writer))
            else:
                writer.transport.abort()
        except (OSError, asyncio.IncompleteReadError, TimeoutError):
            failed += 1

    async with asyncio.TaskGroup() as group:
        for number in range(int(seconds * RATE)):
            group.create_task(one(kept=number % 5 != 0))
            await asyncio.sleep(1 / RATE)
    for _, writer in idle:
        writer.transport.abort()
    return times, failed


async def crowd(port: int, kinds: dict[str, bytes], slow: int, seconds: float) -> None:
    """Attack until told to stop, in a process of its own; then say what became of it."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    attackers = Crowd(port, context)
    tasks = [
        asyncio.create_task(attackers.one(kind, sent)) for kind, sent in kinds.items() for _ in range(slow)
    ]
    if not kinds:
        tasks = [asyncio.create_task(attackers.flood())]
    await asyncio.sleep(seconds)
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    for kind, lasted in attackers.ended.items():
        what = "connections made" if kind == "flood" else f"ended, the longest after {max(lasted):.1f} s"
        print(f"  {kind}: {int(lasted[0]) if kind == 'flood' else len(lasted)} {what}")


KINDS = {
    "no handshake": b"\x16\x03\x01\x02\x00" * 20,
    "slow headers": HEAD,
    "slow body": HEAD + bytes(9000),
    "idle": b"",
}


def descriptors(server: servers.Server) -> int:
    """How many the server has open."""
    return len(list(Path(f"/proc/{server.process.pid}/fd").iterdir()))


async def measured(server: servers.Server, body: bytes, name: str, slow: int, seconds: float) -> bool:
    """Ask while others attack; print and return whether all went well."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    attack = None
    if name != "nobody":
        attack = await asyncio.create_subprocess_exec(
            *(sys.executable, __file__, "--attack", name, "--port", str(server.port)),
            *("--slow", str(slow), "--seconds", str(seconds)),
        )
        await asyncio.sleep(3.0)
    times, failed = await ask(server.port, context, body, seconds - 6)
    memory = servers.resident(server.process.pid)
    opened = descriptors(server)
    if attack is not None:
        await attack.wait()
    cuts = statistics.quantiles(times, n=100) if len(times) > 1 else [0.0] * 99
    print(
        f"{name}: {len(times)} answered, {failed} failed, p50 {cuts[49]:.1f} ms, p99 {cuts[98]:.1f} ms, "
        f"most {max(times, default=0):.1f} ms; {memory:.0f} MB, {opened} descriptors"
    )
    return not failed


def main() -> int:
    """Attack, or be attacked."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--slow", type=int, default=500)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--server", choices=("whole", "whole-uvloop"), default="whole")
    parser.add_argument("--attack", help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.attack:
        kinds = {"the slow": KINDS, "the flood": {}}.get(
            arguments.attack, {arguments.attack: KINDS.get(arguments.attack, b"")}
        )
        asyncio.run(crowd(arguments.port, kinds, arguments.slow, arguments.seconds))
        return 0
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        servers.prepare(folder)
        server = stack.enter_context(servers.running(arguments.server, folder))
        body = (folder / "6.json").read_bytes()
        fine = [
            asyncio.run(measured(server, body, name, arguments.slow, arguments.seconds))
            for name in ("nobody", "the slow", "the flood", "nobody")
        ]
    return 0 if all(fine) else 1


if __name__ == "__main__":
    sys.exit(main())
