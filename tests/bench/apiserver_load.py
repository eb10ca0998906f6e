"""The client of ``go/load`` as a process: told what to send, it says how long each answer took."""

import json
import statistics
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
JSON, MERGE = "application/json", "application/merge-patch+json"


class Unanswered(Exception):  # noqa: N818 - it says what became of a run
    """A request of a run failed: its figures are worth nothing."""


@dataclass(frozen=True)
class Taken:
    """What a run took, in milliseconds for each request."""

    milliseconds: list[float]
    seconds: float

    @property
    def p50(self) -> float:
        """The median."""
        return statistics.median(self.milliseconds)

    @property
    def p99(self) -> float:
        """What one in a hundred takes longer than."""
        return sorted(self.milliseconds)[min(len(self.milliseconds) - 1, len(self.milliseconds) * 99 // 100)]


class Load:
    """The process. Made by ``loading``."""

    def __init__(self, process: subprocess.Popen[str], server: str) -> None:
        self._process = process
        self._server = server

    def run(
        self,
        method: str,
        path: str,
        body: Any,
        requests: int,
        workers: int,
        media_type: str = JSON,
    ) -> Taken:
        """Send the same that often from so many workers; NUMBER in it becomes the number of the request."""
        told = self.tried(method, path, body, requests, workers, media_type)
        if told["failed"]:
            raise Unanswered(f"{told['failed']} of {requests} x {method} {path}: {told['failure']}")
        return Taken([each / 1000 for each in told["microseconds"]], told["seconds"])

    def tried(
        self, method: str, path: str, body: Any, requests: int, workers: int, media_type: str = JSON
    ) -> dict[str, Any]:
        """The same, and what failed is counted."""
        order = {
            "method": method,
            "url": f"{self._server}{path}",
            "body": json.dumps(body, separators=(",", ":")) if body is not None else "",
            "type": media_type,
            "requests": requests,
            "workers": workers,
        }
        given, said = self._process.stdin, self._process.stdout
        if given is None or said is None:
            raise Unanswered("it has no pipes")
        given.write(json.dumps(order) + "\n")
        given.flush()
        told: dict[str, Any] = json.loads(said.readline())
        return told


def built(folder: Path) -> Path:
    """The client's binary."""
    binary = folder / "load"
    subprocess.run(["go", "build", "-trimpath", "-o", str(binary), "./load"], cwd=HERE / "go", check=True)
    return binary


@contextmanager
def loading(binary: Path, server: str, credentials: Path) -> Iterator[Load]:
    """The client as the cluster's administrator: whom no fairness of the API server's holds back."""
    words = [str(binary), "-authority", str(credentials / "ca.crt")]
    words += ["-certificate", str(credentials / "admin.crt"), "-key", str(credentials / "admin.key")]
    process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield Load(process, server)
    finally:
        if process.stdin:
            process.stdin.close()
        process.wait(10)
