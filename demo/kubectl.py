"""kubectl on one of two clusters: the one that the tests use, made here, or that of the current kubeconfig."""

import json
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tests.cluster import Cluster

PATIENCE = 30  # Seconds.


class DemoError(Exception):
    """The demo cannot go on; the text is one line that says what to do."""


@dataclass(frozen=True)
class Kubectl:
    """``cluster`` is ours, or ``None`` for that of the current kubeconfig; ``namespace`` is where the pods go."""

    cluster: Cluster | None
    namespace: str

    def run(
        self, *words: str, stdin: str | None = None, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """What kubectl says; a DemoError with its own words when it fails."""
        if self.cluster:
            done = self.cluster.kubectl(*words, stdin=stdin, check=False)
        elif path := shutil.which("kubectl"):
            done = subprocess.run([path, *words], input=stdin, capture_output=True, text=True, check=False)
        else:
            raise DemoError("kubectl is not on the PATH: install it, or run without CLUSTER=mine")
        if check and done.returncode:
            raise DemoError(f"kubectl {shlex.join(words)}: {done.stderr.strip() or done.stdout.strip()}")
        return done

    def read(self, *words: str) -> dict[str, Any]:
        """An object as JSON."""
        found: dict[str, Any] = json.loads(self.run(*words, "-o", "json").stdout)
        return found

    def until(self, *words: str, holds: str) -> None:
        """Wait until kubectl says something that holds the text."""
        deadline = time.monotonic() + PATIENCE
        while holds not in (said := self.run("-n", self.namespace, *words, check=False)).stdout:
            if time.monotonic() > deadline:
                raise DemoError(
                    f"kubectl {shlex.join(words)}: never {holds}, but {said.stdout or said.stderr}"
                )
            time.sleep(0.2)

    def show(self, *words: str) -> str:
        """Print the command as one would type it, and what it says; return that."""
        out = self.run("-n", self.namespace, *words).stdout
        prefix = () if self.namespace == "default" else ("-n", self.namespace)
        print_lines(f"$ {typed(('kubectl', *prefix, *words))}", out.rstrip("\n"), "")
        return out

    def podfacts(self, *words: str) -> str:
        """What a command of podfacts prints; the command is shown as one would type it."""
        print_lines(f"$ podfacts {typed(words)}")
        command = [sys.executable, "-m", "podfacts", *words]
        if self.cluster:
            done = self.cluster.run(command, capture_output=True, text=True)
        else:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise DemoError(f"podfacts {typed(words)}: {done.stderr.strip() or done.stdout.strip()}")
        out: str = done.stdout
        return out


def print_lines(*lines: str) -> None:
    """Print, at once: the demo is watched."""
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stdout.flush()


def typed(words: Sequence[str]) -> str:
    """The words as one would type them."""
    return " ".join(
        word if word.replace("|", "").replace(" ", "") == word else shlex.quote(word) for word in words
    )
