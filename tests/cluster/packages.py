"""The tools of the tests are Debian's. What is missing is installed by whoever needs it, and no service is started by it."""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.cluster.progress import Say, ticking

Needed = Sequence[tuple[str, str]]  # The package, and the file by which we know it is there.

# What the node needs.
NEEDED = (
    ("containerd", "containerd"),
    ("containerd", "ctr"),
    ("runc", "runc"),
    ("containernetworking-plugins", "/usr/lib/cni/ptp"),
    ("busybox-static", "/bin/busybox"),
    ("iptables", "iptables"),
    ("iproute2", "ip"),
    ("openssl", "openssl"),
    ("curl", "curl"),  # for the image of that name
    ("faketime", "faketime"),  # for a clock that is wrong
)
# What opens the HTML report; any Chromium that is there will do.
BROWSERS = ("chromium-headless-shell", "chromium")
# Debian's own answer to "may this package start its service?"; 101 is "no".
POLICY = Path("/usr/sbin/policy-rc.d")


def missing(needed: Needed = NEEDED) -> list[str]:
    """Return the packages whose files are not there."""
    return sorted({package for package, file in needed if not shutil.which(file)})


def browser() -> str | None:
    """Return the path of a browser that is installed."""
    return next((path for path in map(shutil.which, BROWSERS) if path), None)


def install(say: Say, needed: Needed = NEEDED) -> str | None:
    """Install what is missing; return the sentence that says why it cannot be had, if it cannot."""
    wanted = missing(needed)
    if not wanted:
        return None
    if not shutil.which("apt-get"):
        return f"{', '.join(wanted)} missing, and there is no apt-get to install them with"
    say(f"installing {', '.join(wanted)}")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    options = ["-o", "DPkg::Lock::Timeout=300", "-o", "Acquire::Retries=3"]
    with _no_services(), ticking(say, lambda: f"installing {', '.join(wanted)}"):
        for words in (["update"], ["install", "-y", "--no-install-recommends", *wanted]):
            done = subprocess.run(
                ["apt-get", "-q", *options, *words],
                env=environment,
                capture_output=True,
                text=True,
                check=False,
            )
    if still := missing(needed):
        said = (done.stderr.strip().splitlines() or ["it gave no reason"])[-1]
        return f"apt-get did not install {', '.join(still)}: {said}"
    return None


@contextlib.contextmanager
def _no_services() -> Iterator[None]:
    if POLICY.exists():
        yield
        return
    POLICY.write_text("#!/bin/sh\nexit 101\n")
    POLICY.chmod(0o755)
    try:
        yield
    finally:
        POLICY.unlink(missing_ok=True)
