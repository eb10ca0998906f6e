"""How long an audit takes, and how much memory: N bindings with N/2 roles, in a file, through the command and without it.

``python tests/bench/audit.py [--quick] [--bindings 1000 10000 ...] [--json FILE] [--markdown FILE]``; 6 minutes. Each run is a process of its own, so that its
peak is its own. On a busy machine the processor's time says more than the clock's.
"""

import argparse
import json
import math
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent))

import paper

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


def parts(file: str) -> dict[str, list[float]]:
    """What the parts take of the processor in this process, the most MB until then, and how many they found."""
    from podfacts.audit.escalation.paths import paths  # noqa: PLC0415
    from podfacts.audit.judgement.findings import findings  # noqa: PLC0415
    from podfacts.offline.audit import inventory_of  # noqa: PLC0415

    start = time.process_time()
    inventory = inventory_of([file], None, sys.stdin.buffer)
    done = {"reading": [time.process_time() - start, _peak(), 0]}
    for name, work in (("findings", findings), ("paths", paths)):
        start = time.process_time()
        found = len(work(inventory))
        done[name] = [time.process_time() - start, _peak(), found]
    return done


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(count: int, rounds: int, output: str, folder: Path) -> dict[str, Any]:
    """Some runs of the command over so many bindings, and its parts."""
    file = folder / f"{count}.yaml"
    file.write_text("".join(manifests(count)))
    command = [str(PODFACTS), "audit", "-f", str(file), "-o", output]
    runs = [measured(command, folder / "out") for _ in range(rounds)]
    said = subprocess.run(
        [sys.executable, __file__, "--parts", str(file)], check=True, capture_output=True, text=True
    )
    row = {
        "bindings": count,
        "roles": count // 2,
        "yaml_mb": file.stat().st_size / 1e6,
        "report_mb": (folder / "out").stat().st_size / 1e6,
        "exit": runs[0].code,
        "seconds": [each.seconds for each in runs],
        "processor": [each.processor for each in runs],
        "megabytes": max(each.megabytes for each in runs),
        "parts": json.loads(said.stdout),
    }
    print(
        f"{count:,} bindings: least {min(row['seconds']):.2f} s, {row['megabytes']:.0f} MB", file=sys.stderr
    )
    return row


def markdown(whole: dict[str, Any]) -> str:
    """The table, and how it grows from one number to the next."""
    machine, rows = whole["machine"], whole["rows"]
    lines = [
        "| bindings | roles | YAML, MB | seconds, median (least-most) | processor, s | MB | reading, s | findings, s (number) | paths, s (number) |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        each = row["parts"]
        lines.append(
            f"| {row['bindings']:,} | {row['roles']:,} | {row['yaml_mb']:.1f} | "
            f"{statistics.median(row['seconds']):.2f} ({min(row['seconds']):.2f}-{max(row['seconds']):.2f}) | "
            f"{min(row['processor']):.2f} | {row['megabytes']:.0f} | {each['reading'][0]:.2f} | "
            f"{each['findings'][0]:.2f} ({each['findings'][2]:,}) | {each['paths'][0]:.2f} ({each['paths'][2]:,}) |"
        )
    growth = [
        f"From {before['bindings']:,} to {after['bindings']:,} bindings, {after['bindings'] / before['bindings']:g} times as many: "
        f"{min(after['processor']) / min(before['processor']):.1f} times the processor's time "
        f"(exponent {_exponent(before, after):.2f}; 1 is in proportion), "
        f"{after['megabytes'] / before['megabytes']:.1f} times the memory, "
        f"{(after['megabytes'] - before['megabytes']) * 1000 / (after['bindings'] - before['bindings']):.1f} KB a binding."
        for before, after in pairwise(rows)
    ]
    head = (
        f"{machine['when']}, {machine['processor']}, {machine['cores']} cores, load average "
        f"{machine['load_before']:.1f} before and {machine['load_after']:.1f} after, CPython {machine['python']}; "
        f"output: {machine['output']}."
    )
    return "\n\n".join([head, "\n".join(lines), *growth]) + "\n"


def _exponent(before: dict[str, Any], after: dict[str, Any]) -> float:
    grown = min(after["processor"]) / min(before["processor"])
    return math.log(grown) / math.log(after["bindings"] / before["bindings"])


def main() -> None:
    """Measure, and write what was asked for."""
    asked = arguments()
    if asked.parts:
        print(json.dumps(parts(asked.parts)))
        return
    if asked.write:
        Path(asked.write).write_text("".join(manifests(asked.bindings[0])))
        return
    machine = paper.machine(output=asked.output)
    with tempfile.TemporaryDirectory() as folder:
        rows = [measure(count, asked.rounds, asked.output, Path(folder)) for count in asked.bindings]
    machine["load_after"] = os.getloadavg()[0]
    whole = {"machine": machine, "rows": rows}
    paper.written(asked, whole, markdown(whole))


def arguments() -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="1,000 and 5,000 bindings, once each")
    parser.add_argument("--bindings", type=int, nargs="+")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--output", default="table")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--markdown", type=Path, metavar="FILE")
    parser.add_argument("--parts", metavar="FILE", help="the parts, of this file")
    parser.add_argument("--write", metavar="FILE", help="the manifests of the first number, and nothing else")
    asked = parser.parse_args()
    asked.bindings = asked.bindings or ([1_000, 5_000] if asked.quick else [1_000, 10_000, 50_000])
    asked.rounds = asked.rounds or (1 if asked.quick else 3)
    return asked


if __name__ == "__main__":
    main()
