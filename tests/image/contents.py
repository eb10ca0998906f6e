"""The built image as its files: what is in it, and what it does as a user on a root file system that is read-only."""

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from tests.image.buildah import buildah, mounted
from tests.image.product import Built

# A bind mount is made read-only, entered, and gone with the mount namespace of this one process. /proc is there as in any
# container, and folders that a pod would have from volumes are laid over folders of the image, read-only too.
ENTERING = """
set -e
root=$1 user=$2
shift 2
mount --bind "$root" "$root"
mount --bind /proc "$root/proc"
mount -o remount,ro,bind "$root"
while [ "$1" != -- ]; do
    mount --bind "$1" "$root$2"
    mount -o remount,ro,bind "$root$2"
    shift 2
done
shift
exec chroot --userspec="$user" "$root" "$@"
"""


class Image(NamedTuple):
    """The built image, its configuration, and where its files are."""

    built: Built
    config: dict[str, Any]
    root: Path

    def command(self, *words: str, user: str = "", volumes: dict[Path, str] | None = None) -> list[str]:
        """Return what runs a command of the image as a user who can gain nothing; the image's own by default."""
        mounts = [str(each) for pair in (volumes or {}).items() for each in pair]
        entering = ["unshare", "--mount", "--propagation=private", "sh", "-c", ENTERING, "sh"]
        who = [str(self.root), user or self.config["User"]]
        return ["setpriv", "--no-new-privs", *entering, *who, *mounts, "--", *words]

    def environment(self) -> dict[str, str]:
        """Return the image's environment; the tools around it are this machine's, found by its own PATH."""
        found = dict(entry.split("=", 1) for entry in self.config["Env"])
        return found | {"PATH": f"{found['PATH']}:{os.environ['PATH']}"}

    def run(self, *words: str, stdin: str = "", user: str = "") -> subprocess.CompletedProcess[str]:
        """Run a command of the image to its end."""
        return subprocess.run(
            self.command(*words, user=user),
            env=self.environment(),
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
        )

    def executables(self) -> set[str]:
        """Return the paths of all files that may be run, libraries and Python sources aside."""
        found = set()
        for folder, _, files in os.walk(self.root):
            for name in files:
                path = Path(folder, name)
                if os.access(path, os.X_OK) and not name.endswith(".py") and ".so" not in name:
                    found.add(str(path.relative_to(self.root)))
        return found


@contextmanager
def opened(built: Built) -> Iterator[Image]:
    """The image, mounted until it is left."""
    inspected = json.loads(buildah("inspect", "--type", "image", built.image))
    with mounted(built.image) as (_, root):
        yield Image(built, inspected["OCIv1"]["config"], root)
