"""Fuzzing of reading and answering a review, led by coverage: ``python -m tests.faults.fuzz SECONDS FOLDER [SEEDS...]``.

A process of its own, because Atheris changes the code that it looks at. FOLDER takes what leads to new places in it, and
the input of a failure; SEEDS are folders that are read only. Every 2,000 inputs a line of JSON on stdout: how many so
far, and the memory of the process after the first 2,000 and now. Exit code 0, or what the fuzzer ends with.
"""

import json
import random
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import atheris  # type: ignore[import-untyped, import-not-found, unused-ignore]
import orjson

with atheris.instrument_imports(include=["podfacts.core"]):
    from tests.faults import verdict

LONGEST = 64 * 1024  # Bytes.
SLOWEST = 1.0  # Seconds of this thread's processor time.
LIMIT = 256  # MiB of the whole process.
DEEPEST = 100  # Levels of a tree that are changed.
WARM = 2000  # Inputs, after which memory is looked at for the first time.

# What stands at these places in pods, rightly or not.
VALUES: tuple[Any, ...] = (
    *(None, True, 0, -1, 1.5, 2**63, "", "x", "true", "false", "\x00", "\x1b[2J", "ü" * 40, "a" * 300),
    *("default", "everything", "node", "company", "held", "images", "vault", "proxied", "nobody"),
    *("/etc/downward", "/etc//downward/.", "/", "../x", "/run/x", "$(POD_NAME)", "$(A)", "$$(A)"),
    *(
        "POD_NAME",
        "podfacts",
        "podfacts-api",
        "podfacts-ambassador",
        "podfacts-required",
        "main",
        "main,side",
    ),
    *(
        [],
        {},
        [[]],
        [{}],
        [None],
        {"a": 1},
        {"name": "x"},
        [{"name": "POD_NAME", "value": "z"}],
        [{"name": ""}],
    ),
    *({"fieldRef": {"fieldPath": "metadata.name"}}, {"limits": {"cpu": "0e5"}}, [{"mountPath": 7}]),
    *({"resourceFieldRef": {"resource": "limits.cpu", "divisor": 1}}, [{"downwardAPI": {"items": [{}]}}]),
)
KEYS = (
    *("env", "envFrom", "valueFrom", "fieldRef", "volumeMounts", "volumeDevices", "subPath", "mountPath"),
    *("volumes", "downwardAPI", "items", "containers", "initContainers", "ephemeralContainers", "resources"),
    *("limits", "annotations", "labels", "metadata", "spec", "name", "generateName", "nodeName", "os"),
    *("hostNetwork", "securityContext", "runAsUser", "ports", "automountServiceAccountToken", "target"),
    *("podfacts.dev/inject", "podfacts.dev/containers", "podfacts.dev/skip-containers"),
    *("podfacts.dev/mount-path", "podfacts.dev/overwrite", "podfacts.dev/api-access"),
    *("podfacts.dev/ambassador", "podfacts.dev/injected", "facts.podfacts.dev/zone"),
    *("request", "object", "operation", "kind", "resource", "subResource", "uid", "namespace"),
)


class Seen:
    """How many inputs there were, and what memory they took."""

    inputs = 0
    warm = 0.0


def tried(body: bytes) -> None:
    """One input."""
    began = time.thread_time()
    verdict.judged(body)
    taken = time.thread_time() - began
    if taken > SLOWEST:
        raise AssertionError(f"it took {taken:.1f} s")
    Seen.inputs += 1
    if Seen.inputs % 100 == 0 and resident() > LIMIT:
        raise AssertionError(f"it has {resident():.0f} MiB")
    if Seen.inputs == WARM:
        Seen.warm = resident()
    if Seen.inputs % WARM == 0:  # Now and then: the fuzzer itself ends the process, and comes back to nobody.
        print(json.dumps({"inputs": Seen.inputs, "warm": Seen.warm, "now": resident()}), flush=True)  # noqa: T201


def mutated(body: bytes, most: int, seed: int) -> bytes:
    """Another input: mostly the same tree with a branch changed, else with bytes changed anyhow."""
    chance = random.Random(seed)  # noqa: S311 - the fuzzer gives the seed, and so can repeat it
    try:
        tree = orjson.loads(body)
    except orjson.JSONDecodeError:
        tree = None
    if tree is None or chance.random() < 0.2:
        changed: bytes = atheris.Mutate(body, most)
        return changed
    try:
        for _ in range(chance.choice((1, 1, 1, 2, 4))):
            tree = changed_somewhere(tree, chance)
        written = orjson.dumps(tree)
    except orjson.JSONEncodeError:  # It has become deeper than this writes.
        return body
    return written if len(written) <= most else body


def changed_somewhere(tree: Any, chance: random.Random) -> Any:
    """The tree with one branch taken out, put elsewhere, or another value in its place."""
    places = list(branches(tree))
    if not places:
        return copied(chance.choice(VALUES))
    holder, key = chance.choice(places)
    what = chance.random()
    if what < 0.15:
        del holder[key]
    elif what < 0.4 and isinstance(holder, dict):
        holder[chance.choice(KEYS)] = copied(chance.choice(VALUES))
    elif what < 0.55:
        other, at = chance.choice(places)
        holder[key] = copied(other[at])
    elif what < 0.65 and isinstance(holder, list):
        holder.insert(key, copied(holder[key]))
    else:
        holder[key] = copied(chance.choice(VALUES))
    return tree


def copied(tree: Any) -> Any:
    """Another tree of the same values."""
    return orjson.loads(orjson.dumps(tree))


def branches(tree: Any, depth: int = DEEPEST) -> Iterator[tuple[Any, Any]]:
    """Every place in the tree, as what holds it and the key there."""
    keys = list(tree) if isinstance(tree, dict) else range(len(tree)) if isinstance(tree, list) else ()
    for key in keys:
        yield tree, key
        if depth:
            yield from branches(tree[key], depth - 1)


def resident() -> float:
    """MiB of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 2**20


def main() -> None:
    """Fuzz for so many seconds."""
    seconds, folder, *seeds = sys.argv[1:]
    options = (
        f"-max_total_time={seconds}",
        f"-max_len={LONGEST}",
        "-rss_limit_mb=0",  # It takes the most that there ever was, and a child begins with its parent's.
        "-timeout=25",  # By the clock on the wall, for a machine that does other things too; ``SLOWEST`` is the promise.
        "-verbosity=0",
        f"-artifact_prefix={folder}/failed-",
    )
    atheris.Setup([sys.argv[0], *options, folder, *seeds], tried, custom_mutator=mutated)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
