"""Pods' cgroups hang below one of the cluster's own, in every hierarchy, so removing them is exact."""

import contextlib
import os
import time
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")


def group(name: str) -> str:
    """Return the cgroup of the cluster, as the kubelet's cgroupRoot."""
    return f"/podfacts-{name}"


def present(name: str) -> list[Path]:
    """Return the cluster's folder in each hierarchy: one each on v1, one in all on v2."""
    own = group(name).lstrip("/")
    return sorted({path.resolve() for path in (ROOT / own, *ROOT.glob(f"*/{own}")) if path.is_dir()})


def create(name: str) -> None:
    """Make the cgroup: the kubelet wants to find it in every hierarchy, with every controller."""
    own = group(name).lstrip("/")
    hierarchies = [path for path in ROOT.iterdir() if path.is_dir()]
    if (
        ROOT / "cgroup.controllers"
    ).exists():  # v2: one hierarchy, whose children have the controllers it passes on
        hierarchies = [ROOT]
        for controller in (ROOT / "cgroup.controllers").read_text().split():
            with contextlib.suppress(OSError):
                (ROOT / "cgroup.subtree_control").write_text(f"+{controller}")
    for hierarchy in hierarchies:
        with contextlib.suppress(FileExistsError):
            (hierarchy / own).mkdir()


def remove(name: str) -> None:
    """Remove the cgroup with everything below it; its processes have ended before."""
    deadline = time.monotonic() + 5
    while left := present(name):
        for top in left:
            for folder, _, _ in os.walk(top, topdown=False):
                with contextlib.suppress(OSError):  # busy for a moment after its last process
                    Path(folder).rmdir()
        if time.monotonic() > deadline:
            return
        time.sleep(0.05 if present(name) else 0)
