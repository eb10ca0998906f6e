"""A mounted Secret as the kubelet keeps it: each content in a folder of its own, and ``..data`` swapped to it."""

import itertools
from pathlib import Path

from podfacts.authority.certificates import Authority


class MountedSecret:
    """The folder that the server sees."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._numbers = itertools.count()
        path.mkdir(parents=True, exist_ok=True)

    def write(self, files: dict[str, bytes]) -> None:
        """Swap all files at once, as ``AtomicWriter`` of Kubernetes does."""
        generation = self.path / f"..2026_{next(self._numbers)}"
        generation.mkdir()
        for name, content in files.items():
            (generation / name).write_bytes(content)
            link = self.path / name
            if not link.is_symlink():
                link.symlink_to(Path("..data") / name)
        temporary = self.path / "..data_tmp"
        temporary.symlink_to(generation.name)
        temporary.replace(self.path / "..data")

    def write_authority(self, authority: Authority) -> None:
        """What the controller writes."""
        self.write({"ca.crt": authority.certificate_pem, "ca.key": authority.key_pem})
