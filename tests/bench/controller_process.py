"""`podfacts controller` as a process: what it says in its metrics, what it uses, and what it asked the API server."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, Self

import processes

from tests.e2e.keeping import LEASE, USER, Keeping


class Controller:
    """One that runs from when it is entered until it is left; ``writes`` a second as it is shipped, unless given."""

    def __init__(self, here: Keeping, source: Path, folder: Path, writes: float | None = None) -> None:
        self._here = here
        self._log = folder / "log"
        self.port = processes.free_port()
        self._command = [sys.executable, "-m", "podfacts", "controller", "--probe-port", str(self.port)]
        if writes:
            self._command += ["--writes-per-second", str(writes)]
        self._environment = {**os.environ, "KUBECONFIG": str(here.kubeconfig), "PYTHONPATH": str(source)}

    def __enter__(self) -> Self:
        self._here.api.call("PATCH", LEASE, {"spec": None})  # Not the time until a Lease runs out.
        self.mark()
        with self._log.open("wb") as log:
            self._began = time.monotonic()
            self.process = subprocess.Popen(
                self._command, stdout=log, stderr=log, env=self._environment, cwd=self._log.parent
            )
        return self

    def __exit__(self, *_: object) -> None:
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def age(self) -> float:
        """Seconds since it was started."""
        return time.monotonic() - self._began

    def until(self, condition: Callable[[], Any], seconds: float) -> None:
        """Wait for it; say what the controller said if it does not come."""
        end = time.monotonic() + seconds
        while not condition():
            if self.process.poll() is not None or time.monotonic() > end:
                raise SystemExit(f"not so after {seconds} s:\n{self._log.read_text()}")
            time.sleep(0.1)

    # -- what it says --------------------------------------------------------------------------------------------

    def ready(self) -> bool:
        """Whether it is."""
        return self._ask("/readyz") is not None

    def leading(self) -> bool:
        """Whether it is the active one."""
        return self.metric("podfacts_controller_leading") == 1

    def metric(self, name: str) -> float:
        """One number; 0 while there is none."""
        lines = (self._ask("/metrics") or "").splitlines()
        return next((float(line.split()[-1]) for line in lines if line.startswith(f"{name} ")), 0.0)

    def written(self) -> int:
        """Facts written, by its own account."""
        return int(self.metric('podfacts_fact_writes_total{outcome="written"}'))

    def queued(self) -> int:
        """What waits for its turn."""
        return int(self.metric('podfacts_queue_length{work="facts"}'))

    def _ask(self, path: str) -> str | None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as response:
                return str(response.read().decode())
        except OSError:
            return None

    # -- what it uses --------------------------------------------------------------------------------------------

    def processor(self) -> float:
        """Seconds so far."""
        return processes.processor_seconds(self.process.pid)

    def resident(self) -> float:
        """MB now."""
        return processes.resident(self.process.pid)

    def highest(self) -> float:
        """MB at the moment when it was most."""
        return processes.highest(self.process.pid)

    # -- what it asked -------------------------------------------------------------------------------------------

    def mark(self) -> None:
        """Count from here."""
        self._offset = self._here.cluster.audit_log.stat().st_size

    def requests(self) -> Counter[tuple[str, str]]:
        """How often it asked what, by the API server's audit log; a watch counts when it begins."""
        return Counter(_about(event) for event in self._events())

    def by_second(self, *about: str) -> Counter[int]:
        """How often it asked this in each second."""
        times = [
            event["requestReceivedTimestamp"] for event in self._events() if _about(event) == tuple(about)
        ]
        return Counter(int(datetime.fromisoformat(each).timestamp()) for each in times)

    def _events(self) -> list[dict[str, Any]]:
        with self._here.cluster.audit_log.open() as log:
            log.seek(self._offset)
            found = [json.loads(line) for line in log if USER in line and line.endswith("\n")]
        mine = [each for each in found if each["user"]["username"] == USER]
        first = {"watch": "ResponseStarted"}
        return [each for each in mine if each["stage"] == first.get(each["verb"], "ResponseComplete")]


def _about(event: dict[str, Any]) -> tuple[str, str]:
    about = event.get("objectRef") or {}
    plural = about.get("resource") or event["requestURI"]
    return event["verb"], f"{plural}/{about['subresource']}" if about.get("subresource") else plural
