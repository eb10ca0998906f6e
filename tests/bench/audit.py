"""How long an audit takes, and how much memory: N bindings with N/2 roles, in a file, through the command and without it.

``python tests/bench/audit.py [--bindings 1000 10000 ...] [--rounds 3]``. Each run is a process of its own, so that its
peak is its own. On a busy machine the processor's time says more than the clock's.
"""

import argparse
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

PODFACTS = Path(sys.executable).parent / "podfacts"
SEED = 6
VERBS = ("get", "list", "watch", "create", "update", "patch", "delete")
RESOURCES = (
    ("", ("pods", "services", "configmaps", "secrets", "pods/log", "pods/exec", "serviceaccounts", "events")),
    ("apps", ("deployments", "statefulsets", "daemonsets", "deployments/scale")),
    ("batch", ("jobs", "cronjobs")),
    ("networking.k8s.io", ("ingresses", "networkpolicies")),
    ("rbac.authorization.k8s.io", ("roles", "rolebindings")),
)


def manifests(bindings: int) -> Iterator[str]:
    """As many bindings, half as many roles (a tenth of them ClusterRoles), a namespace for each ten roles."""
    chance = random.Random(SEED)  # noqa: S311 - the same file every time
    roles = [_role_address(index) for index in range(bindings // 2)]
    for kind, namespace, name in roles:
        rules = "".join(_rule(chance) for _ in range(chance.randint(1, 4)))
        yield f"{_head(kind, namespace, name)}rules:\n{rules}"
    for index in range(bindings):
        kind, namespace, name = chance.choice(roles)
        wide = kind == "ClusterRole" and chance.random() < 0.5
        home = "" if wide else namespace or f"team-{chance.randrange(max(1, bindings // 20))}"
        yield (
            f"{_head('ClusterRoleBinding' if wide else 'RoleBinding', home, f'binding-{index}')}"
            f"roleRef:\n  apiGroup: rbac.authorization.k8s.io\n  kind: {kind}\n  name: {name}\n"
            f"subjects:\n{''.join(_subject(chance, index) for _ in range(chance.randint(1, 3)))}"
        )


def _role_address(index: int) -> tuple[str, str, str]:
    if index % 10 == 0:
        return "ClusterRole", "", f"role-{index}"
    return "Role", f"team-{index // 10}", f"role-{index}"


def _head(kind: str, namespace: str, name: str) -> str:
    home = f"  namespace: {namespace}\n" if namespace else ""
    return f"---\napiVersion: rbac.authorization.k8s.io/v1\nkind: {kind}\nmetadata:\n  name: {name}\n{home}"


def _rule(chance: random.Random) -> str:
    group, resources = chance.choice(RESOURCES)
    words = chance.sample(resources, chance.randint(1, len(resources)))
    verbs = chance.sample(VERBS, chance.randint(1, len(VERBS)))
    return f'- apiGroups: ["{group}"]\n  resources: [{", ".join(words)}]\n  verbs: [{", ".join(verbs)}]\n'


def _subject(chance: random.Random, index: int) -> str:
    draw = chance.random()
    if draw < 0.8:
        return (
            f"- kind: ServiceAccount\n  name: app-{index % 997}\n  namespace: team-{chance.randrange(500)}\n"
        )
    kind = "User" if draw < 0.9 else "Group"
    return f"- apiGroup: rbac.authorization.k8s.io\n  kind: {kind}\n  name: {kind.lower()}-{chance.randrange(200)}\n"


class Run(NamedTuple):
    """One run of a command: on the clock, on the processor, in memory."""

    seconds: float
    processor: float
    megabytes: float
    code: int


def measured(command: list[str], stdout: Path) -> Run:
    with stdout.open("wb") as out:
        start = time.perf_counter()
        process = subprocess.Popen(command, stdout=out)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    return Run(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, process.returncode)


def parts(file: str) -> None:
    """What the parts take of the processor, in this process."""
    from podfacts.audit.escalation.paths import paths  # noqa: PLC0415
    from podfacts.audit.judgement.findings import findings  # noqa: PLC0415
    from podfacts.offline.audit import inventory_of  # noqa: PLC0415

    start = time.process_time()
    inventory = inventory_of([file], None, sys.stdin.buffer)
    print(f"  reading   {time.process_time() - start:6.2f} s  {_peak():5.0f} MB so far", flush=True)
    start = time.process_time()
    found = findings(inventory)
    print(
        f"  findings  {time.process_time() - start:6.2f} s  {_peak():5.0f} MB so far: {len(found)}",
        flush=True,
    )
    start = time.process_time()
    ways = paths(inventory)
    print(
        f"  paths     {time.process_time() - start:6.2f} s  {_peak():5.0f} MB so far: {len(ways)}", flush=True
    )


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bindings", type=int, nargs="+", default=[1_000, 10_000])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--output", default="table")
    parser.add_argument("--parts", metavar="FILE", help="the parts, of this file")
    parser.add_argument("--write", metavar="FILE", help="the manifests of the first number, and nothing else")
    options = parser.parse_args()
    if options.parts:
        parts(options.parts)
        return
    if options.write:
        Path(options.write).write_text("".join(manifests(options.bindings[0])))
        return
    with tempfile.TemporaryDirectory() as folder:
        for count in options.bindings:
            file = Path(folder, f"{count}.yaml")
            file.write_text("".join(manifests(count)))
            command = [str(PODFACTS), "audit", "-f", str(file), "-o", options.output]
            runs = [measured(command, Path(folder, "out")) for _ in range(options.rounds)]
            print(
                f"{count:,} bindings, {file.stat().st_size / 1e6:.1f} MB of YAML, {len(runs)} runs: "
                f"least {min(each.seconds for each in runs):.2f} s, "
                f"median {statistics.median(each.seconds for each in runs):.2f} s, "
                f"processor {min(each.processor for each in runs):.2f} s, "
                f"{max(each.megabytes for each in runs):.0f} MB, exit {runs[0].code}",
                flush=True,
            )
            subprocess.run([sys.executable, __file__, "--parts", str(file)], check=False)


if __name__ == "__main__":
    main()
