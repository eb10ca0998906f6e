"""Facts as env. The author's entry wins, unless the author lets ours win; ours go first.

First, because the kubelet expands ``$(POD_NAME)`` only from entries declared earlier
(``pkg/kubelet/kubelet_pods.go``, ``makeEnvironmentVariables``), and because the last of two entries of one name wins.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from podfacts.core.patch import Operation, pointer
from podfacts.core.pod import Container, EnvVar, Tree, mapping, objects, text
from podfacts.core.refusal import Refused

# Linux gives one "NAME=value" string 128 KiB with its final NUL (MAX_ARG_STRLEN): above it execve fails with E2BIG.
LONGEST = 131_071
# Kubernetes takes any printable ASCII since 1.34, and less before: a C identifier works everywhere, in every shell.
ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


# What stands there is ours, and always fits (facts.py).
CARRIED = "metadata.annotations['facts.podfacts.dev/"


class EnvPlan(NamedTuple):
    """What to do to one container's env: how many facts that adds, and what was kept as the author wrote it."""

    patch: tuple[Operation, ...]
    injected: int
    kept: tuple[str, ...]
    warnings: tuple[str, ...]
    shown: frozenset[str]  # The names that hold the fact in the end, injected now or there before.


def env_plan(container: Container, facts: Sequence[EnvVar], overwrite: frozenset[str]) -> EnvPlan:
    """The plan for ``container``; ``facts`` are the entries that the profile sets, in its order."""
    written = objects(container.spec, "env", container.path)
    if not written:
        patch = (_add(container, list(facts), "env"),) if facts else ()
        return EnvPlan(patch, len(facts), (), _hidden(container, facts), frozenset(map(_name, facts)))
    last = _last_of_each_name(container, written)
    missing = [each for each in facts if each["name"] not in last]
    operations = [_add(container, each, "env", index) for index, each in enumerate(missing)]
    replaced, kept, foreign = [], [], set()
    for each in facts:
        name = each["name"]
        if name not in last or _same(written[last[name]], each):
            continue
        if name in overwrite:
            # The entries added above moved the author's down.
            where = pointer(*container.path, "env", last[name] + len(missing))
            replaced.append(Operation(op="replace", path=where, value=each))
        else:
            kept.append(f"{container.name}: env {name} is the author's")
            foreign.add(name)
    return EnvPlan(
        (*operations, *replaced),
        len(missing) + len(replaced),
        tuple(kept),
        _hidden(container, missing),
        frozenset(map(_name, facts)) - foreign,
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


def unfit(pod: Tree, facts: Sequence[EnvVar]) -> dict[str, str]:
    """Facts that would keep every container from starting, by env name, each with its reason.

    Only labels and annotations can hold what execve does not take. Their later changes do not matter: env is read when a container starts,
    and a restart would fail then; the file carries the value at any length.
    """
    metadata = mapping(pod, "metadata")
    found = {}
    for each in facts:
        path = each["valueFrom"].get("fieldRef", {}).get("fieldPath", "")
        if not path.endswith("']") or path.startswith(CARRIED):
            continue
        kind, _, key = path.removesuffix("']").removeprefix("metadata.").partition("['")
        value = str(mapping(metadata, kind, ("metadata",)).get(key, ""))
        if len(each["name"]) + 1 + len(value.encode()) + 1 > LONGEST:
            found[each["name"]] = f"env {each['name']}: the value is too long for an environment variable"
        elif "\0" in value:
            found[each["name"]] = (
                f"env {each['name']}: the value holds NUL, which ends an environment variable"
            )
    return found


def _name(fact: EnvVar) -> str:
    return fact["name"]


def _add(container: Container, value: Any, *path: str | int) -> Operation:
    return Operation(op="add", path=pointer(*container.path, *path), value=value)


def _last_of_each_name(container: Container, written: Sequence[Tree]) -> dict[str, int]:
    """Where each name stands last: two entries of one name are legal, and the last one wins."""
    last = {}
    for index, each in enumerate(written):
        name = text(each, "name", (*container.path, "env", index))
        if not name:
            raise Refused((*container.path, "env", index, "name"), "an env entry needs a name")
        last[name] = index
    return last


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
