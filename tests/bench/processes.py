"""What the benches need of a server that runs: its start and end, its processor time, its memory, and wrk's script."""

import os
import socket
import ssl
import statistics
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from podfacts.authority.certificates import new_authority, sign_leaf

TICK = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")

SCRIPT = """
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
local file = io.open("{body}", "rb")
wrk.body = file:read("*a")
file:close()
"""


@dataclass(frozen=True)
class Server:
    """A running one."""

    name: str
    process: subprocess.Popen[bytes]
    port: int


def certificate(folder: Path) -> None:
    """Write one for 127.0.0.1."""
    now = datetime.now(UTC)
    authority = new_authority(now, timedelta(days=1))
    leaf = sign_leaf(authority.certificate_pem, authority.key_pem, ["127.0.0.1"], now, timedelta(hours=12))
    (folder / "tls.crt").write_bytes(leaf.chain)
    (folder / "tls.key").write_bytes(leaf.key)


def written(folder: Path, size: int, body: bytes) -> None:
    """Write a body, and the script by which wrk sends it."""
    (folder / f"{size}.json").write_bytes(body)
    (folder / f"{size}.lua").write_text(SCRIPT.format(body=folder / f"{size}.json"))


def free_port() -> int:
    """One that nobody has at the moment."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def all_cores() -> str:
    """Those of this process, as taskset takes them."""
    return ",".join(map(str, sorted(os.sched_getaffinity(0))))


@contextmanager
def ended(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """End it, whatever happens in between."""
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def answers(port: int, process: subprocess.Popen[bytes]) -> None:
    """Wait for it."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    for _ in range(200):
        if process.poll() is not None:
            break
        try:
            with (
                socket.create_connection(("127.0.0.1", port)) as plain,
                context.wrap_socket(plain) as secured,
            ):
                if secured.version() == "TLSv1.3":
                    return
        except OSError:
            time.sleep(0.05)
    raise SystemExit(f"the server on port {port} does not answer")


def milliseconds(text: str) -> float:
    """What wrk calls ``1.23ms``."""
    for unit, factor in (("us", 0.001), ("ms", 1.0), ("s", 1000.0)):
        if text.endswith(unit):
            return float(text.removesuffix(unit)) * factor
    raise ValueError(text)


def processor_seconds(pid: int) -> float:
    """The time that a process and its children have used."""
    return sum((int(fields[11]) + int(fields[12])) / TICK for fields in (_stat(each) for each in family(pid)))


def resident(pid: int) -> float:
    """MB of memory; what a child has in common with its parent is one and the same memory, and counts once."""
    return sum(int(_stat(each)[21]) * PAGE for each in family(pid)) / 1e6 - _common(pid)


def highest(pid: int) -> float:
    """MB of memory at the moment when it was most, of each process."""
    texts = [Path(f"/proc/{each}/status").read_text() for each in family(pid)]
    return sum(_kilobytes(text, "VmHWM") for text in texts) * 1024 / 1e6 - _common(pid)


def _common(pid: int) -> float:
    texts = [Path(f"/proc/{each}/smaps_rollup").read_text() for each in family(pid)[1:]]
    return (
        sum(_kilobytes(text, f"Shared_{kind}") for text in texts for kind in ("Clean", "Dirty")) * 1024 / 1e6
    )


def _kilobytes(text: str, name: str) -> int:
    return int(text.partition(f"{name}:")[2].split()[0])


def family(pid: int) -> list[int]:
    """A process and all below it."""
    children = [
        int(each)
        for task in Path(f"/proc/{pid}/task").iterdir()
        for each in (task / "children").read_text().split()
    ]
    return [pid, *(each for child in children for each in family(child))]


def spread(values: list[float], digits: int) -> str:
    """``median (least-most)``."""
    return f"{statistics.median(values):,.{digits}f} ({min(values):,.{digits}f}-{max(values):,.{digits}f})"


def _stat(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
