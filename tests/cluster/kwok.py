"""kwok plays the kubelet of nodes that do not exist: their pods are Running, and no container is.

It takes care of the nodes with its annotation and of nothing else, so the real node and its pods do not notice it.
"""

import os
import subprocess
from pathlib import Path

from tests.cluster import network
from tests.cluster.cluster import Cluster

NODE = "kwok.x-k8s.io/node"  # A node is kwok's with this annotation; the label and the taint are for the scheduler.
FAKE = "fake"
# One half of the range for benchmarks (RFC 2544): no address of a pod is one that something in the cluster has.
PODS = "198.18.0.1/16"
LEASE = 40  # Seconds, as a kubelet's: without a renewed lease the controllers would call the nodes lost.
PATIENCE = 10
STAGES = Path(__file__).parent / "kwok" / "stages.yaml"


def log(cluster: Cluster) -> Path:
    """Return the file that kwok writes to."""
    return cluster.state / "logs" / "kwok.log"


def start(cluster: Cluster, binary: Path) -> subprocess.Popen[bytes]:
    """Start kwok in the cluster's network, as its administrator; it ends with the thread that started it at the latest."""
    # All that setpriv does here: no kwok outlives a test run that was killed.
    words = ["setpriv", "--pdeathsig=KILL", str(binary), f"--kubeconfig={cluster.kubeconfig}"]
    words += [f"--manage-nodes-with-annotation-selector={NODE}={FAKE}", f"--cidr={PODS}"]
    words += [f"--node-lease-duration-seconds={LEASE}", "--node-port=0", f"--config={STAGES}"]
    if cluster.has_node:
        words = ["nsenter", f"--net={network.handle(cluster.name)}", "--", *words]
    # Its configuration is ours alone: nothing of the user's home.
    environment = {"PATH": os.environ.get("PATH", os.defpath), "KWOK_WORKDIR": str(cluster.state / "kwok")}
    with log(cluster).open("wb") as output:
        return subprocess.Popen(words, env=environment, stdout=output, stderr=output)


def stop(process: subprocess.Popen[bytes]) -> None:
    """End this kwok."""
    process.terminate()
    try:
        process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(PATIENCE)
