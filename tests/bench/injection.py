"""What the core takes for one pod: facts alone, with the bundle, and with the ambassador, in turns within one run.

python tests/bench/injection.py [--operator FOLDER]     # FOLDER: another checkout's operator/, to compare with
"""

import argparse
import statistics
import sys
import time
from pathlib import Path
from typing import Any

ROUNDS, PODS = 15, 2000
WISHES = {"facts": None, "facts and bundle": "api-access", "facts and ambassador": "ambassador"}


def pod(wish: str | None) -> dict[str, Any]:
    """A plain pod of one container, opted in."""
    metadata: dict[str, Any] = {"name": "x", "labels": {"podfacts.dev/inject": "true", "app": "a"}}
    if wish:
        metadata["annotations"] = {f"podfacts.dev/{wish}": "true"}
    main = {"name": "main", "image": "app", "resources": {"limits": {"cpu": "1", "memory": "1Gi"}}}
    return {"metadata": metadata, "spec": {"automountServiceAccountToken": False, "containers": [main]}}


def main() -> None:
    """Print microseconds a pod, median (least-most), and the ratio to facts alone."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--operator", default=str(Path(__file__).parents[2] / "operator"))
    sys.path.insert(0, parser.parse_args().operator)
    from podfacts.core.injection import inject  # noqa: PLC0415
    from podfacts.core.profile import DEFAULT  # noqa: PLC0415

    profiles = {"default": DEFAULT}
    taken: dict[str, list[float]] = {each: [] for each in WISHES}
    for _ in range(ROUNDS):
        for name, wish in WISHES.items():
            tree = pod(wish)
            start = time.perf_counter()
            for _ in range(PODS):
                inject(tree, profiles)
            taken[name].append((time.perf_counter() - start) / PODS * 1e6)
    plain = statistics.median(taken["facts"])
    for name, figures in taken.items():
        median = statistics.median(figures)
        print(f"{name:22} {median:5.1f} us ({min(figures):.1f}-{max(figures):.1f})  {median / plain:.2f}x")


if __name__ == "__main__":
    main()
