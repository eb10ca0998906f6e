"""The processes that the test cluster is made of, ended or frozen and brought back, as machines and people do it."""

import contextlib
import os
import signal
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path

import urllib3

from tests.cluster import Cluster, processes
from tests.cluster.start import environment
from tests.e2e.api import Api
from tests.e2e.conftest import wait_for


class Part:
    """One process of the cluster, with the command line that it was started by."""

    def __init__(self, cluster: Cluster, name: str) -> None:
        self.name = name
        self._cluster = cluster
        self._argv = Path(f"/proc/{self._recorded.pid}/cmdline").read_text().split("\0")[:-1]

    def kill(self) -> None:
        """End it and its children, and wait until they are gone."""
        pids = self._pids()
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):  # Ours to reap only when this very run started it.
            os.waitpid(pids[-1], 0)
        wait_for(lambda: not any(map(_runs, pids)), 10)

    def start(self) -> None:
        """Start it again."""
        processes.spawn(self.name, self._argv, self._cluster.state, environment())

    def keep(self) -> None:
        """Start it again if it has ended, as a kubelet does: an API server waits 20 s for its etcd, and gives up."""
        if not processes.alive(self._recorded):
            self.start()

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """Nothing of it runs until it is left."""
        pids = self._pids()
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)

    @property
    def _recorded(self) -> processes.Process:
        (found,) = [each for each in processes.recorded(self._cluster.state) if each.name == self.name]
        return found

    def _pids(self) -> list[int]:
        """The process itself, then whoever put it into the cluster's namespaces."""
        outer = self._recorded.pid
        inner = Path(f"/proc/{outer}/task/{outer}/children").read_text().split()
        return [*map(int, inner), outer]


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def answers(api: Api) -> bool:
    """Whether the API server says that it is ready."""
    try:
        return api.call("GET", "/readyz").status == HTTPStatus.OK
    except urllib3.exceptions.HTTPError:
        return False


def back(api: Api, *parts: Part) -> bool:
    """Whether the API server is ready again; each part that ends is started anew meanwhile."""
    for each in parts:
        each.keep()
    return answers(api)


def failed_open(api: Api, webhook: str) -> int:
    """How often the API server has gone on without the webhook's answer, by its own counter."""
    text = str(api.call("GET", "/metrics").body["text"])
    name = f'apiserver_admission_webhook_fail_open_count{{name="{webhook}"'
    return sum(int(float(line.split()[-1])) for line in text.splitlines() if line.startswith(name))
