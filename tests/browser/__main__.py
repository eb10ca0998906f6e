"""python -m tests.browser: have a browser on this machine."""

import sys

from tests.cluster import packages
from tests.cluster.progress import timed


def main() -> int:
    """Install a headless Chromium where none is; 0 fine, 2 not possible."""
    if packages.browser():
        return 0
    package = packages.BROWSERS[0]
    reason = packages.install(timed(), [(package, package)])
    if reason:
        print(reason, file=sys.stderr)  # noqa: T201 - a command that prints
    return 2 if reason else 0


if __name__ == "__main__":
    sys.exit(main())
