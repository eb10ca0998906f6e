"""The cluster's processes live in a PID and a mount namespace of their own, so nothing of them can be left behind.

The kernel ends every process of a PID namespace with its first one, and drops a mount namespace's mounts with the
last process in it: containers, shims, projected volumes and overlay mounts go at once, even those of a cluster that
came up halfway. /run, /var/log, /var/lib/kubelet and /var/lib/cni are private there, because kubelet, containerd and
CNI write to fixed paths in them.
"""

import contextlib
import os
import shlex
import time
from collections.abc import Sequence
from pathlib import Path

from tests.cluster import network, processes
from tests.cluster.errors import ClusterError
from tests.cluster.processes import Process

INIT = "init"
# By this variable the first process knows its state folder.
STATE = "PODFACTS_STATE"
# Mount points that may have to be made on the host; down removes them again.
MOUNT_POINTS = (Path("/var/lib/kubelet"), Path("/var/lib/cni"))

# The kubelet sets these for the whole machine. It reads what it wants to read from a file of ours instead.
# The list is setupKernelTunables' in k8s.io/kubernetes/pkg/kubelet/cm.
TUNABLES = {
    "vm/overcommit_memory": "1",
    "vm/panic_on_oom": "0",
    "kernel/panic": "10",
    "kernel/panic_on_oops": "1",
    "kernel/keys/root_maxkeys": "1000000",
    "kernel/keys/root_maxbytes": "25000000",
}

# An ignored SIGCHLD makes the first process reap the orphans. /proc is still the host's on the first line, so that is
# the pid by which the host knows this shell, and later the sleep.
SCRIPT = """
set -eu
read -r pid rest < /proc/self/stat
trap '' CHLD
mount -t proc proc /proc
mount -t tmpfs -o mode=755 tmpfs /run
mount -t tmpfs tmpfs /var/lib/cni
mount --bind {state}/log /var/log
mount --bind {state}/kubelet /var/lib/kubelet
[ ! -e /etc/resolv.conf ] || mount --bind {state}/resolv.conf /etc/resolv.conf
for name in {tunables}; do
    [ ! -e /proc/sys/$name ] || mount --bind {state}/tunables/$name /proc/sys/$name
done
echo 1 > /proc/sys/net/ipv4/ip_forward
echo "$pid" > {state}/init.new
mv {state}/init.new {state}/init
exec sleep infinity
"""


def create(name: str, state: Path) -> Process:
    """Start the first process of the namespaces, and return when they are ready."""
    for folder in (*MOUNT_POINTS, state / "log", state / "kubelet"):
        folder.mkdir(parents=True, exist_ok=True)
    for tunable, value in TUNABLES.items():
        path = state / "tunables" / tunable
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{value}\n")
    # What a pod with dnsPolicy Default, and the API server itself, resolve with: never the host's resolver.
    (state / "resolv.conf").write_text(f"nameserver {network.NODE}\n")
    script = SCRIPT.format(state=shlex.quote(str(state)), tunables=" ".join(TUNABLES))
    unshare = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--propagation", "private"]
    argv = ["nsenter", f"--net={network.handle(name)}", "--", *unshare, "sh", "-c", script]
    parent = processes.spawn("unshare", argv, state, {**os.environ, STATE: str(state)})
    deadline = time.monotonic() + 10
    while not (state / "init").exists():
        if not processes.alive(parent) or time.monotonic() > deadline:
            raise ClusterError(f"cannot make namespaces: {processes.last_words(state, 'unshare')}")
        time.sleep(processes.POLL)
    return processes.record(INIT, int((state / "init").read_text()), state)


def init(state: Path) -> Process | None:
    """Return the first process of the namespaces when it lives."""
    found = [process for process in processes.recorded(state) if process.name == INIT]
    return found[0] if found and processes.alive(found[0]) else None


def command(first: Process, argv: Sequence[str | Path]) -> list[str]:
    """Return the command that runs this one inside, as a child of nsenter."""
    return [
        "nsenter",
        f"--target={first.pid}",
        "--mount",
        "--net",
        "--pid",
        "--",
        *(str(word) for word in argv),
    ]


def found(name: str) -> tuple[Process, Path] | None:
    """Find the first process of the cluster of this name, and its state folder, without anything written down."""
    try:
        namespace = network.handle(name).stat().st_ino
    except OSError:
        return None
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if (entry / "ns/net").stat().st_ino != namespace:
                continue
            variables = dict(
                pair.split("=", 1) for pair in (entry / "environ").read_text().split("\0") if "=" in pair
            )
            lines = (entry / "status").read_text().splitlines()
            # Its pids from here inwards: ours and 1. A container's has one more, a process beside it one less.
            pids = next((line.split()[1:] for line in lines if line.startswith("NSpid:")), [])
            pid = int(entry.name)
            started = processes.start_time(pid)
            if STATE in variables and len(pids) == 2 and pids[1] == "1" and started:
                return Process(INIT, pid, started), Path(variables[STATE])
    return None


def elsewhere(name: str, state: Path) -> Path | None:
    """Return the state folder of a cluster of this name that was brought up with another PODFACTS_CACHE."""
    running = found(name)
    return running[1] if running and running[1] != state and running[1].exists() else None


def remove_mount_points() -> None:
    """Remove the folders that were mounted on, unless they hold something or another cluster runs.

    Removing a folder would take away what is mounted on it in every other namespace too.
    """
    if any(network.handle("").parent.glob(f"{network.namespace('')}*")):
        return
    for folder in MOUNT_POINTS:
        with contextlib.suppress(OSError):
            folder.rmdir()
