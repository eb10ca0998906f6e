"""A crowd in a process of its own, so that it does not slow those who ask: ``python -m tests.faults.flood KIND ...``.

``connect PORT SECONDS`` makes connections without a handshake as fast as it can and holds each for two seconds.
``keep PORT COUNT CA`` makes TLS connections, asks once on each and keeps it; it ends when its standard input ends.
It says on standard output how many it made, and how many of them it still has.
"""

import asyncio
import ssl
import sys
import time
from contextlib import suppress

from tests.faults.crowd import Streams, answered, post
from tests.faults.webhook import HOST, POD, asked

AT_ONCE = 32


async def connect(port: int, seconds: float) -> int:
    """Return how many connections were made."""
    loop = asyncio.get_running_loop()
    end = time.monotonic() + seconds
    made = 0
    while time.monotonic() < end:
        with suppress(OSError):
            _, writer = await asyncio.open_connection(HOST, port)
            made += 1
            loop.call_later(2.0, writer.transport.abort)
    return made


async def keep(port: int, count: int, ca: str) -> tuple[int, int]:
    """Return how many connections were served, and how many of them were still open at the end."""
    context = ssl.create_default_context(cafile=ca)
    request = post(asked(POD))
    kept: list[Streams] = []
    wanted = iter(range(count))

    async def make() -> None:
        for _ in wanted:
            with suppress(OSError, asyncio.IncompleteReadError):
                streams = await asyncio.open_connection(HOST, port, ssl=context)
                await answered(streams, request)
                kept.append(streams)

    await asyncio.gather(*(make() for _ in range(AT_ONCE)))
    print("made", len(kept), flush=True)  # noqa: T201 - whoever started it waits for this
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    left = sum(not reader.at_eof() and not writer.transport.is_closing() for reader, writer in kept)
    return len(kept), left


def main(kind: str, port: str, number: str, *more: str) -> None:
    """Be the crowd."""
    if kind == "connect":
        print(asyncio.run(connect(int(port), float(number))))  # noqa: T201 - its answer
    else:
        print(*asyncio.run(keep(int(port), int(number), *more)))  # noqa: T201 - its answer


if __name__ == "__main__":
    main(*sys.argv[1:])
