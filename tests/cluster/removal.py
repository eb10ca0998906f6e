"""Taking a cluster down leaves nothing behind, whatever state it is in, and says so when something is left."""

import os
import shutil
import subprocess
from pathlib import Path

from tests.cluster import cgroups, folders, network, processes, sandbox


def end(name: str) -> None:
    """End the cluster's processes and remove what they lived in; its folder with the logs stays."""
    state = folders.state(name)
    started = processes.recorded(state)
    # With a network namespace, killing the first process of the PID namespace ends everything in it.
    namespaced = [process for process in started if process.name in (sandbox.INIT, "unshare")]
    ours = _namespaces_are_ours(name)
    if ours and (running := sandbox.found(name)):
        namespaced.append(running[0])
    processes.stop(namespaced)
    processes.stop(started)
    if ours:
        cgroups.remove(name)
        network.delete(name)
        sandbox.remove_mount_points()


def _namespaces_are_ours(name: str) -> bool:
    """Tell whether namespaces and cgroups of this name can be this cluster's: their names are the whole machine's."""
    return os.geteuid() == 0 and not sandbox.elsewhere(name, folders.state(name))


def remove(name: str) -> None:
    """End the cluster and remove its folder."""
    end(name)
    state = folders.state(name)
    for mount in reversed(mounts(state)):
        subprocess.run(["umount", "--lazy", mount], check=True)
    if state.exists():
        shutil.rmtree(state)


def mounts(state: Path) -> list[str]:
    """Return what is mounted below the folder, as this process sees it: nothing should be."""
    points = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    return [point for point in points if Path(point).is_relative_to(state)]


def leftovers(name: str) -> list[str]:
    """Return a line for each thing of the cluster that is on this machine."""
    state = folders.state(name)
    left = [
        f"process {item.pid} ({item.name})" for item in processes.recorded(state) if processes.alive(item)
    ]
    left += [f"mount {mount}" for mount in mounts(state)]
    if _namespaces_are_ours(name):
        if not left and (running := sandbox.found(name)):
            left.append(f"process {running[0].pid}, whose state folder is gone")
        left += [f"cgroup {path}" for path in cgroups.present(name)]
        if network.handle(name).exists():
            left.append(f"network namespace {network.namespace(name)}")
    if state.exists():
        left.append(f"folder {state}")
    return left
