"""Known vulnerabilities of what the locks pin, as pip-audit hears them: a service that does not answer is never a "none".

pip-audit leaves out what its service does not know, and calls the rest clean. Where an index mirrors the packages only, that
is all of them.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

CLEAN, VULNERABLE, UNKNOWN = range(3)


class Heard(NamedTuple):
    """What became of one lock: how many were asked about, what is known, and why that is not all."""

    asked: int
    known: tuple[str, ...]
    missing: str

    def code(self) -> int:
        """Return the exit code: what is known comes before what is not."""
        if self.known:
            return VULNERABLE
        return UNKNOWN if self.missing or not self.asked else CLEAN


def report(locks: Sequence[Path], service: str, osv_url: str) -> int:
    """Print a line for each vulnerability and one for each lock; return the exit code of the worst."""
    codes = set()
    for lock in locks:
        heard = ask(lock, service, osv_url)
        sys.stdout.writelines(f"{line}\n" for line in (*heard.known, _verdict(lock.name, heard)))
        codes.add(heard.code())
    return next(code for code in (VULNERABLE, UNKNOWN, CLEAN) if code in codes)


def ask(lock: Path, service: str, osv_url: str) -> Heard:
    """Return what the service knows of the versions that the lock pins, all of which must have hashes."""
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder, "heard.json")
        words = [
            *("--disable-pip", "--require-hashes", "--progress-spinner=off", "--format=json"),
            *(f"--requirement={lock}", f"--output={output}", f"--vulnerability-service={service}"),
            *([f"--osv-url={osv_url}"] if osv_url else []),
        ]
        command = [sys.executable, "-m", "pip_audit", *words]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if output.exists():
            return read(json.loads(output.read_text())["dependencies"])
    return Heard(0, (), (done.stderr.strip().splitlines() or ["no answer"])[-1])


def read(dependencies: Sequence[dict[str, Any]]) -> Heard:
    """Return what pip-audit's JSON says."""
    left_out = [each["name"] for each in dependencies if "skip_reason" in each]
    asked = [each for each in dependencies if "skip_reason" not in each]
    known = [_line(each, found) for each in asked for found in each["vulns"]]
    missing = f"it does not know {', '.join(left_out)}" if left_out else ""
    return Heard(len(asked), tuple(known), missing if asked else "it knows none of them")


def _line(package: dict[str, Any], found: dict[str, Any]) -> str:
    fixed = ", ".join(found["fix_versions"])
    names = ", ".join((found["id"], *found["aliases"]))
    return (
        f"{package['name']} {package['version']}: {names}: {f'mended in {fixed}' if fixed else 'not mended'}"
    )


def _verdict(name: str, heard: Heard) -> str:
    if not heard.asked:
        return f"{name}: the service could not be asked: {heard.missing}"
    verdict = f"{name}: {len(heard.known)} known vulnerabilities in {heard.asked} packages"
    return f"{verdict}; the service was not asked about all: {heard.missing}" if heard.missing else verdict
