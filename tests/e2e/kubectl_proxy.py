"""A real ``kubectl proxy``, in the cluster's network, on a port that nobody has."""

import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.cluster import Cluster
from tests.e2e.conftest import wait_for


@contextmanager
def proxying(
    cluster: Cluster, folder: Path, *flags: str, kubeconfig: Path | None = None
) -> Iterator[tuple[str, Path]]:
    """Its URL, and its log; of two flags of one name the last one counts. An AssertionError when it ends by itself."""
    log = folder / "log"
    words = [str(cluster.binaries / "kubectl"), "proxy", *flags, "--port=0"]
    environment = {"PATH": os.defpath, "HOME": str(folder), "KUBECONFIG": str(kubeconfig or "")}
    with log.open("wb") as file:
        process = subprocess.Popen(words, env=environment, stdout=file, stderr=file)
    try:
        wait_for(lambda: b"Starting to serve on" in log.read_bytes() or process.poll() is not None, 20)
        match = re.search(rb"Starting to serve on (\S+)", log.read_bytes())
        assert match, log.read_text()
        yield f"http://{match[1].decode()}", log
        assert process.poll() is None, log.read_text()
    finally:
        process.kill()
        process.wait(10)
