"""Facts as env. The author's entry wins, unless the author lets ours win; ours go first.

First, because the kubelet expands ``$(POD_NAME)`` only from entries declared earlier
(``pkg/kubelet/kubelet_pods.go``, ``makeEnvironmentVariables``), and because the last of two entries of one name wins.
"""

import re
from collections.abc import Mapping, Sequence
from itertools import count
from operator import itemgetter
from typing import Any, NamedTuple

from podfacts.core.patch import Operation
from podfacts.core.pod import TEXTS, Container, EnvVar, Tree, mapping, objects, text
from podfacts.core.refusal import Refused

# Linux gives one "NAME=value" string 128 KiB with its final NUL (MAX_ARG_STRLEN): above it execve fails with E2BIG.
LONGEST = 131_071
# Kubernetes takes any printable ASCII since 1.34, and less before: a C identifier works everywhere, in every shell.
ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


# What stands there is ours, and always fits (facts.py).
CARRIED = "metadata.annotations['facts.podfacts.dev/"


NAME = itemgetter("name")


class EnvPlan(NamedTuple):
    """What to do to one container's env: how many facts that adds, and what was kept as the author wrote it."""

    patch: tuple[Operation, ...]
    injected: int
    kept: tuple[str, ...]
    warnings: tuple[str, ...]
    foreign: frozenset[str]  # The names that hold something else in the end: what was kept.


def env_plan(container: Container, facts: Sequence[EnvVar], overwrite: frozenset[str]) -> EnvPlan:
    """The plan for ``container``; ``facts`` are the entries that the profile sets, in its order."""
    written = objects(container.spec, "env", container.path)
    where = f"{container.pointer}/env"
    if not written:
        patch = (Operation(op="add", path=where, value=list(facts)),) if facts else ()
        return EnvPlan(patch, len(facts), (), _hidden(container, facts), frozenset())
    last = _last_of_each_name(container, written)
    missing: list[EnvVar] = []
    present: list[EnvVar] = []
    for each in facts:
        (present if each["name"] in last else missing).append(each)
    operations: list[Operation] = [
        {"op": "add", "path": f"{where}/{index}", "value": each} for index, each in enumerate(missing)
    ]
    foreign = []
    for each in present:
        name = each["name"]
        if _same(written[last[name]], each):
            continue
        if name in overwrite:
            # The entries added above moved the author's down.
            moved = f"{where}/{last[name] + len(missing)}"
            operations.append(Operation(op="replace", path=moved, value=each))
        else:
            foreign.append(name)
    return EnvPlan(
        tuple(operations),
        len(operations),
        tuple(f"{container.name}: env {name} is the author's" for name in foreign),
        _hidden(container, missing),
        frozenset(foreign),
    )


def _same(theirs: Tree, ours: EnvVar) -> bool:
    if "valueFrom" in ours:
        return same_source(theirs.get("valueFrom"), ours["valueFrom"])
    return theirs.get("value") == ours["value"] and not theirs.get("valueFrom")


def same_source(theirs: Any, ours: Mapping[str, Any]) -> bool:
    """Whether two references mean the same, after the API server has filled in its defaults (``apiVersion: v1``)."""
    if not isinstance(theirs, dict):
        return False
    field, resource = theirs.get("fieldRef"), theirs.get("resourceFieldRef")
    if isinstance(field, dict) and field.get("apiVersion", "v1") == "v1":
        theirs = {**theirs, "fieldRef": {key: field[key] for key in field if key != "apiVersion"}}
    if isinstance(resource, dict) and "divisor" in resource:
        theirs = {**theirs, "resourceFieldRef": {**resource, "divisor": str(resource["divisor"])}}
    return bool(theirs == ours)


def authored(fact: EnvVar) -> bool:
    """Whether its value is what a pod's author wrote as a label or an annotation, of any length."""
    path = fact["valueFrom"].get("fieldRef", {}).get("fieldPath", "")
    return path.endswith("']") and not path.startswith(CARRIED)


def unfit(pod: Tree, facts: Sequence[EnvVar]) -> dict[str, str]:
    """Facts that would keep every container from starting, by env name, each with its reason.

    Only labels and annotations can hold what execve does not take. Their later changes do not matter: env is read when a container starts,
    and a restart would fail then; the file carries the value at any length.
    """
    metadata = mapping(pod, "metadata")
    found = {}
    for each in facts:
        if not authored(each):
            continue
        path = each["valueFrom"]["fieldRef"]["fieldPath"]
        kind, _, key = path.removesuffix("']").removeprefix("metadata.").partition("['")
        value = str(mapping(metadata, kind, ("metadata",)).get(key, ""))
        if len(each["name"]) + 1 + len(value.encode()) + 1 > LONGEST:
            found[each["name"]] = f"env {each['name']}: the value is too long for an environment variable"
        elif "\0" in value:
            found[each["name"]] = (
                f"env {each['name']}: the value holds NUL, which ends an environment variable"
            )
    return found


def _last_of_each_name(container: Container, written: Sequence[Tree]) -> dict[str, int]:
    """Where each name stands last: two entries of one name are legal, and the last one wins."""
    try:
        last = dict(zip(map(NAME, written), count(), strict=False))
    except (KeyError, TypeError):  # No name, or one that is a list or an object.
        last = {}
    if {*map(type, last)} != TEXTS or "" in last:
        _refuse_nameless(container, written)
    return last


def _refuse_nameless(container: Container, written: Sequence[Tree]) -> None:
    for index, each in enumerate(written):
        name = text(each, "name", (*container.path, "env", index))
        if not name:
            raise Refused((*container.path, "env", index, "name"), "an env entry needs a name")


def _hidden(container: Container, facts: Sequence[EnvVar]) -> tuple[str, ...]:
    """A warning where ``envFrom`` may set one of our names: nothing here can read it, and env wins over envFrom."""
    for index, source in enumerate(objects(container.spec, "envFrom", container.path)):
        prefix = text(source, "prefix", (*container.path, "envFrom", index))
        for each in facts:
            if each["name"].startswith(prefix):
                return (
                    f"{container.name}: if its envFrom sets {each['name']} or another injected name, "
                    "the injected one hides it",
                )
    return ()
