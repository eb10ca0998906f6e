"""Everything is kept outside the checkout: binaries are a cache, a cluster's state lives and dies with the cluster."""

import os
from pathlib import Path

from tests.cluster.errors import ClusterError

# The cluster's processes see private folders there (see sandbox.py), so state below them would be hidden.
HIDDEN = ("/run", "/var/run", "/var/log", "/var/lib/kubelet", "/var/lib/cni")


def cache() -> Path:
    """Return $PODFACTS_CACHE, or podfacts in the user's cache folder."""
    if own := os.environ.get("PODFACTS_CACHE"):
        return Path(own).resolve()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache").resolve() / "podfacts"


def binaries() -> Path:
    """Return the folder with one folder of binaries for each version."""
    return cache() / "bin"


def states() -> Path:
    """Return the folder with one folder for each cluster."""
    return cache() / "state"


def state(name: str) -> Path:
    """Return the folder of the cluster of this name."""
    # The name becomes a folder, a network namespace and a cgroup.
    if not (
        name and len(name) <= 40 and name[0].isalnum() and name.replace("-", "").isalnum() and name.islower()
    ):
        raise ClusterError(f"a cluster's name is lowercase letters, digits and hyphens, not {name!r}")
    folder = states() / name
    for hidden in HIDDEN:
        if folder.is_relative_to(hidden):
            raise ClusterError(
                f"{hidden} is private to the cluster's processes: set PODFACTS_CACHE to another folder"
            )
    return folder
