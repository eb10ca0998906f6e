"""What the containers of the installation print, also those that are gone by now, and what must not be among it."""

import base64
import json
import subprocess
import threading
from pathlib import Path
from typing import Any

from tests.cluster import Cluster
from tests.e2e.api import Api


class Lines:
    """What our containers have printed, and the keys that must not be among it."""

    def __init__(self, cluster: Cluster, namespace: str, secret: str, folder: Path) -> None:
        self._namespace = namespace
        self._secret = f"/api/v1/namespaces/{namespace}/secrets/{secret}"
        self._cluster = cluster
        self._api = Api(cluster.kubeconfig)  # Of its own thread.
        self._folder = folder
        self._keys: set[bytes] = set()
        self._following: dict[str, subprocess.Popen[bytes]] = {}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._faults: list[Exception] = []

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        for process in self._following.values():
            process.kill()
            process.wait()

    def read(self) -> dict[str, list[str]]:
        """Return the lines of each container so far."""
        assert not self._faults, self._faults
        return {path.stem: path.read_text().splitlines() for path in sorted(self._folder.glob("*.log"))}

    def keys(self) -> set[bytes]:
        """Return every private key that the Secret has held: each line of base64 in it."""
        return {line for key in self._keys for line in key.splitlines() if line and b"-----" not in line}

    def unfit(self, *, errors: bool = False) -> list[str]:
        """Return the lines that should not be: no JSON object, at level error, or with something of a private key."""
        return [
            f"{name}: {line}"
            for name, lines in self.read().items()
            for line in lines
            if not _fit(line, errors=errors)
            or "PRIVATE KEY" in line
            or any(key.decode() in line for key in self.keys())
        ]

    def _run(self) -> None:
        while not self._ended.wait(0.3):
            try:
                self._look()
            except Exception as error:  # noqa: BLE001  raised by read
                self._faults.append(error)

    def _look(self) -> None:
        secret = self._api.call("GET", self._secret).body.get("data") or {}
        self._keys |= {base64.b64decode(value) for key, value in secret.items() if key.endswith(".key")}
        for pod in self._api.call("GET", f"/api/v1/namespaces/{self._namespace}/pods").body["items"]:
            for status in pod["status"].get("containerStatuses", []):
                if "waiting" not in status["state"]:
                    self._follow(pod["metadata"]["name"], status)

    def _follow(self, pod: str, status: dict[str, Any]) -> None:
        name = f"{pod}-{status['restartCount']}"
        if name in self._following:
            return
        cluster = self._cluster
        words = ["logs", "-f", "-n", self._namespace, pod, "-c", status["name"]]
        with (self._folder / f"{name}.log").open("wb") as log:
            self._following[name] = subprocess.Popen(
                [cluster.binaries / "kubectl", *words],
                stdout=log,
                stderr=subprocess.DEVNULL,
                env=cluster.environment,
            )


def _fit(line: str, *, errors: bool) -> bool:
    try:
        event = json.loads(line)
    except ValueError:
        return False
    if not isinstance(event, dict) or not {"time", "level", "event"} <= event.keys():
        return False
    return errors or event["level"] in ("debug", "info", "warning")
