"""One cluster as its users see it: bring it up, talk to it, take it down."""

import fcntl
import json
import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from tests.cluster import (
    build,
    control_plane,
    credentials,
    folders,
    network,
    packages,
    processes,
    removal,
    sandbox,
    start,
)
from tests.cluster import node as machine
from tests.cluster.errors import ClusterError
from tests.cluster.progress import Say, quiet

RECORD = "cluster.json"
DEFAULT = "podfacts"


@dataclass(frozen=True)
class Cluster:
    """A running cluster."""

    name: str
    state: Path
    binaries: Path
    server: str
    has_node: bool
    left_out: tuple[str, ...]

    @classmethod
    def up(
        cls,
        name: str = DEFAULT,
        *,
        node: bool = True,
        api_server_flags: Sequence[str] = (),
        node_labels: Mapping[str, str] | None = None,
        progress: Say = quiet,
    ) -> Self:
        """Return the running cluster of this name, or bring it up: one that is broken or different is made anew."""
        state = folders.state(name)
        binaries = build.binaries(progress)
        left_out = _left_out(node, progress)
        labels = {**machine.LABELS, **(node_labels or {})}
        wanted = start.Wanted(binaries, tuple(api_server_flags), labels)
        with _lock(name):
            found = cls.find(name)
            # More than was asked for is fine: a node where only the control plane is needed.
            same = found and _asked(wanted) == _read(state)["wanted"] and (found.has_node or left_out)
            if found and same and found.healthy():
                progress(f"the cluster {name} is up")
                return found
            if not left_out and (other := sandbox.elsewhere(name, state)):
                raise ClusterError(
                    f"the cluster {name} runs from {other}: take another --name, or its PODFACTS_CACHE"
                )
            if removal.leftovers(name):
                progress(f"taking down the cluster {name}: it is broken, or was asked for otherwise")
                removal.remove(name)
            state.mkdir(parents=True)
            try:
                if left_out:
                    server = start.control_plane_on_loopback(state, wanted, progress)
                else:
                    server = start.whole(name, state, wanted, progress)
            except BaseException:
                removal.end(name)  # the logs stay
                raise
            record = {"wanted": _asked(wanted), "left_out": left_out, "server": server}
            (state / RECORD).write_text(json.dumps(record, indent=1))
        return cls(name, state, binaries, server, not left_out, left_out)

    @classmethod
    def find(cls, name: str = DEFAULT) -> Self | None:
        """Return the cluster that was brought up under this name, whether it still runs or not."""
        state = folders.state(name)
        found = _read(state)
        if not found:
            return None
        left_out = tuple(found["left_out"])
        return cls(name, state, Path(found["wanted"]["binaries"]), found["server"], not left_out, left_out)

    def running(self) -> bool:
        """Tell whether every process of the cluster lives."""
        started = processes.recorded(self.state)
        return bool(started) and all(processes.alive(process) for process in started)

    def healthy(self) -> bool:
        """Tell whether the API server answers too, and the node is Ready."""
        if not self.running():
            return False
        get = control_plane.reader(
            self.state / "credentials", self.server, self.name if self.has_node else None
        )
        return get("/readyz") == "ok" and (not self.has_node or machine.ready(get(machine.PATH)))

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig (system:masters)."""
        return self.state / credentials.KUBECONFIG

    @property
    def namespace(self) -> str | None:
        """The network namespace, or None when the control plane is on the loopback address."""
        return network.namespace(self.name) if self.has_node else None

    @property
    def node_ip(self) -> str:
        """The address on which the API server can reach a webhook that a test serves itself."""
        return network.NODE if self.has_node else "127.0.0.1"

    @property
    def audit_log(self) -> Path:
        """The API server's audit log: one JSON event a line."""
        return self.state / "audit.log"

    @property
    def environment(self) -> dict[str, str]:
        """What a command needs to use this cluster."""
        path = os.pathsep.join((str(self.binaries), os.environ.get("PATH", os.defpath)))
        return {**start.environment(), "KUBECONFIG": str(self.kubeconfig), "PATH": path}

    def enter(self) -> None:
        """Move the calling thread, and what it starts from then on, into the cluster's network."""
        if self.has_node:
            network.enter(self.name)

    def run(self, argv: Sequence[str | Path], **options: Any) -> subprocess.CompletedProcess[Any]:
        """Run a command in the cluster's network; the options are subprocess.run's, env is added to ours."""
        words = [str(word) for word in argv]
        if self.has_node:
            words = ["nsenter", f"--net={network.handle(self.name)}", "--", *words]
        environment = {**self.environment, **(options.pop("env", None) or {})}
        options.setdefault("check", False)
        return subprocess.run(words, env=environment, **options)  # noqa: PLW1510 - check is among the options

    def kubectl(
        self, *arguments: str, stdin: str | None = None, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Run kubectl as the administrator and return what it said."""
        words = [str(self.binaries / "kubectl"), *arguments]
        given: dict[str, Any] = {"stdin": subprocess.DEVNULL} if stdin is None else {"input": stdin}
        done: subprocess.CompletedProcess[str] = self.run(words, capture_output=True, text=True, **given)
        if check and done.returncode:
            error = subprocess.CalledProcessError(done.returncode, done.args, done.stdout, done.stderr)
            error.add_note(done.stderr.strip())
            raise error
        return done

    def load_image(self, path: Path | str) -> None:
        """Import a docker-archive; pods use its images with imagePullPolicy Never or IfNotPresent."""
        start.load(self.state, Path(path))

    def down(self) -> None:
        """Take the cluster down and leave nothing of it but the cached binaries."""
        take_down(self.name)


def take_down(name: str) -> None:
    """Take down the cluster of this name, whatever state it is in; nothing to do is fine."""
    with _lock(name):
        removal.remove(name)


def known() -> list[str]:
    """Return the names of the clusters that have a folder."""
    folder = folders.states()
    return sorted(path.name for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []


def _left_out(wanted: bool, say: Say) -> tuple[str, ...]:
    if not wanted:
        return ("No node, no pods, no cluster DNS: only the control plane was asked for.",)
    if os.geteuid() != 0:
        return ("No node, no pods, no cluster DNS: they need root.",)
    if reason := packages.install(say):
        return (f"No node, no pods, no cluster DNS: {reason}.",)
    return ()


def _asked(wanted: start.Wanted) -> dict[str, Any]:
    """Return it as it is read back from the record."""
    asked: dict[str, Any] = json.loads(json.dumps(wanted._asdict(), default=str))
    return asked


def _read(state: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads((state / RECORD).read_text())
    except (OSError, ValueError):
        return {}
    return (
        found if {"wanted", "left_out", "server"} <= found.keys() else {}
    )  # another version's: not one of ours


@contextmanager
def _lock(name: str) -> Iterator[None]:
    folders.states().mkdir(parents=True, exist_ok=True)
    with (folders.states() / f"{name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
