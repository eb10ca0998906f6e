"""The carried facts of one pod: what stands there, whether it is true, and which containers wait for one."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from podfacts.core.carried import annotation
from podfacts.core.explained import State
from podfacts.core.facts import NAMESPACE_KINDS, NODE_KINDS, Fact
from podfacts.core.pod import Tree, containers
from podfacts.core.profile import Profile

# The kubelet's words for a variable that is empty in a subPathExpr (pkg/kubelet/container/helpers.go).
MISSING = re.compile(r"missing value for \"?([A-Za-z_][A-Za-z0-9_]*)")
STATUSES = ("initContainerStatuses", "containerStatuses")
LONGEST_SHOWN = 80


def carried_facts(
    pod: Tree, profile: Profile, wanted: Mapping[str, str], unseen: Mapping[str, str]
) -> Iterator[tuple[State, str]]:
    """A sentence for each, against ``wanted``: annotation to the value that is true now, where it could be seen."""
    have: Mapping[str, str] = pod["metadata"].get("annotations") or {}
    for fact in profile.carried:
        for name, key in _annotations(fact, pod):
            what = f"{name} ({fact.kind} {_short(fact.key)})"
            value = have.get(key)
            shown = "is not written" if value is None else f"is {_short(value)!r}"
            if key not in wanted:
                yield "unknown", f"{what} {shown}: {_unknown(fact, pod, unseen)}"
            elif value == wanted[key]:
                yield "ok", f"{what} {shown}, as it should be"
                yield from _after_start(fact, key, pod)
            else:
                should = f"it should be {_short(wanted[key])!r}"
                yield (
                    "no",
                    f"{what} {shown}, and {should}: the controller writes it within seconds (podfacts check)",
                )


def waiting(pod: Tree, profile: Profile) -> Iterator[str]:
    """A sentence for each container that does not start because a required fact is empty."""
    for status in _statuses(pod):
        message = str(((status.get("state") or {}).get("waiting") or {}).get("message") or "")
        for name in MISSING.findall(message):
            fact = next((each for each in profile.facts if each.env == name), None)
            source = f" ({fact.kind} {fact.key})" if fact else ""
            yield f"{status['name']} waits for {name}{source}, which is empty: {_cure(fact, pod)}"


def _cure(fact: Fact | None, pod: Tree) -> str:
    node = (pod.get("spec") or {}).get("nodeName") or "NODE"
    if fact and fact.kind in ("nodeLabel", "nodeAnnotation"):
        verb = "label" if fact.kind == "nodeLabel" else "annotate"
        return f"kubectl {verb} node {node} {fact.key}=VALUE, and it starts by itself"
    return "it starts by itself once the controller has written it (podfacts check)"


def _annotations(fact: Fact, pod: Tree) -> Iterator[tuple[str, str]]:
    if fact.kind != "image":
        yield fact.name, str(annotation(fact))
        return
    for container in containers(pod):
        if key := annotation(fact, container.name):
            yield f"{fact.name} of {container.name}", key


def _unknown(fact: Fact, pod: Tree, unseen: Mapping[str, str]) -> str:
    if fact.kind in NODE_KINDS:
        if not (pod.get("spec") or {}).get("nodeName"):
            return "the pod is not bound to a node yet"
        return f"the node is not seen: {unseen.get('node', '')}"
    if fact.kind in NAMESPACE_KINDS:
        return f"the namespace is not seen: {unseen.get('namespace', '')}"
    if fact.kind == "owner":
        return f"the owner is not seen: {unseen.get('owner', '')}"
    return "the container has not run yet"


def _after_start(fact: Fact, key: str, pod: Tree) -> Iterator[tuple[State, str]]:
    """Env is read once. A fact that was written later is in files, and not in the env of what runs."""
    written = _written(key, pod)
    if not written or not fact.env:
        return
    for status in _statuses(pod):
        started = ((status.get("state") or {}).get("running") or {}).get("startedAt") or ""
        if started and started < written:
            # The entry has one time for all facts that it holds: whether this one was among the last is not told.
            said = f"facts were last written at {written}, after {status['name']} had started"
            yield "note", f"{said}: {fact.env} may be older there, until it restarts"


def _written(key: str, pod: Tree) -> str:
    """When the controller last wrote annotations, this one among them; "" when it did not. A Binding leaves no trace."""
    for entry in pod["metadata"].get("managedFields") or ():
        fields: Any = (entry.get("fieldsV1") or {}).get("f:metadata") or {}
        if entry.get("subresource") == "status" and f"f:{key}" in (fields.get("f:annotations") or {}):
            return str(entry.get("time") or "")
    return ""


def _statuses(pod: Tree) -> Iterator[Tree]:
    status = pod.get("status") or {}
    for kind in STATUSES:
        yield from status.get(kind) or ()


def _short(text: str) -> str:
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}..."
